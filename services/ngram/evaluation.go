package ngram

import (
	"math"
	"time"

	"dbslm/pkg/exactmath"
)

// Evaluation is the result of measuring a text with a build.
type Evaluation struct {
	ID           string // UUIDv7; "" while it is not stored
	Tenant, Name string
	Build        BuildID
	Label        string
	TextSHA256   [32]byte
	TextBytes    uint64
	Sentences    uint64
	Orders       []EvaluatedOrder // by length of the n-gram found, ascending; known and unknown tokens apart
	Options      EvaluationOptions
	Details      EvaluationDetails
	Created      time.Time
}

// EvaluatedOrder is what the tokens add up to that were found as n-grams of one length.
type EvaluatedOrder struct {
	N      int
	OOV    bool // unknown tokens, all of them found at length 1
	Tokens uint64
	Log10  float64 // sum of their log10 probabilities
}

// EvaluationOptions are what was asked for beside scoring.
type EvaluationOptions struct {
	CheckMass   uint32 `json:"check_mass,omitempty"`
	Renormalise uint32 `json:"renormalise,omitempty"`
	SampleSeed  uint64 `json:"sample_seed,omitempty"`
}

// EvaluationDetails are its results. Times are microseconds, of sampled sentences
// scored one by one.
type EvaluationDetails struct {
	MassContexts           uint32  `json:"mass_contexts,omitempty"`
	MassErrorMax           float64 `json:"mass_error_max,omitempty"`
	RenormalisedPositions  uint32  `json:"renormalised_positions,omitempty"`
	SampledPerplexity      float64 `json:"sampled_perplexity,omitempty"`
	RenormalisedPerplexity float64 `json:"renormalised_perplexity,omitempty"`
	TimedSentences         uint64  `json:"timed_sentences,omitempty"`
	P50                    float64 `json:"p50_micros,omitempty"`
	P90                    float64 `json:"p90_micros,omitempty"`
	P99                    float64 `json:"p99_micros,omitempty"`
	Slowest                float64 `json:"max_micros,omitempty"`
}

// Totals adds the orders up: tokens and log10 probabilities of all tokens, and of the unknown ones.
func (e Evaluation) Totals() (tokens, oov uint64, log10, log10OOV float64) {
	for _, o := range e.Orders {
		tokens += o.Tokens
		log10 += o.Log10
		if o.OOV {
			oov += o.Tokens
			log10OOV += o.Log10
		}
	}
	return tokens, oov, log10, log10OOV
}

// Perplexity is 10^(-L/T) over all tokens, and over the known ones. NaN without tokens.
func (e Evaluation) Perplexity() (includingOOV, excludingOOV float64) {
	of := func(log10 float64, tokens uint64) float64 {
		if tokens == 0 {
			return math.NaN()
		}
		return exactmath.Pow10(-log10 / float64(tokens))
	}
	tokens, oov, log10, log10OOV := e.Totals()
	return of(log10, tokens), of(log10-log10OOV, tokens-oov)
}

// BitsPerByte is -log2 of the probability of the text over its bytes; NaN for an empty text.
func (e Evaluation) BitsPerByte() float64 {
	_, _, log10, _ := e.Totals()
	if e.TextBytes == 0 {
		return math.NaN()
	}
	return -log10 / exactmath.Log10(2) / float64(e.TextBytes)
}

// Matched counts tokens by the length of the n-gram found; element 0 is length 1.
func (e Evaluation) Matched() []uint64 {
	var matched []uint64
	for _, o := range e.Orders {
		for len(matched) < o.N {
			matched = append(matched, 0)
		}
		matched[o.N-1] += o.Tokens
	}
	return matched
}
