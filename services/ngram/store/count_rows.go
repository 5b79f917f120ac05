package store

import (
	"context"
	"slices"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

// addCounts adds a batch to every table of counts.
func (t *Trainer) addCounts(ctx context.Context, tx *database.Tx, batch *counting.Batch) error {
	totals, err := readTotals(ctx, tx, t.model.ID, t.model.Settings.Order)
	if err != nil {
		return err
	}
	var resolved []*counting.Delta
	for deltas := batch.Deltas(); ; {
		delta, err := deltas.Next()
		if err != nil {
			return err
		}
		if delta == nil {
			break
		}
		resolved = append(resolved, delta)
		if err := tell(ctx, tx, t.model.ID, t.store.options.Hash(nil), delta, totals[delta.N-1]); err != nil {
			return err
		}
		change, err := delta.Resolve()
		if err != nil {
			return err
		}
		totals[delta.N-1].add(change)
	}
	// Counting goes from the highest order down, but keys begin with the order: rows loaded in key order fill their pages.
	slices.Reverse(resolved)
	for _, delta := range resolved {
		if err := t.saveCounts(ctx, tx, delta); err != nil {
			return err
		}
	}
	if err := dropSegments(ctx, tx, t.model.ID, resolved); err != nil {
		return err
	}
	if err := t.saveWords(ctx, tx, resolved[0]); err != nil {
		return err
	}
	return saveTotals(ctx, tx, t.model.ID, totals)
}

func (o *orderTotals) add(change counting.Change) {
	o.NGrams += change.NGrams
	o.Contexts += change.Contexts
	o.Raw += change.Raw
	o.Adjusted += change.Adjusted
	for k := range o.CountsOfCounts {
		o.CountsOfCounts[k] += change.CountsOfCounts[k]
	}
}

func saveTotals(ctx context.Context, tx *database.Tx, model ngram.ModelID, totals []orderTotals) error {
	columns := []string{"model_id", "n", "ngrams", "contexts", "raw_total", "adjusted_total", "t1", "t2", "t3", "t4"}
	var replace []database.Assign
	for _, column := range columns[2:] {
		replace = append(replace, database.Assign{Column: column})
	}
	var rows [][]any
	for i, o := range totals {
		t := o.CountsOfCounts
		rows = append(rows, []any{int64(model), i + 1, o.NGrams, o.Contexts, o.Raw, o.Adjusted, t[0], t[1], t[2], t[3]})
	}
	return tx.Upsert(ctx, "tbl_l1_model_orders", columns, columns[:2], replace, rows)
}

var (
	countColumns    = []string{"model_id", "n", "context_hash", "next_token_id", "c", "a"}
	registryColumns = []string{"model_id", "n", "context_hash", "parent_hash", "oldest_token_id", "n1", "n2", "n3", "a3"}
)

// saveCounts stores a resolved delta: new rows in bulk, changed ones as upserts, all in key order.
func (t *Trainer) saveCounts(ctx context.Context, tx *database.Tx, delta *counting.Delta) error {
	save := saveRows
	if t.immediate {
		save = journalCounts
	}
	if err := save(ctx, tx, t.model.ID, delta); err != nil {
		return err
	}
	return saveContexts(ctx, tx, t.model.ID, delta)
}

func saveRows(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	_, err := tx.Load(ctx, "tbl_l1_ng_counts_n", countColumns, func(w database.RowWriter) error {
		return delta.Rows(counting.New, func(row counting.Row) error {
			w.Int(int64(model))
			w.Int(int64(delta.N))
			w.Int(row.Hash)
			w.Int(int64(row.Token))
			w.Int(row.Raw)
			if row.Adjusted == row.Raw {
				w.Null()
			} else {
				w.Int(row.Adjusted)
			}
			return w.EndRow()
		})
	})
	if err != nil {
		return err
	}
	var rows [][]any
	err = delta.Rows(counting.Changed, func(row counting.Row) error {
		var adjusted any
		if row.Adjusted != row.Raw {
			adjusted = row.Adjusted
		}
		rows = append(rows, []any{int64(model), delta.N, row.Hash, int64(row.Token), row.Raw, adjusted})
		return nil
	})
	if err != nil {
		return err
	}
	if err := tx.Upsert(ctx, "tbl_l1_ng_counts_n", countColumns, countColumns[:4], []database.Assign{{Column: "c"}, {Column: "a"}}, rows); err != nil {
		return err
	}
	return removeRows(ctx, tx, model, delta)
}

func saveContexts(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	_, err := tx.Load(ctx, "tbl_l1_context_registry", registryColumns, func(w database.RowWriter) error {
		return delta.Registry(counting.New, func(row counting.RegistryRow) error {
			w.Int(int64(model))
			w.Int(int64(delta.N))
			writeIdentity(w, delta.N, row.Hash, row.Parent, row.Oldest)
			writeSums(w, row.Adjusted, [3]int64{int64(row.Followers[0]), int64(row.Followers[1]), int64(row.Followers[2])})
			return w.EndRow()
		})
	})
	if err != nil {
		return err
	}
	var rows [][]any
	err = delta.Registry(counting.Changed, func(row counting.RegistryRow) error {
		f := row.Followers
		rows = append(rows, []any{int64(model), delta.N, row.Hash, orNull(int64(f[0])), orNull(int64(f[1])), orNull(int64(f[2])), orNull(row.Adjusted - int64(f[0]) - 2*int64(f[1]))})
		return nil
	})
	if err != nil {
		return err
	}
	columns := slices.Concat(registryColumns[:3], registryColumns[5:])
	sums := []database.Assign{{Column: "n1"}, {Column: "n2"}, {Column: "n3"}, {Column: "a3"}}
	if err := tx.Upsert(ctx, "tbl_l1_context_registry", columns, columns[:3], sums, rows); err != nil {
		return err
	}
	return removeContexts(ctx, tx, model, delta)
}

// saveWords stores the tokens that are new and refreshes how often the others occurred.
func (t *Trainer) saveWords(ctx context.Context, tx *database.Tx, delta *counting.Delta) error {
	w := t.words
	counts := make([]int64, len(w.fresh))
	var changed []any
	collect := func(row counting.Row) error {
		if row.Token >= w.committed {
			counts[row.Token-w.committed] = row.Raw
		} else {
			changed = append(changed, int64(row.Token))
		}
		return nil
	}
	for _, fate := range []counting.Fate{counting.New, counting.Changed, counting.Gone} {
		if err := delta.Rows(fate, collect); err != nil {
			return err
		}
	}
	if len(w.fresh) > 0 {
		err := loadWords(ctx, tx, t.model.ID, w.committed, func(yield func(string, bool, int64) error) error {
			for i, token := range w.fresh {
				if err := yield(token, false, counts[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !t.immediate { // else the counts are not in their rows yet
		if err := t.store.refreshWords(ctx, tx, t.model.ID, changed); err != nil {
			return err
		}
	}
	return w.saveForms(ctx, tx, t.model.ID)
}

// refreshWords takes the frequencies of tokens from their counts.
func (s *Store) refreshWords(ctx context.Context, tx *database.Tx, model ngram.ModelID, tokens []any) error {
	empty := s.options.Hash(nil)
	for some := range slices.Chunk(tokens, idsPerQuery) {
		args := append([]any{empty, int64(model)}, some...)
		if _, err := tx.Exec(ctx, refreshFrequencies+database.In(len(some)), args...); err != nil {
			return err
		}
	}
	return nil
}
