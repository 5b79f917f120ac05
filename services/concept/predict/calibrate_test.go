package predict

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Many concepts of few examples each that share little but a word: scores of what was not seen lie close together, and
// without a scale the probability of what is right nearly always would be far from 1.
func TestFewExamplesAConceptAreCalibrated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	utterance := func(c int) [2]string {
		u := fmt.Sprintf("topic%02d", c)
		for range 5 {
			u += fmt.Sprintf(" filler%03d", random.IntN(400))
		}
		return [2]string{fmt.Sprintf("C%02d", c), u}
	}
	var train, held [][2]string
	for c := range 40 {
		for range 4 {
			train = append(train, utterance(c))
		}
		held = append(held, utterance(c))
	}
	judge := func(m *Model) (right, sure float64) {
		for _, e := range held {
			best := m.Predict(e[1])[0]
			sure += best.Probability / float64(len(held))
			if best.Concept == e[0] {
				right += 1 / float64(len(held))
			}
		}
		return right, sure
	}
	m := Train(train)
	plain := *m
	plain.scale = 1
	right, sure := judge(m)
	_, unsure := judge(&plain)
	t.Logf("scale %.2f: right %.3f, sure %.3f, without the scale %.3f", m.scale, right, sure, unsure)
	if m.scale <= 1 || right < 0.9 || right-sure > 0.5*(right-unsure) {
		t.Errorf("the scale %v does not bring the mean probability %v near the part that is right, %v (without it %v)", m.scale, sure, right, unsure)
	}
}

// A handful of examples must not make a bot sure.
func TestAHandfulDecidesLittle(t *testing.T) {
	m := Train([][2]string{{"A", "when are you open"}, {"A", "are you open now"}, {"B", "can I borrow a drill"}, {"B", "I want to borrow a saw"}})
	if m.scale > 1.5 {
		t.Errorf("scale %v", m.scale)
	}
}
