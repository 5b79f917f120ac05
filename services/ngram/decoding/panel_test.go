package decoding

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
)

func (m toy) runPanel(setup Setup) (int, []Event) {
	p := NewPanel(setup)
	for contexts := p.Contexts(); len(contexts) > 0; contexts = p.Contexts() {
		chains := make([][]*lookup.Context, len(contexts))
		for i, context := range contexts {
			chains[i] = m.chain(context)
		}
		p.Step(chains)
	}
	return p.Best()
}

func said(events []Event) (text string, tokens []uint32) {
	for _, event := range events {
		text += event.Text
		if event.Chosen != nil {
			tokens = append(tokens, event.Chosen.Token)
		}
	}
	return text, tokens
}

func TestPanel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		cached := uint32(rapid.IntRange(3, len(model.words)-1).Draw(t, "cached"))
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.MaxBackoff = AllOrders
			s.Params.Temperature = 1
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			s.Params.BestOf = rapid.IntRange(1, 9).Draw(t, "candidates")
			s.Params.SeamPenalty = 0 // what follows is about the cached word
			s.Cache = NewSessionCache([][]uint32{{cached}}, func(uint32) float64 { return 1e-3 }, func(uint32) bool { return true }, 0)
		})
		index, events := model.runPanel(setup)
		text, tokens := said(events)

		// Every reply of the panel is the reply that its own seed gives alone, and none is better.
		own := setup
		own.Params.BestOf = 1
		best := NewPanel(setup).cache.relevance(tokens)
		stopped := events[len(events)-1].Reason == Stopped
		for i := range setup.Params.BestOf {
			own.Params.Seed = setup.Params.Seed
			if i > 0 {
				own.Params.Seed = mix(setup.Params.Seed + uint64(i)*golden)
			}
			alone, reason, chosen := model.run(t, own)
			if i == index && alone != text {
				t.Fatalf("reply %d is %q in the panel and %q alone", i, text, alone)
			}
			holds := false
			for _, c := range chosen {
				holds = holds || c.Token == cached
			}
			if reason == Stopped && (!stopped || holds && best == 0 && len(chosen) > shortReply && len(chosen) < longReply) {
				t.Fatalf("reply %d, %q, was chosen over %d, %q", index, text, i, alone)
			}
		}
	})
}

// TestRanking recomputes what replies are ranked by from their tokens alone, as docs/decoding.md defines it.
func TestRanking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		word := rapid.Uint32Range(lookup.Specials, uint32(len(model.words)-1))
		words := rapid.SliceOfN(word, 0, 12)
		cached, earlier := word.Draw(t, "cached"), words.Draw(t, "earlier")
		preferred := rapid.SliceOfN(word, 0, 2).Draw(t, "preferred")
		setup := model.setup(BreakAlways, func(s *Setup) {
			penalty := rapid.Float64Range(0, 20)
			s.Params = DefaultParams()
			s.Params.MaxBackoff = AllOrders
			s.Params.Seed, s.Params.BestOf = rapid.Uint64().Draw(t, "seed"), rapid.IntRange(2, 9).Draw(t, "candidates")
			s.Params.ShortPenalty, s.Params.SeamPenalty, s.Params.EchoPenalty = penalty.Draw(t, "short"), penalty.Draw(t, "seam"), penalty.Draw(t, "echo")
			s.Cache = NewSessionCache([][]uint32{{cached}}, func(uint32) float64 { return 1e-3 }, func(uint32) bool { return true }, 0.1)
			s.Earlier = earlier
			if len(preferred) > 0 {
				s.Sequences = []Sequence{{Tokens: preferred, Strength: 1}}
			}
		})
		p := NewPanel(setup)
		for contexts := p.Contexts(); len(contexts) > 0; contexts = p.Contexts() {
			chains := make([][]*lookup.Context, len(contexts))
			for i, context := range contexts {
				chains[i] = model.chain(context)
			}
			p.Step(chains)
		}
		for _, reply := range p.Ranked() {
			_, tokens := said(reply.Events)
			missing, free, log10 := 0, 0, 0.0
			sentence := []uint32{lookup.Start}
			count := 0
			for i, token := range tokens {
				longest := 1 + min(model.order-1, len(sentence))
				found := 1
				for n := longest; n > 1 && found == 1; n-- {
					if context := model.contexts[key(sentence[len(sentence)-n+1:])]; context != nil {
						if _, ok := context.Find(token); ok {
							found = n
						}
					}
				}
				switch {
				case slices.Contains(preferred, token):
					free = model.order
				case free == 0:
					missing += longest - found
				}
				free = max(0, free-1)
				sentence = append(sentence, token)
				if token == lookup.End {
					sentence = []uint32{lookup.Start}
				} else {
					count++
				}
				log10 += reply.Events[i].Chosen.Log10
			}
			echo := 0
			for from := range tokens {
				for to := from + 1; to <= len(tokens); to++ {
					if to-from > echo && holds(earlier, tokens[from:to]) {
						echo = to - from
					}
				}
			}
			want := log10 / float64(max(1, len(tokens))) / 1000
			if slices.Contains(tokens, cached) {
				want += 3
			}
			want -= setup.Params.ShortPenalty*float64(max(0, 5-count)) + setup.Params.SeamPenalty*float64(missing) + setup.Params.EchoPenalty*float64(max(0, echo-3))
			want -= 0.05 * float64(max(0, len(tokens)-25))
			if reply.Reason == LengthReached || reply.Text == "" {
				want -= 100
			}
			if math.Abs(reply.Score-want) > 1e-9 {
				t.Fatalf("%v is ranked by %g, by its tokens %g (%d orders missing, an echo of %d)", tokens, reply.Score, want, missing, echo)
			}
		}
	})
}
