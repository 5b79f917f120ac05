package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestConcepts(t *testing.T) {
	inNewDir(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const bot = "concepts:\n  Hours:\n    schema: {hours: string}\n    values: {hours: 9 to 5}\n    templates: [\"We are open {hours}.\"]\n    examples: [opening hours please]\n"
	write("bot.yaml", bot)
	write("bad.yaml", strings.ReplaceAll(bot, "{hours}.", "{days}.")+"  Mute:\n    examples: [Opening hours please!]\n")
	holds := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("no %q in:\n%s", w, got)
			}
		}
	}
	r := invoke(t, "concepts", "apply", "bot.yaml", "--db", "s")
	holds(r.out, "Hours\n  concept\n", "    + We are open {hours}.\n", "3 changes made; the bot has version 1\n")
	// All problems at once, each with its place; nothing is changed.
	r = invoke(t, "concepts", "apply", "bad.yaml", "--db", "s")
	if r.code != exitUsage || r.out != "" {
		t.Errorf("exit code %d, output %q", r.code, r.out)
	}
	holds(r.err, "bad.yaml:5:17: Hours, template \"default\": slot {days}", "bad.yaml:7:3: Mute has no template", "bad.yaml:8:16: ", "bad.yaml has 3 problems; nothing was changed")

	exported := succeed(t, "concepts", "export", "--db", "s")
	write("again.yaml", exported)
	holds(succeed(t, "concepts", "apply", "again.yaml", "--db", "s"), "nothing to change")
	write("other.yaml", strings.Replace(exported, "9 to 5", "8 to 4", 1))
	holds(succeed(t, "concepts", "apply", "other.yaml", "--dry-run", "--db", "s"), `    - values: {"hours":"9 to 5"}`, `    + values: {"hours":"8 to 4"}`, "1 change would be made")
	var report applyReport
	if err := json.Unmarshal([]byte(succeed(t, "concepts", "apply", "other.yaml", "--json", "--db", "s")), &report); err != nil || !report.Applied || report.Version != 2 || len(report.Changes) != 1 {
		t.Errorf("%v: %+v", err, report)
	}
	holds(succeed(t, "concepts", "show", "Hours", "--db", "s"), `{"hours":"8 to 4"}`, "We are open {hours}.")
	holds(succeed(t, "concepts", "list", "--db", "s"), "ContextSummary", "Hours")
	holds(succeed(t, "concepts", "delete", "Hours", "--db", "s"), "deleted concept Hours")
	holds(succeed(t, "concepts", "history", "--db", "s"), "deleted", "9 to 5")
	refuse(t, `no concept "Hours"`, "concepts", "show", "Hours", "--db", "s")
	refuse(t, "no such file", "concepts", "apply", "none.yaml", "--db", "s")
	write("empty.yaml", "")
	refuse(t, "is empty", "concepts", "apply", "empty.yaml", "--db", "s")
}
