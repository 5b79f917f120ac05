package decoding

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
)

// A distribution whose followers become explicit late is the one in which they all are from the beginning, bit for bit, whatever is done to it.
func TestLateFollowersChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		early, late := NewDistribution(model.unigrams), NewDistribution(model.unigrams)
		early.eager = true
		late.scans = rapid.Bool().Draw(t, "scans")
		for range 3 {
			context := drawContext(t, len(model.words), rapid.IntRange(1, model.order).Draw(t, "length"))[1:]
			chain := model.chain(context)
			indexed := make([]*lookup.Context, len(chain))
			for i, stored := range chain {
				if stored != nil {
					copied := *stored
					if rapid.Bool().Draw(t, "index") {
						copied.Index()
					}
					indexed[i] = &copied
				}
			}
			early.Base(chain)
			late.Base(indexed)
			token := rapid.Uint32Range(0, uint32(len(model.words)+1))
			for range rapid.IntRange(0, 6).Draw(t, "operations") {
				at, factor := token.Draw(t, "at"), rapid.Float64Range(0, 3).Draw(t, "factor")
				switch rapid.IntRange(0, 5).Draw(t, "operation") {
				case 0:
					early.Ban(at)
					late.Ban(at)
				case 1:
					early.Scale(at, factor)
					late.Scale(at, factor)
				case 2:
					early.Favour(at, factor)
					late.Favour(at, factor)
				case 3:
					history := [][]uint32{rapid.SliceOf(token).Draw(t, "history")}
					cache := NewSessionCache(history, func(token uint32) float64 { return min(model.unigrams.Mass(token), 1e-3) },
						func(uint32) bool { return true }, 0.3)
					early.Mix(cache)
					late.Mix(cache)
				case 4:
					if early.Weight(at) != late.Weight(at) || early.Matched(at) != late.Matched(at) {
						t.Fatalf("token %d: %g of order %d, late %g of order %d", at, early.Weight(at), early.Matched(at), late.Weight(at), late.Matched(at))
					}
				default:
					if early.longest() != late.longest() {
						t.Fatalf("longest %d, late %d", early.longest(), late.longest())
					}
				}
			}
			params := PlainParams()
			params.TopK = rapid.IntRange(0, 8).Draw(t, "top_k")
			params.TopP = rapid.Float64Range(0.1, 1).Draw(t, "top_p")
			params.MaxBackoff = rapid.SampledFrom([]int{0, 1, AllOrders}).Draw(t, "max_backoff")
			var a, b chooser
			want, got := early.describe(&a, params), late.describe(&b, params)
			if want != got {
				t.Fatalf("after %v:\n%s\nlate:\n%s", context, want, got)
			}
			if !slices.Equal(early.Top(5), late.Top(5)) {
				t.Fatalf("%v, late %v", early.Top(5), late.Top(5))
			}
		}
	})
}

func (d *Distribution) describe(c *chooser, params Params) string {
	choice := c.choose(d, params)
	return fmt.Sprintf("%+v %v", choice.Kept, choice.cumulative)
}
