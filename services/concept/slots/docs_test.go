package slots_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dbslm/services/concept/botfile"
	"dbslm/services/concept/slots"
)

// TestDocument reads the examples of docs/bots.md.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(document), "after the slot was asked for:\n\n")
	if !ok {
		t.Fatal("docs/bots.md has no examples")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	rows := strings.Split(table, "\n")[2:]
	if len(rows) < 15 {
		t.Errorf("only %d examples", len(rows))
	}
	types := map[string]string{"number": "number", "integer": "integer", "boolean": "boolean"}
	for _, row := range rows {
		cells := strings.Split(row, "|")
		for i, c := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(c), "`")
		}
		if len(cells) != 7 {
			t.Errorf("%q has not five cells", row)
			continue
		}
		name, how, _ := strings.Cut(cells[2], ": ")
		kind := types[how]
		if kind == "" {
			kind = "string"
		}
		bot, problems := botfile.Read([]byte("concepts:\n  C:\n    schema: {" + name + ": " + kind + "}\n    slots:\n      " + cells[2] + "\n    templates: [x]\n"))
		if len(problems) > 0 {
			t.Errorf("%q: %v", cells[2], problems)
			continue
		}
		set, err := slots.Parse(bot.Concepts[0].Slots)
		if err != nil {
			t.Fatal(err)
		}
		reading := slots.Reading{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Language: cells[1]}
		if cells[4] == "yes" {
			reading.Asked = name
		}
		got := "–"
		if found := set.Read(cells[3], reading); len(found) > 0 {
			got = fmt.Sprint(found[0].Value)
		}
		if got != cells[5] {
			t.Errorf("%s in %q is %q; the document says %q", cells[2], cells[3], got, cells[5])
		}
	}
	_, example, _ := strings.Cut(string(document), "and ask for those that it lacks:\n\n```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, problems := botfile.Read([]byte(example)); len(problems) > 0 || example == "" {
		t.Errorf("the example: %v", problems)
	}
}
