package smoothing_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
)

// perplexity of the test text, out-of-vocabulary words included.
func perplexity(m *model, sentences [][]string) float64 {
	sum, tokens := 0.0, 0
	for _, s := range sentences {
		for _, token := range m.scoreSentence(s) {
			sum += token.Log10
			tokens++
		}
	}
	return math.Pow(10, -sum/float64(tokens))
}

// The perplexities that KenLM prints for orders 2 to 5 of the corpora in DBSLM_DATA_DIR, to 1e-4; and those of the other
// estimators and of pruned models, which are logged and must lie where such models lie.
func TestCorpora(t *testing.T) {
	for _, c := range goldentest.Corpora(t) {
		name := strings.TrimSuffix(filepath.Base(c.TrainFile), ".train.txt")
		t.Run(name, func(t *testing.T) {
			best := 0.0
			for order, want := range map[string]map[int]float64{
				"shakespeare": {2: 160.510, 3: 147.635, 4: 146.520, 5: 146.380},
				"warandpeace": {2: 211.709, 3: 180.672, 4: 177.080, 5: 176.506},
			}[name] {
				got := perplexity(train(t, order, c.Train, choice{}), c.Test)
				if math.Abs(got/want-1) > 1e-4 {
					t.Errorf("order %d: perplexity %.4f, KenLM says %.3f", order, got, want)
				}
				if order == 3 {
					best = got
				}
			}
			for _, s := range []ngram.Smoothing{ngram.JelinekMercer, ngram.WittenBell} {
				got := perplexity(train(t, 3, c.Train, choice{smoothing: s}), c.Test)
				t.Logf("order 3, %s: %.3f (%+.1f %%)", s, got, 100*(got/best-1))
				if got < best || got > 1.4*best {
					t.Errorf("order 3, %s: perplexity %.3f, Kneser-Ney has %.3f", s, got, best)
				}
			}
			last, all := best, int64(0)
			for _, pruning := range []ngram.Pruning{
				{Threshold: 1e-8}, {Threshold: 1e-7}, {Threshold: 3e-7}, {Threshold: 1e-6}, {Threshold: 3e-6}, {Cutoffs: []int64{0, 0, 1}}, {Cutoffs: []int64{0, 1}},
			} {
				m := train(t, 3, c.Train, choice{pruning: pruning})
				got, left := perplexity(m, c.Test), int64(0)
				for n := 1; n <= 3; n++ {
					for _, followers := range m.probs[n] {
						left += int64(len(followers))
					}
				}
				if all == 0 {
					all = left + sum(m.plan.Pruned)
				}
				what := fmt.Sprint("cutoffs ", pruning.Cutoffs)
				if pruning.Threshold > 0 {
					what = fmt.Sprintf("threshold %.0e", pruning.Threshold)
					if got < 0.99*last {
						t.Errorf("%s: perplexity %.3f, with more n-grams %.3f", what, got, last)
					}
					last = got
				}
				t.Logf("order 3, %s: %d of %d n-grams (%.1f %%), perplexity %.3f (%+.1f %%)", what, left, all, 100*float64(left)/float64(all), got, 100*(got/best-1))
			}
		})
	}
}
