package main

import (
	"strings"
	"testing"

	"dbslm/pkg/database"
	conceptstore "dbslm/services/concept/store"
	memorystore "dbslm/services/memory/store"

	"github.com/google/go-cmp/cmp"
)

// --reset empties the named model and nothing else; its build serves until the new one is published.
func TestReset(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt")...)
		succeed(t, p.on("train", "harbour.txt", "--model", "quay")...)
		quay := modelOf(t, p, "quay")
		r := invokeReading(t, "Who counts the boats?\n:correct Oda => Ida\nWho is the keeper?\n", p.on("chat")...)
		if r.code != exitOK || !strings.Contains(r.out, "recorded: Ida instead of Oda (correction ") {
			t.Fatalf("%+v", r)
		}
		conversation := strings.TrimPrefix(strings.SplitN(r.out, "\n", 2)[0], "Using conversation: ")

		write(t, "zebra.txt", "Zebras graze. Zebras sleep. Every zebra grazes and sleeps.\n")
		succeed(t, p.on("train", "zebra.txt", "--reset", "--yes", "--order", "2", "--tokenizer", "whitespace", "--no-build")...)
		if m := modelOf(t, p, "default"); m.Documents != 1 || m.Order != 2 || m.Tokenizer != "whitespace" || m.PublishedBuild != 1 {
			t.Errorf("after a reset without a build: %+v", m)
		}
		reply := succeed(t, p.on("chat", "--prompt", "Who counts the boats?")...)
		if !strings.Contains(reply, "\nassistant> ") || strings.Contains(strings.ToLower(reply), "zebra") {
			t.Errorf("the old build must serve until the new one is ready, but: %s", reply)
		}
		if got := succeed(t, p.on("builds", "create", "--publish")...); !strings.Contains(got, ": published") {
			t.Errorf("builds create --publish: %s", got)
		}
		if reply := succeed(t, p.on("chat", "--prompt", "Who counts the boats?")...); !strings.Contains(strings.ToLower(reply), "zebra") {
			t.Errorf("the new build must serve now, but: %s", reply)
		}
		if diff := cmp.Diff(quay, modelOf(t, p, "quay")); diff != "" {
			t.Errorf("another model was changed (-before +after):\n%s", diff)
		}
		r = invokeReading(t, ":history\n", p.on("chat", "--conversation", conversation)...)
		if r.code != exitOK || !strings.Contains(r.out, "User: Who counts the boats?\n") || !strings.Contains(r.out, "User: Who is the keeper?\n") {
			t.Errorf("the conversation must stay: %+v", r)
		}
	})
}

// A reset touches no table of levels 2 and 3.
func TestResetLeavesOtherLevels(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	succeed(t, "chat", "--prompt", "Who counts the boats?", "--db", "store")
	target, err := database.ParseTarget("store")
	if err != nil {
		t.Fatal(err)
	}
	rows := func() []map[string]int {
		return []map[string]int{rowCounts(t, target, memorystore.Schema), rowCounts(t, target, conceptstore.Schema)}
	}
	before := rows()
	succeed(t, "train", "harbour.txt", "--db", "store", "--reset")
	if diff := cmp.Diff(before, rows()); diff != "" {
		t.Error(diff)
	}
}

// Where others may use the model, --reset needs --yes; off a terminal and in an embedded store it does not ask.
func TestResetNeedsConsent(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt", "--reset")...) // there is nothing to lose yet
		before := modelOf(t, p, "default")
		r := invoke(t, p.on("train", "harbour.txt", "--reset")...)
		if p.flags[1] == "store" {
			if r.code != exitOK {
				t.Errorf("%+v", r)
			}
			return
		}
		if r.code != exitUsage || !strings.Contains(r.complaint(), "(1 document, 124 tokens); repeat the command with --yes to do that") {
			t.Errorf("%+v", r)
		}
		if diff := cmp.Diff(before, modelOf(t, p, "default")); diff != "" {
			t.Errorf("refused, and yet (-before +after):\n%s", diff)
		}
	})
}

// A reset with a text that cannot be trained leaves the model as it was.
func TestResetWithBadText(t *testing.T) {
	inHarbour(t)
	p := place{[]string{"--db", "store"}}
	succeed(t, p.on("train", "harbour.txt")...)
	before := modelOf(t, p, "default")
	write(t, "marks.txt", "the boat <s> is here\n")
	write(t, "latin1.txt", "caf\xe9\n")
	refuse(t, "marks.txt has the token <s>", p.on("train", "marks.txt", "--reset", "--tokenizer", "whitespace")...)
	refuse(t, "latin1.txt is not valid utf-8", p.on("train", "latin1.txt", "--reset")...)
	if diff := cmp.Diff(before, modelOf(t, p, "default")); diff != "" {
		t.Error(diff)
	}
}
