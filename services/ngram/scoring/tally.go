package scoring

import (
	"math"

	"dbslm/pkg/exactmath"
)

// Tally adds up the records of a text.
type Tally struct {
	// Sentences, and Tokens with one end of sentence each.
	Sentences, Tokens uint64
	// OOV is the number of unknown tokens.
	OOV uint64
	// Log10 is the sum over all tokens, LogOOV the share of the unknown ones in it.
	Log10, LogOOV float64
	// Matched counts the tokens by the length of the n-gram found; element 0 is length 1.
	Matched []uint64
	// Known are the known tokens by that length, and what their log10 probabilities add up to.
	Known []Sum
}

// Sum is a number of tokens and the sum of their log10 probabilities.
type Sum struct {
	Tokens uint64
	Log10  float64
}

// Add counts one record.
func (t *Tally) Add(record Record) {
	t.Tokens++
	t.Log10 += record.Log10
	if record.OOV() {
		t.OOV++
		t.LogOOV += record.Log10
	}
	for len(t.Matched) < record.Matched {
		t.Matched = append(t.Matched, 0)
		t.Known = append(t.Known, Sum{})
	}
	t.Matched[record.Matched-1]++
	if !record.OOV() {
		known := &t.Known[record.Matched-1]
		known.Tokens++
		known.Log10 += record.Log10
	}
}

// PerplexityIncludingOOV is 10^(-L/T): every token counts, an unknown one with the probability of <unk>. NaN without
// tokens.
func (t *Tally) PerplexityIncludingOOV() float64 { return perplexity(t.Log10, t.Tokens) }

// PerplexityExcludingOOV is the same without the unknown tokens. NaN when none is left.
func (t *Tally) PerplexityExcludingOOV() float64 { return perplexity(t.Log10-t.LogOOV, t.Tokens-t.OOV) }

func perplexity(log10 float64, tokens uint64) float64 {
	if tokens == 0 {
		return math.NaN()
	}
	return exactmath.Pow10(-log10 / float64(tokens))
}

// Masses adds up what the sums of probabilities over the whole vocabulary were.
type Masses struct {
	// Contexts is the number of contexts whose mass was summed.
	Contexts uint32
	// ErrorMax is the largest |mass - 1| among them.
	ErrorMax float64
}

// Add counts the mass of one context.
func (m *Masses) Add(mass float64) {
	m.Contexts++
	m.ErrorMax = max(m.ErrorMax, math.Abs(mass-1))
}

// Renormalised compares the scores of sampled positions as stored with those divided by the true mass.
type Renormalised struct {
	// Positions is the number of positions.
	Positions      uint32
	stored, proper float64
}

// Add counts one position: its log10 score as stored and the mass of its context, above 0.
func (r *Renormalised) Add(log10, mass float64) {
	r.Positions++
	r.stored += log10
	r.proper += log10 - exactmath.Log10(mass)
}

// Sampled is the perplexity of the positions as stored, NaN without positions.
func (r *Renormalised) Sampled() float64 { return perplexity(r.stored, uint64(r.Positions)) }

// Perplexity is the perplexity of the positions with every probability divided by the true mass of its context, NaN
// without positions.
func (r *Renormalised) Perplexity() float64 { return perplexity(r.proper, uint64(r.Positions)) }
