package store

import (
	"cmp"
	"context"
	"math"
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

// AddExamples stores the examples that are not known and counts them; it returns how many were new. A concept that
// is neither stored nor allowed by builtIn is NotFound, and then nothing is stored.
func (s *Store) AddExamples(ctx context.Context, bot concept.Bot, examples []concept.Example, builtIn func(string) bool) (added int, err error) {
	examples = canonical(examples)
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		added = 0
		if err := touch(ctx, tx, bot); err != nil {
			return err
		}
		if err := checkConcepts(ctx, tx, bot, examples, builtIn); err != nil {
			return err
		}
		known, err := knownExamples(ctx, tx, bot, examples)
		if err != nil {
			return err
		}
		var rows [][]any
		var fresh [][2]string
		for _, e := range examples {
			if !known[e] {
				rows = append(rows, []any{bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance), e.Utterance})
				fresh = append(fresh, [2]string{e.Concept, e.Utterance})
			}
		}
		if added = len(rows); added == 0 {
			return nil
		}
		slices.SortFunc(rows, func(a, b []any) int {
			return cmp.Or(cmp.Compare(a[2].(string), b[2].(string)), cmp.Compare(a[3].(int64), b[3].(int64)))
		})
		columns := []string{"tenant", "bot", "concept_id", "utterance_hash", "utterance"}
		if err := tx.Upsert(ctx, "tbl_l3_concept_examples", columns, columns[:4], replace("utterance"), rows); err != nil {
			return err
		}
		return applyCounts(ctx, tx, bot, predict.Counts(fresh), +1)
	})
	return added, err
}

// DeleteExamples removes the examples that are known and their counts; it returns how many there were.
func (s *Store) DeleteExamples(ctx context.Context, bot concept.Bot, examples []concept.Example) (removed int, err error) {
	examples = canonical(examples)
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		removed = 0
		if err := touch(ctx, tx, bot); err != nil {
			return err
		}
		known, err := knownExamples(ctx, tx, bot, examples)
		if err != nil {
			return err
		}
		var gone [][2]string
		for _, e := range examples {
			if !known[e] {
				continue
			}
			if _, err := tx.Exec(ctx, deleteExample, bot.Tenant, bot.Name, e.Concept, predict.Hash(e.Utterance)); err != nil {
				return err
			}
			gone = append(gone, [2]string{e.Concept, e.Utterance})
		}
		if removed = len(gone); removed == 0 {
			return nil
		}
		return applyCounts(ctx, tx, bot, predict.Counts(gone), -1)
	})
	return removed, err
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

const (
	selectAllExamples = `SELECT concept_id, utterance FROM tbl_l3_concept_examples WHERE tenant = ? AND bot = ? ORDER BY concept_id, utterance_hash`
	deleteZeros       = `DELETE FROM tbl_l3_concept_counts_n WHERE tenant = ? AND bot = ? AND n = 1 AND c = 0`
	deleteProbs       = `DELETE FROM tbl_l3_concept_probs_n WHERE tenant = ? AND bot = ?`
)

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

// applyCounts adds the counts, signed, and derives the probabilities anew.
func applyCounts(ctx context.Context, tx *database.Tx, bot concept.Bot, counts []predict.Count, sign int64) error {
	rows := make([][]any, 0, len(counts))
	for _, c := range counts {
		rows = append(rows, []any{bot.Tenant, bot.Name, int64(1), predict.Hash(c.Feature), c.Concept, []byte(c.Feature), sign * c.N})
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[3].(int64), b[3].(int64)), cmp.Compare(a[4].(string), b[4].(string)))
	})
	err := tx.Upsert(ctx, "tbl_l3_concept_counts_n",
		[]string{"tenant", "bot", "n", "context_hash", "concept_id", "feature", "c"},
		[]string{"tenant", "bot", "n", "context_hash", "concept_id"},
		[]database.Assign{{Column: "c", Add: true}}, rows)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, deleteZeros, bot.Tenant, bot.Name); err != nil {
		return err
	}
	return rewriteProbs(ctx, tx, bot)
}

// rewriteProbs derives the stored probabilities of a bot from its examples. All of them change with every example,
// because every concept's total is in every probability.
func rewriteProbs(ctx context.Context, tx *database.Tx, bot concept.Bot) error {
	examples, err := readExamples(ctx, tx, bot)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, deleteProbs, bot.Tenant, bot.Name); err != nil {
		return err
	}
	model := predict.Train(concept.Training(examples))
	type row struct {
		n       int64
		hash    int64
		concept string
		code    int64
	}
	var rows []row
	add := func(n int64, feature string) {
		for _, c := range model.Single(feature) {
			rows = append(rows, row{n, predict.Hash(feature), c.Concept, int64(math.Round(c.Probability * math.MaxUint16))})
		}
	}
	add(0, "")
	for _, f := range model.Names() {
		add(1, f)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.hash, b.hash), strings.Compare(a.concept, b.concept))
	})
	columns := []string{"tenant", "bot", "n", "context_hash", "concept_id", "q_prob"}
	_, err = tx.Load(ctx, "tbl_l3_concept_probs_n", columns, func(w database.RowWriter) error {
		for _, r := range rows {
			w.String(bot.Tenant)
			w.String(bot.Name)
			w.Int(r.n)
			w.Int(r.hash)
			w.String(r.concept)
			w.Int(r.code)
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	return err
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
