package store

import (
	"context"
	"runtime"
	"slices"

	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/resident"
)

// contextKey names a context of n-1 tokens in a build.
type contextKey struct {
	build ngram.BuildID
	n     uint8
	hash  int64
}

// Steps reads the contexts of the steps of one request, into memory that it uses again, and counts their use. It is not
// safe for concurrent use.
type Steps struct {
	view  *View
	keys  []contextKey
	found []*lookup.Context
	room  []lookup.Context
	chain [][]*lookup.Context
	used  []contextKey // since they were counted

	missing []contextKey // those of keys that are nowhere in memory
	places  []int        // and their places among the keys
	rows    rowReader
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
	if err := s.contexts(ctx, s.keys, s.found, s.room); err != nil {
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
	if err := v.Steps().contexts(ctx, keys, found, make([]lookup.Context, len(keys))); err != nil {
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
func (s *Steps) contexts(ctx context.Context, keys []contextKey, found []*lookup.Context, room []lookup.Context) error {
	v := s.view
	if v.table != nil {
		v.resident(keys, found, room)
		return nil
	}
	cache := v.reader.contexts
	s.missing, s.places = s.missing[:0], s.places[:0]
	for i, key := range keys {
		if cache != nil {
			if stored, ok := cache.GetIfPresent(key); ok {
				found[i] = stored
				continue
			}
		}
		s.missing, s.places = append(s.missing, key), append(s.places, i)
	}
	if len(s.missing) == 0 {
		return nil
	}
	s.rows.reuse = cache == nil
	if err := s.rows.read(ctx, v.reader.db, v.loadedBuild, s.missing); err != nil {
		return err
	}
	if v.serving {
		v.reader.rent(v.loadedBuild)
	}
	for j, key := range s.missing {
		at := s.places[j]
		found[at] = nil
		if cache == nil {
			known, err := s.rows.context(v.loadedBuild, key, &room[at])
			if err != nil {
				return err
			}
			if known {
				found[at] = &room[at]
			}
			continue
		}
		if stored, ok := cache.GetIfPresent(key); ok { // the same context again
			found[at] = stored
			continue
		}
		stored, err := s.rows.kept(v.loadedBuild, key)
		if err != nil {
			return err
		}
		found[at] = stored
		v.reader.keep(key, stored)
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
