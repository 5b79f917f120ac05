package quant_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/quant"
)

func book(t *testing.T, kind quant.Kind, bits int, lo float64) *quant.Book {
	t.Helper()
	b, err := quant.New(kind, bits, lo)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The ids are stored and the values decide tokens: these vectors must never change.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		kind quant.Kind
		bits int
		lo   float64
		id   int64
	}{
		{quant.Logprob, 8, -7, 5389320070989685531},
		{quant.Unigram, 12, -8, 6709449007708163217},
		{quant.Backoff, 8, -2.5, 5070938622198174140},
		{quant.Logprob, 16, -7, 4045672531789616343},
		{quant.Backoff, 16, -2.5, 6845187299836177682},
	} {
		if got := book(t, c.kind, c.bits, c.lo).ID(); got != c.id {
			t.Errorf("%s, %d bits: id %d, want %d", c.kind, c.bits, got, c.id)
		}
	}
	b := book(t, quant.Logprob, 8, -7)
	if b.Log10[0] != -7 || b.Log10[255] != 0 || b.Mass[255] != 1 || math.Signbit(b.Log10[255]) {
		t.Errorf("ends: %g, %g, mass %g", b.Log10[0], b.Log10[255], b.Mass[255])
	}
}

func TestCodeIsNearest(t *testing.T) {
	books := []*quant.Book{book(t, quant.Logprob, 8, -7), book(t, quant.Backoff, 8, -2.5), book(t, quant.Logprob, 16, -9), book(t, quant.Unigram, 12, -8)}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom(books).Draw(t, "book")
		x := rapid.Float64Range(b.Lo-1, 0.5).Draw(t, "x")
		code := b.Code(x)
		distance := math.Abs(b.Log10[code] - x)
		for _, other := range []int{code - 1, code + 1} {
			if other >= 0 && other < len(b.Log10) && math.Abs(b.Log10[other]-x) < distance {
				t.Fatalf("%g has code %d at %g, but %d at %g is nearer", x, code, b.Log10[code], other, b.Log10[other])
			}
		}
	})
	for _, b := range books {
		for code, value := range b.Log10 {
			if b.Code(value) != code {
				t.Fatalf("value %g of code %d has code %d", value, code, b.Code(value))
			}
			if code > 0 && !(value > b.Log10[code-1] && b.Mass[code] > b.Mass[code-1]) {
				t.Fatalf("values do not grow at code %d", code)
			}
		}
	}
	if books[0].Code(math.Inf(-1)) != 0 || books[0].Code(math.NaN()) != 0 {
		t.Error("what is no logarithm does not take the lowest code")
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		kind      quant.Kind
		bits      int
		least, lo float64
	}{
		{quant.Logprob, 8, 0, -7},
		{quant.Logprob, 8, -7, -7},
		{quant.Logprob, 8, -7.01, -8},
		{quant.Logprob, 8, -9.5, -10},
		{quant.Logprob, 16, -8, -9},
		{quant.Logprob, 16, -9.5, -10},
		{quant.Logprob, 8, math.Inf(-1), -300},
		{quant.Unigram, 12, -8.5, -9},
		{quant.Backoff, 8, -1, -2.5},
		{quant.Backoff, 8, -3, -2.5},
		{quant.Backoff, 16, -3, -6},
		{quant.Backoff, 16, -6.5, -7},
	} {
		if got := quant.Range(c.kind, c.bits, c.least); got != c.lo {
			t.Errorf("Range(%s, %d, %g) = %g, want %g", c.kind, c.bits, c.least, got, c.lo)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		bits int
		lo   float64
	}{{4, -7}, {8, 0}, {8, 1}, {8, math.NaN()}, {8, -1000}} {
		if _, err := quant.New(quant.Logprob, c.bits, c.lo); err == nil {
			t.Errorf("%d bits over [%g, 0]: no error", c.bits, c.lo)
		}
	}
}
