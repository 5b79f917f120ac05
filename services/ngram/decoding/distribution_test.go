package decoding

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

func TestBaseIsBackOffForEveryToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		d := NewDistribution(model.unigrams)
		for range 3 { // reuse must leave nothing behind
			context := drawContext(t, len(model.words), rapid.IntRange(1, model.order).Draw(t, "length"))[1:]
			chain := model.chain(context)
			d.Base(chain)
			sum := 0.0
			for token := range uint32(len(model.words)) {
				want := model.probability(context, token)
				got := d.Weight(token)
				if math.Abs(got-want) > 1e-15 {
					t.Fatalf("weight of %d after %v is %g, back-off says %g", token, context, got, want)
				}
				sum += got
				if token == lookup.Start {
					continue
				}
				record := scoring.Score(model.unigrams, chain, token)
				if math.Abs(math.Pow(10, record.Log10)-want) > 1e-14 || record.Matched != d.Matched(token) {
					t.Fatalf("score %+v of %d after %v; probability %g, matched %d", record, token, context, want, d.Matched(token))
				}
			}
			if math.Abs(sum-1) > 1e-12 || math.Abs(d.Total()-1) > 1e-12 {
				t.Fatalf("mass after %v is %g, Total says %g", context, sum, d.Total())
			}
		}
	})
}

func TestCacheKeepsTheMass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		history := rapid.SliceOf(rapid.Uint32Range(0, uint32(len(model.words)+3))).Draw(t, "history")
		weight := rapid.Float64Range(0, MaxCacheWeight).Draw(t, "lambda")
		rare := func(token uint32) float64 { return min(model.unigrams.Mass(token), 1e-3) }
		cache := NewSessionCache([][]uint32{history}, rare, func(token uint32) bool { return token != lookup.End }, weight)
		context := drawContext(t, len(model.words), model.order)[1:]
		d := NewDistribution(model.unigrams)
		d.Base(model.chain(context))
		d.Mix(cache)
		if math.Abs(d.Total()-1) > 1e-12 {
			t.Fatalf("mass with the cache over %v is %g", history, d.Total())
		}
		for token := range uint32(len(model.words)) {
			if d.Weight(token) < 0 {
				t.Fatalf("weight of %d is %g", token, d.Weight(token))
			}
		}
	})
}

func TestCacheHelpsWhatFitsAndWasSaidLately(t *testing.T) {
	words := []string{"<unk>", "<s>", "</s>", "the", "sail", "mast", "rope"}
	unigrams, err := lookup.NewUnigrams(newContext(map[uint32]float64{0: 0.1, 2: 0.1, 3: 0.2, 4: 0.2, 5: 0.2, 6: 0.2}, 1), ranks(words))
	if err != nil {
		t.Fatal(err)
	}
	after := newContext(map[uint32]float64{4: 0.3, 5: 0.3}, 0.4/0.6)
	base := func() *Distribution {
		d := NewDistribution(unigrams)
		d.Base([]*lookup.Context{after})
		return d
	}
	rare := func(uint32) float64 { return 1e-4 }
	every := func(uint32) bool { return true }

	d := base()
	d.Mix(NewSessionCache([][]uint32{{4, 3, 6}}, rare, every, 0.5))
	lambda := 0.5 * cacheDecay * cacheDecay // its age is 2, and it is all that fits
	if got, want := d.Weight(4), (1-lambda)*0.3+lambda; math.Abs(got-want) > 1e-12 {
		t.Errorf("the only cached word that fits has %g, want %g", got, want)
	}
	d = base()
	d.Mix(NewSessionCache([][]uint32{{4, 3, 5}}, rare, every, 0.5))
	if d.Weight(5) <= d.Weight(4) {
		t.Errorf("the word said last has %g, the one before %g", d.Weight(5), d.Weight(4))
	}
	d = base()
	d.Mix(NewSessionCache([][]uint32{{6}}, rare, every, 0.5))
	if got, want := d.Weight(6), base().Weight(6); got != want {
		t.Errorf("a cached word that does not fit here has %g, want %g as without the cache", got, want)
	}
	cache := NewSessionCache([][]uint32{{4, 5}}, rare, every, 0.5)
	cache.used(5)
	d = base()
	d.Mix(cache)
	if d.Weight(4) <= d.Weight(5) {
		t.Errorf("a word that the reply used has %g, the unused one %g", d.Weight(5), d.Weight(4))
	}
}
