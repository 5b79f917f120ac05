package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
)

// exampleBatch bounds the examples of one statement.
const exampleBatch = 500

const (
	selectExamplesOfHash = `SELECT concept_id, utterance_hash, utterance FROM tbl_l3_concept_examples WHERE tenant = ? AND bot = ? AND concept_id = ? AND utterance_hash IN `
	deleteExample        = `DELETE FROM tbl_l3_concept_examples WHERE tenant = ? AND bot = ? AND concept_id = ? AND utterance_hash = ?`
	selectKnownConcept   = `SELECT COUNT(*) FROM tbl_l3_concept_repo WHERE tenant = ? AND bot = ? AND concept_id = ?`
)

// AddExamples stores the examples that are not known and returns how many those were; the next build uses them. A concept that
// is neither stored nor allowed by builtIn is NotFound, and then nothing is stored.
func (s *Store) AddExamples(ctx context.Context, bot concept.Bot, examples []concept.Example, builtIn func(string) bool) (added int, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if err := touch(ctx, tx, bot); err != nil {
			return err
		}
		added, err = addExamples(ctx, tx, bot, examples, builtIn)
		return err
	})
	return added, err
}

func addExamples(ctx context.Context, tx *database.Tx, bot concept.Bot, examples []concept.Example, builtIn func(string) bool) (added int, err error) {
	examples = canonical(examples)
	if err := checkConcepts(ctx, tx, bot, examples, builtIn); err != nil {
		return 0, err
	}
	known, err := knownExamples(ctx, tx, bot, examples)
	if err != nil {
		return 0, err
	}
	var rows [][]any
	for _, e := range examples {
		if !known[e] {
			rows = append(rows, []any{bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance), e.Utterance})
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[2].(string), b[2].(string)), cmp.Compare(a[3].(int64), b[3].(int64)))
	})
	columns := []string{"tenant", "bot", "concept_id", "utterance_hash", "utterance"}
	if err := tx.Upsert(ctx, "tbl_l3_concept_examples", columns, columns[:4], replace("utterance"), rows); err != nil {
		return 0, err
	}
	return len(rows), lockPointer(ctx, tx, bot, true)
}

// DeleteExamples removes the examples that are known and returns how many those were; the next build is without them.
func (s *Store) DeleteExamples(ctx context.Context, bot concept.Bot, examples []concept.Example) (removed int, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if err := touch(ctx, tx, bot); err != nil {
			return err
		}
		removed, err = deleteExamples(ctx, tx, bot, examples)
		return err
	})
	return removed, err
}

func deleteExamples(ctx context.Context, tx *database.Tx, bot concept.Bot, examples []concept.Example) (removed int, err error) {
	examples = canonical(examples)
	known, err := knownExamples(ctx, tx, bot, examples)
	if err != nil {
		return 0, err
	}
	for _, e := range examples {
		if !known[e] {
			continue
		}
		if _, err := tx.Exec(ctx, deleteExample, bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance)); err != nil {
			return 0, err
		}
		removed++
	}
	if removed == 0 {
		return 0, nil
	}
	return removed, lockPointer(ctx, tx, bot, true)
}

// setExample adds or removes one example.
func setExample(ctx context.Context, tx *database.Tx, bot concept.Bot, e concept.Example, there bool) error {
	if !there {
		_, err := tx.Exec(ctx, deleteExample, bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance))
		return err
	}
	columns := []string{"tenant", "bot", "concept_id", "utterance_hash", "utterance"}
	return tx.Upsert(ctx, "tbl_l3_concept_examples", columns, columns[:4], replace("utterance"),
		[][]any{{bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance), e.Utterance}})
}

// canonical sorts examples and drops repetitions.
func canonical(examples []concept.Example) []concept.Example {
	out := slices.Clone(examples)
	slices.SortFunc(out, func(a, b concept.Example) int {
		return cmp.Or(strings.Compare(a.Concept, b.Concept), strings.Compare(a.Utterance, b.Utterance))
	})
	return slices.Compact(out)
}

