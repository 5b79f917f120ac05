package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// indexVersion is the version of the idea of words that messages are filed under: 2 knows the stems of their languages. A message
// is filed under at least the words of all versions before, so that whoever removes it removes them.
const indexVersion = 2

const (
	selectReindexing       = `SELECT tenant, conversation_id, seq, messages, finished FROM tbl_l2_reindexing WHERE version = ?`
	selectNextConversation = `SELECT tenant, conversation_id FROM tbl_l2_conversations
WHERE tenant > ? OR tenant = ? AND conversation_id > ? ORDER BY tenant, conversation_id LIMIT 1`
	selectMessagesToIndex = `SELECT ` + messageColumns + ` FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND seq > ? ORDER BY seq LIMIT ?`
)

// reindexed is how far the work is.
type reindexed struct {
	tenant, conversation string
	seq                  int64 // of the last message that was done there; -1 when all were
	messages             int64 // done in all
	finished             int
}

// Reindex files the messages under their words that were stored before search knew languages, and tells after each batch how many
// messages that were so far. Stopped at any moment it goes on where it was; when nothing is left it does nothing. Two at once do the
// same work twice, and no harm.
func (s *Store) Reindex(ctx context.Context, tell func(messages int64) error) (messages int64, err error) {
	at := reindexed{seq: -1}
	err = s.db.QueryRow(ctx, selectReindexing, indexVersion).Scan(&at.tenant, &at.conversation, &at.seq, &at.messages, &at.finished)
	if err != nil && !errors.Is(err, database.ErrNoRows) {
		return 0, err
	}
	for at.finished == 0 {
		before := at.messages
		if at, err = s.reindexBatch(ctx, at); err == nil && at.messages > before {
			err = tell(at.messages)
		}
		if err != nil {
			return at.messages, err
		}
	}
	return at.messages, nil
}

// reindexBatch files the next messages anew, as long as nobody else changes them, and notes how far that was.
func (s *Store) reindexBatch(ctx context.Context, from reindexed) (at reindexed, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if at = from; at.seq < 0 {
			at.seq = 0
			err := tx.QueryRow(ctx, selectNextConversation, at.tenant, at.tenant, at.conversation).Scan(&at.tenant, &at.conversation)
			if errors.Is(err, database.ErrNoRows) {
				at.seq, at.finished = -1, 1
			} else if err != nil {
				return err
			}
		}
		if at.finished == 0 {
			page, err := s.messagesToIndex(ctx, tx, at)
			if err != nil {
				return err
			}
			for _, m := range page {
				if err := unindexMessage(ctx, tx, at.tenant, m.ID, m.Content); err != nil {
					return err
				}
				if err := indexMessage(ctx, tx, at.tenant, m.ID, messageWords(m.Content)); err != nil {
					return err
				}
				at.seq = m.Seq
			}
			if at.messages += int64(len(page)); len(page) == 0 {
				at.seq = -1
			}
		}
		columns := []string{"version", "tenant", "conversation_id", "seq", "messages", "finished"}
		set := []database.Assign{{Column: "tenant"}, {Column: "conversation_id"}, {Column: "seq"}, {Column: "messages"}, {Column: "finished"}}
		return tx.Upsert(ctx, "tbl_l2_reindexing", columns, columns[:1], set, [][]any{{int64(indexVersion), at.tenant, at.conversation, at.seq, at.messages, at.finished}})
	})
	return at, err
}

// messagesToIndex reads and locks a batch, no more than a page of bytes of it.
func (s *Store) messagesToIndex(ctx context.Context, tx *database.Tx, at reindexed) (page []memory.Message, err error) {
	size := 0
	result, err := tx.Query(ctx, selectMessagesToIndex+s.lockRow, at.tenant, at.conversation, at.seq, eraseBatch)
	err = rows(result, err, func(row database.Scanner) error {
		m, err := scanMessage(row)
		if size += len(m.Content); len(page) == 0 || size <= pageBytes {
			page = append(page, m)
		}
		return err
	})
	return page, err
}
