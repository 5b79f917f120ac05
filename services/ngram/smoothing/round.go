package smoothing

import (
	"cmp"
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
)

// round replaces the exact logarithms of the result by codes, and the backoff weight by the one with which the codes sum
// to 1. It returns the mass of the context as stored, which differs from 1 by the rounding of that weight alone.
func (e *Estimator) round(n, parent int) (mass float64) {
	r := &e.result
	logprob, backoff := e.book(n), e.params.Backoff
	sum, exact := int64(0), int64(0)
	for i, code := range r.Codes {
		rounded := logprob.Code(packed.Float(code))
		r.Codes[i] = uint64(rounded)
		sum += int64(logprob.Fixed(rounded))
		exact += int64(quant.Fixed(e.probabilities[i]))
	}
	if n == 1 {
		r.Backoff, r.BackoffCode = -exactmath.Log10(quant.Float(sum)), -1
		return 1
	}
	sum = e.balance(sum, exact)
	sum = e.leaveRoom(sum, max(1, (quant.One-exact)/2))

	below, covered := e.book(n-1), int64(0) // what the followers have in the parent
	for _, i := range e.parents {
		covered += int64(below.Fixed(int(e.lower.grams[i].code)))
	}
	rest := e.lower.contexts[parent].mass - float64(quant.Float(covered)*e.lower.factor)
	weight := 1.0
	if rest > minRest {
		weight = quant.Float(quant.One-sum) / rest
	}
	r.BackoffCode = backoff.Code(exactmath.Log10(weight))
	r.Backoff = backoff.Log10[r.BackoffCode]
	return quant.Float(sum) + float64(backoff.Mass[r.BackoffCode]*max(rest, 0))
}

// balance rounds some followers the other way, those first that lie nearest to the middle between two codes, until the sum
// of the codes is about the exact one. What is left to tokens that never followed the context is 1 less that sum, and in a
// context with many followers their rounding errors would change it by several percent.
func (e *Estimator) balance(sum, exact int64) int64 {
	book, codes := e.params.Logprob, e.result.Codes
	tolerance := (quant.One - exact) >> 8
	excess := sum - exact
	if max(excess, -excess) <= tolerance || len(codes) < 2 {
		return sum
	}
	flips := e.flips[:0]
	for i, code := range codes {
		logarithm := exactmath.Log10(e.probabilities[i])
		off := book.Log10[code] - logarithm
		other := int(code) - 1
		if excess < 0 {
			other = int(code) + 1
		}
		if (off > 0) != (excess > 0) || off == 0 || other < 0 || other >= len(book.Log10) {
			continue
		}
		step := book.Log10[code] - book.Log10[other]
		flips = append(flips, flip{
			index: i, other: uint64(other), logarithm: logarithm, distance: (step - float64(2*off)) / step,
			change: int64(book.Fixed(int(code))) - int64(book.Fixed(other)),
		})
	}
	slices.SortFunc(flips, func(a, b flip) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.logarithm, b.logarithm))
	})
	for begin := 0; begin < len(flips) && max(excess, -excess) > tolerance; {
		// Equal followers move together, so that the result does not depend on token ids.
		end, change := begin, int64(0)
		for ; end < len(flips) && flips[end].logarithm == flips[begin].logarithm; end++ {
			change += flips[end].change
		}
		if after := excess - change; max(after, -after) < max(excess, -excess) {
			excess, sum = after, sum-change
			for _, f := range flips[begin:end] {
				codes[f.index] = f.other
			}
		}
		begin = end
	}
	e.flips = flips
	return sum
}

// flip is a follower that may be rounded the other way.
type flip struct {
	index     int
	other     uint64 // the code on the other side
	change    int64  // mass that goes with it
	logarithm float64
	distance  float64 // from the middle between the two codes, in steps
}

// book is the codebook of the probabilities of an order.
func (e *Estimator) book(n int) *quant.Book {
	if n == 1 {
		return e.params.Unigram
	}
	return e.params.Logprob
}

// minRest is the least mass, a millionth of the smallest sensible probability, that tells from rounding errors.
const minRest = 1e-13

// leaveRoom lowers codes until at least room is left of 1. A frequent follower can round to the whole mass, and a context
// that leaves nothing to other tokens would give them probability 0. The likeliest group gives way, as a group, so that
// the result does not depend on token ids.
func (e *Estimator) leaveRoom(sum, room int64) int64 {
	codes := e.result.Codes
	for quant.One-sum < room {
		top := slices.Max(codes)
		if top == 0 {
			break
		}
		difference := int64(e.params.Logprob.Fixed(int(top)) - e.params.Logprob.Fixed(int(top)-1))
		for i, code := range codes {
			if code == top {
				codes[i]--
				sum -= difference
			}
		}
	}
	return sum
}
