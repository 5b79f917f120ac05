package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
	"dbslm/services/memory/matching"
)

// CorrectionQuery asks for a page of corrections, newest first.
type CorrectionQuery struct {
	Tenant         string
	ConversationID string // only those made in it; empty for all
	UserID         string // only this person's; empty for all
	Model          string // only this model's; empty for all
	IncludeEnded   bool
	After          *After // nil for the first page
	Limit          int
}

const (
	selectCorrections         = `SELECT ` + correctionColumns + ` FROM tbl_l2_correction_log WHERE tenant = ?`
	correctionsMadeIn         = ` AND conversation_id = ?`
	correctionsOfScope        = ` AND scope_key = ?`
	correctionsActive         = ` AND active = 1`
	correctionsAfter          = ` AND (created_at < ? OR created_at = ? AND correction_id < ?)`
	correctionsNewestFirst    = ` ORDER BY created_at DESC, correction_id DESC LIMIT ?`
	correctionsAfterID        = ` AND correction_id < ?`
	correctionsByID           = ` ORDER BY correction_id DESC LIMIT ?`
	correctionPageBytes       = 6 << 20 // of texts, well below what gRPC carries
	correctionBytesPerMessage = 512     // of everything else in it
)

// Corrections returns a page, which is shorter than Limit when its texts are very long, and the place where the next one
// begins, nil at the end. All of a tenant's are ordered by id, which is the order of their recording: an index by time would
// tempt the planner to walk it also for one conversation's, past everybody else's.
func (s *Store) Corrections(ctx context.Context, q CorrectionQuery) ([]memory.Correction, *After, error) {
	if _, err := readNamedConversation(ctx, s.db, q.Tenant, q.ConversationID); err != nil {
		return nil, nil, err
	}
	query, args := selectCorrections, []any{q.Tenant}
	if q.ConversationID != "" {
		query, args = query+correctionsMadeIn, append(args, q.ConversationID)
	}
	if q.UserID != "" {
		query, args = query+correctionsOfScope, append(args, memory.Place{Scope: memory.ScopeUser, UserID: q.UserID}.Key())
	}
	if q.Model != "" {
		query, args = query+correctionsOfScope, append(args, memory.Place{Scope: memory.ScopeModel, Model: q.Model}.Key())
	}
	if !q.IncludeEnded {
		query += correctionsActive
	}
	all := q.ConversationID == "" && q.UserID == "" && q.Model == ""
	switch {
	case q.After != nil && all:
		query, args = query+correctionsAfterID, append(args, q.After.ID)
	case q.After != nil:
		query, args = query+correctionsAfter, append(args, q.After.At, q.After.At, q.After.ID)
	}
	if all {
		query += correctionsByID
	} else {
		query += correctionsNewestFirst
	}
	args = append(args, q.Limit+1)
	var page []memory.Correction
	size, more := 0, false
	result, err := s.db.Query(ctx, query, args...)
	err = rows(result, err, func(row database.Scanner) error {
		k, err := scanCorrection(row)
		size += correctionBytesPerMessage + len(k.ErrorContext) + len(k.Subject) + len(k.Fact.Entity) + len(k.Fact.Attribute) + len(k.Fact.Value) + len(k.Fact.Extra)
		if more = more || len(page) == q.Limit || len(page) > 0 && size > correctionPageBytes; !more {
			page = append(page, k)
		}
		return err
	})
	if err != nil || !more {
		return page, nil, err
	}
	last := page[len(page)-1]
	return page, &After{micros(last.Created), last.ID}, nil
}

// MatchCorrections returns the active corrections that bear on a text in a conversation answered by that model, narrowest
// scope first, then newest, at most limit.
func (s *Store) MatchCorrections(ctx context.Context, tenant, conversationID, model, text string, limit int) ([]memory.CorrectionMatch, error) {
	t := matching.NewText(text)
	var matches []memory.CorrectionMatch
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		c, err := readConversation(ctx, tx, tenant, conversationID, "")
		if err != nil {
			return err
		}
		f, err := readFrequencies(ctx, tx, c, model, t)
		if err != nil {
			return err
		}
		matches, err = readCandidates(ctx, tx, c, f, t, limit)
		return err
	})
	return matches, err
}
