package store

import (
	"context"
	"encoding/binary"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

// In a hybrid store the rows of counts are on an engine that keeps every statement at once and takes none back. There the
// transaction that counts a batch writes what the rows are to be (not what is added to them) into tbl_l1_count_journal instead,
// together with the cursors of the documents; settle then carries it over, part by part. A part may be carried over twice, or
// half and then whole, and the rows are the same; so whoever trains next completes what a kill left.

const (
	// journalRows bounds a part, and with it how long the rows of counts are locked at once.
	journalRows  = 50_000
	journalWidth = 20
)

// immediate reports whether rows of counts and builds stay written when their transaction fails.
func (s *Store) immediate(ctx context.Context) (bool, error) {
	rollsBack, err := s.db.RollsBack(ctx, append([]string{"tbl_l1_ng_counts_n"}, derivedTables...)...)
	return !rollsBack, err
}

var journalColumns = []string{"model_id", "part", "n", "packed"}

// journalCounts decides the rows of a resolved delta.
func journalCounts(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	part := int64(delta.N) << 32
	_, err := tx.Load(ctx, "tbl_l1_count_journal", journalColumns, func(w database.RowWriter) error {
		for _, fate := range []counting.Fate{counting.New, counting.Changed, counting.Gone} {
			var packed []byte
			flush := func() error {
				if len(packed) == 0 {
					return nil
				}
				w.Int(int64(model))
				w.Int(part)
				w.Int(int64(delta.N))
				w.Bytes(packed)
				part, packed = part+1, packed[:0]
				return w.EndRow()
			}
			err := delta.Rows(fate, func(row counting.Row) error {
				if row.Adjusted == row.Raw {
					row.Adjusted = 0
				}
				packed = binary.BigEndian.AppendUint64(packed, uint64(row.Hash))
				for _, v := range []uint32{row.Token, uint32(row.Raw), uint32(row.Adjusted)} {
					packed = binary.BigEndian.AppendUint32(packed, v)
				}
				if len(packed) < journalRows*journalWidth {
					return nil
				}
				return flush()
			})
			if err == nil {
				err = flush()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

const (
	selectParts = `SELECT part FROM tbl_l1_count_journal WHERE model_id = ? ORDER BY part`
	selectPart  = `SELECT n, packed FROM tbl_l1_count_journal WHERE model_id = ? AND part = ?`
	deletePart  = `DELETE FROM tbl_l1_count_journal WHERE model_id = ? AND part = ?`
)

// settle carries over what is decided about the counts of a model and not yet in their rows. Anybody may call it: a part is
// locked while it is carried over, so nobody writes an old count over a newer one.
func (s *Store) settle(ctx context.Context, model ngram.ModelID) error {
	var parts []int64
	err := s.db.Stream(ctx, selectParts, []any{int64(model)}, func(row database.Row) error {
		parts = append(parts, row.Int(0))
		return nil
	})
	for _, part := range parts {
		if err == nil {
			err = s.db.InTx(ctx, func(tx *database.Tx) error { return s.settlePart(ctx, tx, model, part) })
		}
	}
	return err
}

func (s *Store) settlePart(ctx context.Context, tx *database.Tx, model ngram.ModelID, part int64) error {
	var n int64
	var rows []byte
	err := tx.QueryRow(ctx, selectPart+tx.Dialect().ForUpdate(), int64(model), part).Scan(&n, &rows)
	if errors.Is(err, database.ErrNoRows) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	var losing, tokens []any // contexts with rows to be deleted; tokens of unigrams
	err = tx.Replace(ctx, "tbl_l1_ng_counts_n", countColumns, func(w database.RowWriter) error {
		for row := range slices.Chunk(rows, journalWidth) {
			hash, token := int64(binary.BigEndian.Uint64(row)), int64(binary.BigEndian.Uint32(row[8:]))
			c, a := int64(binary.BigEndian.Uint32(row[12:])), int64(binary.BigEndian.Uint32(row[16:]))
			w.Int(int64(model))
			w.Int(n)
			w.Int(hash)
			w.Int(token)
			w.Int(c)
			if a == 0 {
				w.Null()
			} else {
				w.Int(a)
			}
			if c == 0 && (len(losing) == 0 || losing[len(losing)-1] != any(hash)) {
				losing = append(losing, hash)
			}
			if n == 1 {
				tokens = append(tokens, token)
			}
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(losing, idsPerQuery) {
		if _, err := tx.Exec(ctx, deleteMarked+database.In(len(some)), append([]any{int64(model), n}, some...)...); err != nil {
			return err
		}
	}
	if err := s.refreshWords(ctx, tx, model, tokens); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, deletePart, int64(model), part)
	return err
}
