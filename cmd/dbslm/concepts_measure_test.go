package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"dbslm"
	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/google/go-cmp/cmp"
)

const shopUtterances = `when are you open	Hours
what are your opening hours	Hours
are you open on sunday	Hours
can I borrow a drill	Borrow
how do I borrow a tool	Borrow
I would like to borrow the big saw	Borrow
how much does a membership cost	Price
what is the price of a membership	Price
`

// From labelled utterances to a bot that is measured, built, rolled back, and learns.
func TestConceptsFromLabelledUtterances(t *testing.T) {
	inNewDir(t)
	in := func(args ...string) []string { return append(args, "--bot", "shop", "--db", "s") }
	holds := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("no %q in:\n%s", w, got)
			}
		}
	}
	write(t, "train.tsv", shopUtterances)
	write(t, "test.tsv", "when do you open\tHours\nmay I borrow the drill\tBorrow\nwhat does membership cost\tPrice\ncan I borrow opening hours\tHours\n")
	write(t, "oos.txt", "the cat sat on the mat\nwhen are you open on mars <script>alert(1)</script>\toos\n")
	holds(succeed(t, in("concepts", "import", "train.tsv")...), "8 of 8 examples new, 3 concepts made\n")
	again := decode[importSummary](t, succeed(t, in("concepts", "import", "train.tsv", "--json")...))
	if diff := cmp.Diff(importSummary{Bot: "shop", Lines: 8, Created: []string{}, Concepts: 3}, again); diff != "" {
		t.Errorf("imported twice: %s", diff)
	}
	if got := succeed(t, in("concepts", "examples", "Price")...); got != "how much does a membership cost\tPrice\nwhat is the price of a membership\tPrice\n" &&
		got != "what is the price of a membership\tPrice\nhow much does a membership cost\tPrice\n" {
		t.Errorf("examples:\n%s", got)
	}
	if n := len(decode[[]exampleSummary](t, succeed(t, in("concepts", "examples", "--json")...))); n != 8 {
		t.Errorf("%d examples", n)
	}

	holds(succeed(t, in("concepts", "build")...), `build 1 of bot "shop": published, made of`)
	holds(succeed(t, in("concepts", "predict", "when", "are", "you", "open", "--explain", "--top", "2")...), "Hours (build 1, threshold 0.36)\n", "(none of them)", "FEATURE", "are you", "scale")
	holds(succeed(t, in("concepts", "predict", "qqq")...), "abstains: no concept shares a word with it")
	p := decode[conceptPrediction](t, succeed(t, in("concepts", "predict", "May I borrow the drill?", "--json", "--explain")...))
	sum := p.Candidates[0].Base
	for _, e := range p.Candidates[0].Evidence {
		sum += e.Weight
	}
	if p.Concept != "Borrow" || p.Build != 1 || sum > p.Candidates[0].Score || len(p.Features) == 0 || p.None <= 0 {
		t.Errorf("predicted %+v", p)
	}
	piped := invokeReading(t, "when are you open\n\nwhat does membership cost\n", in("concepts", "predict", "-")...)
	holds(piped.out, "when are you open\nHours (", "what does membership cost\nPrice (")

	holds(succeed(t, in("concepts", "eval", "test.tsv", "--oos", "oos.txt", "--html", "report.html")...), "4 in scope, 2 out of scope", "out-of-scope recall       50.00 %", "the most confident mistakes", "taken for Hours")
	page, err := os.ReadFile("report.html")
	if err != nil {
		t.Fatal(err)
	}
	holds(string(page), "<svg", "Calibration", "50.00 %", "&lt;script&gt;")
	if strings.Contains(string(page), "<script>") {
		t.Error("an utterance reached the page as it is")
	}
	e := decode[conceptEvaluation](t, succeed(t, in("concepts", "eval", "test.tsv", "--json")...))
	if e.InScope != 4 || e.Refused != nil || e.Accuracy < 0.75 || len(e.Calibration) != 15 || len(e.Thresholds) != 51 || len(e.Concepts) < 3 {
		t.Errorf("eval --json: %+v", e)
	}
	write(t, "strange.tsv", "when do you open\tHours\nhello there\tGreeting\n")
	if r := invoke(t, in("concepts", "eval", "strange.tsv")...); r.code != 0 || !strings.Contains(r.err, "the bot has no Greeting") {
		t.Errorf("an unknown concept: %+v", r)
	}

	// Use is observed, reviewed and merged; the next build knows it, and can be taken back.
	sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for i, right := range []bool{true, true, false} {
		_, err := conceptv1.NewDecisionServiceClient(sys.Conn()).Observe(t.Context(), &conceptv1.ObserveRequest{
			Bot: "shop", RequestId: fmt.Sprint("r", i), Utterance: "anybody there on monday", Concept: "Hours", Right: right,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sys.Close(); err != nil {
		t.Fatal(err)
	}
	holds(succeed(t, in("concepts", "learn")...), "anybody there on monday", "1 example would be added, 0 removed", "--by NAME")
	report := decode[learnReport](t, succeed(t, in("concepts", "learn", "--by", "eva", "--json")...))
	want := learnReport{true, "eva", 1, 0, []lessonSummary{{"Hours", "anybody there on monday", 2, 1, "added"}}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	holds(succeed(t, in("concepts", "learn")...), "nothing was observed since the last review")
	holds(succeed(t, in("concepts", "predict", "anybody there on monday")...), "Hours (build 2,")
	holds(succeed(t, in("concepts", "rollback", "--from", "2")...), "build 1 of bot \"shop\": published")
	refuse(t, "build 1 is published, not 2", in("concepts", "rollback", "--from", "2")...)
	holds(succeed(t, in("concepts", "predict", "anybody there on monday", "--build", "2")...), "Hours (build 2,")
	if got := succeed(t, in("concepts", "predict", "anybody there on monday")...); !strings.Contains(got, "(build 1") {
		t.Errorf("after rolling back:\n%s", got)
	}
	holds(succeed(t, in("concepts", "publish", "2")...), "build 2 of bot \"shop\": published")
	holds(succeed(t, in("concepts", "build", "--no-publish")...), "build 3 of bot \"shop\": kept")
	builds := decode[[]conceptBuildSummary](t, succeed(t, in("concepts", "builds", "--json")...))
	if len(builds) != 3 || builds[0].ID != 3 || builds[0].Published || !builds[1].Published || builds[1].Examples != builds[2].Examples+1 {
		t.Errorf("builds --json: %+v", builds)
	}
	holds(succeed(t, in("concepts", "builds")...), "BUILD", "published", "kept")
}
