package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/exactmath"
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
// context is left out (Unigrams has it) and nil stands for a context that is not in the model. All contexts that are
// not in memory are read in one statement, or in one for every few hundred of them.
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
	for j, key := range missing {
		stored := read[key]
		found[places[j]] = stored
		if cache != nil {
			cache.Set(key, stored)
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
	for _, context := range found {
		context.Groups, context.Tokens = slices.Clip(context.Groups), slices.Clip(context.Tokens)
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
	later := map[contextKey][]chunk{}
	err := r.db.Stream(ctx, query, args, func(row database.Row) error {
		key := contextKey{b.Build.ID, uint8(row.Int(0)), row.Int(1)}
		if place := row.Int(2); place > 0 {
			later[key] = append(later[key], chunk{place, slices.Clone(row.Bytes(5))})
			return nil
		}
		if found[key] != nil {
			return damaged(b.Build, "the context %d of order %d is stored twice", key.hash, key.n)
		}
		context, err := b.first(row)
		found[key] = context
		return err
	})
	if err != nil {
		return err
	}
	for key, chunks := range later {
		if err := b.join(found[key], key, chunks); err != nil {
			return err
		}
	}
	return nil
}

// chunk is a further piece of a context with many followers.
type chunk struct {
	place  int64
	packed []byte
}

// first reads the row of a context that carries the backoff weight.
func (b *loadedBuild) first(row database.Row) (*lookup.Context, error) {
	context := &lookup.Context{Backoff: 1}
	switch {
	case !row.IsNull(4):
		context.LogBackoff = row.Float(4)
		context.Backoff = exactmath.Pow10(context.LogBackoff)
	case !row.IsNull(3):
		code := row.Int(3)
		if code < 0 || int(code) >= len(b.backoffs.log10) {
			return nil, damaged(b.Build, "backoff code %d is not in its codebook", code)
		}
		context.LogBackoff, context.Backoff = b.backoffs.log10[code], b.backoffs.mass[code]
	}
	return context, b.unpack(context, uint8(row.Int(0)), row.Bytes(5))
}

func (b *loadedBuild) join(context *lookup.Context, key contextKey, chunks []chunk) error {
	slices.SortFunc(chunks, func(a, b chunk) int { return cmp.Compare(a.place, b.place) })
	for i, piece := range chunks {
		if context == nil || piece.place != int64(i+1) {
			return damaged(b.Build, "a chunk of the context %d of order %d is missing", key.hash, key.n)
		}
		if err := b.unpack(context, key.n, piece.packed); err != nil {
			return err
		}
	}
	return nil
}

// unpack appends the followers of one chunk. A group that goes on from the chunk before stays one group.
func (b *loadedBuild) unpack(context *lookup.Context, n uint8, blob []byte) error {
	width, book := b.coding(n)
	err := packed.Decode(blob, width, func(code uint64, tokens []uint32) error {
		var group lookup.Group
		switch {
		case width == packed.WidthExact:
			group.Log10 = packed.Float(code)
			group.Mass = exactmath.Pow10(group.Log10)
		case code < uint64(len(book.log10)):
			group.Log10, group.Mass = book.log10[code], book.mass[code]
		default:
			return damaged(b.Build, "code %d is not in its codebook", code)
		}
		last := len(context.Groups) - 1
		context.Tokens = append(context.Tokens, tokens...)
		if last >= 0 && context.Groups[last].Log10 == group.Log10 {
			context.Groups[last].End = uint32(len(context.Tokens))
			return nil
		}
		group.End = uint32(len(context.Tokens))
		context.Groups = append(context.Groups, group)
		return nil
	})
	if err != nil {
		return damaged(b.Build, "%w", err)
	}
	return nil
}
