package template_test

import (
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
		tm, err := template.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := tm.Render(payload); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	tm, err := template.Parse("{a} {missing} {empty}")
	if err != nil {
		t.Fatal(err)
	}
	if got := tm.Missing(payload); !cmp.Equal(got, []string{"missing", "empty"}) {
		t.Errorf("missing: %q", got)
	}
	if _, err := tm.Render(payload); err == nil {
		t.Error("a missing value was rendered")
	}
	long, err := template.Parse(strings.Repeat("{a}", 200))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Render(map[string]any{"a": strings.Repeat("y", 1000)}); err == nil {
		t.Error("an output above the limit was rendered")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{", "}", "{a", "a}", "{}", "{ a}", "{a.b}", "{__class__}", "{a[0]}", "{1a}", "{é}", "\xff", "a\x00",
		strings.Repeat("x", template.MaxText+1), strings.Repeat("{a}", 300),
	} {
		if _, err := template.Parse(text); err == nil {
			t.Errorf("%.20q was accepted", text)
		}
	}
}

func TestConditions(t *testing.T) {
	payload := map[string]any{"city": "Paris", "empty": ""}
	for text, want := range map[string]bool{
		"": true, "city": true, "!city": false, "empty": false, "!empty": true, "none": false, "!none": true,
		"city=Paris": true, "city = Paris": true, "city=paris": false, "none=": false,
	} {
		c, err := template.ParseCondition(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if c.Holds(payload) != want {
			t.Errorf("%q: got %v, want %v", text, !want, want)
		}
	}
	for _, text := range []string{"a b", "!", "=x", "a.b", "__import__('os')"} {
		if _, err := template.ParseCondition(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{a} b {{c}}", "}{", "{a}{a}{b}", "{{{a}}}"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tm, err := template.Parse(text)
		if err != nil {
			return
		}
		payload := map[string]any{}
		for _, slot := range tm.Slots() {
			payload[slot] = value
		}
		out, err := tm.Render(payload)
		if err == nil && len(tm.Slots()) > 0 && strings.Count(out, value) == 0 && !slices.ContainsFunc([]rune(value), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			t.Fatalf("%q with %q gave %q", text, value, out)
		}
	})
}
