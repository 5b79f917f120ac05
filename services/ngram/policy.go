package ngram

import (
	"math"
	"time"
)

// BuildPolicy says when builds of a model are made without being asked for, and which are kept. The zero value makes none and
// keeps all.
type BuildPolicy struct {
	AfterDocuments int64         // build once so many documents were counted since the last build; 0 never
	Every          time.Duration // build so long after the last one if counts changed; 0 never
	Storage        Storage       // of the builds made
	KeepBuilds     int           // newest ready builds kept; 0 all
	DiskBudget     int64         // bytes of derived rows, as estimated; 0 without a limit
	MaxIncrease    *float64      // the gate: greatest relative increase of held-out perplexity; nil for none
}

// HeldOut is how a build did on the held-out text of its model.
type HeldOut struct {
	SHA256                 [32]byte
	Sentences, Tokens, OOV int64
	Log10, ExactLog10      float64 // sums over all events, as stored and before rounding
}

// Size is what a build shows.
type Size struct {
	Rows  int64 // of derived tables
	Bytes int64 // what they take, as estimated
}

// Perplexity over all events, as stored.
func (h HeldOut) Perplexity() float64 { return perplexity(h.Log10, h.Tokens) }

// ExactPerplexity is what it was before rounding.
func (h HeldOut) ExactPerplexity() float64 { return perplexity(h.ExactLog10, h.Tokens) }

// LossBits is what rounding costs, in bits per event.
func (h HeldOut) LossBits() float64 {
	return (h.ExactLog10 - h.Log10) / float64(h.Tokens) * math.Log2(10)
}

func perplexity(log10 float64, tokens int64) float64 { return math.Pow(10, -log10/float64(tokens)) }

// Probe is how well the counts of a model predict a text, as an exact build of modified Kneser-Ney of them would.
type Probe struct {
	Documents, Tokens int64 // counted in the model
	CountsVersion     int64
	Sentences         int64 // of the text
	Events            int64 // its tokens and ends of sentences
	OOV               int64
	Log10, Log10OOV   float64 // of all events, and of unknown tokens among them
}

// Perplexity over all events, and over those of known tokens. NaN without any.
func (p Probe) Perplexity() (includingOOV, excludingOOV float64) {
	return perplexity(p.Log10, p.Events), perplexity(p.Log10-p.Log10OOV, p.Events-p.OOV)
}
