package template_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dbslm/services/concept/template"

	"github.com/google/go-cmp/cmp"
)

func TestRender(t *testing.T) {
	payload := map[string]any{"a": "x", "n": 2.5, "list": []any{"p", 1.0}, "evil": "{a} {{ \x00\x1b[31m", "empty": " "}
	for text, want := range map[string]string{
		"plain":              "plain",
		"{a}, {a} and {n}":   "x, x and 2.5",
		"{{a}} costs {n} }}": "{a} costs 2.5 }",
		"{list}":             "p, 1",
		"{evil}":             "{a} {{ [31m",
	} {
		tm, err := template.Parse(text, "")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := tm.Render(payload); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	tm, err := template.Parse("{a} {missing} {empty}", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := tm.Missing(payload); !cmp.Equal(got, []string{"missing", "empty"}) {
		t.Errorf("missing: %q", got)
	}
	if _, err := tm.Render(payload); err == nil {
		t.Error("a missing value was rendered")
	}
	long, err := template.Parse(strings.Repeat("{a}", 200), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Render(map[string]any{"a": strings.Repeat("y", 1000)}); err == nil {
		t.Error("an output above the limit was rendered")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"{?a}x", "{?a}x{:}y", "{?a}x{:}y{:}z{/}", "x{/}", "x{:}y", "{?a b}x{/}", "{?a", "{a|}", "{a|nothing}", "{a|upper:1}", "{a|number:x}", "{a|number:12}",
		"{a|default}", "{a|default:' '}", "{a|default:'x}", "{a|plural:one='x'}", "{a|plural:few='x',other='y'}", "{a|plural:other='x',other='y'}",
		"{a|date:tiny}", "{a|list:nor}", "{a|join}", "{a|upper|upper|upper|upper|upper|upper|upper|upper|upper}", "{a|{b}}",
		strings.Repeat("{?}", 9) + "x" + strings.Repeat("{/}", 9), strings.Repeat("{?}", 5000),
		"", "{", "}", "{a", "a}", "{}", "{ a}", "{a.b}", "{__class__}", "{a[0]}", "{1a}", "{é}", "\xff", "a\x00",
		strings.Repeat("x", template.MaxText+1), strings.Repeat("{a}", 300),
	} {
		if _, err := template.Parse(text, ""); err == nil {
			t.Errorf("%.20q was accepted", text)
		}
	}
}

// TestFilters says values in languages.
func TestFilters(t *testing.T) {
	payload := map[string]any{
		"n": json.Number("1234.5"), "one": "1", "two": json.Number("2"), "five": json.Number("5"), "zero": "0", "share": 0.255, "name": "ada lovelace",
		"day": "2026-11-23", "at": "2026-11-23T15:04:05+01:00", "clock": "15:04", "list": []any{"saws", "drills", "ladders"}, "single": []any{"ivy"},
		"iberian": []any{"pan", "higos"}, "text": "no number", "blank": " ",
	}
	for _, test := range []struct{ language, text, want string }{
		{"", "{n|number} {n|number:0} {n|number:3}", "1,234.5 1,234 1,234.500"},
		{"de", "{n|number:2}", "1.234,50"},
		{"fr", "{share|percent:1}", "25,5 %"},
		{"en", "{share|percent}", "26%"},
		{"de", "{name|select:'ada lovelace'='die Gräfin',other='#'|capital}", "Die Gräfin"},
		{"de", "{name|select:ada='Ada',other='die # da'} {one|select:2='zwei'}", "die ada lovelace da 1"},
		{"", "{one|plural:one='# day',other='# days'}, {two|plural:one='# day',other='# days'}, {zero|plural:0='none',one='#',other='# days'}", "1 day, 2 days, none"},
		{"pl", "{one|plural:one='# dzień',few='# dni',many='# dni!',other='# dnia'} {two|plural:one='# dzień',few='# dni',many='# dni!',other='# dnia'} {five|plural:one='# dzień',few='# dni',many='# dni!',other='# dnia'}", "1 dzień 2 dni 5 dni!"},
		{"", "{one|ordinal:one='#st',two='#nd',few='#rd',other='#th'} {five|ordinal:one='#st',two='#nd',few='#rd',other='#th'}", "1st 5th"},
		{"", "{name|upper} {name|title} {name|capital}", "ADA LOVELACE Ada Lovelace Ada lovelace"},
		{"tr", "{single|join:''|upper}", "İVY"},
		{"", "{day|date} / {day|date:full} / {day|weekday}", "November 23, 2026 / Monday, November 23, 2026 / Monday"},
		{"en-GB", "{day|date}", "23 November 2026"},
		{"de", "{day|weekday}, {day|date}, {at|time}", "Montag, 23. November 2026, 15:04"},
		{"pt-BR", "{at|date:short} {clock|time}", "23/11/2026 15:04"},
		{"", "{list|list} {list|list:or} {single|list} {list|join:' / '} {list|count}", "saws, drills and ladders saws, drills or ladders ivy saws / drills / ladders 3"},
		{"de", "{list|list}", "saws, drills und ladders"},
		{"es", "{iberian|list}", "pan e higos"},
		{"", "{gone|default:'friend'} {name|default:friend|upper} {blank|default:\"it's\"} {text|number|default:'some'}", "friend ADA LOVELACE it's some"},
		{"", "Hi{?} {gone}{/}!", "Hi!"},
		{"", "Hi{?} {name|title}{:} there{/}!", "Hi Ada Lovelace!"},
		{"", "{?n>1000}many{?two=2}, two{/}{:}few{/} {?!name}nobody{:}{name}{/}", "many, two ada lovelace"},
		{"", "{?}{name}{?} and {gone}{/}{/}", "ada lovelace"},
		{"", "{{?a}} {{/}}", "{?a} {/}"},
	} {
		tm, err := template.Parse(test.text, test.language)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		got, err := tm.Render(payload)
		if got = strings.ReplaceAll(strings.ReplaceAll(got, "\u00a0", " "), "\u202f", " "); err != nil || got != test.want {
			t.Errorf("%s %q: got %q, %v; want %q", test.language, test.text, got, err, test.want)
		}
	}
	for text, slot := range map[string]string{"{text|number}": "text", "{name|date}": "name", "{clock|date}": "clock", "{day|time}": "day", "{?n}{gone}{/}": "gone", "{gone|upper}": "gone"} {
		tm, err := template.Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		if missing := tm.Missing(payload); !cmp.Equal(missing, []string{slot}) {
			t.Errorf("%q misses %q, want %q", text, missing, slot)
		}
	}
	for _, text := range []string{"{n|number}", "{n|plural:other='#'}", "{day|date}", "{list|list}"} {
		if _, err := template.Parse(text, "xx"); err == nil || !strings.Contains(err.Error(), "not known") {
			t.Errorf("%q in an unknown language: %v", text, err)
		}
	}
}

func TestConditions(t *testing.T) {
	payload := map[string]any{"city": "Paris", "empty": "", "n": json.Number("2.5"), "firm": "A & B"}
	for text, want := range map[string]bool{
		"": true, "city": true, "!city": false, "empty": false, "!empty": true, "none": false, "!none": true,
		"city=Paris": true, "city = Paris": true, "city=paris": false, "none=": false,
		"city!=Rome": true, "city!=Paris": false, "none!=Rome": false, "n>2": true, "n > 2.5": false, "n>=2.5": true, "n<3": true, "n<=2": false,
		"city>1": false, "none<1": false, "city & n>2": true, "city & !n": false, "city='Paris' & !none": true, `firm="A & B"`: true, "firm='A'": false,
	} {
		c, err := template.ParseCondition(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if c.Holds(payload) != want {
			t.Errorf("%q: got %v, want %v", text, !want, want)
		}
	}
	for _, text := range []string{"a b", "!", "=x", "a.b", "__import__('os')", "n<x", "n<", "a &", "& a", "a='b", strings.Repeat("a&", 20) + "a"} {
		if _, err := template.ParseCondition(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"{a} b {{c}}", "}{", "{a}{a}{b}", "{{{a}}}", "{?}{a|upper}{:}no{/}", "{?a>1 & !b}{a|plural:one='#',other='# x'}{/}", "{a|date:long|default:\"x\"}",
	} {
		f.Add(seed, "value")
		f.Add(seed, "2026-11-23")
		f.Add(seed, "{a} 12")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tm, err := template.Parse(text, "")
		if err != nil {
			return
		}
		payload := map[string]any{}
		for _, slot := range tm.Slots() {
			payload[slot] = value
		}
		out, err := tm.Render(payload)
		if missing := tm.Missing(payload); len(missing) > 0 && err == nil {
			t.Fatalf("%q said %q without %q", text, out, missing)
		}
		if len(out) > template.MaxOutput {
			t.Fatalf("%d bytes", len(out))
		}
		// Where nothing but places and text is, a value comes out as it went in: it is never read as a template.
		plain := !strings.ContainsAny(text, "|?") && len(tm.Slots()) > 0
		odd := slices.ContainsFunc([]rune(value), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
		if err == nil && plain && !odd && !strings.Contains(out, value) {
			t.Fatalf("%q with %q gave %q", text, value, out)
		}
	})
}
