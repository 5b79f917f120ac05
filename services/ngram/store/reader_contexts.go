package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// contextKey names a context of n-1 tokens in a build.
type contextKey struct {
	build ngram.BuildID
	n     uint8
	hash  int64
}

// maxKeys bounds the contexts of one statement.
const maxKeys = 500

// Chains is Read for generation: it also counts the use of the contexts.
func (v *View) Chains(ctx context.Context, contexts [][]uint32) ([][]*lookup.Context, error) {
	keys := v.keys(contexts)
	found, err := v.contexts(ctx, keys)
	if err != nil {
		return nil, err
	}
	v.reader.uses.count(v.Build.Model, keys, found)
	return chain(contexts, found), nil
}

// Read returns, for each of the contexts, what the build stores about it and about its ends, longest first; the empty
// context is left out (Unigrams has it) and nil stands for a context that is not in the model. It is the interface of three
// paths that answer the same, bit for bit: the resident table of the build; without one, the cache of contexts; and what is
// not there is read in one statement, or in one for every few hundred contexts.
func (v *View) Read(ctx context.Context, contexts [][]uint32) ([][]*lookup.Context, error) {
	found, err := v.contexts(ctx, v.keys(contexts))
	if err != nil {
		return nil, err
	}
	return chain(contexts, found), nil
}

func (v *View) keys(contexts [][]uint32) []contextKey {
	total := 0
	for _, tokens := range contexts {
		total += len(tokens)
	}
	keys := make([]contextKey, 0, total)
	for _, tokens := range contexts {
		for i := range tokens {
			keys = append(keys, contextKey{v.Build.ID, uint8(len(tokens) - i + 1), contexthash.Sum(tokens[i:])})
		}
	}
	return keys
}

func chain(contexts [][]uint32, found []*lookup.Context) [][]*lookup.Context {
	chains := make([][]*lookup.Context, len(contexts))
	for i, tokens := range contexts {
		chains[i], found = found[:len(tokens):len(tokens)], found[len(tokens):]
	}
	return chains
}

// contexts returns the contexts of the keys in their order.
func (v *View) contexts(ctx context.Context, keys []contextKey) ([]*lookup.Context, error) {
	found := make([]*lookup.Context, len(keys))
	if v.table != nil {
		room := make([]lookup.Context, len(keys))
		for i, key := range keys {
			if context, known := v.table.Context(int(key.n), key.hash); known {
				room[i] = context
				found[i] = &room[i]
			}
		}
		return found, nil
	}
	var missing []contextKey
	var places []int
	cache := v.reader.contexts
	for i, key := range keys {
		if cache != nil {
			if stored, ok := cache.GetIfPresent(key); ok {
				found[i] = stored
				continue
			}
		}
		missing, places = append(missing, key), append(places, i)
	}
	if len(missing) == 0 {
		return found, nil
	}
	read, err := v.reader.fetch(ctx, v.loadedBuild, missing)
	if err != nil {
		return nil, err
	}
	if v.serving {
		v.reader.rent(v.loadedBuild)
	}
	for j, key := range missing {
		stored := read[key]
		found[places[j]] = stored
		if cache != nil {
			v.reader.keep(key, stored)
		}
	}
	return found, nil
}

const selectContexts = `SELECT n, context_hash, chunk, q_backoff, backoff, packed FROM tbl_l1_ng_topk_n
WHERE model_id = ? AND n = ? AND since_build <= ? AND (until_build IS NULL OR until_build > ?) AND context_hash IN `

// fetch reads contexts, each once. A key that is not in the map is not in the build.
func (r *Reader) fetch(ctx context.Context, b *loadedBuild, keys []contextKey) (map[contextKey]*lookup.Context, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b contextKey) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.hash, b.hash)) })
	keys = slices.Compact(keys)
	found := make(map[contextKey]*lookup.Context, len(keys))
	for part := range slices.Chunk(keys, maxKeys) {
		if err := r.fetchPart(ctx, b, part, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// contextsQuery is one statement for sorted keys, with an arm per order: a list of (n, hash) pairs would not be read
// through the primary key on every server.
func contextsQuery(build ngram.Build, keys []contextKey) (string, []any) {
	var query strings.Builder
	args := make([]any, 0, len(keys)+8)
	for begin := 0; begin < len(keys); {
		end := begin + 1
		for end < len(keys) && keys[end].n == keys[begin].n {
			end++
		}
		if begin > 0 {
			query.WriteString("\nUNION ALL\n")
		}
		query.WriteString(selectContexts)
		query.WriteString(database.In(end - begin))
		args = append(args, int64(build.Model), int64(keys[begin].n), int64(build.ID), int64(build.ID))
		for _, key := range keys[begin:end] {
			args = append(args, key.hash)
		}
		begin = end
	}
	return query.String(), args
}

// fetchPart reads sorted keys, each once.
func (r *Reader) fetchPart(ctx context.Context, b *loadedBuild, keys []contextKey, found map[contextKey]*lookup.Context) error {
	query, args := contextsQuery(b.Build, keys)
	pieces := map[contextKey]*rowsOfContext{}
	err := r.db.Stream(ctx, query, args, func(row database.Row) error {
		key := contextKey{b.Build.ID, uint8(row.Int(0)), row.Int(1)}
		at := pieces[key]
		if at == nil {
			at = &rowsOfContext{}
			pieces[key] = at
		}
		return at.add(b, key.n, row, 2)
	})
	if err != nil {
		return err
	}
	for key, rows := range pieces {
		context, err := rows.context(b, key)
		if err != nil {
			return err
		}
		found[key] = context
	}
	return nil
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
	err := packed.Decode(next.packed, book.Width, func(code uint64, _ []uint32) error {
		if !book.Holds(code) {
			return fmt.Errorf("code %d is not in its codebook", code)
		}
		return nil
	})
	if err != nil {
		return damaged(b.Build, "%w", err)
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

func (r *rowsOfContext) context(b *loadedBuild, key contextKey) (*lookup.Context, error) {
	blob, err := r.followers(b, key.n, key.hash)
	if err != nil {
		return nil, err
	}
	mass, log10, _ := r.weight.Values(&b.backoffs)
	context := lookup.New(mass, log10, b.book(key.n), blob, nil, nil)
	return &context, nil
}
