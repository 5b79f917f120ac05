package memory

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"

	"dbslm/services/memory/folding"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*errors.Error](err)
	if !ok || e.Kind() != errors.InvalidArgument || len(e.Fields()) != 1 || e.Fields()[0].Path != field {
		t.Errorf("got %v, want field %s refused", err, field)
	}
}

func TestCorrectionIsCompleted(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      Correction
		subject string
		refused string
	}{
		{"by error context", Correction{ErrorContext: " The capital of FRANCE? ", Fact: CorrectedFact{Value: "Paris"}}, "the capital of france", ""},
		{"by entity and attribute", Correction{ErrorContext: "x", Fact: CorrectedFact{Entity: "France", Attribute: "Capital", Value: "Paris"}}, "france / capital", ""},
		{"by entity", Correction{Fact: CorrectedFact{Entity: "France", Value: "x"}}, "france /", ""},
		{"by attribute", Correction{Fact: CorrectedFact{Attribute: "it opens at nine", Value: "ten"}}, "/ it opens at nine", ""},
		{"an entity is no error context", Correction{ErrorContext: "France", Fact: CorrectedFact{Value: "x"}}, "france", ""},
		{"nothing wrong", Correction{Fact: CorrectedFact{Value: "x"}}, "", "error_context"},
		{"no word in it", Correction{ErrorContext: "?!…", Fact: CorrectedFact{Entity: " ", Value: "x"}}, "", "error_context"},
		{"nothing right", Correction{ErrorContext: "x"}, "", "fact.value"},
		{"blank value", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: " \n"}}, "", "fact.value"},
		{"a list as fact", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `["a"]`}}, "", "fact.extra_json"},
		{"a string as fact", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `"a"`}}, "", "fact.extra_json"},
		{"null as fact", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `null`}}, "", "fact.extra_json"},
		{"half an object", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `{"a":`}}, "", "fact.extra_json"},
		{"two objects", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `{} {}`}}, "", "fact.extra_json"},
		{"value twice", Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "x", Extra: `{"value":1}`}}, "", "fact.extra_json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.Complete()
			if c.refused != "" {
				wantInvalid(t, err, c.refused)
				return
			}
			if err != nil || got.Subject != c.subject {
				t.Errorf("subject %q, error %v; want %q", got.Subject, err, c.subject)
			}
		})
	}
}

func TestSubjectsAreNotConfused(t *testing.T) {
	text := rapid.StringMatching(`[A-C/ é]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) Correction {
			return Correction{
				ErrorContext: text.Draw(t, label+" context"),
				Fact:         CorrectedFact{Entity: text.Draw(t, label+" entity"), Attribute: text.Draw(t, label+" attribute"), Value: "v"},
			}
		}
		a, errA := draw("first").Complete()
		b, errB := draw("second").Complete()
		if errA != nil || errB != nil || a.Subject != b.Subject {
			return
		}
		named := func(c Correction) bool { return strings.Contains(c.Subject, "/") }
		if named(a) != named(b) {
			t.Fatalf("%+v and %+v have one subject", a, b)
		}
		if named(a) && (!strings.EqualFold(fields(a.Fact.Entity), fields(b.Fact.Entity)) || !strings.EqualFold(fields(a.Fact.Attribute), fields(b.Fact.Attribute))) {
			t.Fatalf("%+v and %+v have one subject", a, b)
		}
	})
}

// fields is what is left of a text of this test when it is folded.
func fields(s string) string {
	s = strings.NewReplacer("/", " ", "é", "e").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

func TestCorrectedFactRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		extra := ""
		if keys := rapid.MapOf(rapid.StringMatching(`[x-z<é"]{1,3}`), rapid.OneOf(rapid.Just[any](1.5), rapid.Just[any]([]any{"a", nil}), rapid.Just[any]("<b>"))).Draw(t, "keys"); len(keys) > 0 {
			raw, err := json.Marshal(keys)
			if err != nil {
				t.Fatal(err)
			}
			extra = string(raw)
		}
		f, err := CorrectedFact{Entity: rapid.String().Draw(t, "entity"), Attribute: rapid.String().Draw(t, "attribute"), Value: "v" + rapid.String().Draw(t, "value"), Extra: extra}.canonical()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := f.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCorrectedFact(stored)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Fatalf("through %s: %s", stored, diff)
		}
		if again, err := got.canonical(); err != nil || again != got {
			t.Fatalf("the canonical form of %+v is %+v, error %v", got, again, err)
		}
	})
}

