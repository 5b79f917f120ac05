package decoding

import (
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
