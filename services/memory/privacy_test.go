package memory

import "testing"

// What a person recorded with a question that is nobody's goes with the person; what others asked stays.
func TestWithoutPerson(t *testing.T) {
	fact := CorrectedFact{Entity: "Lemuria", Attribute: "capital", Value: "Ys", Extra: `{"a":1}`}
	for askedBy, cue := range map[string]string{"": "", "ada": "", "ben": "asked"} {
		k, rest := Correction{ErrorContext: "said", Fact: fact, Subject: "x", Cue: "asked", AskedBy: askedBy, RecordedBy: "ada", RevokeReason: "said"}.WithoutPerson("ada")
		if !rest || k.ErrorContext+k.RecordedBy+k.RevokeReason+k.Fact.Extra != "" || k.Cue != cue || k.Subject != "lemuria / capital" || k.Fact.Value != "Ys" {
			t.Errorf("asked by %q: %v, %+v", askedBy, rest, k)
		}
	}
	if k, rest := (Correction{ErrorContext: "said", Fact: CorrectedFact{Value: "Ys"}, RecordedBy: "ada"}).WithoutPerson("ada"); rest {
		t.Errorf("a value of nothing stays: %+v", k)
	}
}
