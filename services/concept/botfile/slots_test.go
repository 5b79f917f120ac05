package botfile_test

import (
	"strings"
	"testing"

	"dbslm/services/concept/botfile"
	"dbslm/services/concept/slots"

	"github.com/google/go-cmp/cmp"
)

const borrowing = `concepts:
  Borrow:
    schema: {tool: string, day: string, count: "integer?", member: string, note: "string?"}
    slots:
      tool:
        values: {ladder: [long ladder, Leiter], drill: Bohrmaschine, saw: }
      day: {kind: date, earlier: true}
      count: integer
      member: {pattern: '(?i)\bmember (\d{4})\b'}
      note: {values: [urgent, "8"]}
    templates:
      - "The {tool} is yours on {day|date}."
      - {asks: tool, text: "Which tool?"}
      - {asks: tool, text: "Welches Werkzeug?", language: de}
      - {asks: tool, text: "What would you like?"}
      - {asks: day, text: "When do you need the {tool}?", name: when, when: "tool&!day"}
`

func TestReadSlots(t *testing.T) {
	bot, problems := botfile.Read([]byte(borrowing))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	list, err := slots.Stored(bot.Concepts[0].Slots)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]slots.Slot{
		{Slot: "tool", Values: []slots.Value{{Value: "ladder", Synonyms: []string{"long ladder", "Leiter"}}, {Value: "drill", Synonyms: []string{"Bohrmaschine"}}, {Value: "saw"}}},
		{Slot: "day", Kind: slots.Date, Earlier: true},
		{Slot: "count", Kind: slots.Integer},
		{Slot: "member", Pattern: `(?i)\bmember (\d{4})\b`},
		{Slot: "note", Values: []slots.Value{{Value: "urgent"}, {Value: "8"}}},
	}, list); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
	var names []string
	for _, template := range bot.Templates {
		names = append(names, template.Language+"/"+template.Name+" "+template.Asks)
	}
	if got := strings.Join(names, ", "); got != "/ask_tool tool, /ask_tool2 tool, /default , /when day, de/ask_tool tool" {
		t.Errorf("templates: %s", got)
	}
	written, err := botfile.Write(bot)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := botfile.Read(written)
	if len(problems) > 0 || !cmp.Equal(bot, again) {
		t.Errorf("%v; read again: %s\nof:\n%s", problems, cmp.Diff(bot, again), written)
	}
	if !strings.Contains(string(written), "count: integer\n") {
		t.Errorf("a kind is not written short:\n%s", written)
	}
}

// A change of how a slot is read, of its order or of what a template asks for is a difference.
func TestDiffSlots(t *testing.T) {
	bot, _ := botfile.Read([]byte(borrowing))
	for _, change := range [][2]string{
		{"drill: Bohrmaschine", "drill: [Bohrer]"},
		{"saw: }", "}"},
		{"earlier: true", "earlier: false"},
		{"count: integer", "count: number"},
		{`\d{4}`, `\d{5}`},
		{"      count: integer\n", ""},
		{`[urgent, "8"]`, `["8", urgent]`},
		{"[long ladder, Leiter]", `["long ladder, Leiter"]`},
		{"{asks: tool, text: \"Which", "{asks: member, text: \"Which"},
	} {
		text := strings.Replace(borrowing, change[0], change[1], 1)
		text = strings.Replace(text, `count: "integer?"`, `count: "number?"`, 1)
		other, problems := botfile.Read([]byte(text))
		if len(problems) > 0 {
			t.Errorf("%q: %v", change[1], problems)
			continue
		}
		other.Concepts[0].Schema = bot.Concepts[0].Schema
		if plan := botfile.Diff(bot, other, false); plan.Empty() {
			t.Errorf("%q instead of %q is no difference", change[1], change[0])
		}
	}
}

func TestProblemsOfSlots(t *testing.T) {
	_, problems := botfile.Read([]byte(`concepts:
  A:
    schema: {tool: string, day: string, n: integer}
    slots:
      tool: {values: {ladder: [Leiter], drill: [LEITER]}}
      day: tomorrow
      n: {kind: integer, pattern: x}
      other: {pattern: "(x"}
      more: {}
      empty: {pattern: "x*"}
      wrong: {colour: red}
      list: [date]
      deep: {values: {a: {b: c}}}
      same: {values: [x, x]}
  B:
    slots: [tool]
    templates: [x]
`))
	wantProblems(t, problems, map[int]string{
		5: "means both ladder and drill", 6: "the kinds are: date, time", 7: "exactly one of kind, pattern and values", 8: "no RE2 expression",
		9: "exactly one of", 10: "matches an empty text", 11: `"colour" is not a key of slot wrong; its keys are: earlier, kind, pattern, values`,
		12: "slot list must be written as keys with values", 13: "must be a list", 14: "twice", 16: "slots must be written as names with how they are read",
	})
	_, problems = botfile.Read([]byte(`concepts:
  A:
    schema: {type: object, properties: {tool: {enum: [ladder]}, n: {type: integer}, day: {type: [string, "null"]}, stats: {type: string}, fixed: {type: string}}}
    values: {fixed: x}
    slots:
      tool: [x]
      nothing: date
`))
	wantProblems(t, problems, map[int]string{6: "slot tool must be written as keys with values"})
	_, problems = botfile.Read([]byte(`concepts:
  A:
    schema: {type: object, properties: {tool: {enum: [ladder]}, n: {type: integer}, day: {type: [string, "null"]}, stats: {type: string}, fixed: {type: string}}}
    values: {fixed: x}
    slots:
      tool: {values: [ladder, drill]}
      nothing: date
      n: date
      day: date
      stats: number
      fixed: text
    templates:
      - "{tool}"
      - {asks: n, text: "How many?"}
      - {asks: colour, text: "Which colour?"}
      - {asks: day, text: "So {day}?"}
      - {asks: day, text: "So?", when: "day!=2026-01-01"}
      - {asks: fixed, text: "Which?"}
  B:
    templates:
      - {asks: day, text: "When?"}
  C:
    schema: {day: string}
    slots: {day: date}
    templates:
      - {asks: day, text: "When?"}
  ContextSummary:
    slots: {stats: date}
`))
	wantProblems(t, problems, map[int]string{
		6: `may not have the value "drill"`, 7: "not in the schema", 8: "is integer by the schema, and what is read for it is string",
		10: "filled by the service itself", 15: "it reads: tool, nothing, n, day", 16: "can only speak where that has a value", 17: "can only speak where that has a value",
		18: "always has a value", 19: "has no template that says it", 21: "B reads no slot", 22: "has no template that says it", 27: "is built in",
	})
}
