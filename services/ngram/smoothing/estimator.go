package smoothing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/exactmath"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
)

// Zero stands for log10 0, which no table can hold: a context whose discounts are all 0 leaves nothing for tokens that
// never followed it. Readers need no exception, since 10**-99 is nothing beside any probability.
const Zero = -99

// Params are what a build pins before the first probability is computed.
type Params struct {
	Order          int
	Discounts      []ngram.Discounts // by order; element 0 is order 1
	VocabularySize int64             // |V|
	// The codebooks of unigrams, longer n-grams and backoff weights; all nil for exact storage.
	Unigram, Logprob, Backoff *quant.Book
}

// Context is a context with its followers.
type Context struct {
	N        int // order of the n-grams: one more than the tokens of the context
	Hash     int64
	Parent   int64    // hash of the context without its oldest token; ignored for N = 1
	Tokens   []uint32 // followers, ascending
	Adjusted []int64  // their adjusted counts, at least 1
}

// Result is what a build stores about a context. Its slices are valid until the next call.
type Result struct {
	Tokens []uint32 // ascending; those of the context, and <unk> for the empty context
	// Codes are the stored probabilities by token: codes of the codebook, or packed.Code(log10 p) for exact storage.
	Codes []uint64
	// Backoff is log10 of the backoff weight: the value of BackoffCode, or exact. For the empty context it is the factor
	// that makes the rounded unigrams sum to 1.
	Backoff     float64
	BackoffCode int // -1 where Backoff is stored exactly
	// Mass is the sum of the probabilities of all tokens after the context as they are stored: 1 up to the rounding of
	// the backoff weight.
	Mass float64
	// Exact are the probabilities of the followers before they were rounded, ExactBackoff log10 of the weight that leaves the
	// rest to other tokens (0 for the empty context).
	Exact        []float64
	ExactBackoff float64
}

// Estimator derives the contexts of a model, order by order from 1 up. It keeps the probabilities of the order below the
// one at hand: 4 bytes a token, 8 a probability, 2 a code, and 24 bytes a context. Not safe for concurrent use.
type Estimator struct {
	params Params
	lower  level // complete, of order n-1
	upper  level // growing, of order n
	n      int

	result        Result
	probabilities []float64
	parents       []int
	flips         []flip

	least Least
}

// NewEstimator begins with order 1.
func NewEstimator(params Params) *Estimator {
	return &Estimator{params: params, n: 1}
}

// Least are the smallest exact base-ten logarithms, at most 0. From them follow the codebooks that a model needs
// (quant.Range).
type Least struct{ Unigram, Logprob, Backoff float64 }

// Least returns the smallest logarithms so far.
func (e *Estimator) Least() Least { return e.least }

// Context derives one context. Contexts of one order come in ascending order of their hashes, after all of the order
// below. An error means that the counts contradict each other.
func (e *Estimator) Context(c Context) (*Result, error) {
	if c.N != e.n {
		if c.N != e.n+1 {
			return nil, inconsistent(c, "its order follows order %d", e.n)
		}
		e.n++
		e.lower, e.upper = e.upper, level{}
	}
	r := &e.result
	r.Tokens, r.Codes, e.probabilities = r.Tokens[:0], r.Codes[:0], e.probabilities[:0]
	d := e.params.Discounts[c.N-1]

	total, weighted := int64(0), [3]int64{}
	for _, a := range c.Adjusted {
		if a < 1 {
			return nil, inconsistent(c, "a follower has the adjusted count %d", a)
		}
		total += a
		weighted[min(a, 3)-1]++
	}
	if total == 0 {
		return nil, inconsistent(c, "it has no followers")
	}
	// In the order of the formula: the sum of three products, each rounded.
	mass := float64(d.D1*float64(weighted[0])) + float64(d.D2*float64(weighted[1])) + float64(d.D3*float64(weighted[2]))
	gamma := mass / float64(total)

	var err error
	parent := -1
	if c.N == 1 {
		r.Tokens = append(append(r.Tokens, ngram.Unknown), c.Tokens...)
		uniform := float64(gamma / float64(e.params.VocabularySize))
		e.probabilities = append(e.probabilities, uniform)
		for _, a := range c.Adjusted {
			e.probabilities = append(e.probabilities, (float64(a)-discount(d, a))/float64(total)+uniform)
		}
	} else {
		r.Tokens = append(r.Tokens, c.Tokens...)
		if parent, e.parents, err = e.lower.find(c, e.parents[:0]); err != nil {
			return nil, err
		}
		for i, a := range c.Adjusted {
			e.probabilities = append(e.probabilities, (float64(a)-discount(d, a))/float64(total)+float64(gamma*e.lower.probabilities[e.parents[i]]))
		}
	}
	logGamma := float64(Zero)
	if gamma > 0 {
		logGamma = min(0, exactmath.Log10(gamma))
		e.least.Backoff = min(e.least.Backoff, logGamma)
	}
	least := &e.least.Logprob
	if c.N == 1 {
		least = &e.least.Unigram
	}
	for _, p := range e.probabilities {
		logarithm := min(0, exactmath.Log10(p))
		*least = min(*least, logarithm)
		r.Codes = append(r.Codes, packed.Code(logarithm))
	}
	mass = 1
	r.Exact, r.ExactBackoff = e.probabilities, logGamma
	r.Backoff, r.BackoffCode = logGamma, -1
	if c.N == 1 {
		r.Backoff = 0
	}
	if e.params.Logprob != nil {
		mass = e.round(c.N, parent)
	}
	if c.N < e.params.Order {
		e.upper.add(c.Hash, r, e.probabilities, mass, e.params.Logprob != nil)
	}
	r.Mass = mass
	return r, nil
}

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
		covered += int64(below.Fixed(int(e.lower.codes[i])))
	}
	rest := e.lower.masses[parent] - float64(quant.Float(covered)*e.lower.factor)
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

func (l *level) add(hash int64, r *Result, probabilities []float64, mass float64, coded bool) {
	l.hashes = append(l.hashes, hash)
	l.starts = append(l.starts, len(l.tokens))
	l.tokens = append(l.tokens, r.Tokens...)
	l.probabilities = append(l.probabilities, probabilities...)
	l.factor = 1
	if !coded {
		return
	}
	l.masses = append(l.masses, mass)
	for _, code := range r.Codes {
		l.codes = append(l.codes, uint16(code))
	}
	if r.BackoffCode < 0 {
		l.factor = exactmath.Pow10(r.Backoff)
	}
}

// find returns the parent of a context and, for each follower, its index in the parent.
func (l *level) find(c Context, indexes []int) (parent int, _ []int, err error) {
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
	for _, token := range c.Tokens {
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

func inconsistent(c Context, format string, args ...any) error {
	return errors.New(errors.DataLoss, "COUNTS_INCONSISTENT",
		"the counts of the model contradict each other and no build can be derived from them; reset the model and train again").
		With("order", strconv.Itoa(c.N)).With("context_hash", strconv.FormatInt(c.Hash, 10)).With("detail", fmt.Sprintf(format, args...))
}
