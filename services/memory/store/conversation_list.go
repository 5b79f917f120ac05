package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

// After is a place in a list that is ordered by time: the last row of the page before.
type After struct {
	At int64 // microseconds
	ID string
}

// ConversationQuery asks for a page of conversations, most recently used first.
type ConversationQuery struct {
	Tenant          string
	UserID          string // only this person's; empty for all
	IncludeArchived bool
	After           *After // nil for the first page
	Limit           int
}

const (
	selectConversations          = `SELECT ` + conversationColumns + ` FROM tbl_l2_conversations c WHERE tenant = ?`
	conversationsOfUser          = ` AND user_id = ?`
	conversationsNotArchived     = ` AND archived = 0`
	conversationsAfter           = ` AND (updated_at < ? OR updated_at = ? AND conversation_id < ?)`
	conversationsMostRecentFirst = ` ORDER BY updated_at DESC, conversation_id DESC LIMIT ?`
)

// Conversations returns a page and the place where the next one begins, nil at the end.
func (s *Store) Conversations(ctx context.Context, q ConversationQuery) ([]memory.Conversation, *After, error) {
	query, args := selectConversations, []any{q.Tenant}
	if q.UserID != "" {
		query, args = query+conversationsOfUser, append(args, q.UserID)
	}
	if !q.IncludeArchived {
		query += conversationsNotArchived
	}
	if q.After != nil {
		query, args = query+conversationsAfter, append(args, q.After.At, q.After.At, q.After.ID)
	}
	query, args = query+conversationsMostRecentFirst, append(args, q.Limit+1)
	var page []memory.Conversation
	result, err := s.db.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		c, err := scanConversation(row)
		page = append(page, c)
		return err
	})
	if err != nil || len(page) <= q.Limit {
		return page, nil, err
	}
	page = page[:q.Limit]
	last := page[q.Limit-1]
	return page, &After{micros(last.Updated), last.ID}, nil
}
