package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Replies are explained and made again, from the shell and within a conversation; what cannot be is refused by name.
func TestReplies(t *testing.T) {
	db := filepath.Join(t.TempDir(), "db")
	text := filepath.Join(t.TempDir(), "harbour.txt")
	if err := os.WriteFile(text, []byte("The harbour master counted the boats. The boats stayed at the quay.\nOda sings at night.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	succeed(t, "train", text, "--db", db)
	run := func(args ...string) string { t.Helper(); return succeed(t, append(args, "--db", db)...) }
	has := func(got string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	}
	refused := func(want string, args ...string) { t.Helper(); refuse(t, want, append(args, "--db", db)...) }

	said := invokeReading(t, strings.Join([]string{
		":why", "Where do the boats stay?", ":why", ":replay", ":explain", ":seed", ":seed 5", ":seed x", ":seed random", ":model", ":model nobody", ":model default",
		":profile", ":profile careful", ":profile plain", "Who sings?", ":replay", "Remind me what we discussed.", ":why", ":nonsense", ":replay 0193e4a1-0000-7000-8000-000000000000",
	}, "\n")+"\n", "chat", "--db", db, "--user", "ana", "--seed", "1")
	has(said.out, "written freely, because level 3 said nothing", "build 1, seed 1", "identical", "answers: \"Where do the boats stay?\"", "ROWS SAY", "seed: 1\n", "seed: 5\n", "seed: random\n",
		"model: default\n", "profile: default\n", "profile: plain\n", "concept ContextSummary, because it is meant with probability")
	has(said.err, "nothing was replied yet", "\"x\" is not a whole number", "there is no model \"nobody\"", "there is no profile \"careful\"", "unknown command :nonsense; :help lists them",
		"there is no message")
	if n := strings.Count(said.out, " identical\n"); n != 2 {
		t.Errorf("%d replays are identical:\n%s", n, said.out)
	}
	conversation := idPattern.FindString(said.out)

	var messages []messageSummary
	listed := run("history", conversation, "--json")
	if err := json.Unmarshal([]byte(listed), &messages); err != nil || len(messages) != 6 {
		t.Fatalf("%v: %s", err, listed)
	}
	asked, first, summary := messages[0].ID, messages[1].ID, messages[5].ID
	if got := run("replay", "--conversation", conversation); strings.Count(got, " identical\n") != 3 {
		t.Error(got)
	}
	has(run("replay", first, "--json"), `"identical": true`, `"build": 1`, `"stored_text"`)
	has(run("explain", summary), "made again: identical, byte for byte", "window: 4 messages before it", "concept ContextSummary", "{context_digest} from: built-in", "concepts considered")
	has(run("explain", first), "level 1 wrote it; level 3 said nothing:", "TEMPERATURE", "modified-kneser-ney")
	has(run("explain", first, "--json", "--candidates", "2"), `"log10_probability"`, `"stages"`, `"identical": true`)
	script := run("explain", first, "--sql")
	has(script, "log10 of the probability", "tbl_l1_ng_probs_n")
	refused("is what a person said", "explain", asked)
	refused("is what a person said", "replay", asked)
	refused("there is no message", "explain", "0193e4a1-0000-7000-8000-000000000000")
	refused("--candidates must be from 1 to 50", "explain", first, "--candidates", "51")
	refused("leave out --json", "explain", first, "--sql", "--json")
	refused("is missing", "explain")
	refused("name a reply, or all of a --conversation", "replay")
	refused("name a reply, or all of a --conversation", "replay", first, "--conversation", conversation)
	refused("there is no conversation", "replay", "--conversation", "0193e4a1-0000-7000-8000-000000000000")
	refused("there is no model", "replay", first, "--model", "nobody")

	has(run("context", "--conversation", conversation, "And", "who sings?"), "User: Where do the boats stay?\nAssistant: ", "User: And who sings?\nAssistant:")
	has(run("context", "--conversation", conversation, "Remind me what we discussed.", "--json"), `"concept": "ContextSummary"`, `"prompt"`, `"window"`)
	refused("the text is missing", "context", "--conversation", conversation)
	refused("--conversation is missing", "context", "who?")
	refused("there is no conversation", "context", "--conversation", "0193e4a1-0000-7000-8000-000000000000", "who?")
	refused("there is no model", "context", "--conversation", conversation, "--model", "nobody", "who?")

	// Another build says something else, and the exit code tells.
	more := filepath.Join(t.TempDir(), "more.txt")
	if err := os.WriteFile(more, []byte(strings.Repeat("Boats stay where the quokkas sing.\n", 40)), 0o666); err != nil {
		t.Fatal(err)
	}
	run("train", more)
	r := invoke(t, "replay", first, "--build", "2", "--db", db)
	if r.code != 1 || !strings.Contains(r.out, "differs from byte ") || !strings.Contains(r.err, "0 of 1 reply is identical") {
		t.Errorf("%+v", r)
	}
	run("builds", "drop", "1")
	r = invoke(t, "replay", first, "--db", db)
	if r.code != 1 || !strings.Contains(r.out, "NOT_REPLAYABLE BUILD_GONE: ") {
		t.Errorf("%+v", r)
	}
	has(run("explain", first), "cannot be made again (BUILD_GONE)")
}