func TestCorrectedFactJSON(t *testing.T) {
	stored, err := CorrectedFact{Entity: "R&D", Value: "<b>", Extra: `{"z":1e3,"a":"ü"}`}.JSON()
	if want := `{"a":"ü","entity":"R&D","value":"<b>","z":1e3}`; err != nil || stored != want {
		t.Errorf("got %s, error %v, want %s", stored, err, want)
	}
	for _, damaged := range []string{"[1]", "x", `{"value":3}`} {
		if _, err := ParseCorrectedFact(damaged); err == nil {
			t.Errorf("%s is read as a fact", damaged)
		}
	}
}

func FuzzExtraJSON(f *testing.F) {
	f.Add(`{"a":1}`)
	f.Add(`{"a":{"a":[]}} `)
	f.Add("{\"\xff\":1}")
	f.Fuzz(func(t *testing.T, extra string) {
		fact, err := CorrectedFact{Value: "v", Extra: extra}.canonical()
		if err != nil {
			if errors.KindOf(err) != errors.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		stored, err := fact.JSON()
		if err != nil || !json.Valid([]byte(stored)) {
			t.Fatalf("stored %s, error %v", stored, err)
		}
		if _, err := ParseCorrectedFact(stored); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFactIsCompleted(t *testing.T) {
	good := Fact{Entity: "  the  Loft ", Attribute: "opening\thours", Value: " 9 to 5\n"}
	f, err := good.Complete()
	if err != nil || f.Entity != "the Loft" || f.Attribute != "opening hours" || f.Value != "9 to 5" || f.Subject() != "the loft / opening hours" {
		t.Errorf("got %+v, subject %q, error %v", f, f.Subject(), err)
	}
	for field, change := range map[string]func(*Fact){
		"entity":    func(f *Fact) { f.Entity = "?" },
		"attribute": func(f *Fact) { f.Attribute = " " },
		"value":     func(f *Fact) { f.Value = " " },
	} {
		f := good
		change(&f)
		_, err := f.Complete()
		wantInvalid(t, err, field)
	}
	f = good
	f.Entity = "a\x01b"
	_, err = f.Complete()
	wantInvalid(t, err, "entity")
}

func TestNarrowestFacts(t *testing.T) {
	fact := func(scope Scope, entity, value string) Fact {
		return Fact{Place: Place{Scope: scope}, Entity: entity, Attribute: "a", Value: value}
	}
	var got []string
	for _, f := range NarrowestFacts([]Fact{fact(ScopeConversation, "X", "1"), fact(ScopeUser, "x!", "2"), fact(ScopeUser, "y", "3"), fact(ScopeModel, "y", "4")}) {
		got = append(got, f.Value)
	}
	if diff := cmp.Diff([]string{"1", "3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBiasIsCompleted(t *testing.T) {
	good := Bias{Sequence: "Paris", Context: Context{Pattern: "capital"}, Strength: -1.5, Expires: noon.Add(time.Second)}
	if _, err := good.Complete(noon); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		field  string
		change func(*Bias)
	}{
		{"bias.sequence", func(b *Bias) { b.Sequence = " " }},
		{"bias.sequence", func(b *Bias) { b.Sequence = strings.Repeat("x", 1025) }},
		{"bias.pattern", func(b *Bias) { b.Pattern = strings.Repeat("x", 4097) }},
		{"bias.pattern", func(b *Bias) { b.Pattern = "?!" }},
		{"bias.then", func(b *Bias) { b.Then = "?!" }},
		{"bias.then", func(b *Bias) { b.Then = strings.Repeat("x", 4097) }},
		{"bias.then", func(b *Bias) { b.Gap = 3 }},
		{"bias.then", func(b *Bias) { b.Pattern, b.Then = "", "x" }},
		{"bias.then", func(b *Bias) { b.Then, b.Regex = "x", true }},
		{"bias.gap", func(b *Bias) { b.Then, b.Gap = "x", 65 }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = "a(", true }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = `(a)\1`, true }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = "a*", true }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = "", true }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = "(a{30}){30}", true }},
		{"bias.pattern", func(b *Bias) { b.Pattern, b.Regex = strings.Repeat("x", 513), true }},
		{"bias.half_life", func(b *Bias) { b.HalfLife = time.Second }},
		{"bias.half_life", func(b *Bias) { b.HalfLife = -time.Hour }},
		{"bias.strength_log10", func(b *Bias) { b.Strength = 20.1 }},
		{"bias.strength_log10", func(b *Bias) { b.Strength = math.NaN() }},
		{"bias.strength_log10", func(b *Bias) { b.Strength = math.Inf(-1) }},
		{"bias.strength_log10", func(b *Bias) { b.Strength = 0 }},
		{"bias.expire_time", func(b *Bias) { b.Expires = noon }},
		{"bias.user_id", func(b *Bias) { b.UserID = strings.Repeat("x", 257) }},
		{"bias.model", func(b *Bias) { b.Model = strings.Repeat("x", 129) }},
	} {
		b := good
		c.change(&b)
		_, err := b.Complete(noon)
		wantInvalid(t, err, c.field)
	}
	if good.At(noon) != -1.5 || good.At(noon.Add(time.Second)) != 0 {
		t.Error("a bias applies until it has expired")
	}
	decaying := Bias{Strength: 2, HalfLife: time.Hour, Created: noon}
	for hours, want := range map[int]float64{-1: 2, 0: 2, 1: 1, 2: 0.5, 7: 2.0 / 128, 8: 0} {
		if got := decaying.At(noon.Add(time.Duration(hours) * time.Hour)); math.Abs(got-want) > 1e-12 {
			t.Errorf("after %d hours: %g, want %g", hours, got, want)
		}
	}
}

