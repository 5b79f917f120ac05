package dbslm_test

import (
	"fmt"
	"regexp"
	"testing"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// "Why did you say that?" is answered from the trace of what was said: by a concept, a signal, a correction, or level 1.
func TestWhy(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		s.hours(t)
		conversation := start(t, s.gateway)
		var all []*gatewayv1.RespondResponse
		says := func(asked, pattern string) *gatewayv1.RespondResponse {
			t.Helper()
			resp := respond(t, s.gateway, conversation, fmt.Sprint(len(all)), asked, 1)
			all = append(all, resp)
			if !regexp.MustCompile("^(?:" + pattern + ")$").MatchString(resp.Message.Content) {
				t.Errorf("%q: %q, want %s", asked, resp.Message.Content, pattern)
			}
			return resp
		}
		says("Why did you say that?", `.+`) // nothing was said yet, so the model says something
		says("When does the market open?", `The market opens on Sunday\.`)
		says("Why did you say Sunday?", `I said “Sunday” because I took what you said for Hours, with a probability of \d+[ \x{a0}]?%\.`)
		says("Warum hast du gesagt, the market opens on Sunday?", `„The market opens on Sunday“ habe ich gesagt, weil ich Sie so verstand: Hours, mit einer Wahrscheinlichkeit von \d+[ \x{a0}]?%\.`)
		wrong := says("When does the market open, please?", `The market opens on Sunday\.`)
		if _, err := s.gateway.Correct(t.Context(), &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
			ConversationId: conversation, RequestId: "c", ErrorMessageId: wrong.Message.MessageId,
			Fact: &memoryv1.CorrectedFact{Entity: "market", Attribute: "market day", Value: "Monday"}, ErrorContext: "market day",
		}}); err != nil {
			t.Fatal(err)
		}
		says("Thanks.", `Incorporating your latest correction: the market day of market is Monday\..*`)
		says("Why did you say that now?", `I said “Incorporating .*” because of a correction: Monday\.`)
		says("When does the market open?", `The market opens on Monday\.`)
		says("What makes you say Monday?", `I said “Monday” because of a correction: Monday\.`)
		free := says("The keeper of the lighthouse", `.+`)
		if free.Trace.NgramBuildId == 0 || len(free.Trace.Segments) != 1 || free.Trace.Segments[0].Span != nil {
			t.Fatalf("level 1 was to write: %v", free.Trace)
		}
		says("why did you say it?", `I put “.+” together word by word from what I have read, up to \d words in a row as they stand there\.`)
		words := regexp.MustCompile(`\w+`).FindAllString(free.Message.Content, -1)
		says("Why did you say "+words[len(words)-1]+"?", `I said “`+words[len(words)-1]+`” because after “.+” that is what I have read, (once|\d+ times)\.`)
		says("Why did you say elephants?", `.+`) // which nobody said
		if got := all[len(all)-1].Trace.Segments[0].Span.GetConcept(); got == "ReplyExplained" {
			t.Error("explains what was never said")
		}
		for _, r := range all {
			if again, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: r.Message.MessageId}); err != nil || !again.Identical {
				t.Errorf("%q is not replayed: %v, %v", r.Message.Content, again, err)
			}
		}
		told := all[2].Trace.Segments[0]
		if told.Span.GetConcept() != "ReplyExplained" || told.Span.SlotSources["reply_words"] != "trace" || told.Provided.GetConcept() != "ReplyExplained" {
			t.Errorf("the trace of an explanation: %v", told)
		}
	})
}
