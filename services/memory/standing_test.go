package memory

import (
	"slices"
	"testing"
	"time"

	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// told is a correction of a conversation; the later in the alphabet the id, the newer.
func told(id, wrong, cue, value string) Correction {
	k, err := Correction{
		ID: id, Place: Place{Scope: ScopeConversation, ConversationID: "c"}, ErrorContext: wrong, Fact: CorrectedFact{Value: value}, Cue: cue,
		Created: time.Unix(int64(id[0]), 0),
	}.Complete()
	if err != nil {
		panic(err)
	}
	return k.Among(nil, "")
}

func factOf(id, entity, attribute, value string) Correction {
	k, err := Correction{
		ID: id, Place: Place{Scope: ScopeConversation, ConversationID: "c"}, Fact: CorrectedFact{Entity: entity, Attribute: attribute, Value: value},
		Created: time.Unix(int64(id[0]), 0),
	}.Complete()
	if err != nil {
		panic(err)
	}
	return k
}

func TestWrong(t *testing.T) {
	for _, c := range []struct{ context, cue, want string }{
		{"Sydney", "What is the capital of Australia?", "Sydney"},
		{"Sydney", "", "Sydney"},
		{"Rome", "Is Rome the capital of France?", "Rome"},
		{"der alte Turm am Hafen", "Wie hoch ist der alte Turm am Hafen?", ""},
		{"What is the capital of Australia?", "", ""},
		{"Tell me the capital of Australia", "Tell me the capital of Australia", ""},
		{"the capital of Australia is of course Sydney", "", ""},
	} {
		if got := told("a", c.context+" ", c.cue, "x").Wrong(); got != c.want {
			t.Errorf("%q after %q calls %q wrong", c.context, c.cue, got)
		}
	}
	if got := (Correction{ErrorContext: "[…]"}).Wrong(); got != "" {
		t.Errorf("what was taken out is called wrong: %q", got)
	}
}

func TestSameFact(t *testing.T) {
	const france, fashion = "What is the capital of France?", "Where was the house of fashion founded?"
	for name, c := range map[string]struct {
		a, b Correction
		want bool
	}{
		"one question in two forms":                     {told("a", "Rome", france, "Paris"), told("b", "Lyon", "Tell me France's capital, please.", "Marseille"), true},
		"a question and a fact":                         {told("a", "Rome", france, "Paris"), factOf("b", "France", "capital", "Lyon"), true},
		"a fact and the same in words":                  {factOf("a", "France", "capital", "Lyon"), told("b", "the capital of France", "", "Paris"), true},
		"one wrong value of two questions":              {told("a", "Rome", france, "Paris"), told("b", "Rome", fashion, "Milan"), false},
		"one wrong value, the question in fewer words":  {told("a", "Rome", france, "Paris"), told("b", "Rome", "And of France?", "Lyon"), true},
		"another wrong value, the question in fewer":    {told("a", "Rome", france, "Paris"), told("b", "Bern", "And of France?", "Lyon"), false},
		"the right value of one is the other's wrong":   {told("a", "Rome", france, "Lyon"), told("b", "Lyon", "And of France?", "Paris"), true},
		"the same of two questions":                     {told("a", "Berlin", france, "Rome"), told("b", "Rome", fashion, "Milan"), false},
		"two entities":                                  {factOf("a", "France", "capital", "Paris"), factOf("b", "Italy", "capital", "Rome"), false},
		"more words":                                    {factOf("a", "ticket", "price", "two"), told("b", "three", "What is the price of a child's ticket?", "one"), false},
		"one wrong value, of one no question is known":  {told("a", "Rome", france, "Paris"), told("b", "Rome", "", "Milan"), true},
		"two wrong values, of neither is it known":      {told("a", "Rome", "", "Paris"), told("b", "Bern", "", "Paris"), false},
		"a question without content, asked in one form": {told("a", "Bob", "Who are you?", "Ada"), told("b", "Eve", "who are you", "Oda"), true},
	} {
		if got := sameFact(c.a, c.b); got != c.want || sameFact(c.b, c.a) != got {
			t.Errorf("%s: %v, the other way round %v", name, got, sameFact(c.b, c.a))
		}
	}
}

func TestAmong(t *testing.T) {
	const question = "What is the capital of Australia?"
	first := told("a", "Sydney", question, "Melbourne").Among(nil, "Sydney.")
	second := told("b", "Melbourne", "Who sings?", "Canberra").Among([]Correction{first}, "Now it is Melbourne instead of Sydney. The fog sings.")
	if second.Cue != question || second.Subject == first.Subject || !sameFact(first, second) {
		t.Errorf("%q of %q amends %q", second.Subject, second.Cue, first.Subject)
	}
	third := told("c", "Canberra", question, "Perth").Among([]Correction{second, first}, "Canberra.")
	if !sameFact(first, third) || !sameFact(second, third) {
		t.Errorf("%q, %q and %q are no chain", first.Subject, second.Subject, third.Subject)
	}
	again := told("d", "sydney", "the capital of Australia, please", "Hobart").Among([]Correction{third, second, first}, "Sydney.")
	if again.Subject != first.Subject {
		t.Errorf("the same wrong value of the same question has subject %q, not %q", again.Subject, first.Subject)
	}
	elsewhere := told("e", "Melbourne", "Where does he live?", "Bonn").Among([]Correction{second, first}, "He lives in Melbourne.")
	if sameFact(first, elsewhere) || elsewhere.Cue != "Where does he live?" {
		t.Errorf("%q of %q amends another question's", elsewhere.Subject, elsewhere.Cue)
	}
	imported := told("f", "Melbourne", question, "Bonn")
	imported.Origin = "elsewhere"
	if k := imported.Among([]Correction{first}, ""); k.Subject != imported.Among(nil, "").Subject {
		t.Errorf("an imported correction amends: %q", k.Subject)
	}
}

// Of random corrections exactly one stands for each fact, the first by rank; none calls its own value wrong; what bears is kept.
func TestStand(t *testing.T) {
	cues := []string{"", "What is the capital of France?", "the capital of France?", "What is the capital of Italy?", "And Italy?", "Where was the house of fashion founded?"}
	towns := []string{"Rome", "Paris", "Milan", "Lyon"}
	places := []Place{{Scope: ScopeConversation, ConversationID: "c"}, {Scope: ScopeUser, UserID: "u"}, {Scope: ScopeModel, Model: "m"}}
	rapid.Check(t, func(t *rapid.T) {
		var all []Correction
		for i := range rapid.IntRange(1, 8).Draw(t, "corrections") {
			k := told(string(rune('a'+i)), rapid.SampledFrom(towns).Draw(t, "wrong"), rapid.SampledFrom(cues).Draw(t, "cue"), rapid.SampledFrom(towns).Draw(t, "value"))
			k.Place = rapid.SampledFrom(places).Draw(t, "place")
			k.Origin = rapid.SampledFrom([]string{"", "", "elsewhere"}).Draw(t, "origin")
			formers := slices.Clone(all)
			slices.Reverse(formers)
			all = append(all, k.Among(formers, ""))
		}
		text := matching.NewText(rapid.SampledFrom(append(cues, "Rome?", "Is Rome the capital?", "What is the weather in Rome?")).Draw(t, "text"))
		bears := Bearing(all, text, nil)
		recent := all[len(all)-rapid.IntRange(0, len(all)).Draw(t, "recent"):]
		standing, lately := Stand(bears, nil, recent, 50)
		var heads []Correction
		for _, s := range slices.Concat(standing, lately) {
			if !slices.ContainsFunc(heads, func(k Correction) bool { return k.ID == s.ID }) {
				heads = append(heads, s.Correction)
			}
			for _, wrong := range s.Wrong {
				if folding.Text(wrong) == folding.Text(s.Fact.Value) {
					t.Fatalf("%+v calls its own value wrong", s)
				}
			}
		}
		for i, a := range heads {
			for _, b := range heads[:i] {
				if sameFact(a, b) {
					t.Fatalf("two stand for one fact:\n%+v\n%+v", a, b)
				}
			}
		}
		for _, k := range slices.Concat(recent, corrections(bears)) {
			if !slices.ContainsFunc(heads, func(h Correction) bool { return h.ID == k.ID || byRank(h, k) < 0 }) {
				t.Fatalf("nothing stands for %+v", k)
			}
		}
		if (len(bears) > 0) != (len(standing) > 0) {
			t.Fatalf("%d bear and %d stand", len(bears), len(standing))
		}
		shuffled := rapid.Permutation(bears).Draw(t, "order")
		if again, _ := Stand(shuffled, nil, recent, 50); !cmp.Equal(standing, again) {
			t.Fatalf("in another order other corrections stand:\n%+v\n%+v", standing, again)
		}
	})
}

func corrections(matches []CorrectionMatch) (list []Correction) {
	for _, m := range matches {
		list = append(list, m.Correction)
	}
	return list
}
