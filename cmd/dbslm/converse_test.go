package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/cmd/dbslm/converse"
	"dbslm/examples/provider/wall"
)

// serveWall starts the payload provider of the demo's bot and returns its address.
func serveWall(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	listening, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- wall.Serve(ctx, "127.0.0.1:0", func(address string) { listening <- address }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return <-listening
}

// The conversations of the demo, with its bot and about its corpus: everything is answered as expected, nothing reads broken.
func TestConversationSets(t *testing.T) {
	inNewDir(t)
	loft := filepath.Join(corpus(), "..")
	succeed(t, "train", corpus(), "--order", "6", "--db", "s")
	bot, err := os.ReadFile(filepath.Join(loft, "bot.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, "bot.yaml", strings.ReplaceAll(string(bot), "127.0.0.1:7490", serveWall(t)))
	succeed(t, "concepts", "apply", "bot.yaml", "--bot", "sail-loft", "--db", "s")
	set, reserving, free := filepath.Join(loft, "conversations.yaml"), filepath.Join(loft, "reserving.yaml"), filepath.Join(loft, "freely.yaml")
	if out := succeed(t, "concepts", "test", set, "--db", "s"); !strings.Contains(out, "answered") || strings.Contains(out, "ends well") {
		t.Errorf("only what is expected is to be judged:\n%s", out)
	}
	r := decode[converse.Report](t, succeed(t, "converse", set, reserving, free, "--texts", corpus(), "--copied", "20", "--min", "0.95", "--db", "s", "--json"))
	if r.Turns < 100 {
		t.Errorf("%d turns", r.Turns)
	}
	for _, s := range r.Scores {
		t.Logf("%s: %d of %d", s.Category, s.Passed, s.Of)
		if exact := s.Category == converse.Answered || s.Category == converse.CorrectFact; exact && s.Passed != s.Of || s.Of == 0 {
			t.Errorf("%+v", s)
		}
	}
	if out := succeed(t, "history", "--db", "s"); strings.Contains(out, "a first visit") {
		t.Errorf("the conversations were kept:\n%s", out)
	}

	write(t, "wrong.yaml", "conversations:\n  - name: hopeless\n    turns:\n      - say: When are you open?\n        expect: {fact: at midnight, concept: Membership}\n")
	kept := invokeReading(t, "", "converse", "wrong.yaml", "--bot", "sail-loft", "--keep", "-v", "--db", "s")
	if kept.code != 1 || !strings.Contains(kept.err, "answered: 0 of 1 good") || !strings.Contains(kept.out, "hopeless, line 4: correct fact: the reply lacks what is right, \"at midnight\"\n") ||
		!strings.Contains(kept.out, "dbslm explain ") || !strings.Contains(kept.out, "# hopeless\nuser> When are you open?\nassistant> ") {
		t.Errorf("%+v", kept)
	}
	if out := succeed(t, "history", "--db", "s"); !strings.Contains(out, "hopeless") {
		t.Errorf("the conversation was not kept:\n%s", out)
	}
	if r := invokeReading(t, "", "converse", "wrong.yaml", "--bot", "nobody", "--db", "s"); r.code != exitUsage || !strings.Contains(r.err, "nobody") {
		t.Errorf("an unknown bot: %+v", r)
	}
}
