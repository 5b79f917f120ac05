package store

import (
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const conversationColumns = `tenant, conversation_id, COALESCE(request_id, ''), user_id, agent_id, title, metadata_json, archived,
  user_messages, assistant_messages, committed_turns, failed_turns, active_corrections, content_bytes,
  COALESCE(first_message_at, 0), COALESCE(last_message_at, 0), COALESCE(open_turn_id, ''), COALESCE(open_until, 0), created_at, updated_at,
  removed_messages, removed_bytes`

func scanConversation(row database.Scanner) (memory.Conversation, error) {
	var c memory.Conversation
	var metadata string
	var archived, first, last, openUntil, created, updated int64
	err := row.Scan(&c.Tenant, &c.ID, &c.RequestID, &c.UserID, &c.AgentID, &c.Title, &metadata, &archived,
		&c.UserMessages, &c.AssistantMessages, &c.CommittedTurns, &c.FailedTurns, &c.Corrections, &c.ContentBytes,
		&first, &last, &c.OpenTurnID, &openUntil, &created, &updated, &c.Removed, &c.RemovedBytes)
	if err != nil {
		return c, err
	}
	c.Archived = archived != 0
	c.First, c.Last, c.OpenUntil = fromMicros(first), fromMicros(last), fromMicros(openUntil)
	c.Created, c.Updated = fromMicros(created), fromMicros(updated)
	if metadata != "" {
		if err := json.Unmarshal([]byte(metadata), &c.Metadata); err != nil {
			return c, memory.StoredValue(err, "conversation", c.ID)
		}
	}
	return c, nil
}

const insertConversation = `INSERT INTO tbl_l2_conversations (tenant, conversation_id, request_id, user_id, agent_id, title, metadata_json, archived,
  user_messages, assistant_messages, committed_turns, failed_turns, active_corrections, content_bytes, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?)`

const selectConversationByRequest = `SELECT ` + conversationColumns + ` FROM tbl_l2_conversations WHERE tenant = ? AND request_id = ?`

// CreateConversation stores a new conversation, or returns the one that the same request id created. c.Created is the time.
func (s *Store) CreateConversation(ctx context.Context, c memory.Conversation) (memory.Conversation, error) {
	metadata := ""
	if len(c.Metadata) > 0 {
		raw, err := json.Marshal(c.Metadata)
		if err != nil {
			return c, errors.Wrap(err, errors.Internal, memory.ReasonStoredValue, "the metadata cannot be stored")
		}
		metadata = string(raw)
	}
	var err error
	if c.ID, err = newID(); err != nil {
		return c, err
	}
	c.Updated = c.Created
	var stored memory.Conversation
	err = s.inTxAgain(ctx, func(tx *database.Tx) error {
		if c.RequestID != "" {
			var err error
			stored, err = scanConversation(tx.QueryRow(ctx, selectConversationByRequest, c.Tenant, c.RequestID))
			if !errors.Is(err, database.ErrNoRows) {
				return err
			}
		}
		stored = c
		_, err := tx.Exec(ctx, insertConversation, c.Tenant, c.ID, nullString(c.RequestID), c.UserID, c.AgentID, c.Title, metadata,
			micros(c.Created), micros(c.Updated))
		return err
	})
	return stored, err
}

const selectConversation = `SELECT ` + conversationColumns + ` FROM tbl_l2_conversations WHERE tenant = ? AND conversation_id = ?`

// Conversation returns one conversation.
func (s *Store) Conversation(ctx context.Context, tenant, id string) (memory.Conversation, error) {
	return readConversation(ctx, s.db, tenant, id, "")
}

// lockConversation reads a conversation that nobody else changes until the transaction ends.
func (s *Store) lockConversation(ctx context.Context, tx *database.Tx, tenant, id string) (memory.Conversation, error) {
	return readConversation(ctx, tx, tenant, id, s.lockRow)
}

func readConversation(ctx context.Context, q database.Querier, tenant, id, lock string) (memory.Conversation, error) {
	c, err := scanConversation(q.QueryRow(ctx, selectConversation+lock, tenant, id))
	if errors.Is(err, database.ErrNoRows) {
		return c, memory.NotFound("conversation", id)
	}
	return c, err
}

const updateConversation = `UPDATE tbl_l2_conversations SET archived = ?, user_messages = ?, assistant_messages = ?, committed_turns = ?,
  failed_turns = ?, active_corrections = ?, content_bytes = ?, first_message_at = ?, last_message_at = ?, open_turn_id = ?, open_until = ?, updated_at = ?
WHERE tenant = ? AND conversation_id = ?`

// writeConversation stores what changes in a conversation that this transaction has locked.
func writeConversation(ctx context.Context, tx *database.Tx, c memory.Conversation) error {
	_, err := tx.Exec(ctx, updateConversation, flag(c.Archived), c.UserMessages, c.AssistantMessages, c.CommittedTurns,
		c.FailedTurns, c.Corrections, c.ContentBytes, nullMicros(c.First), nullMicros(c.Last), nullString(c.OpenTurnID), nullMicros(c.OpenUntil), micros(c.Updated),
		c.Tenant, c.ID)
	return err
}

// ArchiveConversation closes a conversation for new turns; an open one may still be committed.
func (s *Store) ArchiveConversation(ctx context.Context, tenant, id string, now time.Time) (memory.Conversation, error) {
	var c memory.Conversation
	err := s.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if c, err = s.lockConversation(ctx, tx, tenant, id); err != nil || c.Archived {
			return err
		}
		c.Archived, c.Updated = true, now
		return writeConversation(ctx, tx, c)
	})
	return c, err
}
