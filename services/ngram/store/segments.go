package store

import (
	"context"
	"math/bits"
	"slices"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
	"dbslm/services/ngram/spill"
)

// segmentGrams is about how many n-grams a segment holds: few enough that a line of new text makes few of a model's rows be
// read again, many enough that a segment costs nothing beside what is in it.
const segmentGrams = 256

// segmentBits says into how many segments (as a power of two) an order is cut, at least as many as there are parts.
func segmentBits(grams int64, least int) int {
	return max(least, bits.Len64(uint64(grams/segmentGrams)))
}

// segmentOf is the segment of a hash; segmentRange are its hashes, both included. No bits make one segment of all.
func segmentOf(hash int64, bits int) int64 {
	return int64((uint64(hash) ^ 1<<63) >> (64 - bits))
}

func segmentRange(segment int64, bits int) (from, to int64) {
	from = int64(uint64(segment)<<(64-bits) ^ 1<<63)
	return from, int64(uint64(from) + (1<<(64-bits) - 1))
}

const (
	lockModel          = `SELECT counts_version FROM tbl_l1_models WHERE model_id = ?`
	selectSegmentBits  = `SELECT (SELECT MIN(bits) FROM tbl_l1_count_segments WHERE model_id = ? AND n = ?), (SELECT MAX(bits) FROM tbl_l1_count_segments WHERE model_id = ? AND n = ?)`
	deleteSegments     = `DELETE FROM tbl_l1_count_segments WHERE model_id = ? AND n = ? AND bits = ? AND segment IN `
	deleteSegmentsOf   = `DELETE FROM tbl_l1_count_segments WHERE model_id = ? AND n = ? AND bits <> ?`
	deleteSegmentRange = `DELETE FROM tbl_l1_count_segments WHERE model_id = ? AND n = ? AND bits = ? AND segment BETWEEN ? AND ?`
	selectSegmentSizes = `SELECT n, bits, MAX(segment) FROM tbl_l1_count_segments WHERE model_id = ? GROUP BY n, bits`
	deleteAllSegments  = `DELETE FROM tbl_l1_count_segments WHERE model_id = ?`
	selectSegments     = `SELECT segment, packed FROM tbl_l1_count_segments WHERE model_id = ? AND n = ? AND bits = ? AND segment BETWEEN ? AND ? ORDER BY segment`
)

// lockCounts holds the model's row until the transaction ends, so that counting and the packing of counts take turns.
func lockCounts(ctx context.Context, tx *database.Tx, model ngram.ModelID) (version int64, err error) {
	err = tx.QueryRow(ctx, lockModel+tx.Dialect().ForUpdate(), int64(model)).Scan(&version)
	return version, err
}

// dropSegments deletes the segments of the contexts that a batch changes: their integers are read from the rows again.
func dropSegments(ctx context.Context, tx *database.Tx, model ngram.ModelID, deltas []*counting.Delta) error {
	if _, err := lockCounts(ctx, tx, model); err != nil {
		return err
	}
	for _, delta := range deltas {
		if delta.N == 1 {
			continue // never packed
		}
		var low, high *int64
		if err := tx.QueryRow(ctx, selectSegmentBits, int64(model), delta.N, int64(model), delta.N).Scan(&low, &high); err != nil {
			return err
		}
		if low == nil || high == nil {
			continue
		}
		for bits := *low; bits <= *high; bits++ {
			if err := dropTouched(ctx, tx, model, delta, int(bits)); err != nil {
				return err
			}
		}
	}
	return nil
}

func dropTouched(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta, bits int) error {
	head := []any{int64(model), delta.N, bits}
	args, last := head, int64(-1)
	flush := func() error {
		if len(args) == len(head) {
			return nil
		}
		_, err := tx.Exec(ctx, deleteSegments+database.In(len(args)-len(head)), args...)
		args = head
		return err
	}
	for i := range delta.Contexts { // they ascend by hash
		segment := segmentOf(delta.Contexts[i].Hash, bits)
		if segment == last {
			continue
		}
		last = segment
		if args = append(args[:len(args):len(args)], segment); len(args)-len(head) == idsPerQuery {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// dropAllSegments deletes all packed integers of a model; the next build reads rows.
func dropAllSegments(ctx context.Context, tx *database.Tx, model ngram.ModelID) error {
	if _, err := lockCounts(ctx, tx, model); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, deleteAllSegments, int64(model))
	return err
}

// segmentRow is a segment to be stored.
type segmentRow struct {
	segment int64
	packed  []byte
}

var segmentColumns = []string{"model_id", "n", "bits", "segment", "packed"}

// saveSegments stores what a part packed, if nobody counted meanwhile. The first part of an order removes segments of
// another size.
func (d *derivation) saveSegments(ctx context.Context, tx *database.Tx, p *part) error {
	if len(p.segments) == 0 {
		return nil
	}
	version, err := lockCounts(ctx, tx, d.build.Model)
	if err != nil {
		return err
	}
	if version != d.build.CountsVersion {
		return d.t.changed()
	}
	if _, err := tx.Exec(ctx, deleteSegmentsOf, int64(d.build.Model), p.n, p.bits); err != nil {
		return err
	}
	_, err = tx.Load(ctx, "tbl_l1_count_segments", segmentColumns, func(w database.RowWriter) error {
		for _, s := range p.segments {
			w.Int(int64(d.build.Model))
			w.Int(int64(p.n))
			w.Int(int64(p.bits))
			w.Int(s.segment)
			w.Bytes(s.packed)
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// segmentsPerDelete bounds a transaction of purgeSegments to about 10 MB.
const segmentsPerDelete = 4096

// purgeSegments deletes the packed integers of a retired generation.
func (s *Store) purgeSegments(ctx context.Context, model ngram.ModelID) error {
	var sizes [][3]int64
	err := s.db.Stream(ctx, selectSegmentSizes, []any{int64(model)}, func(row database.Row) error {
		sizes = append(sizes, [3]int64{row.Int(0), row.Int(1), row.Int(2)})
		return nil
	})
	for _, size := range sizes {
		for from := int64(0); err == nil && from <= size[2]; from += segmentsPerDelete {
			_, err = s.db.Exec(ctx, deleteSegmentRange, int64(model), size[0], size[1], from, from+segmentsPerDelete-1)
		}
	}
	return err
}

// contextTokens are the contexts of one order with their tokens, ascending by hash.
type contextTokens struct {
	hashes []int64
	tokens []uint32
	free   []func()
}

// reserve makes room for contexts of the given length.
func (c *contextTokens) reserve(space *spill.Space, contexts int64, length int) error {
	var free func()
	var err error
	if c.hashes, free, err = spill.Make[int64](space, contexts); err != nil {
		return err
	}
	c.free = append(c.free, free)
	if c.tokens, free, err = spill.Make[uint32](space, contexts*int64(length)); err != nil {
		return err
	}
	c.free = append(c.free, free)
	return nil
}

func (c *contextTokens) close() {
	for _, free := range c.free {
		free()
	}
	*c = contextTokens{}
}

func (c *contextTokens) add(hash int64, tokens []uint32) {
	c.hashes, c.tokens = append(c.hashes, hash), append(c.tokens, tokens...)
}

// find returns the tokens of a context of the given length. The empty context is known.
func (c *contextTokens) find(hash int64, length int) ([]uint32, bool) {
	if length == 0 {
		return nil, true
	}
	i, found := slices.BinarySearch(c.hashes, hash)
	if !found {
		return nil, false
	}
	return c.tokens[i*length : (i+1)*length], true
}
