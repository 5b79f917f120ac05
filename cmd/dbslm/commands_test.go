package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, out string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	return v
}

// modelOf reads one model as dbslm models prints it.
func modelOf(t *testing.T, p place, name string) modelSummary {
	t.Helper()
	return decode[[]modelSummary](t, succeed(t, p.on("models", name, "--json")...))[0]
}

// From an empty store to a conversation, over each kind of store.
func TestTrainAndTalk(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		if got := succeed(t, p.on("train", "harbour.txt", "--storage", "exact")...); !strings.Contains(got, "ingested harbour.txt: 124 tokens, 396 n-grams\n") ||
			!strings.Contains(got, "build 1: published\n") {
			t.Errorf("train printed:\n%s", got)
		}
		want := modelSummary{
			Name: "default", Order: 3, Tokenizer: "words", Normalization: "nfc", Unk: "reserved", PublishedBuild: 1,
			Documents: 1, Sentences: 12, Tokens: 124, Vocabulary: 72, NGrams: []uint64{70, 110, 120},
		}
		if diff := cmp.Diff(want, modelOf(t, p, "default")); diff != "" {
			t.Errorf("models --json (-want +got):\n%s", diff)
		}
		if got := succeed(t, p.on("models")...); !regexp.MustCompile(`(?m)^default +3 +words +1 +124 +72 +1 +up to date$`).MatchString(got) {
			t.Errorf("models printed:\n%s", got)
		}

		builds := decode[[]buildSummary](t, succeed(t, p.on("builds", "--json")...))
		if len(builds) != 1 || builds[0].ID != 1 || !builds[0].Published || builds[0].Storage != "exact" || builds[0].State != "ready" ||
			len(builds[0].Discounts) != 3 || builds[0].Created.IsZero() {
			t.Errorf("builds --json: %+v", builds)
		}
		if got := succeed(t, p.on("builds")...); !regexp.MustCompile(`(?m)^1 +published +.* +3 +exact +71 +300 +\+`).MatchString(got) {
			t.Errorf("builds printed:\n%s", got)
		}

		e := decode[evaluation](t, succeed(t, p.on("eval", "harbour.txt", "--json", "--check-mass", "50", "--renormalise", "20")...))
		if e.Tokens != 136 || e.OOV != 0 || e.Model != "default" || e.Build != 1 || e.PerplexityIncludingOOV != e.PerplexityExcludingOOV ||
			e.PerplexityIncludingOOV < 1 || e.PerplexityIncludingOOV > 10 || *e.MassErrorMax > 1e-9 || *e.SampledPerplexity < 1 {
			t.Errorf("eval --json: %+v", e)
		}
		if got := succeed(t, p.on("eval", "harbour.txt")...); !regexp.MustCompile(`(?m)^tokens +136$`).MatchString(got) {
			t.Errorf("eval printed:\n%s", got)
		}

		reply := succeed(t, p.on("chat", "--prompt", "Who counts the boats?", "--seed", "7")...)
		if !regexp.MustCompile(`^Using conversation: [0-9a-f-]{36}\nuser> Who counts the boats\?\nassistant> .+[.!?]\n$`).MatchString(reply) {
			t.Errorf("chat --prompt printed:\n%s", reply)
		}
		asJSON := decode[map[string]any](t, succeed(t, p.on("chat", "--prompt", "Who counts the boats?", "--seed", "7", "--json")...))
		if !strings.HasSuffix(reply, "assistant> "+asJSON["text"].(string)+"\n") || asJSON["seed"] != 7.0 || asJSON["build"] != 1.0 ||
			asJSON["finish_reason"] != "stop" || asJSON["model"] != "default" {
			t.Errorf("the same seed gave %v after\n%s", asJSON, reply)
		}

		// Line by line: what cannot be said is told in its place, and what comes after it is answered.
		r := invokeReading(t, "Who counts the boats?\r\n\n:exit\ncaf\xe9?\n"+strings.Repeat("w", maxSaid+3)+"\nWho bakes the bread?", p.on("chat", "--seed", "7", "--json")...)
		var got []map[string]any
		for line := range strings.Lines(r.out) {
			got = append(got, decode[map[string]any](t, line))
		}
		if r.code != exitOK || r.err != "" || len(got) != 5 {
			t.Fatalf("exit code %d, %q, %d lines:\n%s", r.code, r.err, len(got), r.out)
		}
		if got[0]["text"] != asJSON["text"] || got[4]["seed"] != 8.0 || got[4]["conversation"] != got[0]["conversation"] || got[4]["text"] == "" {
			t.Errorf("replies %v and %v", got[0], got[4])
		}
		for i, want := range []string{"commands are not", "not valid UTF-8 at byte offset 3", "longer than 1 MiB"} {
			if said, _ := got[i+1]["error"].(string); !strings.Contains(said, want) {
				t.Errorf("%v does not say %q", got[i+1], want)
			}
		}
		if r := invokeReading(t, "one\ntwo\nthree\n", p.on("chat", "--max-turns", "2", "--json")...); r.code != exitOK || strings.Count(r.out, "\n") != 2 {
			t.Errorf("two turns at most gave %+v", r)
		}
	})
}

