package smoothing

import (
	"math"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
)

// HeldOut estimates the weights of Jelinek-Mercer interpolation from the counts themselves: every token of the training text
// is held out once and predicted by what the other tokens say (deleted estimation by leaving one out; Jelinek and Mercer
// 1980, Ney, Essen and Kneser 1994). With one of the c occurrences of h w taken away,
//
//	q(w|h) = L (c - 1) / (C - 1) + (1 - L) q(w|h')     q(w|empty): uniform 1/|V| in place of q(w|h')
//
// where L is the weight of the class that the context has without that token; a context of one token does not know the rest
// and leaves q(w|h') as it is. Order by order, from 1 up, the weights maximise the likelihood of all tokens held out, with
// two more of which one is for the context and one for the shorter one, so that no weight is 0 or 1. This is the point to which
// EM climbs; for a single weight it is the root of a falling function and is found by bisection.
//
// The ratio of the two predictions is all that a token tells about L, so tokens are tallied by class and ratio, in steps of
// 1/256 octave. Tallies are whole numbers: the weights depend neither on the order of arrival nor on token ids.
type HeldOut struct {
	order, n int
	uniform  float64
	lower    level // complete: its probabilities are q of order n-1
	upper    level // growing: its probabilities are q of order n-1 for the n-grams of order n
	ratios   []float64
	classes  []uint8 // by n-gram of the upper level; noClass where nothing is held out
	tallies  [Classes]tally
	weights  []ngram.Weight
	parents  []int
}

const noClass = 255

const (
	tallyStep = 256 // tallies per octave
	tallyEnd  = 64  // octaves on either side of equal predictions
)

// tally counts held-out tokens by the ratio of (c-1)/(C-1) to q(w|h'): element 0 is ratio 0.
type tally [2*tallyEnd*tallyStep + 2]int64

// NewHeldOut begins with order 1 for a model of the given order with |V| = size.
func NewHeldOut(order int, size int64) *HeldOut {
	return &HeldOut{order: order, n: 1, uniform: 1 / float64(size)}
}

// Context takes one context with its raw counts. Contexts come as they come to Estimator.Context.
func (h *HeldOut) Context(c Context) error {
	if c.N != h.n {
		if c.N != h.n+1 {
			return inconsistent(c, "its order follows order %d", h.n)
		}
		h.finish()
		h.n++
		h.lower, h.upper = h.upper, level{}
	}
	total := int64(0)
	for _, raw := range c.Raw {
		if raw < 1 {
			return inconsistent(c, "a follower has the count %d", raw)
		}
		total += raw
	}
	if c.N > 1 {
		var err error
		if _, h.parents, err = h.lower.find(c, c.Tokens, h.parents[:0]); err != nil {
			return err
		}
	}
	h.upper.begin(c.Hash, 0)
	for i, raw := range c.Raw {
		below := h.uniform
		if c.N > 1 {
			below = h.lower.grams[h.parents[i]].probability
		}
		ratio, class := 0.0, uint8(noClass)
		if total > 1 {
			distinct := int64(len(c.Raw))
			if raw == 1 {
				distinct--
			}
			ratio = float64(raw-1) / float64(total-1)
			class = uint8(Class(total-1, distinct))
			h.tallies[class].add(float64(ratio/below), raw)
		}
		h.upper.grams = append(h.upper.grams, levelGram{probability: below, token: c.Tokens[i]})
		h.ratios, h.classes = append(h.ratios, ratio), append(h.classes, class)
	}
	return nil
}

// Weights returns the weights of all orders and classes, after the last context.
func (h *HeldOut) Weights() []ngram.Weight {
	h.finish()
	return h.weights
}

// finish finds the weights of the order at hand and turns its q(w|h') into q(w|h).
func (h *HeldOut) finish() {
	var lambdas [Classes]float64
	for class := range h.tallies {
		t := &h.tallies[class]
		lambdas[class] = t.weight()
		h.weights = append(h.weights, ngram.Weight{Order: h.n, Class: class, Lambda: lambdas[class], Events: t.events()})
		*t = tally{}
	}
	for i, class := range h.classes {
		if class != noClass {
			l := lambdas[class]
			h.upper.grams[i].probability = float64(l*h.ratios[i]) + float64((1-l)*h.upper.grams[i].probability)
		}
	}
	h.ratios, h.classes = h.ratios[:0], h.classes[:0]
}

// add tallies times tokens with that ratio.
func (t *tally) add(ratio float64, times int64) {
	at := 0
	if ratio > 0 {
		octaves := exactmath.Log(ratio) / math.Ln2
		at = 1 + min(max(int(math.Floor(octaves*tallyStep))+tallyEnd*tallyStep, 0), len(t)-2)
	}
	t[at] += times
}

func (t *tally) events() (total int64) {
	for _, times := range t {
		total += times
	}
	return total
}

// weight maximises the product of L r + (1 - L) over the tallied ratios r, one ratio 0 and one infinite one.
func (t *tally) weight() float64 {
	var ratios, times []float64
	for at, count := range t {
		if count > 0 {
			ratio := 0.0
			if at > 0 {
				ratio = exactmath.Exp(float64((float64(at-1)+0.5)/tallyStep-tallyEnd) * math.Ln2)
			}
			ratios, times = append(ratios, ratio), append(times, float64(count))
		}
	}
	low, high := 0.0, 1.0
	for range 52 {
		l := (low + high) / 2
		slope := 1/l - 1/(1-l)
		for i, ratio := range ratios {
			slope += float64(times[i]*(ratio-1)) / (float64(l*ratio) + (1 - l))
		}
		if slope > 0 {
			low = l
		} else {
			high = l
		}
	}
	return (low + high) / 2
}