func checkConcepts(ctx context.Context, tx *database.Tx, bot concept.Bot, examples []concept.Example, builtIn func(string) bool) error {
	last := ""
	for _, e := range examples {
		if e.Concept == last || builtIn(e.Concept) {
			continue
		}
		last = e.Concept
		var n int64
		if err := tx.QueryRow(ctx, selectKnownConcept, bot.Tenant, bot.Name, e.Concept).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return NotFound(bot, e.Concept)
		}
	}
	return nil
}

// NotFound is the error for a concept that a bot does not have.
func NotFound(bot concept.Bot, name string) error {
	return errors.New(errors.NotFound, "CONCEPT_NOT_FOUND", "bot %q has no concept %q", bot.Name, name).With("concept", name)
}

// knownExamples tells which of the examples are stored. Examples are sorted.
func knownExamples(ctx context.Context, tx *database.Tx, bot concept.Bot, examples []concept.Example) (map[concept.Example]bool, error) {
	known := map[concept.Example]bool{}
	for start := 0; start < len(examples); {
		end := start
		args := []any{bot.Tenant, bot.Name, examples[start].Concept}
		wanted := map[int64]string{}
		for end < len(examples) && examples[end].Concept == examples[start].Concept && len(wanted) < exampleBatch {
			h := predict.Hash(examples[end].Utterance)
			if other, ok := wanted[h]; ok && other != examples[end].Utterance {
				return nil, collision(other, examples[end].Utterance)
			}
			wanted[h] = examples[end].Utterance
			args = append(args, h)
			end++
		}
		err := func() error {
			rows, err := tx.Query(ctx, selectExamplesOfHash+database.In(len(args)-3), args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var e concept.Example
				var h int64
				if err := rows.Scan(&e.Concept, &h, &e.Utterance); err != nil {
					return err
				}
				if e.Utterance != wanted[h] {
					return collision(e.Utterance, wanted[h])
				}
				known[e] = true
			}
			return rows.Err()
		}()
		if err != nil {
			return nil, err
		}
		start = end
	}
	return known, nil
}

func collision(a, b string) error {
	return errors.New(errors.FailedPrecondition, "HASH_COLLISION", "the utterances %q and %q have the same hash; change a letter of one", a, b)
}

const selectAllExamples = `SELECT concept_id, utterance FROM tbl_l3_concept_examples WHERE tenant = ? AND bot = ? ORDER BY concept_id, utterance_hash`

func readExamples(ctx context.Context, q database.Querier, bot concept.Bot) (out []concept.Example, err error) {
	rows, err := q.Query(ctx, selectAllExamples, bot.Tenant, bot.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e concept.Example
		if err := rows.Scan(&e.Concept, &e.Utterance); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

const selectExamples = `SELECT concept_id, utterance_hash, utterance FROM tbl_l3_concept_examples
WHERE tenant = ? AND bot = ? AND (concept_id > ? OR concept_id = ? AND utterance_hash > ?) AND (? = '' OR concept_id = ?)
ORDER BY concept_id, utterance_hash LIMIT ?`

// ListExamples returns up to limit examples of a bot, or of one of its concepts, after a position.
func (s *Store) ListExamples(ctx context.Context, bot concept.Bot, only, afterConcept string, afterHash int64, limit int) (out []concept.Example, err error) {
	rows, err := s.db.Query(ctx, selectExamples, bot.Tenant, bot.Name, afterConcept, afterConcept, afterHash, only, only, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e concept.Example
		var h int64
		if err := rows.Scan(&e.Concept, &h, &e.Utterance); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

const countExamples = `SELECT COUNT(*) FROM tbl_l3_concept_examples WHERE tenant = ? AND bot = ? AND concept_id = ?`

// CountExamples is the number of examples of a concept.
func (s *Store) CountExamples(ctx context.Context, bot concept.Bot, name string) (n uint64, err error) {
	err = s.db.QueryRow(ctx, countExamples, bot.Tenant, bot.Name, name).Scan(&n)
	return n, err
}
