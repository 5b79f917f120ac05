package smoothing

import (
	"slices"

	"dbslm/pkg/exactmath"
)

// level is what the next order needs of one order.
type level struct {
	hashes        []int64
	starts        []int
	tokens        []uint32
	probabilities []float64
	codes         []uint16  // empty for exact storage
	masses        []float64 // by context, as stored; empty for exact storage
	factor        float64   // on the masses of codes
	dense         []int32   // for order 1: index by token, -1 for none
}

func (l *level) add(hash int64, r *Result, probabilities []float64, coded bool) {
	l.hashes = append(l.hashes, hash)
	l.starts = append(l.starts, len(l.tokens))
	l.tokens = append(l.tokens, r.Tokens...)
	l.probabilities = append(l.probabilities, probabilities...)
	l.factor = 1
	if !coded {
		return
	}
	l.masses = append(l.masses, r.Mass)
	for _, code := range r.Codes {
		l.codes = append(l.codes, uint16(code))
	}
	if r.BackoffCode < 0 {
		l.factor = exactmath.Pow10(r.Backoff)
	}
}

// find returns the parent of a context and, for each of the tokens that follow it, its index in the parent.
func (l *level) find(c Context, tokens []uint32, indexes []int) (parent int, _ []int, err error) {
	parent, found := slices.BinarySearch(l.hashes, c.Parent)
	if !found {
		return 0, nil, inconsistent(c, "its parent %d has no followers", c.Parent)
	}
	if c.N == 2 && l.dense == nil {
		l.dense = make([]int32, l.tokens[len(l.tokens)-1]+1)
		for i := range l.dense {
			l.dense[i] = -1
		}
		for i, token := range l.tokens {
			l.dense[token] = int32(i)
		}
	}
	begin, end := l.starts[parent], len(l.tokens)
	if parent+1 < len(l.starts) {
		end = l.starts[parent+1]
	}
	for _, token := range tokens {
		if l.dense != nil {
			if int(token) >= len(l.dense) || l.dense[token] < 0 {
				return 0, nil, inconsistent(c, "its follower %d is no unigram", token)
			}
			indexes = append(indexes, int(l.dense[token]))
			continue
		}
		at, found := slices.BinarySearch(l.tokens[begin:end], token)
		if !found {
			return 0, nil, inconsistent(c, "its follower %d does not follow its parent", token)
		}
		begin += at
		indexes = append(indexes, begin)
	}
	return parent, indexes, nil
}
