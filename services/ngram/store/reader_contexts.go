package store

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/resident"
)

// contextKey names a context of n-1 tokens in a build.
type contextKey struct {
	build ngram.BuildID
	n     uint8
	hash  int64
}

// maxKeys bounds the contexts of one statement.
const maxKeys = 500

// Steps reads the contexts of the steps of one request, into memory that it uses again, and counts their use. It is not
// safe for concurrent use.
type Steps struct {
	view  *View
	keys  []contextKey
	found []*lookup.Context
	room  []lookup.Context
	chain [][]*lookup.Context
	used  []contextKey // since they were counted
}

// usedAtOnce is how many uses of contexts are counted together.
const usedAtOnce = 4096

// Steps begins a request. The caller calls Done at its end.
func (v *View) Steps() *Steps { return &Steps{view: v} }

// Read is View.Read. What it returns is valid until the next call.
func (s *Steps) Read(ctx context.Context, contexts [][]uint32) ([][]*lookup.Context, error) {
	s.keys = s.view.keys(s.keys[:0], contexts)
	s.found = slices.Grow(s.found[:0], len(s.keys))[:len(s.keys)]
	s.room = slices.Grow(s.room[:0], len(s.keys))[:len(s.keys)]
	if err := s.view.contexts(ctx, s.keys, s.found, s.room); err != nil {
		return nil, err
	}
	for i, key := range s.keys {
		if s.found[i] != nil {
			s.used = append(s.used, key)
		}
	}
	if len(s.used) >= usedAtOnce {
		s.Done()
	}
	s.chain = chains(s.chain[:0], contexts, s.found)
	return s.chain, nil
}

// Done counts what was used.
func (s *Steps) Done() {
	s.view.reader.uses.count(s.view.Build.Model, s.used)
	s.used = s.used[:0]
}

// Read returns, for each of the contexts, what the build stores about it and about its ends, longest first; the empty
// context is left out (Unigrams has it) and nil stands for a context that is not in the model. It is the interface of three
// paths that answer the same, bit for bit: the resident table of the build; without one, the cache of contexts; and what is
// not there is read in one statement, or in one for every few hundred contexts.
func (v *View) Read(ctx context.Context, contexts [][]uint32) ([][]*lookup.Context, error) {
	keys := v.keys(nil, contexts)
	found := make([]*lookup.Context, len(keys))
	if err := v.contexts(ctx, keys, found, make([]lookup.Context, len(keys))); err != nil {
		return nil, err
	}
	return chains(make([][]*lookup.Context, 0, len(contexts)), contexts, found), nil
}

// keys appends the keys of the contexts and their ends to dst.
func (v *View) keys(dst []contextKey, contexts [][]uint32) []contextKey {
	for _, tokens := range contexts {
		dst = slices.Grow(dst, len(tokens))
		for i := range tokens {
			dst = append(dst, contextKey{v.Build.ID, uint8(len(tokens) - i + 1), contexthash.Sum(tokens[i:])})
		}
	}
	return dst
}

// chains appends the part of found that belongs to each of the contexts to dst.
func chains(dst [][]*lookup.Context, contexts [][]uint32, found []*lookup.Context) [][]*lookup.Context {
	for _, tokens := range contexts {
		dst = append(dst, found[:len(tokens):len(tokens)])
		found = found[len(tokens):]
	}
	return dst
}

// contexts finds the contexts of the keys, in their order; room is where those are kept that stand nowhere else.
func (v *View) contexts(ctx context.Context, keys []contextKey, found []*lookup.Context, room []lookup.Context) error {
	if v.table != nil {
		v.resident(keys, found, room)
		return nil
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
		return nil
	}
	read, err := v.reader.fetch(ctx, v.loadedBuild, missing)
	if err != nil {
		return err
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
	return nil
}

// resident is contexts for the table of a resident build.
func (v *View) resident(keys []contextKey, found []*lookup.Context, room []lookup.Context) {
	var places [ahead]resident.Place
	near := byte(0)
	for len(keys) > 0 {
		part := keys[:min(len(keys), ahead)]
		for i, key := range part {
			places[i] = v.table.Seek(int(key.n), key.hash)
		}
		for i := range part {
			near += v.table.Touch(places[i])
		}
		for i := range part {
			found[i] = nil
			var known bool
			if room[i], known = v.table.Context(places[i]); known {
				found[i] = &room[i]
			}
		}
		keys, found, room = keys[len(part):], found[len(part):], room[len(part):]
	}
	runtime.KeepAlive(near)
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
