package dbslm_test

import (
	"context"
	"testing"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"dbslm"
)

// Each turn that a concept answered by prediction is observed once, however often and wherever it is tried; a level 3 that hangs
// delays no reply; what the person rejects becomes wrong; and nothing is learnt before a review.
func testTurnsAreObservedOnce(t *testing.T, w *world) {
	decisions := conceptv1.NewDecisionServiceClient(w.conns[dbslm.Concept])
	const bot = "observed"
	put := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Bot: bot, Concept: &conceptv1.Concept{Name: "Lamps"}})
	put(err)
	_, err = w.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Bot: bot, Template: &conceptv1.Template{Concept: "Lamps", Text: "Lamps are mended on Monday."}})
	put(err)
	_, err = w.catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Bot: bot, Examples: []*conceptv1.Example{
		{Concept: "Lamps", Utterance: "who mends lamps"}, {Concept: "Lamps", Utterance: "my lamp is broken"}, {Concept: "Lamps", Utterance: "can you mend my lamp"},
	}})
	put(err)
	lessons := func() map[string][2]uint32 {
		t.Helper()
		resp, err := decisions.Learn(t.Context(), &conceptv1.LearnRequest{Bot: bot, ReviewedBy: "test", DryRun: true})
		put(err)
		out := map[string][2]uint32{}
		for _, l := range resp.Lessons {
			out[l.Utterance] = [2]uint32{l.Right, l.Wrong}
		}
		return out
	}
	await := func(utterance string, want [2]uint32) {
		t.Helper()
		for begun := time.Now(); lessons()[utterance] != want; time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("observed %v, want %v of %q", lessons(), want, utterance)
			}
		}
	}

	conversation := start(t, w)
	said := ask(conversation, "1", "Please mend my broken lamp.")
	said.Bot = bot
	stuck := w.gateway(t)
	release := make(chan struct{})
	stuck.lines[dbslm.Concept].on(func(ctx context.Context, method string, when moment) error {
		if method == "Observe" && when == before {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return errCut
		}
		return nil
	})
	a := try(t.Context(), stuck, said) // returns although the observation hangs
	close(release)
	if a.err != nil || a.text != "Lamps are mended on Monday." {
		t.Fatalf("got %v", a)
	}
	if got := lessons(); len(got) != 0 {
		t.Fatalf("a lost observation was stored: %v", got)
	}
	for range 3 {
		if again := try(t.Context(), w, said); again.err != nil || again.text != a.text {
			t.Fatalf("repeated: %v", again)
		}
	}
	const utterance = "Please mend my broken lamp."
	await(utterance, [2]uint32{1, 0})

	no := ask(conversation, "2", "That was not what I asked!")
	no.Bot = bot
	if b := try(t.Context(), w, no); b.err != nil {
		t.Fatal(b.err)
	}
	await(utterance, [2]uint32{0, 1})
	if again := try(t.Context(), w, said); again.err != nil {
		t.Fatal(again.err)
	}
	time.Sleep(50 * time.Millisecond) // its observation, which must change nothing
	await(utterance, [2]uint32{0, 1})
	listed, err := w.catalogue.ListExamples(t.Context(), &conceptv1.ListExamplesRequest{Bot: bot})
	put(err)
	if len(listed.Examples) != 3 {
		t.Errorf("something was learnt without a review: %v", listed.Examples)
	}
}
