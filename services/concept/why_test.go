package concept_test

import (
	"testing"

	"dbslm/services/concept"
)

func TestAsksWhy(t *testing.T) {
	replies := []string{"The lighthouse is kept by Oda.", "Good morning!", "The market opens on “Sunday”, at the Café."}
	for _, c := range []struct {
		question string
		reply    int // -1 for no question why
		words    string
	}{
		{"Why did you say that?", 2, replies[2]},
		{"why did you say sunday", 2, "Sunday"},
		{"Why did you say \"Sunday\"?", 2, "Sunday"},
		{"Why did you say that the market opens on Sunday?", 2, "The market opens on “Sunday"},
		{"What makes you say at the cafe?", 2, "at the Café"},
		{"Why did you say good morning?", 1, "Good morning"},
		{"Why did you say it?", 2, replies[2]},
		{"Why did you tell me that?", 2, replies[2]},
		{"How come you said Oda", 0, "Oda"},
		{"Warum hast du das gesagt?", 2, replies[2]},
		{"Warum hast du Sunday gesagt?", 2, "Sunday"},
		{"Wieso sagst du das?", 2, replies[2]},
		{"Warum hast du angerufen?", -1, ""},
		{"Pourquoi as-tu dit ça ?", 2, replies[2]},
		{"¿Por qué has dicho eso?", 2, replies[2]},
		{"Por que você disse isso?", 2, replies[2]},
		{"Why did you say Monday?", -1, ""},
		{"Why does the market open on Sunday?", -1, ""},
		{"Tell me why did you say that", -1, ""},
		{"why", -1, ""},
		{"", -1, ""},
		{"Why did you say \x00 \xff?", 2, replies[2]},
	} {
		why, ok := concept.AsksWhy(c.question, replies)
		if ok != (c.reply >= 0) || ok && (why.Reply != c.reply || why.Words != c.words) {
			t.Errorf("%q: %+v, %v", c.question, why, ok)
		}
	}
	if _, ok := concept.AsksWhy("Why did you say that?", nil); ok {
		t.Error("nothing was said, and yet it is asked about")
	}
}
