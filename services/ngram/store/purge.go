package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

const (
	selectReadyBuilds = `SELECT build_id FROM tbl_l1_builds WHERE model_id = ? AND tenant = ? AND name = ? AND state = 'ready' ORDER BY build_id`
	setDropped        = `UPDATE tbl_l1_builds SET state = 'dropped', swept = ?, served_seq = NULL WHERE build_id = ?`
)

// Drop removes a build that does not serve, and the rows that no other build shows. It is gone for readers before the
// first row is.
func (t *Trainer) Drop(ctx context.Context, id ngram.BuildID) (rows int64, err error) {
	build, err := t.store.BuildOf(ctx, t.model.Tenant, t.model.Name, id)
	if err != nil {
		return 0, err
	}
	if build.State == ngram.BuildDropped {
		return 0, nil
	}
	if build.State != ngram.BuildReady || build.Model != t.model.ID {
		return 0, errors.New(errors.FailedPrecondition, "BUILD_NOT_DROPPABLE",
			"build %d of model %q cannot be dropped by hand: it is %s, or of the model before its reset; the next build or publication removes it", id, t.model.Name, build.State)
	}
	err = t.store.db.InTx(ctx, func(tx *database.Tx) error {
		n, _, _, err := t.store.lockName(ctx, tx, t.model.Tenant, t.model.Name)
		if err == nil && n.published == id {
			err = errors.New(errors.FailedPrecondition, "BUILD_SERVES", "build %d of model %q serves; publish another build first", id, t.model.Name).With("model", t.model.Name)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, setDropped, 0, int64(id))
		return err
	})
	if err != nil {
		return 0, err
	}
	t.store.options.Served(ctx)
	return t.sweepDropped(ctx)
}

const selectDropped = `SELECT build_id FROM tbl_l1_builds WHERE model_id = ? AND state = 'dropped' AND swept = 0 ORDER BY build_id DESC`

