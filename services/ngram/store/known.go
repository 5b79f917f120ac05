package store

import (
	"context"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

const (
	// idsPerQuery bounds an IN list.
	idsPerQuery = 500
	// rowsPerQuery bounds the followers that one IN list of contexts reads.
	rowsPerQuery = 20_000
	// manyFollowers is from where on a context is not read whole for the sake of a few of its followers.
	manyFollowers = 64
)

const (
	selectRegistry   = `SELECT context_hash, parent_hash, oldest_token_id, a_total, n1, n2, n3 FROM tbl_l1_context_registry WHERE model_id = ? AND n = ?`
	selectCounts     = `SELECT context_hash, next_token_id, c, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ?`
	inContexts       = ` AND context_hash IN `
	inFollowers      = ` AND context_hash = ? AND next_token_id IN `
	inOrderOfHash    = ` ORDER BY context_hash`
	inOrderOfHashTok = ` ORDER BY context_hash, next_token_id`
)

// orderTotals is a row of tbl_l1_model_orders.
type orderTotals struct {
	NGrams, Contexts, Raw, Adjusted int64
	CountsOfCounts                  [4]int64
}

const selectOrders = `SELECT n, ngrams, contexts, raw_total, adjusted_total, t1, t2, t3, t4 FROM tbl_l1_model_orders WHERE model_id = ?`

// readTotals returns the totals by order; element 0 is order 1.
func readTotals(ctx context.Context, q database.Querier, model ngram.ModelID, order int) ([]orderTotals, error) {
	totals := make([]orderTotals, order)
	err := q.Stream(ctx, selectOrders, []any{int64(model)}, func(row database.Row) error {
		n := int(row.Int(0))
		if n < 1 || n > order {
			return errors.New(errors.DataLoss, "COUNTS_INCONSISTENT", "the model has counts of order %d, but its order is %d", n, order)
		}
		totals[n-1] = orderTotals{row.Int(1), row.Int(2), row.Int(3), row.Int(4), [4]int64{row.Int(5), row.Int(6), row.Int(7), row.Int(8)}}
		return nil
	})
	return totals, err
}

// tell tells a delta what is stored of it. Contexts that are new have only new followers, so only those of known ones
// are read. empty is the hash of the empty context.
func tell(ctx context.Context, tx *database.Tx, model ngram.ModelID, empty int64, delta *counting.Delta, totals orderTotals) error {
	if totals.Contexts == 0 {
		return nil
	}
	base := []any{int64(model), delta.N}
	registry := func(row database.Row) error {
		sums := counting.Sums{Adjusted: row.Int(3), Followers: [3]int32{int32(row.Int(4)), int32(row.Int(5)), int32(row.Int(6))}}
		parent := row.Int(1)
		if delta.N == 2 {
			parent = empty // NULL, but in rows of earlier releases
		}
		return delta.SetContext(row.Int(0), parent, uint32(row.Int(2)), sums)
	}
	// A scan costs a third of a look-up per row.
	if int64(len(delta.Contexts))*3 > totals.Contexts {
		if err := tx.Stream(ctx, selectRegistry+inOrderOfHash, base, registry); err != nil {
			return err
		}
	} else {
		for some := range slices.Chunk(delta.Contexts, idsPerQuery) {
			args := slices.Clone(base)
			for i := range some {
				args = append(args, some[i].Hash)
			}
			if err := tx.Stream(ctx, selectRegistry+inContexts+database.In(len(some)), args, registry); err != nil {
				return err
			}
		}
	}
	return tellEntries(ctx, tx, base, delta, totals)
}

func tellEntries(ctx context.Context, tx *database.Tx, base []any, delta *counting.Delta, totals orderTotals) error {
	entry := func(row database.Row) error {
		delta.SetEntry(row.Int(0), uint32(row.Int(1)), row.Int(2), row.Int(3))
		return nil
	}
	known := delta.Known()
	wanted := int64(0)
	for _, i := range known {
		wanted += readCost(&delta.Contexts[i])
	}
	if wanted*3 > totals.NGrams {
		return tx.Stream(ctx, selectCounts+inOrderOfHashTok, base, entry)
	}
	whole, rows := slices.Clone(base), int64(0)
	flush := func() error {
		if len(whole) == len(base) {
			return nil
		}
		err := tx.Stream(ctx, selectCounts+inContexts+database.In(len(whole)-len(base)), whole, entry)
		whole, rows = whole[:len(base)], 0
		return err
	}
	for _, i := range known {
		context := &delta.Contexts[i]
		if readCost(context) < context.Stored() {
			if err := tellSome(ctx, tx, base, delta, context, entry); err != nil {
				return err
			}
			continue
		}
		if rows+context.Stored() > rowsPerQuery || len(whole)-len(base) == idsPerQuery {
			if err := flush(); err != nil {
				return err
			}
		}
		whole = append(whole, context.Hash)
		rows += context.Stored()
	}
	return flush()
}

// readCost is the number of rows to read for a known context: all of its followers, or the few that the batch has, each
// of which costs a look-up.
func readCost(context *counting.Context) int64 {
	some := int64(context.End-context.First) * 4
	if context.Stored() > manyFollowers && some < context.Stored() {
		return some
	}
	return context.Stored()
}

func tellSome(ctx context.Context, tx *database.Tx, base []any, delta *counting.Delta, context *counting.Context, entry func(database.Row) error) error {
	for some := range slices.Chunk(delta.Entries[context.First:context.End], idsPerQuery) {
		args := append(slices.Clone(base), context.Hash)
		for i := range some {
			args = append(args, int64(some[i].Token))
		}
		if err := tx.Stream(ctx, selectCounts+inFollowers+database.In(len(some)), args, entry); err != nil {
			return err
		}
	}
	return nil
}
