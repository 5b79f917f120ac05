package dbslm_test

import (
	"strings"
	"testing"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// quote has corrections quote a reply in every way: as what was wrong, promoted to the person and from there to the model, as a
// value, and superseded; has a reply say why it was said, one acknowledge a correction, and level 1 be steered by them. What it returns checks what is left
// when the words that the reply said are forgotten.
func (w *world) quote(t *testing.T, message, conversation string) func() {
	t.Helper()
	ctx := t.Context()
	corrections := memoryv1.NewCorrectionServiceClient(w.conns[dbslm.Memory])
	said := w.history(t, conversation)[1].Content
	correct := func(id, erring, wrong string, fact *memoryv1.CorrectedFact) *memoryv1.Correction {
		t.Helper()
		resp, err := w.Correct(ctx, &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
			RequestId: id, ConversationId: conversation, ErrorMessageId: erring, ErrorContext: wrong, Fact: fact,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return resp.Correction
	}
	if why := respond(t, w, conversation, "why", "Why did you say that?", 1); !strings.Contains(why.Message.Content, strings.TrimRight(said, ".")) {
		t.Fatalf("no quote of %q in %q", said, why.Message.Content)
	}
	quoted := correct("quoted", message, said, &memoryv1.CorrectedFact{Value: "the keeper of the lighthouse"})
	ack := respond(t, w, conversation, "2", "And now?", 1)
	if !strings.Contains(ack.Message.Content, strings.TrimRight(said, ".")) {
		t.Fatalf("no quote of %q in %q", said, ack.Message.Content)
	}
	respond(t, w, conversation, "3", "Who sings?", 2)
	wide := []*memoryv1.PromoteCorrectionRequest{{Scope: memoryv1.Scope_SCOPE_USER}, {Scope: memoryv1.Scope_SCOPE_MODEL, Model: "default"}}
	ids := []string{quoted.CorrectionId}
	for _, req := range wide {
		req.CorrectionId = ids[len(ids)-1]
		promoted, err := corrections.PromoteCorrection(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, promoted.Correction.CorrectionId)
	}
	superseded := correct("superseded", "", said+" Really.", &memoryv1.CorrectedFact{Value: "Oda", ExtraJson: `{"said":"Quokka"}`})
	correct("superseding", "", said+" Really.", &memoryv1.CorrectedFact{Value: "Ada"})
	valued := correct("valued", "", "the green book", &memoryv1.CorrectedFact{Value: "a book of the quokka and of xylophones"})
	about := correct("about", "", "", &memoryv1.CorrectedFact{Entity: "Quokka", Attribute: "colour", Value: "brown"})
	kept := correct("kept", "", "", &memoryv1.CorrectedFact{Entity: "market", Attribute: "day", Value: "Sunday"})

	return func() {
		t.Helper()
		get := func(id string) *memoryv1.Correction {
			t.Helper()
			resp, err := corrections.GetCorrection(ctx, &memoryv1.GetCorrectionRequest{CorrectionId: id})
			if err != nil {
				t.Fatal(err)
			}
			return resp.Correction
		}
		for _, id := range ids { // found by the question still
			k := get(id)
			if !k.Active || k.ErrorContext != "[…]" || k.Fact.Value != "the keeper of the lighthouse" || k.Cue != "Who sleeps?" || k.Version != 2 {
				t.Errorf("left of a correction that quoted: %v", k)
			}
		}
		if k := get(superseded.CorrectionId); k.Active || k.Fact.Value != "Oda" || k.Fact.ExtraJson != "" || k.SupersededBy == "" {
			t.Errorf("left of a superseded one: %v", k)
		}
		if k := get(valued.CorrectionId); k.Active || k.RevokeReason == "" || k.Fact.Value != "[…]" {
			t.Errorf("left of one whose value is gone: %v", k)
		}
		if k := get(about.CorrectionId); !k.Active || k.Fact.Entity != "" || k.Fact.Attribute != "colour" || k.Fact.Value != "brown" {
			t.Errorf("left of one about a thing that is gone: %v", k)
		}
		if k := get(kept.CorrectionId); !k.Active || k.Version != 1 || k.Fact.Entity != "market" {
			t.Errorf("one that quoted nothing: %v", k)
		}
		history := w.history(t, conversation)
		if len(history) != 8 || history[4].Content != "And now?" || history[3].Content != "[…]" || history[5].Content != "[…]" {
			t.Errorf("%v", history)
		}
		for _, m := range []*memoryv1.Message{history[1], history[3], history[5], history[7]} {
			trace, err := w.GetTrace(ctx, &gatewayv1.GetTraceRequest{MessageId: m.MessageId})
			if err != nil || trace.Trace.NotReplayable.GetReason() != "DOCUMENT_FORGOTTEN" {
				t.Errorf("the trace of %q: %v, error %v", m.Content, trace, err)
			}
		}
		found, err := corrections.MatchCorrections(ctx, &memoryv1.MatchCorrectionsRequest{ConversationId: conversation, Text: "Who sleeps?", Model: "default"})
		if err != nil || len(found.Matches) != len(ids) {
			t.Errorf("found by the question: %v, error %v", found, err)
		}
		again := respond(t, w, conversation, "4", "Who sleeps?", 1)
		if !strings.Contains(again.Message.Content, "the keeper of the lighthouse") {
			t.Errorf("the question again is answered with %q", again.Message.Content)
		}
	}
}
