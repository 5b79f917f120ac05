package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var idPattern = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// A correction made in a chat is listed, binds, is exported, imported into another store, revoked; and everything about the
// person is exported and erased.
func TestMemoryCommands(t *testing.T) {
	db := filepath.Join(t.TempDir(), "db")
	text := filepath.Join(t.TempDir(), "harbour.txt")
	if err := os.WriteFile(text, []byte("The harbour master counted the boats. The boats stayed at the quay.\n"), 0o666); err != nil {
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
	chat := invokeReading(t, "What is the capital of Australia?\n:correct Sydney => Canberra\nWhat is the capital of Australia?\n:facts\n:forget 3\n:forget x\n:history\n",
		"chat", "--db", db, "--user", "ana", "--seed", "1").out
	has(chat, "recorded: Canberra instead of Sydney", "The right answer is Canberra.", "(no facts were told")
	conversation := idPattern.FindString(chat)

	has(run("history", "--user", "ana"), conversation, "ana")
	has(run("history", conversation), "User: What is the capital of Australia?", "Assistant: ")
	has(run("history", "--search", "capitals australia"), conversation)
	has(run("history", "--search", "nowhere"), "no message holds these words")
	refused("there is no conversation", "history", "0193e4a1-0000-7000-8000-000000000000")

	has(run("remember", "loft", "price", "42 euros", "--user", "ana"), "remembered for this user: loft / price = 42 euros")
	listed := run("facts", "--user", "ana")
	has(listed, "42 euros", "holds")
	has(run("facts", "--conversation", conversation, "--json"), `"value": "42 euros"`)
	has(run("facts", "retire", idPattern.FindString(listed)), "retired: loft / price")
	has(run("facts", "--user", "ana", "--all"), "retired")
	refused("say where it holds", "remember", "a", "b", "c")
	refused("give entity, attribute and value", "remember", "a")

	has(run("correct", "--entity", "Peru", "--attribute", "capital", "Lima", "--conversation", conversation), "recorded for this conversation: Peru / capital → Lima")
	has(run("correct", "--entity", "Peru", "--attribute", "capital", "Cusco", "--conversation", conversation), "superseded: correction ")
	refused("say what was wrong", "correct", "Lima", "--user", "ana")
	table := run("corrections", "list")
	has(table, "Sydney", "Canberra", "Peru / capital", "Cusco")
	if strings.Contains(table, "Lima") {
		t.Errorf("a superseded correction is listed:\n%s", table)
	}
	has(run("corrections", "list", "--all"), "superseded")
	var corrections []correctionSummary
	if err := json.Unmarshal([]byte(run("corrections", "list", "--json")), &corrections); err != nil || len(corrections) != 2 {
		t.Fatalf("%v, error %v", corrections, err)
	}
	peru := corrections[0].ID
	has(run("corrections", "show", peru), `"value": "Cusco"`, `"state": "active"`)
	has(run("corrections", "promote", peru, "--to", "user", "--reviewed-by", "editor"), "promoted to user: Cusco")
	refused("--to is needed", "corrections", "promote", peru)

	exported := filepath.Join(t.TempDir(), "corrections.ndjson")
	if err := os.WriteFile(exported, []byte(run("corrections", "export", "--user", "ana", "--all")), 0o666); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	succeed(t, "train", text, "--db", other)
	for range 2 {
		has(succeed(t, "corrections", "import", exported, "--origin", "desk", "--db", other), `from "desk": 1 correction, 1 in effect`)
	}
	has(succeed(t, "corrections", "list", "--user", "ana", "--db", other), "Cusco")
	has(succeed(t, "chat", "--prompt", "Peru's capital?", "--user", "ana", "--db", other), "The capital of Peru is Cusco.")
	if err := os.WriteFile(exported, []byte("{\"id\":\"x\"}\nnot json\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused("line 1 is no exported correction", "corrections", "import", exported, "--origin", "desk")
	refused("--origin is needed", "corrections", "import", exported)

	run("correct", "Cusco", "Lima", "--conversation", conversation)
	has(run("corrections", "list"), "active, corrected by ")
	has(run("chat", "--prompt", "Peru's capital?", "--conversation", conversation), "The capital of Peru is Lima.")
	has(run("corrections", "revoke", peru, "--reason", "it was right"), "revoked: Cusco")
	has(run("export-user", "ana"), `"kind":"conversation"`, `"kind":"message"`, `"kind":"trace"`, `"kind":"correction"`, `"kind":"fact"`, `"kind":"signal"`)
	has(run("biases"), "no biases")
	has(run("biases", "add", "old quay", "--strength", "3", "--user", "ana", "--pattern", "boats", "--then", "quay", "--gap", "4", "--half-life", "7d", "--expires", "30d"),
		"preferred for this user: old quay; when: boats … quay (4 words)")
	has(run("biases", "add", "boats", "--strength", "-2", "--model", "default", "--pattern", `boats?\s`, "--regex", "--json"), `"regex": true`, `"strength_log10": -2`)
	biases := run("biases")
	has(biases, "old quay", `/boats?\s/`)
	has(run("biases", "--model", "default", "--json"), `"sequence": "boats"`)
	has(run("biases", "remove", idPattern.FindString(run("biases", "--model", "default"))), "removed bias")
	has(run("biases", "--model", "default"), "no biases")
	refused("--strength is needed", "biases", "add", "x", "--user", "ana")
	refused("is no RE2 expression", "biases", "add", "x", "--strength", "1", "--user", "ana", "--pattern", "a(", "--regex")
	refused("say where it holds", "biases", "add", "x", "--strength", "1")
	refused("there is no bias", "biases", "remove", "0193e4a1-0000-7000-8000-000000000000")
	has(run("retention"), "conversations are kept  for ever", "never")
	has(run("retention", "run"), "everything is kept")
	has(run("retention", "set", "--conversations", "365d", "--messages", "36h", "--trace-detail", "1h"), "365 days", "36h0m0s", "then every 1h0m0s")
	has(run("retention", "run", "--dry-run"), "would go: 0 conversations, 0 messages of others, 0 traces")
	has(run("retention", "run"), "gone: 0 conversations")
	has(run("retention", "set", "--messages", "forever", "--json"), `"trace_detail_seconds": 3600`, `"finished"`)
	if got := run("retention", "--json"); strings.Contains(got, "messages_seconds") {
		t.Errorf("messages are kept for ever:\n%s", got)
	}
	refused("must be between 1 hour and 100 years", "retention", "set", "--messages", "10s")
	refused("is no time", "retention", "set", "--messages", "soon")
	refused("nothing to set", "retention", "set")
	for _, label := range []string{"user/ana/diary.txt", "user/anabel/diary.txt"} {
		if r := invokeReading(t, "What "+label[5:8]+" wrote.\n", "train", "-", "--label", label, "--db", db); r.code != 0 {
			t.Fatal(r.err)
		}
	}
	if got := run("export-user", "ana"); strings.Count(got, `"kind":"document"`) != 1 || !strings.Contains(got, `"model":"default","label":"user/ana/diary.txt","sha256":"`) {
		t.Errorf("the person's documents:\n%s", got)
	}
	refused("add --yes", "erase", "--user", "ana")
	refused("say whose data", "erase", "--yes")
	has(run("erase", "--user", "ana", "--yes"), "erased the person ana", "rows, 1 document")
	if got := run("documents"); strings.Contains(got, "user/ana/") || !strings.Contains(got, "user/anabel/diary.txt") {
		t.Errorf("documents after erasing:\n%s", got)
	}
	if got := run("export-user", "ana"); got != "" {
		t.Errorf("after erasing:\n%s", got)
	}
	has(run("history"), "no conversations")
	has(invokeReading(t, "Hello\n:forget everything\n", "chat", "--db", db).out, "erased this conversation")
	has(run("history"), "no conversations")
}
