package botfile_test

import (
	"os"
	"strings"
	"testing"

	"dbslm/services/concept"
	"dbslm/services/concept/botfile"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const small = `# A bot.
concepts:
  Hours:
    description: When it is open.
    schema: {hours: string, note: "string?"}
    values: {hours: "15:00–19:00"}
    cool_down: 3
    templates:
      - We are open {hours}.
      - {text: "Offen: {hours}, {note}", language: de, when: note, weight: 2.5, name: long, tags: [short, formal]}
    examples:
      - When are you open?
      - Wann habt ihr offen?
  ContextSummary:
    enabled: false
`

func TestRead(t *testing.T) {
	bot, problems := botfile.Read([]byte(small))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]concept.Template{
		{Concept: "Hours", Name: "default", Text: "We are open {hours}.", Weight: 1},
		{Concept: "Hours", Name: "long", Language: "de", Text: "Offen: {hours}, {note}", Weight: 2.5, Condition: "note", Tags: "formal short"},
	}, bot.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if len(bot.Concepts) != 2 || !bot.Concepts[0].Disabled || !bot.Concepts[0].BuiltIn || bot.Concepts[1].CoolDown != 3 || bot.Concepts[1].Static != `{"hours":"15:00–19:00"}` {
		t.Errorf("concepts: %+v", bot.Concepts)
	}
	if len(bot.Examples) != 2 {
		t.Errorf("examples: %v", bot.Examples)
	}
	asJSON, problems := botfile.Read([]byte(`{"concepts": {"A": {"templates": ["x"], "examples": ["say x"]}}}`))
	if len(problems) > 0 || len(asJSON.Templates) != 1 {
		t.Errorf("JSON was read as %+v with %v", asJSON, problems)
	}
}

// All that is wrong is told at once, with its line.
func TestProblems(t *testing.T) {
	text := `concepts:
  Hours:
    schema: {hours: string, kind: {}}
    colour: green
    templates:
      - Open {hours}
  9to5:
    templates: [x]
  Second:
    priority: soon
    templates:
      - {text: a, weight: 0}
      - {text: b, language: klingon-9}
      - {name: n, text: c}
      - {name: n, text: d}
    examples: ["..."]
  Whole:
    schema: {hours: string}
    templates: ["{minutes}"]
    examples: [when is it]
  Third:
    cool_down: 33
    templates: [{text: e, tags: [Formal, a]}]
`
	_, problems := botfile.Read([]byte(text))
	wantProblems(t, problems, map[int]string{
		4: `"colour" is not a key`, 7: "is not a name", 10: "whole number", 12: "weight 0", 13: "not a language", 15: "the other: line 14", 16: "holds no word", 19: "slot {minutes}", 21: "cools down for 33", 23: `"Formal" is not a tag`,
	})
	text = `concepts:
  Open:
    schema: {type: object, properties: {hours: {type: string}, size: {enum: [s, m]}}, additionalProperties: false}
    values: {bad: 1}
    templates: [x]
  Bad:
    schema: {type: nonsense}
    templates: [x]
  Shop:
    schema: {type: object, properties: {hours: {type: string}, size: {enum: [s, m]}}, additionalProperties: false}
    values: {hours: "9"}
    templates:
      - "{unknown}"
      - "{hours"
      - {text: a, when: size=xl}
      - {text: b, when: "!hours"}
      - {text: "{size}", when: "!size"}
      - {text: fine, when: size=m}
    examples: ["Which sizes are there?"]
  Mute:
    examples: [which SIZES are there]
`
	_, problems = botfile.Read([]byte(text))
	wantProblems(t, problems, map[int]string{
		2: "which the schema forbids", 6: "not valid JSON Schema", 13: "slot {unknown}", 14: "not closed", 15: "allows no value of size",
		16: "always has a value", 17: "says {size} where", 20: "has no template", 21: "and of Shop (line 19)",
	})
}

func wantProblems(t *testing.T, got []botfile.Problem, want map[int]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d problems instead of %d:\n%v", len(got), len(want), got)
	}
	for _, p := range got {
		if text, ok := want[p.Line]; !ok || !strings.Contains(p.Text, text) {
			t.Errorf("%v; want %q", p, text)
		}
	}
}

func TestRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 12 {
		from := string(rune('a' + i))
		bomb += string(rune('b'+i)) + ": &" + string(rune('b'+i)) + " [" + strings.Repeat("*"+from+",", 9) + "]\n"
	}
	for name, text := range map[string]string{
		"bomb": bomb, "empty": "", "list": "[1]", "scalar": "x", "two": "concepts: {}\n---\nconcepts: {}\n", "tabs": "concepts:\n\tA: x",
		"twice": "concepts: {}\nconcepts: {}\n", "not UTF-8": "concepts: {\xff: x}", "deep": strings.Repeat("[", 100000), "large": strings.Repeat("#", botfile.MaxBytes+1),
		"deep blocks": "concepts:\n  A:\n    schema: " + strings.Repeat("{a: ", 100) + "1" + strings.Repeat("}", 100),
		"indented":    strings.Repeat("- ", 20000) + "x",
		"null":        "null", "number": "concepts:\n  A: {values: {x: .inf}, templates: [y]}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, problems := botfile.Read([]byte(text)); !botfile.Wrong(problems) || len(problems) > botfile.MaxProblems {
				t.Errorf("got %v", problems)
			}
		})
	}
}

// What is written is read as the same bot, and written as the same bytes.
func TestWriteRead(t *testing.T) {
	check := func(t *rapid.T, bot botfile.Bot) {
		first, err := botfile.Write(bot)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := botfile.Read(first)
		if botfile.Wrong(problems) {
			t.Fatalf("%v in\n%s", problems, first)
		}
		if !botfile.Diff(bot, again, false).Empty() || !botfile.Diff(again, bot, false).Empty() {
			t.Fatalf("changed by writing and reading: %v\n%s", botfile.Diff(bot, again, false).Changes, first)
		}
		if second, err := botfile.Write(again); err != nil || string(second) != string(first) {
			t.Fatalf("%v; once:\n%s\ntwice:\n%s", err, first, second)
		}
	}
	text := rapid.StringMatching(`[ -z|~äß:#\n'"-]{1,30}`).Filter(func(s string) bool { return !strings.ContainsAny(s, "{}") })
	rapid.Check(t, func(t *rapid.T) {
		var bot botfile.Bot
		for i, n := 0, rapid.IntRange(0, 4).Draw(t, "concepts"); i < n; i++ {
			name := "C" + string(rune('a'+i))
			c := concept.Concept{
				Name: name, Description: text.Draw(t, "description"), Priority: rapid.Int32Range(-9, 9).Draw(t, "priority"),
				Disabled: rapid.Bool().Draw(t, "disabled"),
			}
			if rapid.Bool().Draw(t, "values") {
				c.Schema = `{"properties":{"s":{"type":"string"}},"required":["s"],"type":"object"}`
				c.Static = rapid.SampledFrom([]string{`{"s":"20"}`, `{"s":"true","t":[1,2.50,null,{"x":false}]}`, `{"s":"- a: b"}`}).Draw(t, "static")
			}
			bot.Concepts = append(bot.Concepts, c)
			bot.Templates = append(bot.Templates, concept.Template{
				Concept: name, Name: "n", Language: rapid.SampledFrom([]string{"", "pt-BR"}).Draw(t, "language"),
				Text: text.Draw(t, "text"), Weight: rapid.SampledFrom([]float64{1, 0.25, 1e5}).Draw(t, "weight"),
			})
			bot.Examples = append(bot.Examples, concept.Example{Concept: name, Utterance: "word " + name})
		}
		check(t, bot)
	})
}

func TestDiff(t *testing.T) {
	bot, _ := botfile.Read([]byte(small))
	wanted, problems := botfile.Read([]byte(`concepts:
  Hours:
    description: When it is open.
    schema: {hours: string, note: "string?"}
    values: {hours: "15:00–19:00"}
    templates: ["Open: {hours}."]
    examples: ["When are you open?", "May I come?"]
`))
	if botfile.Wrong(problems) {
		t.Fatal(problems)
	}
	for keep, want := range map[bool][]string{
		false: {"ContextSummary concept -", "Hours concept ~", "Hours template default ~", "Hours template de/long -", "Hours example +", "Hours example -"},
		true:  {"Hours concept ~", "Hours template default ~", "Hours template de/long -", "Hours example +", "Hours example -"},
	} {
		var got []string
		for _, c := range botfile.Diff(bot, wanted, keep).Changes {
			sign := "~"
			if c.Before == "" {
				sign = "+"
			} else if c.After == "" {
				sign = "-"
			}
			got = append(got, c.Concept+" "+c.What+" "+sign)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keep %v (-want +got):\n%s", keep, diff)
		}
	}
}

// The demo's file has nothing to complain about.
func TestDemo(t *testing.T) {
	text, err := os.ReadFile("../../../examples/sail-loft/bot.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := botfile.Read(text); len(problems) > 0 {
		t.Error(problems)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("concepts: {A: {templates: [x]}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		bot, problems := botfile.Read(text)
		if botfile.Wrong(problems) {
			return
		}
		written, err := botfile.Write(bot)
		if err != nil {
			t.Fatal(err)
		}
		again, problems := botfile.Read(written)
		if botfile.Wrong(problems) || !botfile.Diff(bot, again, false).Empty() {
			t.Fatalf("%q was written as %q: %v", text, written, problems)
		}
	})
}
