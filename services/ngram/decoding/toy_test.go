package decoding

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

// toy is a small model with random probabilities that sum to 1 in every context.
type toy struct {
	order    int
	words    []string // by token id
	unigrams *lookup.Unigrams
	contexts map[string]*lookup.Context
}

func key(context []uint32) string { return fmt.Sprint(context) }

// chain lists what the toy stores about the context and its ends, longest first.
func (m toy) chain(context []uint32) []*lookup.Context {
	var chain []*lookup.Context
	for i := range context {
		chain = append(chain, m.contexts[key(context[i:])])
	}
	return chain
}

// probability is p(token | context) by the definition of back-off, without any code of the package under test.
func (m toy) probability(context []uint32, token uint32) float64 {
	if len(context) == 0 {
		return m.unigrams.Mass(token)
	}
	stored := m.contexts[key(context)]
	if stored == nil {
		return m.probability(context[1:], token)
	}
	if group, found := stored.Find(token); found {
		return group.Mass
	}
	return stored.Backoff * m.probability(context[1:], token)
}

// newContext makes a context of the weights; equal weights form one group.
func newContext(masses map[uint32]float64, backoff float64) *lookup.Context {
	var followers []lookup.Follower
	for token, mass := range masses {
		followers = append(followers, lookup.Follower{Token: token, Mass: mass, Log10: exactmath.Log10(mass)})
	}
	context, err := lookup.NewContext(backoff, exactmath.Log10(backoff), followers)
	if err != nil {
		panic(err)
	}
	return context
}

// drawToy draws a model of order 1 to 4 over a few words. Weights are small whole numbers, so that ties abound.
func drawToy(t *rapid.T) toy {
	order := rapid.IntRange(1, 4).Draw(t, "order")
	size := rapid.IntRange(2, 25).Draw(t, "words")
	model := toy{order: order, words: []string{"<unk>", "<s>", "</s>"}, contexts: map[string]*lookup.Context{}}
	for i := range size {
		model.words = append(model.words, fmt.Sprintf("w%02d", (i*7)%26))
	}
	weights := rapid.SliceOfN(rapid.IntRange(1, 4), len(model.words), len(model.words)).Draw(t, "unigrams")
	sum := 0
	for id, weight := range weights {
		if uint32(id) != lookup.Start {
			sum += weight
		}
	}
	masses := map[uint32]float64{}
	for id, weight := range weights {
		if uint32(id) != lookup.Start {
			masses[uint32(id)] = float64(weight) / float64(sum)
		}
	}
	unigrams, err := lookup.NewUnigrams(newContext(masses, 1), ranks(model.words))
	if err != nil {
		t.Fatal(err)
	}
	model.unigrams = unigrams
	for length := 1; length < order; length++ {
		for range rapid.IntRange(0, 12).Draw(t, "contexts") {
			context := drawContext(t, len(model.words), length)
			model.contexts[key(context)] = model.drawFollowers(t, context)
		}
	}
	return model
}

func drawContext(t *rapid.T, words, length int) []uint32 {
	context := make([]uint32, length)
	for i := range context {
		context[i] = uint32(rapid.IntRange(2, words-1).Draw(t, "token"))
	}
	if rapid.Bool().Draw(t, "starts") {
		context[0] = lookup.Start
	}
	return context
}

func (m toy) drawFollowers(t *rapid.T, context []uint32) *lookup.Context {
	followers := rapid.SliceOfNDistinct(rapid.IntRange(2, len(m.words)-1), 1, len(m.words)-2, rapid.ID[int]).Draw(t, "followers")
	explicit := rapid.Float64Range(0.3, 0.9).Draw(t, "explicit mass")
	masses, sum, below := map[uint32]float64{}, 0, 0.0
	weights := make([]int, len(followers))
	for i, follower := range followers {
		weights[i] = rapid.IntRange(1, 3).Draw(t, "weight")
		sum += weights[i]
		below += m.probability(context[1:], uint32(follower))
	}
	for i, follower := range followers {
		masses[uint32(follower)] = explicit * float64(weights[i]) / float64(sum)
	}
	return newContext(masses, (1-explicit)/(1-below))
}

func ranks(words []string) []uint32 {
	ids := make([]uint32, len(words))
	for i := range ids {
		ids[i] = uint32(i)
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		if words[a] < words[b] {
			return -1
		}
		return 1
	})
	rank := make([]uint32, len(words))
	for place, id := range ids {
		rank[id] = uint32(place)
	}
	return rank
}
