package smoothing

import (
	"fmt"
	"slices"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
	"dbslm/services/ngram/spill"
)

// Zero stands for log10 0, which no table can hold: a context whose discounts are all 0 leaves nothing for tokens that
// never followed it. Readers need no exception, since 10**-99 is nothing beside any probability.
const Zero = -99

// Params are what a build pins before the first probability is computed.
type Params struct {
	Order          int
	Smoothing      ngram.Smoothing   // the zero value is modified Kneser-Ney
	Discounts      []ngram.Discounts // of modified Kneser-Ney, by order; element 0 is order 1
	Weights        []ngram.Weight    // of Jelinek-Mercer
	VocabularySize int64             // |V|
	Plan           *Plan             // what is left out; nil for nothing
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
	Raw      []int64  // how often they occurred, at least 1; needed by every estimator but modified Kneser-Ney
}

// Result is what a build stores about a context. Its slices are valid until the next call.
type Result struct {
	// Tokens ascend: those of the context that are not pruned, and <unk> for the empty context. Of a context without any,
	// nothing is stored.
	Tokens []uint32
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
// one at hand, and of that one: 16 bytes an n-gram and 26 a context. Not safe for concurrent use.
type Estimator struct {
	space   *spill.Space
	sizes   []LevelSize
	params  Params
	weights weights
	lower   level // complete, of order n-1
	upper   level // growing, of order n
	n       int
	at      int // contexts of order n so far

	// Of the context at hand, by token of the result.
	result        Result
	probabilities []float64
	parents       []int // places in the order below
	flips         []flip
	touched       []touched
	ahead         []touched // those of touched that were not asked for yet

	least Least
}

// NewEstimator begins with order 1.
func NewEstimator(params Params) *Estimator {
	return &Estimator{params: params, weights: weightsOf(params.Weights), n: 1}
}

// LevelSize is how much there is of one order.
type LevelSize struct{ NGrams, Contexts int64 }

// Within tells the sizes of the orders, element 0 those of order 1, and where there is room for them (nil: in memory). It is
// called before the first context, if at all; Close gives the room back.
func (e *Estimator) Within(space *spill.Space, sizes []LevelSize) { e.space, e.sizes = space, sizes }

// Expect tells the parents of the next contexts, in their order, all of one order. It changes nothing but the time they take.
func (e *Estimator) Expect(parents []int64) {
	e.touched, e.ahead = e.touched[:0], nil
	if e.lower.leading != nil {
		e.touched = e.lower.touch(e.touched, parents)
		e.ahead = e.touched
	}
}

// Close gives back what the estimator keeps. It cannot be used any more.
func (e *Estimator) Close() {
	e.lower.close()
	e.upper.close()
}

// Least are the smallest exact base-ten logarithms, at most 0. From them follow the codebooks that a model needs
// (Ranges).
type Least struct{ Unigram, Logprob, Backoff float64 }

// Least returns the smallest logarithms so far.
func (e *Estimator) Least() Least { return e.least }

// Context derives one context. Contexts of one order come in ascending order of their hashes, after all of the order
// below. An error means that the counts contradict each other.
func (e *Estimator) Context(c Context) (*Result, error) {
	if err := e.begin(c); err != nil {
		return nil, err
	}
	gamma, err := e.shares(c)
	if err != nil {
		return nil, err
	}
	r := &e.result
	r.Tokens = append(r.Tokens[:0], c.Tokens...)
	if e.params.Plan != nil && c.N > 1 {
		if gamma, err = e.prune(c, gamma); err != nil || len(r.Tokens) == 0 {
			return r, err
		}
	}
	parent, err := e.interpolate(c, gamma)
	if err != nil {
		return nil, err
	}
	r.Mass = e.store(c.N, parent, gamma)
	if c.N < e.params.Order {
		e.upper.add(c.Hash, r, e.probabilities, e.params.Logprob != nil)
	}
	return r, nil
}

// begin goes on to the order of a context.
func (e *Estimator) begin(c Context) error {
	if c.N != e.n {
		if c.N != e.n+1 {
			return inconsistent(c, "its order follows order %d", e.n)
		}
		e.n++
		e.at, e.ahead = 0, nil
		e.lower.close()
		e.lower, e.upper = e.upper, level{}
		if e.n < e.params.Order && e.n <= len(e.sizes) {
			if err := e.upper.reserve(e.space, e.sizes[e.n-1]); err != nil {
				return err
			}
		}
	}
	e.probabilities = e.probabilities[:0]
	return nil
}

// prune takes out what does not stay. Its shares go to the weight of the shorter context, which gives each token its part.
func (e *Estimator) prune(c Context, gamma float64) (float64, error) {
	stays, err := e.params.Plan.stays(e.at, c)
	if err != nil {
		return 0, err
	}
	e.at++
	kept, moved := 0, int64(0)
	for i, share := range e.probabilities {
		if !stays(i) {
			moved += int64(quant.Fixed(share))
			continue
		}
		e.probabilities[kept], e.result.Tokens[kept] = share, c.Tokens[i]
		kept++
	}
	e.probabilities, e.result.Tokens = e.probabilities[:kept], e.result.Tokens[:kept]
	return gamma + quant.Float(moved), nil
}

// interpolate adds to the shares of the followers what the shorter context gives them, and returns the place of that (-1 for
// the empty context, whose followers become <unk> and the others).
func (e *Estimator) interpolate(c Context, gamma float64) (parent int, err error) {
	r := &e.result
	if c.N == 1 {
		uniform := float64(gamma / float64(e.params.VocabularySize))
		r.Tokens, e.probabilities = slices.Insert(r.Tokens, 0, ngram.Unknown), slices.Insert(e.probabilities, 0, 0)
		for i := range e.probabilities {
			e.probabilities[i] += uniform
		}
		return -1, nil
	}
	found := false
	if len(e.ahead) > 0 && e.ahead[0].hash == c.Parent {
		parent, found = e.ahead[0].place, e.ahead[0].found
		e.ahead = e.ahead[1:]
	} else {
		parent, found = e.lower.at(c.Parent)
	}
	if parent, e.parents, err = e.lower.findIn(parent, found, c, r.Tokens, e.parents[:0]); err != nil {
		return 0, err
	}
	for i, below := range e.parents {
		e.probabilities[i] += float64(gamma * e.lower.grams[below].probability)
	}
	return parent, nil
}

// store turns the exact probabilities of the result into codes, and returns the mass of the context as stored.
func (e *Estimator) store(n, parent int, gamma float64) (mass float64) {
	r := &e.result
	logGamma := float64(Zero)
	if gamma > 0 {
		logGamma = min(0, exactmath.Log10(gamma))
		e.least.Backoff = min(e.least.Backoff, logGamma)
	}
	least := &e.least.Logprob
	if n == 1 {
		least = &e.least.Unigram
	}
	r.Codes = r.Codes[:0]
	for _, p := range e.probabilities {
		logarithm := min(0, exactmath.Log10(p))
		*least = min(*least, logarithm)
		r.Codes = append(r.Codes, packed.Code(logarithm))
	}
	r.Exact, r.ExactBackoff = e.probabilities, logGamma
	r.Backoff, r.BackoffCode = logGamma, -1
	if n == 1 {
		r.Backoff = 0
	}
	if e.params.Logprob != nil {
		return e.round(n, parent)
	}
	return 1
}

func inconsistent(c Context, format string, args ...any) error {
	return errors.New(errors.DataLoss, "COUNTS_INCONSISTENT",
		"the counts of the model contradict each other and no build can be derived from them; reset the model and train again").
		With("order", strconv.Itoa(c.N)).With("context_hash", strconv.FormatInt(c.Hash, 10)).With("detail", fmt.Sprintf(format, args...))
}