func saidOf(messages ...string) (s Said) {
	for _, m := range messages {
		s.Messages, s.Folded = append(s.Messages, m), append(s.Folded, folding.Text(m))
	}
	return s
}

func TestContextIsMet(t *testing.T) {
	said := saidOf("The capital of Australia is, I think, Sydney.", "It costs 50% more. capital capital x x capital y z Sydney")
	for _, c := range []struct {
		context Context
		want    bool
	}{
		{Context{}, true},
		{Context{Pattern: "CAPITAL of"}, true},
		{Context{Pattern: "capitals"}, false},
		{Context{Pattern: "Sydney it"}, false}, // over two messages
		{Context{Pattern: "capital", Then: "Sydney", Gap: 5}, true},
		{Context{Pattern: "australia", Then: "Sydney", Gap: 3}, true},
		{Context{Pattern: "australia", Then: "Sydney", Gap: 2}, false},
		{Context{Pattern: "capital", Then: "Sydney", Gap: 1}, false},
		{Context{Pattern: "capital", Then: "Sydney", Gap: 2}, true},
		{Context{Pattern: "Sydney", Then: "capital", Gap: 64}, false},
		{Context{Pattern: "of", Then: "Australia"}, true},
		{Context{Pattern: "australia", Then: "australia", Gap: 64}, false},
		{Context{Pattern: `\d+%`, Regex: true}, true},
		{Context{Pattern: `^The .*Sydney\.$`, Regex: true}, true},
		{Context{Pattern: `sydney`, Regex: true}, false},
		{Context{Pattern: `(?i)sydney`, Regex: true}, true},
		{Context{Pattern: `Sydney.*costs`, Regex: true}, false},
	} {
		if err := c.context.check(); err != nil {
			t.Errorf("%+v: %v", c.context, err)
		}
		if got := c.context.Met(said); got != c.want {
			t.Errorf("%+v is met: %v", c.context, got)
		}
	}
	far := saidOf("needle " + strings.Repeat("hay ", MaxRegexText))
	if (Context{Pattern: "needle", Regex: true}).Met(far) {
		t.Error("an expression was compared with more than the end of a message")
	}
}

// A gap is found exactly where comparing all pairs of words finds it.
func TestGapsAgainstWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12)
		text, first, second := words.Draw(t, "text"), rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 2).Draw(t, "first"), rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 2).Draw(t, "second")
		gap := rapid.IntRange(0, 4).Draw(t, "gap")
		at := func(phrase []string) (places []int) {
			for i := 0; i+len(phrase) <= len(text); i++ {
				if slices.Equal(text[i:i+len(phrase)], phrase) {
					places = append(places, i)
				}
			}
			return places
		}
		want := false
		for _, i := range at(first) {
			for _, j := range at(second) {
				between := j - i - len(first)
				want = want || between >= 0 && between <= gap
			}
		}
		c := Context{Pattern: strings.Join(first, " "), Then: strings.Join(second, " "), Gap: gap}
		if got := c.Met(saidOf(strings.Join(text, " "))); got != want {
			t.Fatalf("%v in %v: %v", c, text, got)
		}
	})
}