// Builds are derived, published and rolled back by hand; another model has its own.
func TestBuilds(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt", "--no-build")...)
		if m := modelOf(t, p, "default"); m.PublishedBuild != 0 || m.Tokens != 124 || m.state() != "nothing published" {
			t.Errorf("after --no-build: %+v", m)
		}
		if got := succeed(t, p.on("builds")...); !strings.Contains(got, "has no build; derive one with: dbslm builds create --model default") {
			t.Errorf("builds printed %q", got)
		}
		if got := succeed(t, p.on("builds", "create")...); got != "build 1 of model \"default\": ready\n" {
			t.Errorf("builds create printed %q", got)
		}
		if got := succeed(t, p.on("builds", "publish", "1")...); got != "build 1 of model \"default\": published\n" {
			t.Errorf("builds publish printed %q", got)
		}
		write(t, "more.txt", "Oda counts the waves. The waves count nobody.\n")
		if got := succeed(t, p.on("train", "more.txt", "--no-publish")...); !strings.Contains(got, "build 2: ready; publish it with: dbslm builds publish 2\n") {
			t.Errorf("train --no-publish printed:\n%s", got)
		}
		if m := modelOf(t, p, "default"); m.PublishedBuild != 1 || m.state() != "counts are newer than the build" {
			t.Errorf("after --no-publish: %+v", m)
		}
		if b := decode[buildSummary](t, succeed(t, p.on("builds", "publish", "2", "--json")...)); b.ID != 2 || !b.Published {
			t.Errorf("builds publish --json: %+v", b)
		}
		if got := succeed(t, p.on("builds", "rollback")...); got != "build 1 of model \"default\": published\n" {
			t.Errorf("builds rollback printed %q", got)
		}
		refuse(t, "no earlier build", p.on("builds", "rollback")...)
		succeed(t, p.on("train", "more.txt", "--model", "quay", "--order", "2")...)
		if m := modelOf(t, p, "quay"); m.Order != 2 || m.Documents != 1 || m.PublishedBuild == 0 {
			t.Errorf("another model: %+v", m)
		}
		if all := decode[[]modelSummary](t, succeed(t, p.on("models", "--json")...)); len(all) != 2 {
			t.Errorf("models: %+v", all)
		}
	})
}

// migrate may be repeated, and says what it did.
func TestMigrate(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		inNewDir(t)
		checkMigrate(t, place{[]string{"--db", "store"}}, "migrations applied")
	})
	t.Run("mysql", func(t *testing.T) {
		inNewDir(t)
		checkMigrate(t, onMySQL(t), "up to date")
	})
}

