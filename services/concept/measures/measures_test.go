package measures_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"dbslm/services/concept/measures"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMeasureByHand(t *testing.T) {
	got := measures.Of([]measures.Judged{
		{Wanted: "A", Top: "A", Probability: 0.9, Said: "A"},
		{Wanted: "A", Top: "B", Probability: 0.6, Said: "B"},
		{Wanted: "A", Top: "A", Probability: 0.2},
		{Wanted: "B", Top: "B", Probability: 0.9, Weak: true},
		{Wanted: "", Top: "B", Probability: 0.5, Said: "B"},
		{Wanted: ""},
	})
	want := measures.Report{
		InScope: 4, OutOfScope: 2, Accuracy: 0.75, Followed: 0.25, Abstained: 0.5, Refused: 0.5,
		Concepts:   []measures.Concept{{Name: "A", Wanted: 3, Said: 1, Precision: 1, Recall: 1. / 3}, {Name: "B", Wanted: 1, Said: 2}},
		Confusions: []measures.Confused{{Wanted: "", Said: "B", Count: 1}, {Wanted: "A", Said: "B", Count: 1}},
	}
	if math.Abs(got.CalibrationError-(0.2+0.6+0.8)/4) > 1e-12 { // |1.8-2| + |0.6-0| + |0.2-1|
		t.Errorf("calibration error %v", got.CalibrationError)
	}
	if b := got.Calibration[13]; b.Count != 2 || b.Right != 1 || math.Abs(b.Probability-0.9) > 1e-12 {
		t.Errorf("bin of 0.9: %+v", b)
	}
	for threshold, p := range map[int]measures.Point{0: {Threshold: 0, Followed: 0.5, Refused: 0.5}, 35: {Threshold: 0.7, Followed: 0.25, Refused: 1}, 50: {Threshold: 1, Followed: 0, Refused: 1}} {
		if got.Thresholds[threshold] != p {
			t.Errorf("threshold %d/50: %+v, want %+v", threshold, got.Thresholds[threshold], p)
		}
	}
	got.CalibrationError, got.Calibration, got.Thresholds = 0, nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if empty := measures.Of(nil); math.IsNaN(empty.Accuracy + empty.Refused + empty.CalibrationError) {
		t.Errorf("of nothing: %+v", empty)
	}
}

// Whatever was decided, in whatever order: shares are shares, and counts add up.
func TestMeasureAddsUp(t *testing.T) {
	name := rapid.SampledFrom([]string{"", "A", "B", "C"})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.Custom(func(t *rapid.T) measures.Judged {
			j := measures.Judged{Wanted: name.Draw(t, "wanted"), Top: name.Draw(t, "top"), Weak: rapid.Bool().Draw(t, "weak")}
			if j.Top != "" {
				j.Probability = rapid.Float64Range(0, 1).Draw(t, "probability")
			}
			if j.Probability >= 0.36 && !j.Weak {
				j.Said = j.Top
			}
			return j
		})).Draw(t, "decisions")
		r := measures.Of(all)
		counted, said, wrong := 0, 0, 0
		for _, b := range r.Calibration {
			counted += b.Count
		}
		for _, c := range r.Concepts {
			said += c.Said - int(math.Round(c.Precision*float64(c.Said)))
		}
		for _, c := range r.Confusions {
			wrong += c.Count
		}
		if counted != r.InScope || r.InScope+r.OutOfScope != len(all) || said != wrong {
			t.Fatalf("%d in bins, %d answered wrongly by precision, %d confused: %+v", counted, said, wrong, r)
		}
		for _, share := range []float64{r.Accuracy, r.Followed, r.Abstained, r.Refused, r.CalibrationError} {
			if !(share >= 0 && share <= 1) {
				t.Fatalf("a share of %v: %+v", share, r)
			}
		}
		if r.Followed+r.Abstained > 1+1e-12 || r.Followed > r.Accuracy {
			t.Fatalf("%+v", r)
		}
		for i := 1; i < len(r.Thresholds); i++ {
			if r.Thresholds[i].Followed > r.Thresholds[i-1].Followed || r.Thresholds[i].Refused < r.Thresholds[i-1].Refused {
				t.Fatalf("a higher threshold follows more: %+v", r.Thresholds)
			}
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		again := measures.Of(all)
		if diff := cmp.Diff(r.Confusions, again.Confusions); diff != "" || again.Accuracy != r.Accuracy {
			t.Fatal(diff)
		}
	})
}
