package store

import (
	"context"
	"fmt"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/smoothing"
)

const (
	selectParentage = `SELECT context_hash, parent_hash, oldest_token_id FROM tbl_l1_context_registry WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ?
ORDER BY context_hash`
	selectGrams = `SELECT context_hash, next_token_id, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ?
ORDER BY context_hash, next_token_id`
	selectRawGrams = `SELECT context_hash, next_token_id, COALESCE(a, c), c FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ?
ORDER BY context_hash, next_token_id`
)

// read visits the contexts of a part, in the order of their hashes, with their integers: packed where a build before packed them
// and nothing changed since, else from the rows, which it packs for the next build. What needs more than adjusted counts is
// read from the rows.
func (d *derivation) read(ctx context.Context, p *part, found *orderTotals, visit func(smoothing.Identified) error) error {
	return d.t.store.db.InReadTx(ctx, func(tx *database.Tx) error {
		r := &integers{d: d, p: p, found: found, visit: visit}
		if p.n == 1 || d.raw {
			return r.rows(ctx, tx, p.from, p.to)
		}
		first, last := segmentOf(p.from, p.bits), segmentOf(p.to, p.bits)
		known := make(map[int64][]byte, last-first+1)
		args := []any{int64(d.build.Model), p.n, p.bits, first, last}
		err := tx.Stream(ctx, selectSegments, args, func(row database.Row) error {
			known[row.Int(0)] = append([]byte{}, row.Bytes(1)...)
			return nil
		})
		for segment := first; err == nil && segment <= last; {
			if blob, ok := known[segment]; ok {
				d.packed = true
				err = r.segment(segment, blob)
				segment++
				continue
			}
			end := segment
			for end < last && known[end+1] == nil {
				end++
			}
			err = r.missing(ctx, tx, segment, end)
			segment = end + 1
		}
		return err
	})
}

// integers reads the contexts of a part in the order of their hashes.
type integers struct {
	d      *derivation
	p      *part
	found  *orderTotals
	visit  func(smoothing.Identified) error
	counts packed.Counts // of the context at hand
	id     parentage     // who it is
	raw    []int64       // its raw counts, where they are read

	packing      bool
	at           int64 // the segment that is packed
	segmentBytes []byte
}

// parentage is who a context is.
type parentage struct {
	hash, parent int64
	oldest       uint32
}

// inconsistentCounts says that the integers contradict each other.
func inconsistentCounts(format string, args ...any) *errors.Error {
	return errors.New(errors.DataLoss, reasonInconsistent, "the counts of the model contradict "+format+
		" and no build can be derived from them; reset the model and train again", args...)
}

const reasonInconsistent = "COUNTS_INCONSISTENT"

// segment reads a segment. Its contexts are spelled out; their hashes say whether they belong there, in this order.
func (r *integers) segment(segment int64, blob []byte) error {
	hash := r.d.t.store.options.Hash
	first := true
	err := packed.EachCounts(blob, r.p.n-1, &r.counts, func(c *packed.Counts) error {
		before := r.id.hash
		r.id = parentage{hash(c.Context), hash(c.Context[1:]), c.Context[0]}
		if segmentOf(r.id.hash, r.p.bits) != segment || !first && r.id.hash <= before {
			return errMisplaced
		}
		first = false
		return r.context()
	})
	if err != nil && errors.ReasonOf(err) == "" {
		err = inconsistentCounts("themselves").With("order", fmt.Sprint(r.p.n)).With("detail", err.Error())
	}
	return err
}

var errMisplaced = fmt.Errorf("a segment holds a context that does not belong there")

// context hands a context on.
func (r *integers) context() error {
	c := &r.counts
	r.found.Contexts++
	r.found.NGrams += int64(len(c.Tokens))
	for _, adjusted := range c.Adjusted {
		r.found.Adjusted += adjusted
		if adjusted >= 1 && adjusted <= 4 {
			r.found.CountsOfCounts[adjusted-1]++
		}
	}
	for _, raw := range r.raw {
		r.found.Raw += raw
	}
	if !r.d.raw && r.p.n < r.d.build.Order {
		r.d.spelled.add(r.id.hash, c.Context)
	}
	return r.visit(smoothing.Identified{
		Context: smoothing.Context{N: r.p.n, Hash: r.id.hash, Parent: r.id.parent, Tokens: c.Tokens, Adjusted: c.Adjusted, Raw: r.raw}, Oldest: r.id.oldest,
	})
}