func checkMigrate(t *testing.T, p place, first string) {
	t.Helper()
	out := succeed(t, p.on("migrate")...)
	for _, schema := range []string{"dbslm_ngram", "dbslm_memory", "dbslm_concept"} {
		if !regexp.MustCompile(`(?m)` + schema + `: .*` + first + `$`).MatchString(out) {
			t.Errorf("migrate printed:\n%s", out)
		}
	}
	if got := strings.Count(succeed(t, p.on("migrate")...), ": up to date\n"); got != 3 {
		t.Errorf("migrate again: %d schemas up to date, want 3", got)
	}
	type migrated struct {
		Service, Schema string
		Applied         int
		Engines         map[string]string // of tables that have a choice; none on an embedded store
	}
	if got := decode[[]migrated](t, succeed(t, p.on("migrate", "ngram", "--json")...)); len(got) != 1 || got[0].Service != "ngram" || got[0].Applied != 0 || (first == "up to date") != (len(got[0].Engines) > 0) {
		t.Errorf("migrate ngram --json: %+v", got)
	}
	if got := succeed(t, p.on("models")...); !strings.HasPrefix(got, "no models in ") {
		t.Errorf("models in an empty store: %q", got)
	}
}

// A database server's schema is made by migrate only.
func TestMigrateFirst(t *testing.T) {
	inHarbour(t)
	p := onUnmigratedMySQL(t)
	for _, args := range [][]string{{"models"}, {"train", "harbour.txt"}, {"chat", "--prompt", "Hello."}, {"serve", "--listen", "127.0.0.1:0"}} {
		refuse(t, "run: dbslm migrate --db", p.on(args...)...)
	}
}

// What train takes: files of any extension, directories, standard input, pipes, other encodings.
func TestTrainInputs(t *testing.T) {
	inNewDir(t)
	p := place{[]string{"--db", "store"}}
	write(t, "texts/b.txt", "The second text.")
	write(t, "texts/a.TXT", "The first text.")
	write(t, "texts/notes.md", "Not counted in a directory.")
	write(t, "texts/deep/c.txt", "The third text.")
	write(t, "story", "A text without extension.")
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)

	labels := func(r result) []string {
		t.Helper()
		if r.code != exitOK {
			t.Fatal(r.err)
		}
		var got []string
		for _, d := range decode[trainSummary](t, r.out).Documents {
			got = append(got, strings.TrimPrefix(d.Label, home+"/")+" "+d.Outcome)
		}
		return got
	}
	check := func(want []string, stdin string, args ...string) {
		t.Helper()
		got := labels(invokeReading(t, stdin, p.on(append(append([]string{"train"}, args...), "--json")...)...))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("train %q (-want +got):\n%s", args, diff)
		}
	}
	check([]string{"texts/a.TXT ingested", "texts/b.txt ingested"}, "", "texts")
	check([]string{"texts/a.TXT unchanged", "texts/b.txt unchanged", "texts/deep/c.txt ingested"}, "", "--recursive", "./texts/")
	check([]string{"texts/notes.md ingested", "story ingested"}, "", "texts/notes.md", "story", "./story")
	check([]string{"story ingested"}, "", "--model", "home", "~/story")
	check([]string{"story unchanged", "<stdin> ingested"}, "A text from elsewhere.", "story", "--stdin")
	check([]string{"<stdin> unchanged"}, "A text from elsewhere.", "--stdin")
	check([]string{"letter ingested"}, "Another text from elsewhere.", "-", "--label", "letter")
	check([]string{"story unchanged", "letter unchanged"}, "Another text from elsewhere.", "-", "story", "--label", "letter")

	if r := invokeReading(t, " \n", p.on("train", "--stdin", "story", "--json")...); r.code != exitOK || r.err != "skipped <stdin>: it holds no text\n" {
		t.Errorf("blank standard input: %+v", r)
	}
	if r := invokeReading(t, "caf\xe9 and more caf\xe9", p.on("train", "--stdin", "--model", "latin", "--encoding", "latin1", "--json")...); r.code != exitOK {
		t.Errorf("latin1: %+v", r)
	}
}

