package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

// learnBatch bounds the observations that one Learn reads.
const learnBatch = 5000

const (
	observationColumns = `tenant, request_id, bot, conversation_id, user_id, concept_id, utterance, was_right, created_at, learnt_by, learnt_at, learnt_as`
	selectObservation  = `SELECT ` + observationColumns + ` FROM tbl_l3_concept_observations WHERE tenant = ? AND request_id = ?`
	turnWrong          = `UPDATE tbl_l3_concept_observations SET was_right = 0 WHERE tenant = ? AND request_id = ? AND was_right = 1 AND learnt_at = 0`
	insertObservation  = `INSERT INTO tbl_l3_concept_observations (` + observationColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)`
)

func readObservations(ctx context.Context, q database.Querier, query string, args ...any) (out []concept.Observation, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o concept.Observation
		var right, created, learnt int64
		err := rows.Scan(&o.Bot.Tenant, &o.RequestID, &o.Bot.Name, &o.Conversation, &o.User, &o.Concept, &o.Utterance, &right, &created, &o.LearntBy, &learnt, &o.LearntAs)
		if err != nil {
			return nil, err
		}
		o.Right, o.Created, o.Learnt = right != 0, fromMicros(created), fromMicros(learnt)
		out = append(out, o)
	}
	return out, rows.Err()
}

// Observe stores an observation; repeating it changes nothing. One that was right may turn out wrong until it is reviewed, and
// never the other way. It trains nothing. A request id that came with another
// observation is InvalidArgument, a concept that the bot does not have NotFound.
func (s *Store) Observe(ctx context.Context, o concept.Observation, builtIn func(string) bool) error {
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		if known, err := readObservations(ctx, tx, selectObservation, o.Bot.Tenant, o.RequestID); err != nil || len(known) == 1 {
			return observeAgain(ctx, tx, known, o, err)
		}
		if err := checkConcepts(ctx, tx, o.Bot, []concept.Example{{Concept: o.Concept, Utterance: o.Utterance}}, builtIn); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertObservation, o.Bot.Tenant, o.RequestID, o.Bot.Name, o.Conversation, o.User, o.Concept, o.Utterance, flag(o.Right), o.Created.UnixMicro())
		return err
	})
	if database.IsDuplicate(err) { // a repetition of the request was quicker
		err = s.db.InTx(ctx, func(tx *database.Tx) error {
			known, err := readObservations(ctx, tx, selectObservation, o.Bot.Tenant, o.RequestID)
			if err == nil && len(known) == 0 {
				err = errors.New(errors.Aborted, "OBSERVATION_GONE", "the observation was erased meanwhile; try again")
			}
			return observeAgain(ctx, tx, known, o, err)
		})
	}
	return err
}

func observeAgain(ctx context.Context, tx *database.Tx, known []concept.Observation, o concept.Observation, err error) error {
	if err = sameObservation(known, o, err); err != nil || o.Right {
		return err
	}
	_, err = tx.Exec(ctx, turnWrong, o.Bot.Tenant, o.RequestID)
	return err
}

func sameObservation(known []concept.Observation, o concept.Observation, err error) error {
	if err != nil {
		return err
	}
	k := known[0]
	if k.Bot != o.Bot || k.Conversation != o.Conversation || k.User != o.User || k.Concept != o.Concept || k.Utterance != o.Utterance {
		return errors.New(errors.InvalidArgument, "REQUEST_ID_REUSED",
			"request id %q was used for another observation; give every request an id of its own, and repeat a request unchanged", o.RequestID).
			Field("request_id", "was used for another request")
	}
	return nil
}

const (
	selectUnlearnt = `SELECT ` + observationColumns + ` FROM tbl_l3_concept_observations WHERE tenant = ? AND bot = ? AND learnt_at = 0 ORDER BY request_id LIMIT ?`
	markLearnt     = `UPDATE tbl_l3_concept_observations SET learnt_by = ?, learnt_at = ?, learnt_as = ? WHERE tenant = ? AND request_id = ? AND learnt_at = 0`
)

// Learn merges the observations that no review has seen into the examples, at most 5,000 of them, and marks them; with
// dry it only tells what it would do. It returns what changes, by concept and utterance.
func (s *Store) Learn(ctx context.Context, bot concept.Bot, reviewer string, dry bool, now time.Time) (lessons []concept.Lesson, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if !dry { // reviews of one bot are serial, and none changes the examples meanwhile
			if err := touch(ctx, tx, bot); err != nil {
				return err
			}
		}
		seen, err := readObservations(ctx, tx, selectUnlearnt, bot.Tenant, bot.Name, learnBatch)
		if err != nil || len(seen) == 0 {
			lessons = nil
			return err
		}
		lessons = concept.Lessons(seen)
		examples := make([]concept.Example, len(lessons))
		for i, l := range lessons {
			examples[i] = l.Example
		}
		known, err := knownExamples(ctx, tx, bot, examples)
		if err != nil {
			return err
		}
		changed := false
		as := map[concept.Example]int64{}
		for i := range lessons {
			l := &lessons[i]
			l.Decide(known[l.Example])
			as[l.Example] = int64(l.Change)
			if l.Change == 0 || dry {
				continue
			}
			changed = true
			if err := setExample(ctx, tx, bot, l.Example, l.Change > 0); err != nil {
				return err
			}
		}
		if dry {
			return nil
		}
		for _, o := range seen {
			_, err := tx.Exec(ctx, markLearnt, reviewer, now.UnixMicro(), as[concept.Example{Concept: o.Concept, Utterance: o.Utterance}], bot.Tenant, o.RequestID)
			if err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		return lockPointer(ctx, tx, bot, true)
	})
	return lessons, err
}
