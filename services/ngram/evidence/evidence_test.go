package evidence_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram"
	"dbslm/services/ngram/evidence"
	"dbslm/services/ngram/smoothing"
)

// drawChain draws rows of orders n to 1 such as tables hold them: contexts may be absent, and the unigram is always there.
func drawChain(t *rapid.T) []evidence.Order {
	n := rapid.IntRange(1, 12).Draw(t, "order")
	orders := make([]evidence.Order, n)
	for i := range orders {
		o := &orders[i]
		o.N = n - i
		known := o.N == 1 || rapid.Bool().Draw(t, "context")
		if known {
			o.Backoff = &evidence.Stored{Log10: -rapid.Float64Range(0, 3).Draw(t, "backoff")}
			followers := [3]int64{}
			total := int64(0)
			for k := range followers {
				followers[k] = rapid.Int64Range(0, 50).Draw(t, "followers")
				total += followers[k] * int64(k+1)
			}
			o.Context = &evidence.Context{Total: total + 1, Followers: followers}
			o.Context.Followers[0]++
		}
		if known && (o.N == 1 || rapid.Bool().Draw(t, "n-gram")) {
			o.Probability = &evidence.Stored{Log10: -rapid.Float64Range(0, 7).Draw(t, "log10")}
			adjusted := rapid.Int64Range(1, o.Context.Total).Draw(t, "adjusted")
			o.Count = &evidence.Count{Raw: adjusted, Adjusted: adjusted}
		}
	}
	return orders
}

func build(n int) smoothing.Params {
	b := smoothing.Params{Smoothing: ngram.ModifiedKneserNey, VocabularySize: 97}
	for i := range n {
		b.Discounts = append(b.Discounts, ngram.Discounts{Order: i + 1, D1: 0.5, D2: 1, D3: 1.5})
	}
	return b
}

// A chain is backed off from the longest context to the first stored n-gram, and nothing below counts.
func TestResolve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		orders := drawChain(t)
		chain := evidence.Resolve(slices.Clone(orders), build(len(orders)))

		want, matched := 0.0, 0
		var path []string
		for _, o := range orders {
			switch {
			case o.Probability != nil:
				want, matched = want+o.Probability.Log10, o.N
				if o.N == 1 {
					want += o.Backoff.Log10
				}
				path = append(path, fmt.Sprintf("%d matched", o.N))
			case o.Backoff != nil:
				want += o.Backoff.Log10
				path = append(path, fmt.Sprintf("%d backed off", o.N))
			default:
				path = append(path, fmt.Sprintf("%d absent", o.N))
			}
			if matched > 0 {
				break
			}
		}
		if chain.Matched != matched || math.Abs(chain.Log10-want) > 1e-12 || chain.Path != strings.Join(path, ", ") {
			t.Fatalf("%+v, want %g at %d by %v", chain, want, matched, path)
		}
		for _, o := range chain.Orders {
			if (o.Role == evidence.Interpolated) != (o.N < matched) || (o.Role == evidence.Matched) != (o.N == matched) {
				t.Fatalf("order %d has the role %v, %d matched", o.N, o.Role, matched)
			}
		}
	})
}

// The exact value is the interpolation of the definition, written out from the top instead of from the bottom.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		orders := drawChain(t)
		b := build(len(orders))
		var p func(i int) float64
		p = func(i int) float64 {
			if i == len(orders) {
				return 1 / float64(b.VocabularySize)
			}
			o := orders[i]
			if o.Context == nil {
				return p(i + 1)
			}
			a := 0.0
			if o.Count != nil {
				a = float64(o.Count.Adjusted)
			}
			d := min(a, 3) * 0.5 // 0.5, 1, 1.5
			f := o.Context.Followers
			gamma := (0.5*float64(f[0]) + float64(f[1]) + 1.5*float64(f[2])) / float64(o.Context.Total)
			return (a-d)/float64(o.Context.Total) + gamma*p(i+1)
		}
		chain := evidence.Resolve(slices.Clone(orders), b)
		want := min(0, math.Log10(p(0)))
		if chain.Exact == nil || math.Abs(*chain.Exact-want) > 1e-9 {
			t.Fatalf("exact %v, want %g", chain.Exact, want)
		}
	})
}

// Without the counts of the empty context, or with an estimator whose terms are not known, nothing is claimed.
func TestNoExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		orders := drawChain(t)
		other := build(len(orders))
		other.Smoothing = "guesswork"
		if chain := evidence.Resolve(slices.Clone(orders), other); chain.Exact != nil {
			t.Fatalf("an unknown estimator gives %v", *chain.Exact)
		}
		bare := slices.Clone(orders)
		bare[len(bare)-1].Context = nil
		if chain := evidence.Resolve(bare, build(len(orders))); chain.Exact != nil {
			t.Fatalf("without counts: %v", *chain.Exact)
		}
	})
	if evidence.Formula("guesswork") != "" || !strings.Contains(evidence.Formula(ngram.ModifiedKneserNey), "gamma") {
		t.Error("formulas")
	}
}
