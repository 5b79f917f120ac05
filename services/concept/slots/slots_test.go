package slots

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"

	"pgregory.net/rapid"
)

// monday is the day of the readings below.
var monday = time.Date(2026, 11, 23, 19, 30, 0, 0, time.UTC)

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		language string
		said     string
		want     string // "" for nothing
	}{
		{Date, "", "I want the ladder on Friday", "2026-11-27"},
		{Date, "", "tomorrow please", "2026-11-24"},
		{Date, "", "the day after tomorrow", "2026-11-25"},
		{Date, "", "Monday", "2026-11-30"}, // today is Monday
		{Date, "", "on 12 March", "2027-03-12"},
		{Date, "", "on March 12th", "2027-03-12"},
		{Date, "", "the 1st of December 2026, please", "2026-12-01"},
		{Date, "", "Dec 1", "2026-12-01"},
		{Date, "", "2026-12-24", "2026-12-24"},
		{Date, "", "on 12/3", "2026-12-03"},
		{Date, "en-GB", "on 12/3", "2027-03-12"},
		{Date, "", "on 24/12", "2026-12-24"},
		{Date, "", "in three days", "2026-11-26"},
		{Date, "", "in 2 weeks", "2026-12-07"},
		{Date, "", "in a week", "2026-11-30"},
		{Date, "", "on 29 February", "2028-02-29"},
		{Date, "", "on 30 February", ""},
		{Date, "", "I may come with 3 friends", ""},
		{Date, "", "it sat in the sun for 3.12 hours", ""},
		{Date, "", "2026-13-01", ""},
		{Date, "", "a set of 5, out of 12", ""},
		{Date, "it", "il 5 set.", "2027-09-05"},
		{Date, "", "a 3/4 inch bit", ""},
		{Date, "", "open 24/7?", ""},
		{Date, "", "for over 3 days", ""},
		{Date, "de", "ich bin hier", ""},
		{Date, "fr", "hier", "2026-11-22"},
		{Date, "de", "am Freitag", "2026-11-27"},
		{Date, "de", "Guten Morgen, ich brauche die Leiter", ""},
		{Date, "de", "Guten Morgen, ich brauche sie morgen", "2026-11-24"},
		{Date, "de", "übermorgen", "2026-11-25"},
		{Date, "de", "am 12. März", "2027-03-12"},
		{Date, "de", "am 3.12.", "2026-12-03"},
		{Date, "de", "am 3.12.2026", "2026-12-03"},
		{Date, "de", "am 3.12.27 bitte", "2027-12-03"},
		{Date, "de", "in zwei Wochen", "2026-12-07"},
		{Date, "de", "in einer Woche", "2026-11-30"},
		{Date, "pt", "na sexta-feira", "2026-11-27"},
		{Date, "pt", "na quinta", "2026-11-26"},
		{Date, "pt", "dia 5 de dezembro", "2026-12-05"},
		{Date, "pt", "depois de amanhã", "2026-11-25"},
		{Date, "pt", "daqui a 3 dias", "2026-11-26"},
		{Date, "es", "el 5 de enero de 2027", "2027-01-05"},
		{Date, "es", "por la mañana", ""},
		{Date, "es", "mañana", "2026-11-24"},
		{Date, "fr", "le 1er décembre", "2026-12-01"},
		{Date, "fr", "après-demain", "2026-11-25"},
		{Date, "fr", "aujourd’hui", "2026-11-23"},
		{Time, "", "at 3pm", "15:00"},
		{Time, "", "at 3:45 p.m.", "15:45"},
		{Time, "", "12 am", "00:00"},
		{Time, "", "at 17:05", "17:05"},
		{Time, "", "5 o'clock", "05:00"},
		{Time, "", "at noon", "12:00"},
		{Time, "", "13 pm", ""},
		{Time, "", "25:00", ""},
		{Time, "", "for 3 days", ""},
		{Time, "de", "um 15 Uhr", "15:00"},
		{Time, "de", "um 15.30 Uhr", "15:30"},
		{Time, "fr", "à 15h30", "15:30"},
		{Time, "pt", "ao meio-dia", "12:00"},
		{Number, "", "1,200.50 euros", "1200.50"},
		{Number, "", "-3.5", "-3.5"},
		{Number, "", "three", "3"},
		{Number, "de", "1.200,50", "1200.50"},
		{Number, "de", "1.200", "1200"},
		{Number, "de", "1.5", "1.5"},
		{Number, "", "007", "7"},
		{Number, "", "1,2,3", ""},
		{Number, "", "none", ""},
		{Integer, "", "2.5 or 3", "3"},
		{Integer, "de", "zwei Stück", "2"},
		{Integer, "", "one", "1"},
		{Integer, "", "that one", ""},
		{Email, "", "write to ada.l+x@example.org.", "ada.l+x@example.org"},
		{Email, "", "ada@home", ""},
		{URL, "", "see https://example.org/a?b=c.", "https://example.org/a?b=c"},
	} {
		set, err := New([]Slot{{Slot: "it", Kind: c.kind}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if found := set.Read(c.said, Reading{Now: monday, Language: c.language}); len(found) > 0 {
			got = fmt.Sprint(found[0].Value)
		}
		if got != c.want {
			t.Errorf("%s in %q (%q): %q, want %q", c.kind, c.said, c.language, got, c.want)
		}
	}
}

func TestReadTogether(t *testing.T) {
	set, err := New([]Slot{
		{Slot: "tool", Values: []Value{{"ladder", []string{"long ladder", "Leiter"}}, {"drill", []string{"power drill", "Bohrmaschine"}}}},
		{Slot: "from", Kind: Date},
		{Slot: "until", Kind: Date},
		{Slot: "at", Kind: Time},
		{Slot: "count", Kind: Integer, Earlier: true},
		{Slot: "member", Pattern: `(?i)\bmember (?:number )?(\d{4})\b`},
		{Slot: "wish", Kind: Text},
		{Slot: "sure", Kind: Boolean},
	})
	if err != nil {
		t.Fatal(err)
	}
	say := func(said string, r Reading) string {
		r.Now = monday
		var out []string
		for _, f := range set.Read(said, r) {
			out = append(out, fmt.Sprintf("%s=%v", f.Slot, f.Value))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		said string
		r    Reading
		want string
	}{
		{"two LONG  ladders? No, the long ladder, from Friday to Sunday at 3pm, member number 4711", Reading{}, "count=2 tool=ladder from=2026-11-27 until=2026-11-29 at=15:00 member=4711"},
		{"Sunday", Reading{Asked: "until"}, "until=2026-11-29"},
		{"Sunday", Reading{}, "from=2026-11-29"},
		{"eine Bohrmaschine", Reading{Language: "de"}, "tool=drill"},
		{"the drill, 3 of them, on Friday", Reading{Earlier: true}, "count=3"},
		{"a red one, if you have it.", Reading{Asked: "wish"}, "wish=a red one, if you have it"},
		{"the drill", Reading{Asked: "wish"}, "wish=the drill"},
		{"the 12th", Reading{Asked: "from"}, "from=2026-12-12"},
		{"the 30th", Reading{Asked: "from"}, "from=2026-11-30"},
		{"the 12th", Reading{Asked: "tool"}, "count=12"},
		{"the 32nd", Reading{Asked: "from"}, "count=32"},
		{"at 5, or 6", Reading{Asked: "at"}, "count=5"},
		{"on 30 February", Reading{Asked: "from"}, "count=30"},
		{"3 years ago", Reading{Asked: "from"}, "count=3"},
		{"in 5 minutes", Reading{Asked: "at"}, "count=5"},
		{"at 15 please", Reading{Asked: "at"}, "at=15:00"},
		{"einen", Reading{Asked: "count", Language: "de"}, "count=1"},
		{"on 3 March", Reading{Asked: "count"}, "from=2027-03-03"},
		{"member 2026-12-12", Reading{Asked: "member"}, "from=2026-12-12"},
		{"Yes, no problem", Reading{Asked: "sure"}, "sure=true"},
		{"nein, danke", Reading{Asked: "sure", Language: "de"}, "sure=false"},
		{"yes", Reading{}, ""},
		{"perhaps", Reading{Asked: "sure"}, ""},
		{"3", Reading{Fits: func(slot string, _ any) bool { return slot != "count" }}, ""},
	} {
		if got := say(c.said, c.r); got != c.want {
			t.Errorf("%q: %s, want %s", c.said, got, c.want)
		}
	}
	for said, want := range map[string]string{
		"the drill on Friday please":         "the   on   please",
		"the saw, the drill or the ladder":   "the saw, the   or the  ",
		"member 4711, ladder, drill, Friday": ",  ,  ,  ",
		"nothing of it":                      "nothing of it",
	} {
		if got := set.Rest(said, Reading{Now: monday, Asked: "wish"}); got != want {
			t.Errorf("the rest of %q is %q, want %q", said, got, want)
		}
	}
}

func TestBadSlots(t *testing.T) {
	for want, slots := range map[string][]Slot{
		"needs exactly one":         {{Slot: "a"}},
		"exactly one of kind":       {{Slot: "a", Kind: Date, Pattern: "x"}},
		"the kinds are":             {{Slot: "a", Kind: "colour"}},
		"given twice":               {{Slot: "a", Kind: Date}, {Slot: "a", Kind: Time}},
		"no RE2 expression: miss":   {{Slot: "a", Pattern: "("}},
		"matches an empty text":     {{Slot: "a", Pattern: "x*"}},
		"means both x and y":        {{Slot: "a", Values: []Value{{"x", nil}, {"y", []string{"X"}}}}},
		"twice":                     {{Slot: "a", Values: []Value{{"x", nil}, {"x", nil}}}},
		"holds no word":             {{Slot: "a", Values: []Value{{"!", nil}}}},
		"without blanks around":     {{Slot: "a", Values: []Value{{" x", nil}}}},
		"too large":                 {{Slot: "a", Pattern: "(x{500}){2}"}, {Slot: "b", Pattern: "x{900}y{900}"}},
		"at most 512 are allowed":   {{Slot: "a", Pattern: strings.Repeat("x", 600)}},
		"cannot be read from earl":  {{Slot: "a", Kind: Text, Earlier: true}},
		"33 slots are read":         make([]Slot, 33),
		"values and synonyms; at m": {{Slot: "a", Values: manyValues(2600)}, {Slot: "b", Values: manyValues(2600)}},
	} {
		_, err := New(slots)
		if err == nil || errors.KindOf(err) != errors.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func manyValues(n int) (values []Value) {
	for i := range n {
		values = append(values, Value{Value: fmt.Sprint("v", i)})
	}
	return values
}

// Whatever is said, values come from spans of the text that do not overlap, are what their kind says, and are the same each time.
func TestWhateverIsSaid(t *testing.T) {
	set, err := New([]Slot{
		{Slot: "tool", Values: []Value{{"ladder", []string{"the long one"}}, {"été", nil}}},
		{Slot: "day", Kind: Date},
		{Slot: "at", Kind: Time},
		{Slot: "n", Kind: Number},
		{Slot: "i", Kind: Integer},
		{Slot: "mail", Kind: Email},
		{Slot: "url", Kind: URL},
		{Slot: "code", Pattern: `[A-Z]{2}\d+`},
		{Slot: "all", Kind: Text},
		{Slot: "yes", Kind: Boolean},
	})
	if err != nil {
		t.Fatal(err)
	}
	piece := rapid.SampledFrom([]string{
		"ladder", "THE long  one", "e\u0301te\u0301", "Freitag", "12", "of", "March", "3pm", "15:30", "1.5", "-", "/", ".", "2026", "29", "February", "in", "two",
		"weeks", "1000", "years", "a@b.c", "http://x", "AB12", " ", " ", "\n", "😀", "\xff", "ß", "m\u0308", "9999-12-31", "0000-01-01", "\u200d", "1º", "d'", "am", "yes", "einen",
	})
	rapid.Check(t, func(t *rapid.T) {
		said := strings.Join(rapid.SliceOfN(rapid.OneOf(piece, rapid.String()), 0, 12).Draw(t, "pieces"), rapid.SampledFrom([]string{" ", ""}).Draw(t, "between"))
		r := Reading{
			Now:      time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "now"), 0),
			Language: rapid.SampledFrom([]string{"", "de", "en-GB", "xx"}).Draw(t, "language"),
			Asked:    rapid.SampledFrom([]string{"", "day", "at", "all", "n", "yes", "nothing"}).Draw(t, "asked"),
		}
		found := set.Read(said, r)
		if again := set.Read(said, r); fmt.Sprint(again) != fmt.Sprint(found) {
			t.Fatalf("%v, then %v", found, again)
		}
		end := 0
		for _, f := range found {
			if f.From < end || f.To <= f.From || f.To > len(said) {
				t.Fatalf("%q: span %d to %d after %d", said, f.From, f.To, end)
			}
			end = f.To
			ok := true
			switch f.Slot {
			case "tool":
				ok = f.Value == "ladder" || f.Value == "été"
			case "day":
				_, err := time.Parse(time.DateOnly, f.Value.(string))
				ok = err == nil
			case "at":
				_, err := time.Parse("15:04", f.Value.(string))
				ok = err == nil
			case "n", "i":
				ok = json.Valid([]byte(f.Value.(json.Number)))
			}
			if !ok {
				t.Fatalf("%q: %s is %v", said, f.Slot, f.Value)
			}
		}
		if rest := set.Rest(said, r); len(rest) > len(said) {
			t.Fatalf("%q has the rest %q", said, rest)
		}
	})
}

func FuzzRead(f *testing.F) {
	set, err := New([]Slot{
		{Slot: "tool", Values: []Value{{"ladder", []string{"the long one"}}}},
		{Slot: "day", Kind: Date},
		{Slot: "at", Kind: Time},
		{Slot: "n", Kind: Number},
		{Slot: "mail", Kind: Email},
		{Slot: "url", Kind: URL},
		{Slot: "code", Pattern: `[A-Z]{2}\d+`},
		{Slot: "all", Kind: Text},
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, said := range []string{"two ladders on 12 March at 3pm", "am 3.12.27, AB12", "a@b.co http://x/y", "29 Feb 1,200.50", "übermorgen um 15.30 Uhr"} {
		f.Add(said, "de", "day", int64(1795462200))
	}
	f.Fuzz(func(t *testing.T, said, language, asked string, now int64) {
		end := 0
		for _, found := range set.Read(said, Reading{Now: time.Unix(now%(1<<33), 0), Language: language, Asked: asked}) {
			if found.From < end || found.To <= found.From || found.To > len(said) {
				t.Fatalf("span %d to %d after %d of %d bytes", found.From, found.To, end, len(said))
			}
			end = found.To
			if _, err := json.Marshal(found.Value); err != nil {
				t.Fatal(err)
			}
		}
	})
}
