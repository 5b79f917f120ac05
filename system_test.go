package dbslm_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
)

var script = []string{
	"Hello there.", "Tell me about the lighthouse.", "When does the market open?", "Who counts the boats?",
	"What does Oda do in the fog?", "Remind me what we discussed.",
}

// talk holds the script and returns the replies.
func talk(t *testing.T, g gatewayv1.GatewayServiceClient) []string {
	conversation := start(t, g)
	var replies []string
	for i, text := range script {
		replies = append(replies, respond(t, g, conversation, fmt.Sprint("r", i), text, uint64(100+i)).Message.Content)
	}
	return replies
}

// The same conversation gives the same bytes on every engine, in one process and in four.
func TestSameBytesEverywhere(t *testing.T) {
	var want []string
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		one := open(t, dbslm.Config{DB: db})
		train(t, one.gateway, "harbour.txt", harbour)
		one.hours(t)
		got := talk(t, one.gateway)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("one process (-first +this):\n%s", diff)
		}
		four := split(t, db)
		if diff := cmp.Diff(want, talk(t, four.gateway)); diff != "" {
			t.Errorf("split (-first +this):\n%s", diff)
		}
		for i, reply := range got {
			if reply == "" || strings.Contains(strings.ToLower(reply), strings.ToLower(strings.Trim(script[i], ".?"))) {
				t.Errorf("%q was answered with %q", script[i], reply)
			}
		}
		if got[2] != "The market opens on Sunday." || !strings.HasPrefix(got[5], "Based on our recent exchange: ") {
			t.Errorf("concepts did not speak: %q", got)
		}
	})
}

func TestCorrectionIsAcknowledgedAndApplies(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		s.hours(t)
		conversation := start(t, s.gateway)
		first := respond(t, s.gateway, conversation, "1", "When does the market open?", 1)
		req := &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
			RequestId: "c1", ConversationId: conversation, ErrorMessageId: first.Message.MessageId,
			Fact: &memoryv1.CorrectedFact{Entity: "market", Attribute: "market day", Value: "Saturday"},
		}}
		for range 2 { // repeating repairs, and doubles nothing
			resp, err := s.gateway.Correct(t.Context(), req)
			if err != nil || resp.SignalId == "" {
				t.Fatal(resp, err)
			}
		}
		second := respond(t, s.gateway, conversation, "2", "When does the market open?", 2)
		if want := "Incorporating your latest correction: the market day of market is Saturday. The market opens on Saturday."; second.Message.Content != want {
			t.Errorf("got  %q\nwant %q", second.Message.Content, want)
		}
		third := respond(t, s.gateway, conversation, "3", "When does the market open?", 3)
		if want := "The market opens on Saturday."; third.Message.Content != want {
			t.Errorf("got %q, want %q: acknowledged once, in effect until revoked", third.Message.Content, want)
		}
		other := respond(t, s.gateway, start(t, s.gateway), "1", "When does the market open?", 3)
		if want := "The market opens on Sunday."; other.Message.Content != want {
			t.Errorf("another conversation: got %q, want %q", other.Message.Content, want)
		}
		trace, err := s.gateway.GetTrace(t.Context(), &gatewayv1.GetTraceRequest{MessageId: second.Message.MessageId})
		if err != nil || len(trace.Trace.Segments) != 2 || trace.Trace.Segments[0].Span.Signal == nil ||
			trace.Trace.Segments[1].Span.SlotSources["market_day"] != "correction" {
			t.Errorf("trace: %v, %v", trace, err)
		}
	})
}

func TestRespondIsIdempotentAndStreams(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		conversation := start(t, s.gateway)
		seed := uint64(5)
		req := &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "x", Text: "Tell me about the boats.", Parameters: &ngramv1.DecodeParameters{Seed: &seed}}
		stream, err := s.gateway.StreamRespond(t.Context(), &gatewayv1.StreamRespondRequest{Request: req})
		if err != nil {
			t.Fatal(err)
		}
		var text string
		var finished *gatewayv1.RespondResponse
		for finished == nil {
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			text += resp.GetDelta().GetText()
			finished = resp.GetFinished()
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("after the last message: %v", err)
		}
		if text == "" || text != finished.Message.Content {
			t.Errorf("streamed %q, stored %q", text, finished.Message.Content)
		}
		again, err := s.gateway.Respond(t.Context(), req)
		if err != nil || again.Message.MessageId != finished.Message.MessageId || again.Message.Content != text || again.Trace.Seed != seed {
			t.Errorf("repeated: %v, %v", again, err)
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 2 {
			t.Errorf("history: %v, %v", history, err)
		}
	})
}