// A pipe can be trained on like a file.
func TestTrainFromPipe(t *testing.T) {
	inHarbour(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	train := process(t.Context(), "train", "/dev/fd/0", "--db", "store", "--json")
	train.Stdin = strings.NewReader(harbour)
	out, err := train.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := decode[trainSummary](t, string(out))
	if got.Tokens != 124 || got.Documents[0].Label != "/dev/fd/0" {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

// With a seed a conversation that was left and resumed goes on as if it had not been left.
func TestResumedConversation(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	replies := func(r result) (conversation string, replies []string) {
		t.Helper()
		if r.code != exitOK {
			t.Fatal(r.err)
		}
		for line := range strings.Lines(r.out) {
			if id, ok := strings.CutPrefix(line, "Using conversation: "); ok {
				conversation = strings.TrimSpace(id)
			}
			if reply, ok := strings.CutPrefix(line, "assistant> "); ok {
				replies = append(replies, reply)
			}
		}
		return conversation, replies
	}
	talk := func(said string, flags ...string) (string, []string) {
		return replies(invokeReading(t, said, append([]string{"chat", "--db", "store", "--seed", "3"}, flags...)...))
	}
	_, whole := talk("Who sings?\nWhere is the market?\nWhat turns at night?\n")
	id, first := talk("Who sings?\n")
	_, second := talk("Where is the market?\nWhat turns at night?\n", "--conversation", id, "--max-turns", "1")
	_, third := replies(invoke(t, "chat", "--db", "store", "--seed", "3", "--conversation", id, "--prompt", "What turns at night?"))
	if diff := cmp.Diff(whole, append(append(first, second...), third...)); diff != "" || len(whole) != 3 {
		t.Errorf("(-in one go +in three):\n%s", diff)
	}
}

// A server that does not answer is a failure that may pass, and it is named.
func TestServerDown(t *testing.T) {
	inHarbour(t)
	for _, p := range []place{{[]string{"--server", "unix://" + t.TempDir() + "/nobody"}}, {[]string{"--db", "mysql://root@127.0.0.1:1/"}}} {
		for _, args := range [][]string{{"models"}, {"train", "harbour.txt"}, {"chat", "--prompt", "Hello."}, {"eval", "harbour.txt"}, {"builds"}} {
			r := invoke(t, p.on(args...)...)
			if r.code != exitFailure || !strings.Contains(r.complaint(), strings.TrimSuffix(p.flags[1], "/")) || strings.Count(r.err, "\n") != 1 {
				t.Errorf("%v %v: %+v", args, p.flags, r)
			}
		}
	}
}

// A text full of NUL bytes is probably in another encoding; it is counted, and that is said.
func TestNULWarning(t *testing.T) {
	inNewDir(t)
	write(t, "wide.txt", utf16le("The boat is here.")[2:])
	r := invoke(t, "train", "wide.txt", "--db", "store")
	if r.code != exitOK || !strings.HasPrefix(r.err, "warning: wide.txt holds 17 NUL bytes; is it in another encoding, such as --encoding utf-16le?\n") {
		t.Errorf("%+v", r)
	}
	if r := invoke(t, "train", "wide.txt", "--db", "store", "--model", "read", "--encoding", "utf-16le"); r.code != exitOK || strings.Contains(r.err, "NUL") {
		t.Errorf("%+v", r)
	}
}

// Of many warnings the first ones are printed.
func TestManyWarnings(t *testing.T) {
	inHarbour(t)
	r := invoke(t, "train", "harbour.txt", "--db", "store", "--order", "40")
	if r.code != exitOK || strings.Count(r.err, "warning: ") != warningLimit+1 ||
		!strings.HasSuffix(r.err, " more like these; see them with: dbslm builds --json\n") {
		t.Errorf("%+v", r)
	}
}

// An embedded store is migrated without a word in the log.
func TestMigrateIsQuiet(t *testing.T) {
	inHarbour(t)
	for _, args := range [][]string{{"migrate", "--db", "a"}, {"train", "harbour.txt", "--db", "b"}} {
		if r := invoke(t, args...); r.code != exitOK || strings.Contains(r.err, "level") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
