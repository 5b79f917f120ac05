// Package rehearsal trains without a store: it counts a text, estimates a build of it, and says what a training would make of
// it, exactly but for the size, and how well that scores a held-out text.
//
//	New ─▶ Add every sentence ─▶ Count ─▶ Probe held-out sentences ─▶ Estimate
//
// Everything is in memory: 4 bytes a token, about 7 bytes an n-gram and 8 a context, and what an estimator keeps of one order.
package rehearsal

import (
	"math"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/counting"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/smoothing"
)

// Order is what a training would hold of one order.
type Order struct {
	NGrams, Contexts int64
	Discounts        ngram.Discounts
}

// Rehearsal is a training in memory. Not safe for concurrent use.
type Rehearsal struct {
	order     int
	limit     int64 // bytes
	corpus    *counting.Corpus
	ids       map[string]uint32
	letters   int64 // bytes of all words
	sentence  []uint32
	orders    []Order
	packed    []pieces // by order, the contexts in order of their hashes
	probe     *scoring.Probe
	estimator *smoothing.Estimator
	params    smoothing.Params
}

// New returns an empty rehearsal of a model of the given order that takes about limit bytes of memory at most.
func New(order int, limit int64) *Rehearsal {
	windows := int(min(max(limit/8/windowBytes, 1<<16), math.MaxInt32))
	return &Rehearsal{
		order: order, limit: limit, corpus: counting.NewCorpus(order, contexthash.Sum, windows), ids: map[string]uint32{},
		orders: make([]Order, order), packed: make([]pieces, order), probe: scoring.NewProbe(order, contexthash.Sum),
	}
}

// What things take in memory.
const (
	windowBytes  = 32
	tokenBytes   = 5  // and a bit each for two orders
	wordBytes    = 80 // beside its letters
	gramBytes    = 18 // of the order below and the one at hand, in the estimator
	contextBytes = 40
)

// Add counts a sentence weight times, at least once. ResourceExhausted: the text needs more memory.
func (r *Rehearsal) Add(sentence text.Sentence, weight int64) error {
	r.sentence = r.sentence[:0]
	for _, token := range sentence.Tokens {
		id, known := r.ids[string(token.Text)]
		if !known {
			id = ngram.FirstWord + uint32(len(r.ids))
			r.ids[string(token.Text)] = id
			r.letters += int64(len(token.Text))
		}
		r.sentence = append(r.sentence, id)
	}
	r.corpus.Add(r.sentence, weight)
	if need := r.vocabulary() + int64(r.corpus.Len())*tokenBytes; need > r.limit*3/4 || r.corpus.Len() > math.MaxUint32/2 {
		return r.tooLarge()
	}
	return nil
}

func (r *Rehearsal) vocabulary() int64 { return int64(len(r.ids))*wordBytes + r.letters }

func (r *Rehearsal) tooLarge() error {
	return errors.New(errors.ResourceExhausted, "MEMORY_EXCEEDED",
		"a dry run of this text and order needs more than %d MiB of memory; allow more, or rehearse a part of the text (a real training needs no more than it is allowed)", r.limit>>20)
}

// Totals returns the sums over the text.
func (r *Rehearsal) Totals() (sentences, tokens, words int64) {
	totals := r.corpus.Totals()
	return totals.Sentences, totals.Tokens, int64(len(r.ids))
}

// Count counts all n-grams. Nothing may be added after it.
func (r *Rehearsal) Count() error {
	tallies := make([][4]int64, r.order)
	var counts packed.Counts
	held := int64(0)
	err := r.corpus.Count(func(n int, c *counting.Counted) error {
		o := &r.orders[n-1]
		o.Contexts++
		o.NGrams += int64(len(c.Followers))
		for _, a := range c.Adjusted {
			if a <= 4 {
				tallies[n-1][a-1]++
			}
		}
		counts = packed.Counts{Context: c.Tokens, Tokens: c.Followers, Adjusted: c.Adjusted}
		if held += r.packed[n-1].add(c.Hash, &counts); held*5/4 > r.limit {
			return r.tooLarge()
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.corpus = counting.NewCorpus(r.order, contexthash.Sum, 1) // the tokens are not needed any more
	for n := range r.orders {
		o := &r.orders[n]
		o.Discounts = smoothing.Discounts(n+1, tallies[n])
		r.params.Discounts = append(r.params.Discounts, o.Discounts)
		if estimator := 2 * (o.NGrams*gramBytes + o.Contexts*contextBytes); n+1 < r.order && r.vocabulary()+held+estimator > r.limit {
			return r.tooLarge()
		}
	}
	r.params.Order, r.params.VocabularySize = r.order, r.orders[0].NGrams+1
	return nil
}

// Orders are what Count found, from order 1 up.
func (r *Rehearsal) Orders() []Order { return r.orders }

// Probe adds a held-out sentence.
func (r *Rehearsal) Probe(sentence text.Sentence) {
	ids := make([]uint32, len(sentence.Tokens))
	for i, token := range sentence.Tokens {
		ids[i] = r.ids[string(token.Text)] // unknown: 0, which is <unk>
	}
	r.probe.Add(ids)
}

// Estimate derives a build, and returns how the held-out sentences score. It may be called once.
func (r *Rehearsal) Estimate(storage ngram.Storage) (scoring.Probed, error) {
	lo := smoothing.Ranges(storage, smoothing.Least{})
	for {
		need, err := r.derive(storage, lo)
		if err != nil || need == lo {
			return r.probe.Result(), err
		}
		lo = need // some value does not fit the usual codebooks
	}
}

func (r *Rehearsal) derive(storage ngram.Storage, lo smoothing.Least) (need smoothing.Least, err error) {
	p := r.params
	if p.Unigram, p.Logprob, p.Backoff, err = smoothing.Books(storage, lo); err != nil {
		return lo, err
	}
	r.estimator = smoothing.NewEstimator(p)
	sizes := make([]smoothing.LevelSize, r.order)
	for i, o := range r.orders {
		sizes[i] = smoothing.LevelSize{NGrams: o.NGrams, Contexts: o.Contexts}
	}
	r.estimator.Within(nil, sizes)
	for n := 1; n <= r.order; n++ {
		r.probe.Begin(n)
		book := p.Logprob
		if n == 1 {
			book = p.Unigram
		}
		err := r.packed[n-1].each(n, func(contexts []smoothing.Context, parents []int64) error {
			r.estimator.Expect(parents)
			for _, context := range contexts {
				result, err := r.estimator.Context(context)
				if err != nil {
					return err
				}
				result.Probe(r.probe, n, context.Hash, book)
			}
			return nil
		})
		if err != nil {
			return lo, err
		}
	}
	return smoothing.Ranges(storage, r.estimator.Least()), nil
}