// A turn whose caller goes away is stored with what was said, and does not block the next one.
func TestCancelledTurn(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		conversation := start(t, s.gateway)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := s.gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: &gatewayv1.RespondRequest{
			ConversationId: conversation, RequestId: "gone", Text: "Tell me about the boats.",
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil { // the turn has begun
			t.Fatal(err)
		}
		cancel()
		var reply *gatewayv1.RespondResponse
		for range 100 {
			reply, err = s.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "next", Text: "Hello."})
			if errors.KindOf(err) != errors.Aborted {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil || reply.Message.Content == "" {
			t.Fatalf("after a cancelled turn: %v, %v", reply, err)
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 4 {
			t.Fatalf("history: %v, %v", history, err)
		}
		if reason := history.Messages[1].FinishReason; reason != "cancelled" && reason != "stop" && reason != "length" {
			t.Errorf("the cancelled reply was stored with finish reason %q", reason)
		}
	})
}

func TestBadRequests(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		conversation := start(t, s.gateway)
		for name, test := range map[string]struct {
			req  *gatewayv1.RespondRequest
			kind errors.Kind
		}{
			"empty text":           {&gatewayv1.RespondRequest{ConversationId: conversation}, errors.InvalidArgument},
			"only spaces":          {&gatewayv1.RespondRequest{ConversationId: conversation, Text: " \n\t"}, errors.InvalidArgument},
			"NUL":                  {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "a\x00b"}, errors.InvalidArgument},
			"more than 1 MiB":      {&gatewayv1.RespondRequest{ConversationId: conversation, Text: strings.Repeat("a", 1<<20+1)}, errors.InvalidArgument},
			"unknown conversation": {&gatewayv1.RespondRequest{ConversationId: "0193e4a1-0000-7000-8000-000000000000", Text: "hi"}, errors.NotFound},
			"unknown model":        {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "hi", Model: "nobody"}, errors.NotFound},
			"unknown bot":          {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "hi", Bot: "nobody"}, errors.NotFound},
			"bad payload":          {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "hi", PayloadJson: "[1]"}, errors.InvalidArgument},
			"other tenant":         {&gatewayv1.RespondRequest{Tenant: "other", ConversationId: conversation, Text: "hi"}, errors.NotFound},
		} {
			if _, err := s.gateway.Respond(t.Context(), test.req); errors.KindOf(err) != test.kind {
				t.Errorf("%s: got %v (%v), want %v", name, err, errors.KindOf(err), test.kind)
			}
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 0 {
			t.Errorf("bad requests left %v, %v", history, err)
		}
	})
}

// A prompt of 1 MB is answered, and its like in size never comes back.
func TestLargePrompt(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		r := respond(t, s.gateway, start(t, s.gateway), "big", strings.Repeat("the boats and the fog ", 1<<20/22), 3)
		if n := len(r.Message.Content); n == 0 || n > 4096 {
			t.Errorf("the reply has %d bytes", n)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for name, config := range map[string]dbslm.Config{
		"no store":        {},
		"unknown service": {DB: ":memory:", Services: []dbslm.Service{"nobody"}},
		"missing peer":    {Services: []dbslm.Service{dbslm.Gateway}},
		"missing store":   {DB: t.TempDir() + "/nowhere"},
	} {
		sys, err := dbslm.Open(t.Context(), config)
		if err == nil {
			t.Errorf("%s was accepted", name)
			_ = sys.Close()
			continue
		}
		if kind := errors.KindOf(err); kind != errors.InvalidArgument && kind != errors.NotFound && kind != errors.FailedPrecondition {
			t.Errorf("%s: %v (%v)", name, err, kind)
		}
	}
}
