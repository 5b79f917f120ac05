package lookup

import (
	"cmp"
	"fmt"
	"slices"

	"dbslm/pkg/exactmath"
)

// Unigrams is the empty context of a build, resident and ready for random access: the probability of every token by
// its id, and all tokens in descending order of probability. It is read-only after NewUnigrams and safe to share.
type Unigrams struct {
	mass   []float64
	log10  []float64
	known  []bool
	rank   []uint32
	sorted []uint32
	total  float64
}

// NewUnigrams builds the resident unigrams from the stored empty context, whose backoff weight is the normaliser of the
// rounded probabilities and multiplied in. rank gives, for every token id below the
// vocabulary bound of the build, the place of the token among all tokens in byte order; it breaks ties, so that the
// order of two models with the same words does not depend on the order in which the words arrived.
func NewUnigrams(empty *Context, rank []uint32) (*Unigrams, error) {
	u := &Unigrams{
		mass:  make([]float64, len(rank)),
		log10: make([]float64, len(rank)),
		known: make([]bool, len(rank)),
		rank:  rank,
	}
	var misplaced uint32
	bad := false
	empty.Each(func(group Group, tokens []uint32) {
		for _, token := range tokens {
			if int(token) >= len(rank) {
				misplaced, bad = token, true
				continue
			}
			u.mass[token], u.log10[token], u.known[token] = float64(group.Mass*empty.Backoff), group.Log10+empty.LogBackoff, true
			u.sorted = append(u.sorted, token)
		}
	})
	if bad {
		return nil, fmt.Errorf("unigram row names token id %d, but the build's vocabulary ends at %d", misplaced, len(rank))
	}
	slices.SortFunc(u.sorted, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(u.mass[b], u.mass[a]), cmp.Compare(rank[a], rank[b]))
	})
	for _, token := range u.sorted {
		u.total += u.mass[token]
	}
	return u, nil
}

// Bound is the number of token ids of the build; every id is below it.
func (u *Unigrams) Bound() int { return len(u.rank) }

// Mass is the unigram probability of the token, 0 for one that is not an event of the build.
func (u *Unigrams) Mass(token uint32) float64 {
	if int(token) >= len(u.mass) {
		return 0
	}
	return u.mass[token]
}

// Log10 returns the stored log10 of the unigram probability, and false for a token that is not an event of the build.
func (u *Unigrams) Log10(token uint32) (float64, bool) {
	if int(token) >= len(u.log10) {
		return 0, false
	}
	return u.log10[token], u.known[token]
}

// Rank is the place of the token in byte order among all tokens of the build.
func (u *Unigrams) Rank(token uint32) uint32 { return u.rank[token] }

// Sorted lists every event of the build in descending probability, ties in byte order. The caller must not change it.
func (u *Unigrams) Sorted() []uint32 { return u.sorted }

// Size is the approximate number of bytes that the unigrams take in memory.
func (u *Unigrams) Size() int { return 21*len(u.rank) + 4*len(u.sorted) + 160 }

// Extend returns unigrams with k more tokens, whose ids follow Bound: they share the mass of <unk> with it in equal parts,
// so that the sum stays what it was after every context. In ties they come after the tokens of the build, by id.
func (u *Unigrams) Extend(k int) *Unigrams {
	if k == 0 {
		return u
	}
	share := u.Mass(Unknown) / float64(k+1)
	log10, _ := u.Log10(Unknown)
	log10 -= exactmath.Log10(float64(k + 1))
	bound := u.Bound()
	e := &Unigrams{
		mass: make([]float64, bound+k), log10: make([]float64, bound+k), known: make([]bool, bound+k), rank: make([]uint32, bound+k),
		sorted: make([]uint32, 0, len(u.sorted)+k), total: u.total,
	}
	copy(e.mass, u.mass)
	copy(e.log10, u.log10)
	copy(e.known, u.known)
	copy(e.rank, u.rank)
	sharing := make([]uint32, 0, k+1)
	if u.known[Unknown] {
		sharing = append(sharing, Unknown)
	}
	for id := bound; id < bound+k; id++ {
		e.rank[id] = uint32(id)
		sharing = append(sharing, uint32(id))
	}
	for _, id := range sharing {
		e.mass[id], e.log10[id], e.known[id] = share, log10, true
	}
	placed := false
	for _, token := range u.sorted {
		if token == Unknown {
			continue
		}
		if !placed && (e.mass[token] < share || e.mass[token] == share && e.rank[token] > e.rank[Unknown]) {
			placed = true
			e.sorted = append(e.sorted, sharing[0])
			sharing = sharing[1:]
		}
		if len(sharing) > 0 && e.mass[token] < share {
			e.sorted = append(e.sorted, sharing...)
			sharing = nil
		}
		e.sorted = append(e.sorted, token)
	}
	e.sorted = append(e.sorted, sharing...)
	return e
}
