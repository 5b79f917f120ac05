package memory

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTakeOut(t *testing.T) {
	gone := NewGone([]string{"Quokka", "xylophones", "don't", "?"})
	for in, want := range map[string]string{
		"The quokka sleeps.":                                  "[…]",
		"The boats wait. The QUOKKA sleeps! He wakes.":        "The boats wait. […] He wakes.",
		"The Quokka sleeps. Xylophones sing. He wakes.":       "[…] He wakes.",
		"Quokkas and a xylophone are other words? I think so": "Quokkas and a xylophone are other words? I think so",
		"We don’t know.":                                      "[…]",
		"He said: “quokka”.":                                  "[…]",
		"":                                                    "",
	} {
		if got := gone.TakeOut(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if gone.InBytes([]byte("\x0a\x06quokka\x12")) != true || gone.InBytes([]byte("\x0a\x61Quokkab")) != true || gone.InBytes([]byte("\xff a boat \xfe")) {
		t.Error("words in encoded bytes")
	}
}

// What is left of a correction quotes no word that is gone; whatever did not is left, and what cannot be looked for any more, or says
// nothing, has ended.
func TestCorrectionWithout(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"quokka", "Quokka's", "boat", "the", "harbour.", "Xylophone", "c++"}), 0, 5).Draw(t, label), " ")
		}
		k, err := Correction{ID: "k", Version: 1, ErrorContext: text("context"), Cue: text("cue"), Fact: CorrectedFact{Entity: text("entity"), Attribute: text("attribute"), Value: text("value")}}.Complete()
		if err != nil {
			return // says nothing that could be corrected
		}
		gone := NewGone([]string{"Quokka", "xylophone"})
		left, changed := k.Without(gone, now)
		fields := func(k Correction) []string {
			return []string{k.ErrorContext, k.Fact.Entity, k.Fact.Attribute, k.Fact.Value, k.Subject}
		}
		quoted := false
		for i, field := range fields(left) {
			if gone.In(field) {
				t.Fatalf("%q is left of %+v", field, k)
			}
			if before := fields(k)[i]; gone.In(before) {
				quoted = true
			} else if before != field {
				t.Fatalf("%q became %q", before, field)
			}
		}
		if changed != quoted || changed == (left.Version == 1) || left.Cue != k.Cue {
			t.Fatalf("%+v became %+v", k, left)
		}
		findable := len(left.Key().Terms()) > 0 && left.Fact.Value != removedMark
		if left.Active() != (findable || !changed) {
			t.Fatalf("%+v is active: %v", left, left.Active())
		}
		if again, changed := left.Without(gone, now); changed || again != left {
			t.Fatalf("once more: %+v", again)
		}
	})
}
