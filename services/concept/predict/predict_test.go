package predict_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"dbslm/services/concept/predict"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var shop = [][2]string{
	{"hours", "when are you open"},
	{"hours", "what are your opening hours"},
	{"hours", "are you open on sunday"},
	{"borrow", "can I borrow a drill"},
	{"borrow", "how do I borrow a tool"},
	{"borrow", "I would like to borrow the big saw"},
	{"price", "how much does a membership cost"},
	{"price", "what is the price of a membership"},
}

func TestPredictsAndAbstains(t *testing.T) {
	m := predict.Train(shop)
	for utterance, want := range map[string]string{
		"When are you open?":                     "hours",
		"opening hours":                          "hours",
		"May I borrow the drill?":                "borrow",
		"what does membership cost":              "price",
		"the cat sat on the mat":                 "",
		"Tell me about the ship in the storm":    "",
		"":                                       "",
		"你好":                                     "",
		"zebra quantum marmalade how much banjo": "",
	} {
		got := ""
		if c := m.Predict(utterance); len(c) > 0 && c[0].Probability >= predict.Threshold {
			got = c[0].Concept
		}
		if got != want {
			t.Errorf("%q: got %q, want %q (%+v)", utterance, got, want, m.Predict(utterance))
		}
	}
}

// A word without content speaks for a concept of which it is a whole example.
func TestWholeExamplesSpeak(t *testing.T) {
	m := predict.Train(append([][2]string{{"greet", "hello"}, {"greet", "good morning to you"}}, shop...))
	for utterance, weak := range map[string]bool{"Hello!": false, "you": true} {
		if c := m.Predict(utterance); len(c) == 0 || c[0].Weak != weak || !weak && (c[0].Concept != "greet" || c[0].Probability < predict.Threshold) {
			t.Errorf("%q: weak is wanted %v: %+v", utterance, weak, c)
		}
	}
}

func TestModelIsAFunctionOfTheSet(t *testing.T) {
	want := predict.Train(shop).Predict("how much is a drill")
	for range 20 {
		shuffled := append([][2]string(nil), shop...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := predict.Train(shuffled).Predict("how much is a drill"); !cmp.Equal(got, want) {
			t.Fatalf("order of examples matters: %v, %v", got, want)
		}
	}
}

func TestProbabilities(t *testing.T) {
	m := predict.Train(shop)
	rapid.Check(t, func(t *rapid.T) {
		utterance := rapid.StringMatching(`((open|borrow|drill|how|x|cost) ?){0,300}`).Draw(t, "utterance")
		sum := 0.0
		for i, c := range m.Predict(utterance) {
			if math.IsNaN(c.Probability) || c.Probability < 0 || c.Probability > 1 {
				t.Fatalf("%s has probability %v", c.Concept, c.Probability)
			}
			if got := m.Predict(utterance); i > 0 && got[i-1].Probability < c.Probability {
				t.Fatal("not sorted")
			}
			sum += c.Probability
		}
		if sum > 1+1e-9 {
			t.Fatalf("probabilities sum to %v", sum)
		}
	})
}

// The values pin the arithmetic: another processor must give the same bits.
func TestPinnedBits(t *testing.T) {
	m := predict.Train(shop)
	c := m.Predict("how much does it cost to borrow")[0]
	if got := math.Float64bits(c.Probability); got != pinned {
		t.Errorf("%s has probability %v (bits %#x), want bits %#x", c.Concept, c.Probability, got, uint64(pinned))
	}
}

const pinned = 0x3feac5c6721c7c0b

// Words without content are no evidence by themselves; together, as an example has them, they are.
func TestFunctionWordsAloneMeanNothing(t *testing.T) {
	m := predict.Train([][2]string{{"Where", "where were we"}, {"Hours", "when are you open"}})
	for utterance, want := range map[string]bool{"You were": false, "you": false, "were": false, "Where were we?": true, "open": true} {
		got := false
		for _, c := range m.Predict(utterance) {
			got = got || !c.Weak
		}
		if got != want {
			t.Errorf("%q: candidates %v, want a strong one: %v", utterance, m.Predict(utterance), want)
		}
	}
}

// A concept with one example, a bot with one concept, and a bot without any are all decided sensibly.
func TestFewExamples(t *testing.T) {
	if got := predict.Train(nil).Predict("anything"); len(got) > 0 {
		t.Errorf("no concepts: %v", got)
	}
	m := predict.Train([][2]string{{"Borrow", "can I borrow a drill"}})
	for utterance, want := range map[string]bool{"can I borrow the drill": true, "where is the harbour": false} {
		c := m.Predict(utterance)
		if got := len(c) > 0 && c[0].Probability >= predict.Threshold && !c[0].Weak; got != want {
			t.Errorf("%q: %v, want to follow it: %v", utterance, c, want)
		}
	}
}

// A long sentence about something else shares a few common words with any example. Among few concepts that makes the
// nearest probable, but not meant.
func TestLongSentencesAboutSomethingElseAreWeak(t *testing.T) {
	m := predict.Train([][2]string{{"Summary", "what have we talked about in our talk"}, {"Summary", "remind me what we did"}})
	for utterance, weak := range map[string]bool{
		"what did we talk about": false,
		"not only did his contemporaries, carried away by their passions, talk in this way, but posterity and history have acclaimed him as grand": true,
	} {
		if c := m.Predict(utterance); len(c) == 0 || c[0].Weak != weak {
			t.Errorf("%q: %+v, want weak %v", utterance, c, weak)
		}
	}
}
