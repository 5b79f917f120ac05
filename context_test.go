package dbslm_test

import (
	"strings"
	"testing"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/protobuf/proto"
)

// What is compiled for another model is what the next turn would say from levels 2 and 3; nothing is stored or claimed.
func TestCompileContext(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		ctx := t.Context()
		train(t, s.gateway, "harbour.txt", harbour)
		s.hours(t)
		if _, err := s.catalogue.PutConcept(ctx, &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "Notice"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.catalogue.PutTemplate(ctx, &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Notice", Text: "The tide turns."}}); err != nil {
			t.Fatal(err)
		}
		conversation := start(t, s.gateway)
		first := respond(t, s.gateway, conversation, "one", "What is the capital\nof Australia?", 1)
		correction := &memoryv1.RecordCorrectionRequest{
			ConversationId: conversation, RequestId: "c", ErrorMessageId: first.Message.MessageId, ErrorContext: "Sydney", Fact: &memoryv1.CorrectedFact{Value: "Canberra"},
		}
		if _, err := memoryv1.NewCorrectionServiceClient(s.Conn()).RecordCorrection(ctx, correction); err != nil {
			t.Fatal(err)
		}
		facts := memoryv1.NewFactServiceClient(s.Conn())
		for _, f := range []*memoryv1.RememberFactRequest{
			{Scope: memoryv1.Scope_SCOPE_USER, UserId: "ana", Entity: "ferry", Attribute: "price"},
			{Scope: memoryv1.Scope_SCOPE_MODEL, Model: "default", Entity: "quay", Attribute: "length"},
		} {
			f.RequestId, f.Value = f.Entity, "six"
			if _, err := facts.RememberFact(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		compile := func(text string) *gatewayv1.CompileContextResponse {
			t.Helper()
			req := &gatewayv1.CompileContextRequest{ConversationId: conversation, Text: text}
			once, err := s.gateway.CompileContext(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := s.gateway.CompileContext(ctx, req); err != nil || !proto.Equal(once, again) {
				t.Errorf("asked again: %v, %v", again, err)
			}
			if n := len(once.Window.Messages); n != 2 || len(once.Facts) != 2 || len(once.Degradations) != 0 || (once.Span == nil) != (once.Abstained != "") {
				t.Errorf("%d messages: %v", n, once)
			}
			return once
		}
		said := func(got *gatewayv1.CompileContextResponse, wanted ...string) {
			t.Helper()
			for _, want := range wanted {
				if !strings.Contains(got.Prompt, want) {
					t.Errorf("%q is not in\n%s", want, got.Prompt)
				}
			}
		}
		got := compile("When does the market open?")
		if got.Span.GetText() != "The market opens on Sunday." || len(got.Corrections) != 0 {
			t.Errorf("%v", got)
		}
		said(got, "- ferry, price: six\n", "- quay, length: six\n", "What is known to be the answer (concept Hours):\nThe market opens on Sunday.\n",
			"User: What is the capital of Australia?\nAssistant: ", "User: When does the market open?\nAssistant:")
		got = compile("And what is the capital of Australia?")
		if got.Span.GetConcept() != "CorrectedFact" || len(got.Corrections) != 1 {
			t.Errorf("%v", got)
		}
		said(got, "- Canberra (not: Sydney)\n", "The right answer is Canberra.")
		if got = compile("The gull flies."); got.Span != nil || got.Abstained == "" || strings.Contains(got.Prompt, "known to be the answer") {
			t.Errorf("%v", got)
		}

		// A signal that waits is seen, and waits on.
		if _, err := s.gateway.PushSignal(ctx, &gatewayv1.PushSignalRequest{ConversationId: conversation, RequestId: "s", Concept: "Notice"}); err != nil {
			t.Fatal(err)
		}
		if got = compile("The gull flies."); got.Span.GetText() != "The tide turns." || got.Span.Signal == nil {
			t.Errorf("%v", got)
		}
		if second := respond(t, s.gateway, conversation, "two", "The gull flies.", 1); second.UserMessage.Seq != 3 || !strings.HasPrefix(second.Message.Content, got.Span.Text) {
			t.Errorf("the turn says %v", second)
		}

		for _, bad := range []struct {
			kind errors.Kind
			req  *gatewayv1.CompileContextRequest
		}{
			{errors.NotFound, &gatewayv1.CompileContextRequest{ConversationId: "01934567-0000-7000-8000-000000000000", Text: "a"}},
			{errors.NotFound, &gatewayv1.CompileContextRequest{ConversationId: conversation, Text: "a", Model: "nobody"}},
			{errors.InvalidArgument, &gatewayv1.CompileContextRequest{ConversationId: conversation, Text: " "}},
			{errors.InvalidArgument, &gatewayv1.CompileContextRequest{ConversationId: conversation, Text: "a\x00"}},
			{errors.InvalidArgument, &gatewayv1.CompileContextRequest{Text: "a"}},
		} {
			if _, err := s.gateway.CompileContext(ctx, bad.req); errors.KindOf(err) != bad.kind {
				t.Errorf("%v: %v", bad.req, err)
			}
		}
	})
}
