package decoding

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
)

// dense lists every token with a weight above zero, likeliest first, ties in byte order: the slow truth.
func dense(model toy, d *Distribution) []Candidate {
	var all []Candidate
	for token := range uint32(len(model.words)) {
		if weight := d.Weight(token); weight > 0 {
			all = append(all, Candidate{Token: token, Matched: d.Matched(token), Weight: weight, Wanted: d.find(token) != nil && d.find(token).Wanted})
		}
	}
	slices.SortFunc(all, func(a, b Candidate) int {
		switch {
		case a.Weight != b.Weight && a.Weight > b.Weight:
			return -1
		case a.Weight != b.Weight:
			return 1
		case model.words[a.Token] < model.words[b.Token]:
			return -1
		}
		return 1
	})
	return all
}

func drawDistribution(t *rapid.T) (toy, *Distribution) {
	model := drawToy(t)
	d := NewDistribution(model.unigrams)
	d.Base(model.chain(drawContext(t, len(model.words), model.order)[1:]))
	for range rapid.IntRange(0, 4).Draw(t, "biases") {
		token := uint32(rapid.IntRange(0, len(model.words)-1).Draw(t, "biased"))
		d.Scale(token, rapid.SampledFrom([]float64{0, 0.5, 2}).Draw(t, "factor"))
	}
	return model, d
}

func TestTopKIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		k := rapid.IntRange(0, len(model.words)+1).Draw(t, "k")
		all := dense(model, d)
		want := all
		if k > 0 {
			want = all[:min(k, len(all))]
		}
		var c chooser
		got := c.choose(d, Params{Temperature: 1, TopK: k, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders}).Kept
		if !slices.Equal(got, want) {
			t.Fatalf("top %d is\n%v, want\n%v", k, got, want)
		}
	})
}

func TestTopPIsMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		k := rapid.IntRange(0, 10).Draw(t, "k")
		p := rapid.Float64Range(0.001, 1).Draw(t, "p")
		all := dense(model, d)
		if k > 0 {
			all = all[:min(k, len(all))]
		}
		whole := 0.0
		for _, candidate := range all {
			whole += candidate.Weight
		}
		var c chooser
		kept := c.choose(d, Params{Temperature: 1, TopK: k, TopP: p, TypicalP: 1, MaxBackoff: AllOrders}).Kept
		if len(all) == 0 {
			if len(kept) != 0 {
				t.Fatalf("kept %v of nothing", kept)
			}
			return
		}
		sum := 0.0
		for _, candidate := range kept {
			sum += candidate.Weight
		}
		last := kept[len(kept)-1].Weight
		const slack = 1e-9
		if sum < p*whole-slack || sum-last >= p*whole+slack {
			t.Fatalf("%d tokens hold %g, without the last %g; wanted %g", len(kept), sum, sum-last, p*whole)
		}
	})
}

func TestMinP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		p := rapid.Float64Range(0, 1).Draw(t, "min p")
		var c chooser
		kept := c.choose(d, Params{Temperature: 1, TopP: 1, TypicalP: 1, MinP: p, MaxBackoff: AllOrders}).Kept
		least, most := 0, 0 // they differ for a token on the very edge
		all := dense(model, d)
		for _, candidate := range all {
			if candidate.Weight >= all[0].Weight*p*(1+1e-12) {
				least++
			}
			if candidate.Weight >= all[0].Weight*p*(1-1e-12) {
				most++
			}
		}
		if len(all) > 0 && (len(kept) < max(1, least) || len(kept) > most) {
			t.Fatalf("min_p %g kept %d tokens, want %d to %d", p, len(kept), least, most)
		}
	})
}

func TestTemperature(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		all := dense(model, d)
		if len(all) == 0 {
			return
		}
		var c chooser
		if greedy := c.choose(d, Params{Temperature: 0, TopK: 7, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders}).Kept; len(greedy) != 1 || greedy[0] != all[0] {
			t.Fatalf("temperature 0 keeps %v, want the likeliest token %v alone", greedy, all[0])
		}
		temperature := rapid.Float64Range(0.05, MaxTemperature).Draw(t, "temperature")
		choice := c.choose(d, Params{Temperature: temperature, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders})
		whole := 0.0
		for _, candidate := range all {
			whole += math.Pow(candidate.Weight/all[0].Weight, 1/temperature)
		}
		for i, candidate := range all {
			want := math.Pow(candidate.Weight/all[0].Weight, 1/temperature) / whole
			if got := choice.Probability(i); math.Abs(got-want) > 1e-9 {
				t.Fatalf("at temperature %g token %d has %g, want %g", temperature, candidate.Token, got, want)
			}
		}
	})
}

func TestTemperatureLimits(t *testing.T) {
	unigrams, err := lookup.NewUnigrams(newContext(map[uint32]float64{0: 0.2, 2: 0.5, 3: 0.3}, 1), []uint32{0, 1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDistribution(unigrams)
	d.Base(nil)
	var c chooser
	if cold := c.choose(d, Params{Temperature: 1e-3, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders}); cold.Probability(0) != 1 {
		t.Errorf("near temperature 0 the likeliest token has %g", cold.Probability(0))
	}
	if hot := c.choose(d, Params{Temperature: MaxTemperature, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders}); hot.Probability(0)-hot.Probability(2) > 0.04 {
		t.Errorf("at the highest temperature %g and %g are far apart", hot.Probability(0), hot.Probability(2))
	}
}

func TestDrawIsUnbiased(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, d := drawDistribution(t)
		var c chooser
		choice := c.choose(d, Params{Temperature: 1, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders})
		if choice.Total() == 0 {
			return
		}
		const draws = 4000
		counts := make([]int, len(choice.Kept))
		seed := rapid.Uint64().Draw(t, "seed")
		for step := range draws {
			source := NewSource(seed, step)
			counts[choice.Draw(&source)]++
		}
		for i, count := range counts {
			p := choice.Probability(i)
			if deviation := math.Abs(float64(count) - draws*p); deviation > 6.5*math.Sqrt(draws*p*(1-p))+1e-9 {
				t.Fatalf("token %d with probability %g was drawn %d of %d times", i, p, count, draws)
			}
		}
	})
}

// Every point of the cumulative range belongs to exactly one token, and each token owns as many points as its share.
func TestDrawCoversTheRange(t *testing.T) {
	choice := Choice{Kept: make([]Candidate, 3), cumulative: []uint64{3, 3, 7}}
	owned := map[int]int{}
	for step := range 70_000 {
		source := NewSource(9, step)
		owned[choice.Draw(&source)]++
	}
	if owned[1] != 0 || math.Abs(float64(owned[0])-30_000) > 800 {
		t.Errorf("shares 3, 0 and 4 were drawn %v", owned)
	}
}

func TestMaxBackoffKeepsTheLongestOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		wanted := uint32(rapid.IntRange(2, len(model.words)-1).Draw(t, "wanted"))
		d.Favour(wanted, 2)
		n := rapid.IntRange(0, 3).Draw(t, "max backoff")
		all := dense(model, d)
		longest := 1
		for _, candidate := range all {
			longest = max(longest, candidate.Matched)
		}
		var want []uint32
		for _, candidate := range all {
			if candidate.Matched >= longest-n || candidate.Token == wanted {
				want = append(want, candidate.Token)
			}
		}
		var c chooser
		var got []uint32
		for _, candidate := range c.choose(d, Params{Temperature: 1, TopP: 1, TypicalP: 1, MaxBackoff: n}).Kept {
			got = append(got, candidate.Token)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("kept %v, want %v", got, want)
		}
	})
}
