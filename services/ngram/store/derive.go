package store

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"dbslm/pkg/database"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/smoothing"
)

// part is the contexts of one order whose hashes lie in a range: what one transaction of a build writes.
type part struct {
	n        int
	from, to int64 // hashes, both included
	bits     int   // the contexts lie in whole segments of so many bits

	contexts []derived
	tokens   []uint32
	codes    []uint64
	chunks   []chunkRow
	blobs    []byte
	segments []segmentRow // integers read from rows, packed for the next build
}

// derived is what the build has for a context.
type derived struct {
	hash        int64
	first, end  int // of tokens and codes
	chunk, last int // of chunks
	backoff     float64
	backoffCode int
}

// chunkRow is a row of tbl_l1_ng_topk_n in the making.
type chunkRow struct {
	followers  int
	begin, end int // of blobs
}

// order derives all n-grams of one order, part by part.
func (d *derivation) order(ctx context.Context, n int) error {
	scratch := &smoothing.Scratch{}
	return d.visit(ctx, n, func(p *part, c smoothing.Identified) error { return d.context(p, c.Context, scratch) }, d.write)
}

// visit reads the integers of one order, part by part, and compares them with their totals. done is called after each part.
func (d *derivation) visit(ctx context.Context, n int, each func(*part, smoothing.Identified) error, done func(context.Context, *part) error) error {
	totals := d.totals[n-1]
	var found orderTotals
	var memory part // of the part before, used again
	d.parents.close()
	d.parents, d.spelled = d.spelled, contextTokens{}
	if n > 1 && n < d.build.Order && !d.raw {
		if err := d.spelled.reserve(d.t.space, totals.Contexts, n-1); err != nil {
			return err
		}
	}
	for p := range d.parts(n) {
		p.contexts, p.tokens, p.codes, p.chunks, p.blobs = memory.contexts[:0], memory.tokens[:0], memory.codes[:0], memory.chunks[:0], memory.blobs[:0]
		if err := d.read(ctx, &p, &found, func(c smoothing.Identified) error { return each(&p, c) }); err != nil {
			return err
		}
		if err := done(ctx, &p); err != nil {
			return err
		}
		memory = p
	}
	if !d.raw {
		found.Raw = totals.Raw // not read
	}
	if found != totals {
		return inconsistentCounts("their totals").
			With("order", fmt.Sprint(n)).With("found", fmt.Sprintf("%+v", found)).With("totals", fmt.Sprintf("%+v", totals))
	}
	return nil
}

// parts cuts the hashes of an order into even ranges, a power of two of them: hashes are spread evenly, and so are contexts.
func (d *derivation) parts(n int) func(yield func(part) bool) {
	grams := d.totals[n-1].NGrams
	cut := bits.Len64(uint64((grams - 1) / int64(d.t.store.options.PartRows)))
	if n == 1 {
		cut = 0
	}
	return func(yield func(part) bool) {
		for i := range int64(1) << cut {
			from, to := segmentRange(i, cut)
			if !yield(part{n: n, from: from, to: to, bits: segmentBits(grams, cut)}) {
				return
			}
		}
	}
}

// hashRanges cuts all hashes into count ranges, both ends included.
func hashRanges(count int64) func(yield func(from, to int64) bool) {
	return func(yield func(from, to int64) bool) {
		width := math.MaxUint64 / uint64(count)
		from := int64(math.MinInt64)
		for i := int64(1); i <= count; i++ {
			to := int64(math.MaxInt64)
			if i < count {
				to = int64(uint64(i)*width ^ 1<<63)
			}
			if !yield(from, to) {
				return
			}
			from = to + 1
		}
	}
}

// context derives one context and packs it.
func (d *derivation) context(p *part, context smoothing.Context, scratch *smoothing.Scratch) error {
	d.advance("estimate", len(context.Tokens))
	result, err := d.estimator.Context(context)
	if err != nil || len(result.Tokens) == 0 { // all of it pruned
		return err
	}
	row := derived{hash: context.Hash, first: len(p.tokens), chunk: len(p.chunks), backoff: result.Backoff, backoffCode: result.BackoffCode}
	p.tokens, p.codes = append(p.tokens, result.Tokens...), append(p.codes, result.Codes...)
	err = smoothing.Chunks(result, d.width(p.n), scratch, func(_, followers int, blob []byte) error {
		p.chunks = append(p.chunks, chunkRow{followers, len(p.blobs), len(p.blobs) + len(blob)})
		p.blobs = append(p.blobs, blob...)
		return nil
	})
	row.end, row.last = len(p.tokens), len(p.chunks)
	d.build.Size.Rows += int64(row.end - row.first + row.last - row.chunk)
	if row.last > row.chunk {
		d.blobBytes += int64(p.chunks[row.last-1].end - p.chunks[row.chunk].begin)
	}
	d.measure(p.n, context.Hash, result)
	p.contexts = append(p.contexts, row)
	return err
}

// advance reports now and then.
func (d *derivation) advance(phase string, grams int) {
	if d.grams += int64(grams); d.grams%(1<<15) < int64(grams) {
		d.report(phase)
	}
}

func (d *derivation) report(phase string) {
	total := int64(1) // <unk>
	for _, o := range d.totals {
		total += o.NGrams
	}
	d.progress.Report(phase, d.grams, total)
}

// width is the size of a code in the packed rows of an order.
func (d *derivation) width(n int) packed.Width {
	switch {
	case d.bits == 0:
		return packed.WidthExact
	case d.bits == 8 && n > 1:
		return packed.Width8
	}
	return packed.Width16
}

const selectIdentities = `SELECT n, context_hash, parent_hash, oldest_token_id FROM tbl_l1_context_registry WHERE model_id = ?`

// retally repeats KenLM's tally of its last n-gram. It spells out every n-gram, in memory: for comparison only.
func (t *Trainer) retally(ctx context.Context, tallies [][4]int64) error {
	type identity struct {
		parent int64
		oldest uint32
	}
	type key struct {
		n    int
		hash int64
	}
	contexts := map[key]identity{}
	last := smoothing.LastNGram{Order: t.model.Settings.Order}
	err := t.store.db.InReadTx(ctx, func(tx *database.Tx) error {
		err := tx.Stream(ctx, selectIdentities, []any{int64(t.model.ID)}, func(row database.Row) error {
			contexts[key{int(row.Int(0)), row.Int(1)}] = identity{row.Int(2), uint32(row.Int(3))}
			return nil
		})
		if err != nil {
			return err
		}
		for n := 1; n <= t.model.Settings.Order; n++ {
			err := tx.Stream(ctx, selectCounts, []any{int64(t.model.ID), n}, func(row database.Row) error {
				var tokens []uint32
				hash := row.Int(0)
				for m := n; m > 1; m-- {
					context := contexts[key{m, hash}]
					tokens = append(tokens, context.oldest)
					hash = context.parent
				}
				last.Offer(append(tokens, uint32(row.Int(1))))
				return nil
			})
			if err != nil {
				return err
			}
		}
		for _, suffix := range last.Suffixes() {
			n := len(suffix)
			args := []any{int64(t.model.ID), n, t.store.options.Hash(suffix[:n-1]), int64(suffix[n-1])}
			err := tx.Stream(ctx, selectCounts+inFollowers+"(?)", args, func(row database.Row) error {
				smoothing.Retally(&tallies[n-1], row.Int(2), row.Int(3))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
