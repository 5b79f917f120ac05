package decoding

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

func (m toy) search(setup Setup) []Reply {
	b := NewBeam(setup)
	for contexts := b.Contexts(); len(contexts) > 0; contexts = b.Contexts() {
		chains := make([][]*lookup.Context, len(contexts))
		for i, context := range contexts {
			chains[i] = m.chain(context)
		}
		b.Step(chains)
	}
	return b.Ranked()
}

// exhaust returns the best score of all replies there are.
func (m toy) exhaust(setup Setup) float64 {
	b := NewBeam(setup)
	best, found := 0.0, false
	var follow func(taken []int, log10 float64)
	follow = func(taken []int, log10 float64) {
		for at := 0; ; at++ {
			g := NewGenerator(setup)
			var event Event
			sum := log10
			for i, one := range append(slices.Clone(taken), at) {
				chain := m.chain(g.Context())
				choice := g.distribution(chain)
				if one >= len(choice.Kept) {
					return
				}
				if i == len(taken) {
					sum = log10 + exactmath.Log10(choice.Probability(one))
				}
				event = g.take(chain, choice, one)
			}
			if event.Reason == Unfinished {
				follow(append(slices.Clone(taken), at), sum)
			} else if score := sum / b.divisor(g.Tokens()); !found || score > best {
				best, found = score, true
			}
		}
	}
	follow(nil, 0)
	return best
}

// A beam that is wide enough finds the best of all replies.
func TestWideBeamFindsTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = PlainParams()
			s.Params.BeamWidth, s.Params.TopK, s.Params.MaxTokens = MaxBeamWidth, 4, 3
			s.Params.MaxSentences = rapid.IntRange(0, 2).Draw(t, "sentences")
			s.Params.LengthPenalty = rapid.SampledFrom([]float64{0, 0.5, 1, 3}).Draw(t, "length")
			s.Params.Temperature = rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(t, "temperature")
		})
		if got, want := model.search(setup)[0].Score, model.exhaust(setup); got != want {
			t.Fatalf("the best score is %v, the beam found %v", want, got)
		}
	})
}

// Every reply of a beam is what a generator says that takes the same tokens: replies share nothing that one could change for
// another. No seed changes what is found, and the best comes first.
func TestBeamRepliesAreReplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		word := func() []uint32 { return []uint32{uint32(rapid.IntRange(3, len(model.words)-1).Draw(t, "word"))} }
		setup := model.setup(rapid.SampledFrom([]Breaks{BreakAlways, BreakLine, BreakSentence}).Draw(t, "breaks"), func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.BestOf, s.Params.BeamWidth = 1, rapid.IntRange(1, 5).Draw(t, "width")
			s.Params.MaxTokens, s.Params.MaxSentences = rapid.IntRange(4, 12).Draw(t, "tokens"), rapid.IntRange(0, 2).Draw(t, "sentences")
			s.Params.MaxBackoff = rapid.SampledFrom([]int{0, AllOrders}).Draw(t, "back-off")
			s.Params.FrequencyPenalty = rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "penalty")
			s.Params.MaxCopied = rapid.IntRange(0, 3).Draw(t, "copied")
			s.Params.Stop = rapid.SampledFrom([][]string{nil, {model.words[3] + " " + model.words[len(model.words)-1]}}).Draw(t, "stop")
			s.Cache = NewSessionCache([][]uint32{{3, 4}}, func(uint32) float64 { return 1e-5 }, func(uint32) bool { return true }, 0.12)
			if rapid.Bool().Draw(t, "steered") {
				s.Required = [][]uint32{word()}
				s.Sequences = []Sequence{{Tokens: append(word(), word()...), InsteadOf: word()}, {Tokens: word(), Strength: 1, Pattern: word()}}
			}
			s.Stages = rapid.SampledFrom([]int{0, 2}).Draw(t, "stages")
		})
		replies := model.search(setup)
		if len(replies) == 0 {
			t.Fatal("nothing was found")
		}
		for i, reply := range replies {
			if i > 0 && reply.Score > replies[i-1].Score {
				t.Fatalf("reply %d has the score %g, the one before %g", i, reply.Score, replies[i-1].Score)
			}
			model.repeat(t, setup, reply)
		}
		setup.Params.Seed = 99
		for i, reply := range model.search(setup) {
			if reply.Text != replies[i].Text || reply.Score != replies[i].Score {
				t.Fatalf("another seed found %q, not %q", reply.Text, replies[i].Text)
			}
		}
	})
}

// repeat has a generator take the tokens of a reply.
func (m toy) repeat(t *rapid.T, setup Setup, reply Reply) {
	g := NewGenerator(setup)
	for _, want := range reply.Events {
		chain := m.chain(g.Context())
		choice := g.distribution(chain)
		if choice.Total() == 0 {
			g.finish(Event{}, Stopped)
			break
		}
		at := slices.IndexFunc(choice.Kept, func(c Candidate) bool {
			if want.Chosen == nil || g.beginsUnwanted(c.Token) {
				return g.beginsUnwanted(c.Token)
			}
			return c.Token == want.Chosen.Token
		})
		if at < 0 {
			t.Fatalf("%+v is not among %+v", want.Chosen, choice.Kept)
		}
		got := g.take(chain, choice, at)
		if got.Text != want.Text || got.Reason != want.Reason || (got.Chosen == nil) != (want.Chosen == nil) {
			t.Fatalf("%q: %+v, alone %+v", reply.Text, want, got)
		}
		if got.Chosen != nil && (got.Chosen.Drawn != want.Chosen.Drawn || got.Chosen.Log10 != want.Chosen.Log10 || got.Chosen.Token != want.Chosen.Token ||
			!slices.EqualFunc(got.Chosen.Stages, want.Chosen.Stages, func(a, b Staged) bool { return a.Token == b.Token && slices.Equal(a.Probabilities, b.Probabilities) })) {
			t.Fatalf("%q: chosen %+v, alone %+v", reply.Text, want.Chosen, got.Chosen)
		}
	}
	if g.Text() != reply.Text || g.reason != reply.Reason || g.Tokens() != reply.Tokens {
		t.Fatalf("%q, %d tokens, reason %d; alone %q, %d tokens, reason %d", reply.Text, reply.Tokens, reply.Reason, g.Text(), g.Tokens(), g.reason)
	}
}

// The tokens that would begin a sentence too many end the reply once, with the probability of all of them: a and c here, each a
// third.
func TestBeamEndsOnce(t *testing.T) {
	model := countModel(t, []string{"go", ".", "a", "b", "/", "go", ".", "c", "d", "/", "go", ".", "/"}, 2)
	replies := model.search(model.setup(BreakLine, func(s *Setup) {
		s.Params = PlainParams()
		s.Params.BeamWidth, s.Params.TopK, s.Params.MaxBackoff = 4, 0, 0
	}))
	if want := exactmath.Log10(2./3) / 2; len(replies) != 1 || replies[0].Text != "go ." || math.Abs(replies[0].Score-want) > 1e-12 {
		t.Errorf("found %+v", replies[0])
	}
}
