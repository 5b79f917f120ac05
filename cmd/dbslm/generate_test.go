package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store", "--order", "3")
	run := func(args ...string) string {
		t.Helper()
		return succeed(t, append([]string{"generate", "--db", "store", "--seed", "7"}, args...)...)
	}
	text := run()
	if strings.TrimSpace(text) == "" || run() != text {
		t.Errorf("the same seed gave %q and %q", text, run())
	}
	decode := func(out string) (g generated) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), &g); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return g
	}
	several := decode(run("--n", "3", "--json"))
	if len(several.Candidates) != 3 || several.Candidates[0].Text != several.Text || several.Text+"\n" != text || several.Seed != 7 {
		t.Errorf("%+v, alone %q", several, text)
	}
	for i, c := range several.Candidates {
		if i > 0 && c.Score > several.Candidates[i-1].Score {
			t.Errorf("candidate %d has score %g after %g", i, c.Score, several.Candidates[i-1].Score)
		}
	}
	if out := run("--n", "2"); strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "SCORE") {
		t.Errorf("as a table: %s", out)
	}
	first := strings.Fields(text)[0]
	if replaced := run("--replace", first+"=Marie Curie"); !strings.Contains(replaced, "Marie Curie") {
		t.Errorf("%q with %q replaced is %q", text, first, replaced)
	}
	if required := run("--require", "Zanzibar Quay"); !strings.Contains(strings.ToLower(required), "zanzibar quay") {
		t.Errorf("what is required is not in %q", required)
	}
	if told := decode(run("--stages", "2", "--best-of", "1", "--json")); len(told.Stages) != int(told.Tokens) || len(told.Stages[0].Candidates[0].Probabilities) != 8 {
		t.Errorf("stages: %+v", told.Stages)
	}
	succeed(t, "profiles", "set", "one", "--max-tokens", "1", "--best-of", "1", "--db", "store", "--model", "default")
	if one := decode(run("--profile", "one", "--json")); one.Tokens != 1 {
		t.Errorf("with the profile: %+v", one)
	}
	if list := succeed(t, "profiles", "--db", "store", "--model", "default"); !strings.Contains(list, "one      default") && !strings.Contains(list, "best-of 1, max-tokens 1") {
		t.Errorf("profiles: %s", list)
	}
	succeed(t, "bans", "add", first, "--db", "store", "--model", "default")
	if list := succeed(t, "bans", "--db", "store", "--model", "default"); !strings.Contains(list, first) {
		t.Errorf("bans: %s", list)
	}
	if banned := run(); strings.Contains(" "+strings.ToLower(banned), " "+strings.ToLower(first)+" ") {
		t.Errorf("%q is banned, the reply is %q", first, banned)
	}
	succeed(t, "bans", "remove", first, "--db", "store", "--model", "default")
	succeed(t, "profiles", "delete", "one", "--db", "store", "--model", "default")
	for want, args := range map[string][]string{
		`--bias "x" has no two sides around an =`:  {"--bias", "x"},
		`"y" is not a number`:                      {"--bias", "x=y"},
		"--stages needs --json":                    {"--stages", "1"},
		`there is no decode profile "one"`:         {"--profile", "one"},
		"required[0] holds a sequence that is ban": {"--require", "an old quay", "--ban", "old quay"},
		"n is 9, but only 2 segments are drawn":    {"--n", "9", "--best-of", "2"},
		"the search ends with 2 segments at most":  {"--n", "9", "--beam-width", "2"},
		"bans[0] holds no token":                   {"--ban", " "},
		`--temperature "hot" is not a number`:      {"--temperature", "hot"},
	} {
		refuse(t, want, append([]string{"generate", "--db", "store"}, args...)...)
	}
}