func TestTurn(t *testing.T) {
	open := Turn{State: TurnOpen, LeaseUntil: noon}
	if open.Expired(noon.Add(-time.Microsecond)) || !open.Expired(noon) {
		t.Error("a lease ends at its time")
	}
	for _, closed := range []Turn{open.Fail("", noon), open.Expire(noon), open.Commit("m", 2, noon)} {
		if closed.Expired(noon.Add(time.Hour)) || !closed.Closed.Equal(noon) || (closed.State == TurnFailed) != (closed.Failure != "") {
			t.Errorf("closed: %+v", closed)
		}
	}
	for asked, want := range map[time.Duration]time.Duration{0: DefaultLease, time.Second: time.Second, MaxLease: MaxLease} {
		if got, err := Lease(asked); got != want || err != nil {
			t.Errorf("Lease(%v) = %v, %v", asked, got, err)
		}
	}
	for _, asked := range []time.Duration{-1, MaxLease + 1} {
		_, err := Lease(asked)
		wantInvalid(t, err, "lease")
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"", "ada", "Ada Lovelace", "user@example.org", "李", "a'b\"c\\d%", "🙂"} {
		if err := CheckName("user_id", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{" ada", "ada ", "ada\u00a0", "a\nb", "\x7f", "a\u0085b", "\t"} {
		wantInvalid(t, CheckName("user_id", name), "user_id")
	}
}

func TestPlaces(t *testing.T) {
	places := []Place{
		{Scope: ScopeConversation, ConversationID: "x", UserID: "u", Model: "m"},
		{Scope: ScopeUser, ConversationID: "x", UserID: "x"},
		{Scope: ScopeModel, ConversationID: "x", Model: "x"},
		{Scope: ScopeUser, UserID: "c:x"},
	}
	seen := map[string]bool{}
	for i, p := range places {
		if seen[p.Key()] {
			t.Errorf("%+v shares its key %q", p, p.Key())
		}
		seen[p.Key()] = true
		if i > 0 && i < 3 && p.Scope.Rank() <= places[i-1].Scope.Rank() {
			t.Errorf("%s is not wider than %s", p.Scope, places[i-1].Scope)
		}
	}
	if ActiveKey(places[0], "s") == ActiveKey(places[1], "s") || ActiveKey(places[0], "s") == ActiveKey(places[0], "t") {
		t.Error("two subjects share an active key")
	}
}

func TestErrorsAreForPeople(t *testing.T) {
	for _, err := range []*errors.Error{
		Invalid("f", "%d bytes", 3), NotFound("conversation", "x"), ConversationIsArchived("x"),
		TurnIsOpen(Conversation{ID: "x", OpenTurnID: "t", OpenUntil: noon}, noon), TurnHasFailed(Turn{ID: "t", Failure: "f"}),
		TurnIsCommitted(Turn{ID: "t"}), RequestIDReused("r"), ChangedMeanwhile("turn", "t"), StoredValue(errors.New(errors.Internal, "X", "x"), "turn", "t"),
		CorrectionHasEnded(Correction{ID: "k"}), CorrectionHasEnded(Correction{ID: "k", SupersededBy: "j"}), OtherScope(Correction{}, Correction{}),
	} {
		if err.Reason() == "" || strings.Contains(err.Public(), "%!") || len(err.Public()) < 5 {
			t.Errorf("%s: %q", err.Reason(), err.Public())
		}
	}
	if got := NotFound("conversation", "x").Reason(); got != "CONVERSATION_NOT_FOUND" {
		t.Error(got)
	}
	if d := TurnIsOpen(Conversation{OpenUntil: noon.Add(time.Minute)}, noon).RetryDelay(); d != time.Minute {
		t.Errorf("retry after %v", d)
	}
}

func TestFurtherKeysNestOnlySoDeep(t *testing.T) {
	for deep, ok := range map[int]bool{1: true, 32: true, 33: false, 100: false, 20_000: false} {
		extra := strings.Repeat(`{"a\\\"[{":`, deep-1) + "{}" + strings.Repeat("}", deep-1)
		if deep > 1000 {
			extra = strings.Repeat(`[`, deep) // no object either
		}
		_, err := Correction{ErrorContext: "x", Fact: CorrectedFact{Value: "y", Extra: extra}}.Complete()
		if (err == nil) != ok || err != nil && errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%d levels: %v", deep, err)
		}
	}
}
