// Package quant rounds base-ten logarithms to codes of 8, 12 or 16 bits.
//
// A codebook spans [lo, 0], both included, in even steps; only that of probabilities in 8 bits has finer steps towards 0. By
// default 8 bits span [-7, 0] for probabilities and [-2.5, 0] for backoff weights. A range is widened only if a model needs
// it, in fixed steps, so that equal models have equal codebooks. Codes grow with the value.
//
// Beside 8 bits, unigrams have 12: thousands of words share the few values of the smallest counts, so that their rounding
// errors do not average out, and backing off ends there for every fourth token.
//
// The values of a codebook are stored with their masses, and readers take both from there. It is named by its content.
package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"

	"dbslm/pkg/exactmath"
)

// Kind says what a codebook is for.
type Kind string

// The kinds.
const (
	Logprob Kind = "logprob" // probabilities of n-grams of order 2 and up, of all orders in 16 bits
	Unigram Kind = "unigram" // probabilities of unigrams beside 8 bits
	Backoff Kind = "backoff" // backoff weights of contexts
)

// One is the mass 1 as a whole number. Masses are added as whole numbers, so that a sum does not depend on its order.
const One = 1 << 60

// Book is a codebook.
type Book struct {
	Kind   Kind
	Bits   int
	Lo, Hi float64
	Log10  []float64 // by code
	Mass   []float64 // by code: 10**Log10
	fixed  []uint64  // by code: Mass in units of 1/One
	first  []uint16  // by slot: the codes of lower slots
	slots  float64   // by unit of the logarithm
}

// widening is how the low end of a range is found: the default, and the step by which it moves if that is not enough. 16 bits
// have room for wide ranges from the start. Backoff weights in 8 bits are never widened: below the range lie weights under
// 0.0032, and taking them for 0.0032 moves less mass than rounding greater ones does.
var widening = map[Kind]map[int]struct{ lo, step float64 }{
	Logprob: {8: {-7, 1}, 16: {-9, 1}},
	Unigram: {12: {-8, 1}},
	Backoff: {8: {-2.5, 0}, 16: {-6, 1}},
}

// Range returns the low end of the range that a model needs whose smallest log10 is least: the default or the first step
// below it that holds least, at most 300 in all.
func Range(kind Kind, bits int, least float64) float64 {
	w := widening[kind][bits]
	lo := w.lo
	for lo > least && lo > -300 && w.step > 0 {
		lo -= w.step
	}
	return lo
}

// New makes the codebook with the given bits (8, 12 or 16) over [lo, 0].
func New(kind Kind, bits int, lo float64) (*Book, error) {
	if bits != 8 && bits != 12 && bits != 16 || !(lo < 0 && lo >= -301) {
		return nil, fmt.Errorf("quant: no codebook of %d bits over [%g, 0]", bits, lo)
	}
	last := 1<<bits - 1
	book := &Book{
		Kind: kind, Bits: bits, Lo: lo, Hi: 0,
		Log10: make([]float64, last+1), Mass: make([]float64, last+1), fixed: make([]uint64, last+1),
	}
	for code := range book.Log10 {
		share := float64(last-code) / float64(last)
		if kind == Logprob && bits == 8 {
			share = (exactmath.Exp(float64(share*exactmath.Log(spread))) - 1) / (spread - 1)
		}
		book.Log10[code] = float64(lo * share)
		book.Mass[code] = exactmath.Pow10(book.Log10[code])
		book.fixed[code] = Fixed(book.Mass[code])
	}
	book.Log10[0], book.Log10[last] = lo, 0 // not -0
	book.index()
	return book, nil
}

// spread is the greatest step of an 8-bit book of probabilities over its smallest one, which is at probability 1: what
// rounding does to a text depends on mass. With even steps a few frequent values (the end of a sentence behind a full stop)
// cost up to 0.1 % of perplexity; with 4 to 40 they cost less than 0.05 %, without a trend.
const spread = 16

// Code returns the code whose value is nearest to the logarithm, the greater of two equally near ones; values outside the
// range take its end.
func (b *Book) Code(log10 float64) int {
	if !(log10 > b.Lo) {
		return 0
	}
	if log10 > 0 {
		return len(b.Log10) - 1
	}
	slot := b.slot(log10)
	above, end := int(b.first[slot]), int(b.first[slot+1]) // the first value that is not smaller
	for above < end && b.Log10[above] < log10 {
		above++
	}
	if above == len(b.Log10) {
		return above - 1
	}
	if above > 0 && b.Log10[above]-log10 > log10-b.Log10[above-1] {
		return above - 1
	}
	return above
}

// index cuts the range into a few slots more than there are codes. A greater logarithm is in no lower slot: the first value
// that is not smaller than a logarithm is in its slot, or the first one above it.
func (b *Book) index() {
	count := 4 * len(b.Log10)
	b.slots = float64(count) / -b.Lo
	b.first = make([]uint16, count+2)
	for code, slot := 0, 0; slot < len(b.first); slot++ {
		for code < len(b.Log10)-1 && b.slot(b.Log10[code]) < slot {
			code++
		}
		b.first[slot] = uint16(code)
	}
}

// slot is that of a logarithm in the range.
func (b *Book) slot(log10 float64) int {
	return min(int(float64((log10-b.Lo)*b.slots)), 4*len(b.Log10))
}

// Fixed returns the mass of a code in units of 1/One.
func (b *Book) Fixed(code int) uint64 { return b.fixed[code] }

// Fixed returns a mass in [0, 1] in units of 1/One.
func Fixed(mass float64) uint64 { return uint64(float64(mass * One)) }

// Float is the inverse of Fixed, for sums too.
func Float(fixed int64) float64 { return float64(fixed) / One }

// ID names the codebook by its content: a hash over kind, bits, range and values, never 0.
func (b *Book) ID() int64 {
	input := fmt.Appendf(nil, "%s %d ", b.Kind, b.Bits)
	for _, value := range [][]float64{{b.Lo, b.Hi}, b.Log10, b.Mass} {
		for _, f := range value {
			input = binary.LittleEndian.AppendUint64(input, math.Float64bits(f))
		}
	}
	return max(1, int64(xxhash.Sum64(input)>>1))
}
