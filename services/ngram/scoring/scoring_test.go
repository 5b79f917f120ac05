package scoring_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

func TestContextAt(t *testing.T) {
	sentence := []uint32{lookup.Start, 5, 6, lookup.Unknown, 7, 8, lookup.End}
	for _, test := range []struct {
		i, order int
		want     []uint32
	}{
		{1, 3, []uint32{lookup.Start}},
		{2, 3, []uint32{lookup.Start, 5}},
		{3, 3, []uint32{5, 6}},
		{3, 2, []uint32{6}},
		{3, 1, []uint32{}},
		{4, 3, []uint32{}},  // directly behind an unknown token
		{5, 3, []uint32{7}}, // nothing matches across it
		{6, 3, []uint32{7, 8}},
		{6, 9, []uint32{7, 8}},
	} {
		if got := scoring.ContextAt(sentence, test.i, test.order); !slices.Equal(got, test.want) {
			t.Errorf("context of %d in order %d is %v, want %v", test.i, test.order, got, test.want)
		}
	}
}

func TestScore(t *testing.T) {
	context := func(logBackoff float64, followers ...lookup.Follower) *lookup.Context {
		c, err := lookup.NewContext(1, logBackoff, followers)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	unigrams, err := lookup.NewUnigrams(context(0, lookup.Follower{Token: 2, Mass: 0.5, Log10: -0.3},
		lookup.Follower{Token: 0, Mass: 0.25, Log10: -0.6}, lookup.Follower{Token: 3, Mass: 0.25, Log10: -0.6}), []uint32{0, 1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	long := context(-0.2, lookup.Follower{Token: 2, Log10: -0.1})
	short := context(-0.05, lookup.Follower{Token: 3, Log10: -0.4})
	for _, test := range []struct {
		name     string
		contexts []*lookup.Context
		token    uint32
		want     scoring.Record
	}{
		{"found at once", []*lookup.Context{long, short}, 2, scoring.Record{Token: 2, Log10: -0.1, Matched: 3}},
		{"one step back", []*lookup.Context{long, short}, 3, scoring.Record{Token: 3, Log10: -0.2 + -0.4, Matched: 2}},
		{"a context that is not in the model weighs nothing", []*lookup.Context{nil, short}, 3, scoring.Record{Token: 3, Log10: -0.4, Matched: 2}},
		{"unigram", []*lookup.Context{long, nil}, 3, scoring.Record{Token: 3, Log10: -0.2 + -0.6, Matched: 1}},
		{"no context", nil, 2, scoring.Record{Token: 2, Log10: -0.3, Matched: 1}},
		{"unknown", []*lookup.Context{long, short}, 0, scoring.Record{Token: 0, Log10: -0.2 + -0.05 + -0.6, Matched: 1}},
		{"in the vocabulary, but no event of the build", nil, 4, scoring.Record{Token: 0, Log10: -0.6, Matched: 1}},
	} {
		got := scoring.Score(unigrams, test.contexts, test.token)
		if got.Token != test.want.Token || got.Matched != test.want.Matched || math.Abs(got.Log10-test.want.Log10) > 1e-15 {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestTally(t *testing.T) {
	var tally scoring.Tally
	if !math.IsNaN(tally.PerplexityIncludingOOV()) {
		t.Error("no tokens have a perplexity")
	}
	for _, record := range []scoring.Record{{Token: 5, Log10: -1, Matched: 3}, {Token: 0, Log10: -5, Matched: 1}, {Token: 2, Log10: -2, Matched: 2}} {
		tally.Add(record)
	}
	if tally.Tokens != 3 || tally.OOV != 1 || !slices.Equal(tally.Matched, []uint64{1, 1, 1}) {
		t.Errorf("%+v", tally)
	}
	if got, want := tally.PerplexityIncludingOOV(), math.Pow(10, 8.0/3); math.Abs(got/want-1) > 1e-12 {
		t.Errorf("including OOV %g, want %g", got, want)
	}
	if got, want := tally.PerplexityExcludingOOV(), math.Pow(10, 1.5); math.Abs(got/want-1) > 1e-12 {
		t.Errorf("excluding OOV %g, want %g", got, want)
	}
}

func TestRenormalised(t *testing.T) {
	var masses scoring.Masses
	var r scoring.Renormalised
	for _, mass := range []float64{1, 1.02, 0.97} {
		masses.Add(mass)
		r.Add(-1, mass)
	}
	if masses.Contexts != 3 || math.Abs(masses.ErrorMax-0.03) > 1e-12 {
		t.Errorf("%+v", masses)
	}
	if math.Abs(r.Sampled()-10) > 1e-12 || math.Abs(r.Perplexity()-10*math.Cbrt(1.02*0.97)) > 1e-12 {
		t.Errorf("perplexities %g and %g", r.Sampled(), r.Perplexity())
	}
}

// The sample is a function of the seed and the set of keys, is complete when there is room, and is uniform.
func TestSampler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(rapid.Uint64Range(0, 50)).Draw(t, "keys")
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		seed := rapid.Uint64().Draw(t, "seed")
		sample := func(keys []uint64) []uint64 {
			s := scoring.NewSampler[uint64](seed, limit)
			for _, key := range keys {
				s.Offer(key, func() uint64 { return key })
			}
			return s.Values()
		}
		got := sample(keys)
		distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
		if want := min(limit, len(distinct)); len(got) != want {
			t.Fatalf("%d of %d distinct keys with room for %d", len(got), len(distinct), limit)
		}
		if again := sample(distinct); !slices.Equal(got, again) {
			t.Fatalf("in another order %v becomes %v", got, again)
		}
		for _, key := range got {
			if !slices.Contains(distinct, key) {
				t.Fatalf("%d was never offered", key)
			}
		}
	})
	hits := make([]int, 40)
	for seed := range uint64(4000) {
		s := scoring.NewSampler[int](seed, 10)
		for i := range 40 {
			s.Offer(uint64(i), func() int { return i })
		}
		for _, i := range s.Values() {
			hits[i]++
		}
	}
	for i, count := range hits {
		if count < 850 || count > 1150 {
			t.Errorf("key %d is in %d of 4000 samples, want about 1000", i, count)
		}
	}
}