// sweepDropped removes the rows that only dropped builds show. A row is shown by the builds from since_build to until_build,
// so the rows between two kept neighbours go. Rows still open stay: the next build is written as what differs from them.
func (t *Trainer) sweepDropped(ctx context.Context) (rows int64, err error) {
	kept := []int64{0}
	err = t.store.db.Stream(ctx, selectReadyBuilds, []any{int64(t.model.ID), t.model.Tenant, t.model.Name}, func(row database.Row) error {
		kept = append(kept, row.Int(0))
		return nil
	})
	if err != nil {
		return 0, err
	}
	var dropped []int64
	err = t.store.db.Stream(ctx, selectDropped, []any{int64(t.model.ID)}, func(row database.Row) error {
		dropped = append(dropped, row.Int(0))
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, id := range dropped {
		before, after := int64(0), int64(maxBuilds)
		for _, k := range kept {
			if k < id {
				before = k
			} else {
				after = min(after, k)
			}
		}
		for _, table := range derivedTables {
			deleted, err := t.store.eachRange(ctx, t.model.ID, table, "DELETE FROM", "", "since_build > ? AND until_build <= ?", before, after)
			if err != nil {
				return rows, err
			}
			rows += deleted
		}
		if _, err := t.store.db.Exec(ctx, `DELETE FROM tbl_l1_forms WHERE model_id = ? AND since_build > ? AND until_build <= ?`, int64(t.model.ID), before, after); err != nil {
			return rows, err
		}
		if _, err := t.store.db.Exec(ctx, setDropped, 1, id); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

const (
	selectRetiring   = `SELECT model_id FROM tbl_l1_models WHERE state = 'retired' AND retired_at <= ? AND tenant = ? AND name = ? ORDER BY model_id`
	selectRetired    = `SELECT model_id FROM tbl_l1_models WHERE state = 'retired' AND retired_at <= ? ORDER BY model_id`
	selectAnyIDs     = `SELECT document_id FROM tbl_corpus WHERE model_id = ? LIMIT 1000`
	selectAnyAside   = `SELECT document_id FROM tbl_corpus_aside WHERE model_id = ? LIMIT 1000`
	dropUnnamed      = `UPDATE tbl_l1_builds SET state = 'dropped', swept = 1, served_seq = NULL WHERE model_id = ? AND state <> 'dropped'`
	deleteGeneration = `DELETE FROM tbl_l1_models WHERE model_id = ? AND state = 'retired'`
)

// Purge deletes the rows of generations that were retired at least grace ago, in bounded batches; it may stop anywhere and
// go on later, and several processes may purge at once. It returns how many generations are gone. grace lets requests end
// that began to read a build just before it was dropped.
func (s *Store) Purge(ctx context.Context, grace time.Duration) (gone int, err error) {
	if _, err := s.db.Exec(ctx, retireStale, s.now()-abandonedAfter.Microseconds()); err != nil {
		return 0, err
	}
	var retired []ngram.ModelID
	err = s.db.Stream(ctx, selectRetired, []any{s.now() - grace.Microseconds()}, func(row database.Row) error {
		retired = append(retired, ngram.ModelID(row.Int(0)))
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, model := range retired {
		if err := s.purge(ctx, model, func() {}); err != nil && !errors.Is(err, database.ErrNoRows) {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// PurgeNow deletes the rows of the retired generations of a name without a grace, and counts ranges of about sweepRows rows.
// Their builds are dropped, so that whoever still reads one finds out.
func (s *Store) PurgeNow(ctx context.Context, tenant, name string, progress ngram.Progress) error {
	if err := s.clearDead(ctx, tenant, name); err != nil {
		return err
	}
	retired, err := s.retired(ctx, tenant, name)
	if err != nil {
		return err
	}
	done, total := int64(0), int64(0)
	for _, id := range retired {
		steps := int64(0)
		err := s.eachPurged(ctx, id, func(string, ...any) error { steps++; return nil })
		if err != nil && !errors.Is(err, database.ErrNoRows) {
			return err
		}
		total += steps
	}
	for _, id := range retired {
		err := s.purge(ctx, id, func() { done++; progress.Report("remove", min(done, total-1), total) })
		if err != nil && !errors.Is(err, database.ErrNoRows) { // else another process was faster
			return err
		}
	}
	if total > 0 {
		progress.Report("remove", total, total)
	}
	return nil
}

// perContext and perToken hold the rows of a generation that are many, by what their keys begin with.
var (
	perContext = []string{"tbl_l1_ng_topk_n", "tbl_l1_ng_probs_n", "tbl_l1_ng_counts_n", "tbl_l1_context_registry", "tbl_l1_context_hotness"}
	perToken   = []string{"tbl_l1_forms", "tbl_l1_surface_forms", "tbl_l1_vocabulary"}
)

// eachPurged calls run for the statements that delete the many rows of a generation, about sweepRows each. ErrNoRows if it is
// gone.
func (s *Store) eachPurged(ctx context.Context, model ngram.ModelID, run func(query string, args ...any) error) error {
	orders, words, err := s.extent(ctx, model)
	if err != nil {
		return err
	}
	for _, table := range perContext {
		err := s.ranges(orders, words, table, func(where string, bounds ...any) error {
			return run("DELETE FROM "+table+" WHERE model_id = ? AND "+where, append([]any{int64(model)}, bounds...)...)
		})
		if err != nil {
			return err
		}
	}
	for _, table := range perToken {
		for from := int64(0); from < words; from += sweepRows {
			if err := run("DELETE FROM "+table+" WHERE model_id = ? AND token_id BETWEEN ? AND ?", int64(model), from, from+sweepRows-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// purge deletes the rows of a retired generation; step is called after each of eachPurged. ErrNoRows: another process was faster.
func (s *Store) purge(ctx context.Context, model ngram.ModelID, step func()) error {
	// A writer that was killed in the middle of a statement holds the model's row until the server noticed.
	err := s.db.InTx(ctx, func(tx *database.Tx) error { _, err := lockCounts(ctx, tx, model); return err })
	if err != nil {
		return err // ErrNoRows: another process was faster
	}
	err = s.eachPurged(ctx, model, func(query string, args ...any) error {
		_, err := s.db.Exec(ctx, query, args...)
		step()
		return err
	})
	if err != nil {
		return err
	}
	if err := s.purgeSegments(ctx, model); err != nil {
		return err
	}
	for _, query := range []string{selectAnyIDs, selectAnyAside} {
		if err := s.purgeDocuments(ctx, model, query); err != nil {
			return err
		}
	}
	for _, table := range []string{"tbl_l1_count_journal", "tbl_l1_model_orders", "tbl_decode_hparams", "tbl_decode_bans", "tbl_decode_cache_weights", "tbl_token_normalization"} {
		if _, err := s.db.Exec(ctx, "DELETE FROM "+table+" WHERE model_id = ?", int64(model)); err != nil {
			return err
		}
	}
	if _, err := s.db.Exec(ctx, dropUnnamed, int64(model)); err != nil { // those of an import that was killed
		return err
	}
	_, err = s.db.Exec(ctx, deleteGeneration, int64(model))
	return err
}

// retired lists the retired generations of a name, but for one that is being imported.
func (s *Store) retired(ctx context.Context, tenant, name string) (ids []ngram.ModelID, err error) {
	err = s.db.Stream(ctx, selectRetiring, []any{s.now(), tenant, name}, func(row database.Row) error {
		ids = append(ids, ngram.ModelID(row.Int(0)))
		return nil
	})
	return ids, err
}

// purgeDocuments removes the documents that a query lists, until it lists none.
func (s *Store) purgeDocuments(ctx context.Context, model ngram.ModelID, query string) error {
	for {
		var documents []string
		err := s.db.Stream(ctx, query, []any{int64(model)}, func(row database.Row) error {
			documents = append(documents, string(row.Bytes(0)))
			return nil
		})
		if err != nil || len(documents) == 0 {
			return err
		}
		for _, id := range documents {
			if err := s.discard(ctx, model, id); err != nil {
				return err
			}
		}
	}
}
