package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/concept"
)

// eraseBatch bounds the signals that one transaction removes or one page of an export holds.
const eraseBatch = 200

const (
	selectSignalsOfConversation = `SELECT ` + signalColumns + ` FROM tbl_l3_concept_signals WHERE tenant = ? AND conversation_id = ? AND signal_id > ? ORDER BY signal_id LIMIT ?`
	deleteSignalsOfConversation = `DELETE FROM tbl_l3_concept_signals WHERE tenant = ? AND conversation_id = ? AND signal_id <= ?`
)

// SignalsOf hands out the signals of a conversation, of every bot and in every state, a page at a time.
func (s *Store) SignalsOf(ctx context.Context, tenant, conversation string, each func(concept.Signal) error) error {
	for after := ""; ; {
		page, err := readSignals(ctx, s.db, selectSignalsOfConversation, tenant, conversation, after, eraseBatch)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, sig := range page {
			if err := each(sig); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// EraseSignals removes the signals of a conversation, in transactions of at most 200, and returns how many there were.
func (s *Store) EraseSignals(ctx context.Context, tenant, conversation string) (total int64, err error) {
	for {
		removed := int64(0)
		err := s.db.InTx(ctx, func(tx *database.Tx) error {
			page, err := readSignals(ctx, tx, selectSignalsOfConversation, tenant, conversation, "", eraseBatch)
			if err != nil || len(page) == 0 {
				removed = 0
				return err
			}
			removed, err = tx.Exec(ctx, deleteSignalsOfConversation, tenant, conversation, page[len(page)-1].ID)
			return err
		})
		total += removed
		if err != nil || removed == 0 {
			return total, err
		}
	}
}
