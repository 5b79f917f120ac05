package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// maxKeys bounds the contexts of one statement.
const maxKeys = 500

const selectContexts = `SELECT n, context_hash, chunk, q_backoff, backoff, packed FROM tbl_l1_ng_topk_n
WHERE model_id = ? AND n = ? AND since_build <= ? AND (until_build IS NULL OR until_build > ?) AND context_hash `

// rowReader reads contexts from their rows, all in one statement, or in one for every few hundred.
type rowReader struct {
	// reuse makes what was read valid only until the next read.
	reuse bool

	keys  []contextKey    // in the order of the statements, each once
	rows  []rowsOfContext // by key
	arms  []int           // of the query: orders and numbers of keys
	query string
	args  []any
}

// read reads the contexts of the keys.
func (r *rowReader) read(ctx context.Context, db *database.DB, b *loadedBuild, keys []contextKey) error {
	r.keys = append(r.keys[:0], keys...)
	slices.SortFunc(r.keys, before)
	r.keys = slices.Compact(r.keys)
	if !r.reuse {
		r.rows = nil
	}
	r.rows = slices.Grow(r.rows[:0], len(r.keys))[:len(r.keys)]
	for i := range r.rows {
		r.rows[i] = rowsOfContext{chunks: r.rows[i].chunks[:0], spare: r.rows[i].spare[:0]}
	}
	for part := range slices.Chunk(r.keys, maxKeys) {
		r.prepare(b.Build, part)
		err := db.Stream(ctx, r.query, r.args, func(row database.Row) error {
			key := contextKey{b.Build.ID, uint8(row.Int(0)), row.Int(1)}
			at, asked := slices.BinarySearchFunc(r.keys, key, before)
			if !asked {
				return damaged(b.Build, "a context came that was not asked for")
			}
			return r.rows[at].add(b, key.n, row, 2)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func before(a, b contextKey) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.hash, b.hash)) }

// prepare makes the statement for sorted keys, with an arm per order: a list of (n, hash) pairs would not be read through
// the primary key on every server. The text of the statement before is kept where it fits.
func (r *rowReader) prepare(build ngram.Build, keys []contextKey) {
	r.args = r.args[:0]
	same, at := r.query != "", 0
	for begin := 0; begin < len(keys); at += 2 {
		end := begin + 1
		for end < len(keys) && keys[end].n == keys[begin].n {
			end++
		}
		order := int(keys[begin].n)
		r.args = append(r.args, int64(build.Model), int64(order), int64(build.ID), int64(build.ID))
		for _, key := range keys[begin:end] {
			r.args = append(r.args, key.hash)
		}
		if same = same && at < len(r.arms) && r.arms[at] == order && r.arms[at+1] == end-begin; !same {
			r.arms = append(r.arms[:at], order, end-begin)
		}
		begin = end
	}
	if same && at == len(r.arms) {
		return
	}
	r.arms = r.arms[:at]
	var query strings.Builder
	for i := 0; i < len(r.arms); i += 2 {
		if i > 0 {
			query.WriteString("\nUNION ALL\n")
		}
		query.WriteString(selectContexts)
		if r.arms[i+1] == 1 {
			query.WriteString("= ?")
		} else {
			query.WriteString("IN " + database.In(r.arms[i+1]))
		}
	}
	r.query = query.String()
}

// context puts a context together in its place, and says whether the build has it.
func (r *rowReader) context(b *loadedBuild, key contextKey, into *lookup.Context) (known bool, err error) {
	at, _ := slices.BinarySearchFunc(r.keys, key, before)
	rows := &r.rows[at]
	if len(rows.chunks) == 0 {
		return false, nil
	}
	blob, err := rows.followers(b, key.n, key.hash)
	if err != nil {
		return false, err
	}
	mass, log10, _ := rows.weight.Values(&b.backoffs)
	*into = lookup.New(mass, log10, b.book(key.n), blob, nil, nil)
	return true, nil
}

// kept is context for one that is kept; nil is one that the build does not have.
func (r *rowReader) kept(b *loadedBuild, key contextKey) (*lookup.Context, error) {
	var context lookup.Context
	known, err := r.context(b, key, &context)
	if err != nil || !known {
		return nil, err
	}
	return &context, nil
}

// rowsOfContext collects the rows of one context, in any order.
type rowsOfContext struct {
	weight lookup.Weight
	chunks []chunk
	spare  []byte // where the chunks are
}

// chunk is the followers of one row.
type chunk struct {
	place  int64
	packed []byte
}

// add takes a row of a context of n-grams of order n: chunk, q_backoff, backoff and packed from the given column on, valid
// only now.
func (r *rowsOfContext) add(b *loadedBuild, n uint8, row database.Row, column int) error {
	begin := len(r.spare)
	r.spare = append(r.spare, row.Bytes(column+3)...)
	next := chunk{row.Int(column), r.spare[begin:len(r.spare):len(r.spare)]}
	book := b.book(n)
	if err := packed.Check(next.packed, book.Width); err != nil {
		return damaged(b.Build, "%w", err)
	}
	if code, some := packed.Greatest(next.packed, book.Width); some && !book.Holds(code) {
		return damaged(b.Build, "code %d is not in its codebook", code)
	}
	r.chunks = append(r.chunks, next)
	switch {
	case next.place > 0:
	case !row.IsNull(column + 2):
		r.weight = lookup.Weight{Kind: lookup.ExactWeight, Log10: row.Float(column + 2)}
	case !row.IsNull(column + 1):
		code := row.Int(column + 1)
		if code < 0 || code >= int64(len(b.backoffs.Log10)) {
			return damaged(b.Build, "backoff code %d is not in its codebook", code)
		}
		r.weight = lookup.Weight{Kind: lookup.CodedWeight, Code: uint16(code)}
	}
	return nil
}

// followers puts the chunks together.
func (r *rowsOfContext) followers(b *loadedBuild, n uint8, hash int64) ([]byte, error) {
	if len(r.chunks) == 1 && r.chunks[0].place == 0 {
		return r.chunks[0].packed, nil
	}
	slices.SortFunc(r.chunks, func(a, b chunk) int { return cmp.Compare(a.place, b.place) })
	var blob []byte
	for i, piece := range r.chunks {
		if piece.place != int64(i) {
			return nil, damaged(b.Build, "a chunk of the context %d of order %d is missing or stored twice", hash, n)
		}
		blob = append(blob, piece.packed...)
	}
	return blob, nil
}
