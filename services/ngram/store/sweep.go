package store

import (
	"context"
	"fmt"
	"slices"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
)

// sweepRows is about how many rows one transaction of a removal touches.
const sweepRows = 20_000

const (
	selectUnswept = `SELECT build_id FROM tbl_l1_builds WHERE model_id = ? AND swept = 0 AND state IN ('building', 'failed') ORDER BY build_id DESC`
	setSwept      = `UPDATE tbl_l1_builds SET swept = 1, state = 'failed', failure = CASE WHEN failure = '' THEN 'it was killed' ELSE failure END,
  finished_at = COALESCE(finished_at, ?) WHERE build_id = ?`
)

// sweepFailed removes what builds left that did not complete. The caller is the trainer, so a build in state building is
// nobody's any more. The newest goes first: it may have closed rows of the one before.
func (t *Trainer) sweepFailed(ctx context.Context) error {
	var builds []int64
	err := t.store.db.Stream(ctx, selectUnswept, []any{int64(t.model.ID)}, func(row database.Row) error {
		builds = append(builds, row.Int(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, build := range builds {
		// First the state, under the lock that the build's own transactions take: from here on it cannot write.
		if _, err := t.store.db.Exec(ctx, `UPDATE tbl_l1_builds SET state = 'failed' WHERE build_id = ?`, build); err != nil {
			return err
		}
		if _, err := t.revert(ctx, build); err != nil {
			return err
		}
		if _, err := t.store.db.Exec(ctx, setSwept, t.store.now(), build); err != nil {
			return err
		}
	}
	return nil
}

// derivedTables hold rows with since_build and until_build.
var derivedTables = []string{"tbl_l1_ng_probs_n", "tbl_l1_ng_topk_n"}

// revert takes the newest build back: its rows go, and what it closed is open again.
func (t *Trainer) revert(ctx context.Context, build int64) (rows int64, err error) {
	for _, table := range derivedTables {
		deleted, err := t.store.eachRange(ctx, t.model.ID, table, "DELETE FROM", "", "since_build = ?", build)
		if err != nil {
			return rows, err
		}
		rows += deleted
		if _, err := t.store.eachRange(ctx, t.model.ID, table, "UPDATE", " SET until_build = NULL", "until_build = ?", build); err != nil {
			return rows, err
		}
	}
	model := int64(t.model.ID)
	err = t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM tbl_l1_forms WHERE model_id = ? AND since_build = ?`, model, build); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE tbl_l1_forms SET until_build = NULL WHERE model_id = ? AND until_build = ?`, model, build)
		return err
	})
	return rows, err
}

// eachRange runs "verb table set" on the rows of a model that match, in transactions of about sweepRows rows: by ranges of
// hashes, and for the empty context, which has as many followers as there are words, by ranges of those.
func (s *Store) eachRange(ctx context.Context, model ngram.ModelID, table, verb, set, match string, args ...any) (rows int64, err error) {
	orders, words, err := s.extent(ctx, model)
	if err != nil {
		return 0, err
	}
	query := fmt.Sprintf("%s %s%s WHERE model_id = ? AND %s AND ", verb, table, set, match)
	args = append([]any{int64(model)}, args...)
	err = s.ranges(orders, words, table, func(where string, bounds ...any) error {
		touched, err := s.db.Exec(ctx, query+where, slices.Concat(args, bounds)...)
		rows += touched
		return err
	})
	return rows, err
}

// ranges calls run with the conditions that cut a table of a model, of the given extent, into pieces of about sweepRows rows.
func (s *Store) ranges(orders []int64, words int64, table string, run func(where string, bounds ...any) error) error {
	empty := s.options.Hash(nil)
	if table == "tbl_l1_ng_probs_n" || table == "tbl_l1_ng_counts_n" {
		for from := int64(0); from < words; from += sweepRows {
			if err := run("n = 1 AND context_hash = ? AND next_token_id BETWEEN ? AND ?", empty, from, from+sweepRows-1); err != nil {
				return err
			}
		}
	}
	for i, grams := range orders {
		count := grams/sweepRows + 1
		if i == 0 {
			count = 1
		}
		for from, to := range hashRanges(count) {
			if err := run("n = ? AND context_hash BETWEEN ? AND ?", i+1, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	selectVocabularySize = `SELECT vocabulary_size FROM tbl_l1_models WHERE model_id = ?`
	selectExtents        = `SELECT n, ngrams FROM tbl_l1_model_orders WHERE model_id = ?
UNION ALL SELECT p.n, p.ngrams FROM tbl_l1_mkn_params p JOIN tbl_l1_builds b ON b.build_id = p.build_id WHERE b.model_id = ?`
)

// extent is the greatest number of n-grams by order that the counts or a build of a generation hold, and of its token ids.
func (s *Store) extent(ctx context.Context, model ngram.ModelID) (orders []int64, words int64, err error) {
	if err := s.db.QueryRow(ctx, selectVocabularySize, int64(model)).Scan(&words); err != nil {
		return nil, 0, err
	}
	err = s.db.Stream(ctx, selectExtents, []any{int64(model), int64(model)}, func(row database.Row) error {
		for int64(len(orders)) < row.Int(0) {
			orders = append(orders, 0)
		}
		orders[row.Int(0)-1] = max(orders[row.Int(0)-1], row.Int(1))
		return nil
	})
	return orders, words, err
}
