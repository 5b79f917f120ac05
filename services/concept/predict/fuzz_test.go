package predict_test

import (
	"math"
	"testing"

	"dbslm/services/concept/predict"
)

// Whatever is said, the probabilities of a judgement are probabilities and its scores are the sums that it tells.
func FuzzExplain(f *testing.F) {
	m := predict.Train([][2]string{
		{"Hours", "when are you open"}, {"Hours", "what are your opening hours"}, {"Price", "how much is a ticket"}, {"Price", "what does it cost"}, {"Bye", "goodbye"},
	})
	for _, said := range []string{"", "when", "What does it COST?", "\xff\x00", "ééé 😀 don't", "open open open how much"} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		j := m.Explain(said, 1000)
		sum := j.Background
		for _, c := range j.Candidates {
			sum += c.Probability
			score := c.Base
			for _, e := range c.Evidence {
				score += e.Weight
			}
			if c.Found > 0 && math.Abs(score-c.Score) > 1e-6 {
				t.Fatalf("%q: %s scores %v, and its evidence %v", said, c.Concept, c.Score, score)
			}
		}
		if !(sum > 0 && sum < 1+1e-9) {
			t.Fatalf("%q: probabilities sum to %v", said, sum)
		}
	})
}