// missing reads segments from the rows and packs them.
func (r *integers) missing(ctx context.Context, tx *database.Tx, first, last int64) error {
	from, _ := segmentRange(first, r.p.bits)
	_, to := segmentRange(last, r.p.bits)
	r.packing, r.at = true, first
	err := r.rows(ctx, tx, from, to)
	for err == nil && r.at <= last {
		r.endSegment()
	}
	r.packing = false
	return err
}

func (r *integers) endSegment() {
	r.p.segments = append(r.p.segments, segmentRow{r.at, append([]byte{}, r.segmentBytes...)})
	r.segmentBytes = r.segmentBytes[:0]
	r.at++
}

// end ends the context at hand.
func (r *integers) end() error {
	if r.packing {
		for segment := segmentOf(r.id.hash, r.p.bits); r.at < segment; {
			r.endSegment()
		}
		if err := r.spell(); err != nil {
			return err
		}
		r.segmentBytes = packed.AppendCounts(r.segmentBytes, &r.counts)
	}
	err := r.context()
	r.counts.Tokens, r.counts.Adjusted, r.raw = r.counts.Tokens[:0], r.counts.Adjusted[:0], r.raw[:0]
	return err
}

// spell finds the tokens of the context at hand: its oldest one, and those of its parent, which is of the order before.
func (r *integers) spell() error {
	rest, known := r.d.parents.find(r.id.parent, r.p.n-2)
	if !known {
		return inconsistentCounts("their contexts").With("order", fmt.Sprint(r.p.n)).With("parent_hash", fmt.Sprint(r.id.parent))
	}
	r.counts.Context = append(append(r.counts.Context[:0], r.id.oldest), rest...)
	return nil
}

// rows reads the rows of a range of hashes.
func (r *integers) rows(ctx context.Context, tx *database.Tx, from, to int64) error {
	args := []any{int64(r.d.build.Model), r.p.n, from, to}
	c := &r.counts
	c.Tokens, c.Adjusted, r.raw = c.Tokens[:0], c.Adjusted[:0], r.raw[:0]
	r.id = parentage{}
	empty := r.d.t.store.options.Hash(nil)
	var known []parentage
	if r.p.n > 1 {
		err := tx.Stream(ctx, selectParentage, args, func(row database.Row) error {
			known = append(known, parentage{row.Int(0), row.Int(1), uint32(row.Int(2))})
			return nil
		})
		if err != nil {
			return err
		}
	}
	end := func() error {
		if len(c.Tokens) == 0 {
			return nil
		}
		if r.p.n > 1 {
			if len(known) == 0 || known[0].hash != r.id.hash {
				return inconsistentCounts("their contexts").With("order", fmt.Sprint(r.p.n)).With("context_hash", fmt.Sprint(r.id.hash))
			}
			if r.id, known = known[0], known[1:]; r.p.n == 2 {
				r.id.parent = empty
			}
		}
		return r.end()
	}
	query := selectGrams
	if r.d.raw {
		query = selectRawGrams
	}
	err := tx.Stream(ctx, query, args, func(row database.Row) error {
		if hash := row.Int(0); hash != r.id.hash || len(c.Tokens) == 0 {
			if err := end(); err != nil {
				return err
			}
			r.id.hash = hash
		}
		c.Tokens, c.Adjusted = append(c.Tokens, uint32(row.Int(1))), append(c.Adjusted, row.Int(2))
		if r.d.raw {
			r.raw = append(r.raw, row.Int(3))
		}
		return nil
	})
	if err == nil {
		err = end()
	}
	if err == nil && len(known) > 0 {
		err = inconsistentCounts("their contexts, one of which has no followers,").With("context_hash", fmt.Sprint(known[0].hash))
	}
	return err
}
