package store

import (
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const conversationColumns = `c.tenant, c.conversation_id, COALESCE(c.request_id, ''), c.user_id, c.agent_id, c.title, c.metadata_json, c.archived,
  c.user_messages, c.assistant_messages, c.committed_turns, c.failed_turns, c.active_corrections, c.content_bytes,
  COALESCE(c.first_message_at, 0), COALESCE(c.last_message_at, 0), COALESCE(c.open_turn_id, ''), COALESCE(c.open_until, 0), c.created_at, c.updated_at,
  c.removed_messages, c.removed_bytes, c.carried`

// conversationRow takes the columns of a conversation.
type conversationRow struct {
	c                                                  memory.Conversation
	metadata                                           string
	archived, first, last, openUntil, created, updated int64
}

func (r *conversationRow) targets() []any {
	c := &r.c
	return []any{
		&c.Tenant, &c.ID, &c.RequestID, &c.UserID, &c.AgentID, &c.Title, &r.metadata, &r.archived,
		&c.UserMessages, &c.AssistantMessages, &c.CommittedTurns, &c.FailedTurns, &c.Corrections, &c.ContentBytes,
		&r.first, &r.last, &c.OpenTurnID, &r.openUntil, &r.created, &r.updated, &c.Removed, &c.RemovedBytes, &c.Carried,
	}
}

// conversation is what was scanned.
func (r *conversationRow) conversation() (memory.Conversation, error) {
	c := r.c
	c.Archived = r.archived != 0
	c.First, c.Last, c.OpenUntil = fromMicros(r.first), fromMicros(r.last), fromMicros(r.openUntil)
	c.Created, c.Updated = fromMicros(r.created), fromMicros(r.updated)
	if r.metadata != "" {
		if err := json.Unmarshal([]byte(r.metadata), &c.Metadata); err != nil {
			return c, memory.StoredValue(err, "conversation", c.ID)
		}
	}
	return c, nil
}

func scanConversation(row database.Scanner) (memory.Conversation, error) {
	var r conversationRow
	if err := row.Scan(r.targets()...); err != nil {
		return memory.Conversation{}, err
	}
	return r.conversation()
}

const insertConversation = `INSERT INTO tbl_l2_conversations (tenant, conversation_id, request_id, user_id, agent_id, title, metadata_json, archived,
  user_messages, assistant_messages, committed_turns, failed_turns, active_corrections, content_bytes, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?)`

const selectConversationByRequest = `SELECT ` + conversationColumns + ` FROM tbl_l2_conversations c WHERE c.tenant = ? AND c.request_id = ?`

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

const selectConversation = `SELECT ` + conversationColumns + ` FROM tbl_l2_conversations c WHERE c.tenant = ? AND c.conversation_id = ?`

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
  failed_turns = ?, active_corrections = ?, content_bytes = ?, first_message_at = ?, last_message_at = ?, open_turn_id = ?, open_until = ?, updated_at = ?,
  carried = ?
WHERE tenant = ? AND conversation_id = ?`

// writeConversation stores what changes in a conversation that this transaction has locked.
func writeConversation(ctx context.Context, tx *database.Tx, c memory.Conversation) error {
	_, err := tx.ExecAll(ctx, changedConversation(c))
	return err
}

// changedConversation is what writeConversation does.
func changedConversation(c memory.Conversation) database.Command {
	return database.Command{SQL: updateConversation, Args: []any{
		flag(c.Archived), c.UserMessages, c.AssistantMessages, c.CommittedTurns,
		c.FailedTurns, c.Corrections, c.ContentBytes, nullMicros(c.First), nullMicros(c.Last), nullString(c.OpenTurnID), nullMicros(c.OpenUntil), micros(c.Updated),
		c.Carried, c.Tenant, c.ID,
	}}
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
