package template_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"dbslm/services/concept/template"
)

// TestDocument says the examples of docs/bots.md.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../../docs/bots.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(document), "These are run by a test:\n\n")
	if !ok {
		t.Fatal("docs/bots.md has no examples")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	rows := strings.Split(table, "\n")[2:]
	if len(rows) < 10 {
		t.Errorf("only %d examples", len(rows))
	}
	bare := strings.NewReplacer("\u00a0", " ", "\u202f", " ")
	for _, row := range rows {
		cells := strings.Split(strings.ReplaceAll(row, `\|`, "\x00"), "|")
		for i, c := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|")), "`")
		}
		if len(cells) != 6 {
			t.Errorf("%q has not four cells", row)
			continue
		}
		var payload map[string]any
		decoder := json.NewDecoder(strings.NewReader(cells[3]))
		decoder.UseNumber()
		if err := decoder.Decode(&payload); err != nil {
			t.Errorf("%q: %v", cells[3], err)
			continue
		}
		tm, err := template.Parse(cells[2], cells[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := tm.Render(payload); err != nil || bare.Replace(got) != cells[4] {
			t.Errorf("%q with %s says %q, %v; the document says %q", cells[2], cells[3], got, err, cells[4])
		}
	}
}
