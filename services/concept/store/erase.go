package store

import (
	"context"
	"math"

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

// Overwrite has the store's files hold nothing any more of what was erased.
func (s *Store) Overwrite(ctx context.Context) error { return s.db.Overwrite(ctx) }

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

const (
	selectObservationsOf = `SELECT ` + observationColumns + ` FROM tbl_l3_concept_observations
WHERE tenant = ? AND (conversation_id = ? AND conversation_id <> '' OR user_id = ? AND user_id <> '') AND request_id > ? ORDER BY request_id LIMIT ?`
	deleteObservation = `DELETE FROM tbl_l3_concept_observations WHERE tenant = ? AND request_id = ?`
	countTaught       = `SELECT COUNT(*) FROM tbl_l3_concept_observations WHERE tenant = ? AND bot = ? AND concept_id = ? AND utterance = ? AND learnt_as = 1`
)

// ObservationsOf hands out the observations of a conversation or a person, either of which may be empty, a page at a time.
func (s *Store) ObservationsOf(ctx context.Context, tenant, conversation, user string, each func(concept.Observation) error) error {
	for after := ""; ; {
		page, err := readObservations(ctx, s.db, selectObservationsOf, tenant, conversation, user, after, eraseBatch)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, o := range page {
			if err := each(o); err != nil {
				return err
			}
		}
		after = page[len(page)-1].RequestID
	}
}

// EraseObservations removes the observations of a conversation or a person, and the examples that were learnt from nobody
// else. All builds of a bot that loses an example are dropped, since they hold its words; the next use builds it anew. It
// returns how many observations and examples there were.
func (s *Store) EraseObservations(ctx context.Context, tenant, conversation, user string) (total int64, err error) {
	for {
		var removed int64
		unlearnt := map[concept.Bot]bool{}
		err := s.db.InTx(ctx, func(tx *database.Tx) error {
			removed = 0
			clear(unlearnt)
			page, err := readObservations(ctx, tx, selectObservationsOf, tenant, conversation, user, "", eraseBatch)
			if err != nil {
				return err
			}
			for _, o := range page {
				n, err := eraseObservation(ctx, tx, o)
				if err != nil {
					return err
				}
				removed += n
				if n > 1 {
					unlearnt[o.Bot] = true
				}
			}
			for bot := range unlearnt {
				if err := touch(ctx, tx, bot); err != nil {
					return err
				}
				if err := lockPointer(ctx, tx, bot, true); err != nil {
					return err
				}
				builds, err := readBuilds(ctx, tx, selectBuilds, bot.Tenant, bot.Name, int64(math.MaxInt64), 1000)
				if err != nil {
					return err
				}
				for _, b := range builds {
					if err := dropBuild(ctx, tx, bot, b.ID); err != nil {
						return err
					}
				}
			}
			return nil
		})
		total += removed
		if err != nil {
			return total, err
		}
		if removed == 0 {
			break
		}
	}
	return total, s.removeDropped(ctx, tenant)
}

// eraseObservation returns the rows it removed: 2 with the example that was learnt from it alone.
func eraseObservation(ctx context.Context, tx *database.Tx, o concept.Observation) (rows int64, err error) {
	if rows, err = tx.Exec(ctx, deleteObservation, o.Bot.Tenant, o.RequestID); err != nil || o.LearntAs != 1 {
		return rows, err
	}
	var others int64
	if err := tx.QueryRow(ctx, countTaught, o.Bot.Tenant, o.Bot.Name, o.Concept, o.Utterance).Scan(&others); err != nil || others > 0 {
		return rows, err
	}
	return rows + 1, setExample(ctx, tx, o.Bot, concept.Example{Concept: o.Concept, Utterance: o.Utterance}, false)
}
