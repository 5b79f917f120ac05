package memory

import (
	"strings"
	"time"
)

// Fact is one structured fact told without a correction.
type Fact struct {
	Tenant    string
	ID        string
	RequestID string
	Place     // only the id of its scope is set
	Entity    string
	Attribute string
	Value     string
	Created   time.Time // grows from each fact of a scope to the next, like Correction.Created
	Retired   time.Time // zero while it holds
}

// Subject is what the fact is about, normalised: at most one fact per scope and subject holds.
func (f Fact) Subject() string { return subject(f.Entity, f.Attribute) }

// Complete checks a fact that is to be remembered. White space around and in runs within entity and attribute is not kept.
func (f Fact) Complete() (Fact, error) {
	f.Entity, f.Attribute = strings.Join(strings.Fields(f.Entity), " "), strings.Join(strings.Fields(f.Attribute), " ")
	f.Value = strings.TrimSpace(f.Value)
	for _, field := range []struct{ name, value, wanted string }{
		{"entity", subject(f.Entity, ""), "say in words what it is about"},
		{"attribute", subject("", f.Attribute), "say in words which property"},
		{"value", f.Value, "say the value"},
	} {
		if field.value == "" {
			return f, Invalid(field.name, "%s", field.wanted)
		}
	}
	if err := CheckName("entity", f.Entity); err != nil {
		return f, err
	}
	return f, CheckName("attribute", f.Attribute)
}

// SameRequest reports whether other asks for the same fact; who repeats a request id must.
func (f Fact) SameRequest(other Fact) bool {
	return f.Place.Key() == other.Place.Key() && f.Entity == other.Entity && f.Attribute == other.Attribute && f.Value == other.Value
}

// NarrowestFacts keeps of facts in order of scope, narrowest first, those whose subject no narrower one has.
func NarrowestFacts(facts []Fact) []Fact {
	seen := make(map[string]bool, len(facts))
	kept := facts[:0:0]
	for _, f := range facts {
		if s := f.Subject(); !seen[s] {
			seen[s] = true
			kept = append(kept, f)
		}
	}
	return kept
}
