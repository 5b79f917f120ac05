package dbslm_test

import (
	"io"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	memorystore "dbslm/services/memory/store"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Replay says why a reply can no longer be made again: messages that retention removed, a version of a template that nobody
// keeps, traces of earlier formats, a model without text for a bound that needs it.
func TestLostReplies(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		s := open(t, dbslm.Config{DB: db})
		train(t, s.gateway, "harbour.txt", harbour)
		s.hours(t)
		conversation := start(t, s.gateway)
		first := respond(t, s.gateway, conversation, "1", "Who counts the boats?", 1)
		second := respond(t, s.gateway, conversation, "2", "And who sings?", 2)
		spoken := respond(t, s.gateway, conversation, "3", "When does the market open?", 3)
		last := respond(t, s.gateway, conversation, "4", "Who writes the number in a book?", 4)
		if spoken.Trace.Segments[0].Span.GetConcept() != "Hours" || last.Trace.NgramBuildId == 0 {
			t.Fatalf("not a span and a reply of level 1: %v, %v", spoken, last)
		}
		lost := func(want, message, model string) {
			t.Helper()
			resp, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: message, Model: model})
			if err != nil || resp.Reason != want || resp.Identical || resp.NotReplayable == "" || resp.StoredText == "" {
				t.Errorf("%v, %v; want %s", resp, err, want)
			}
		}

		lost("TEMPLATE_GONE", otherwise(t, s, spoken, func(trace *gatewayv1.Trace) { trace.Segments[0].Span.TemplateVersion = 99 }), "")
		lost("TRACE_TOO_OLD", otherwise(t, s, last, func(trace *gatewayv1.Trace) { trace.Parameters = nil }), "")
		lost("TRACE_TOO_OLD", otherwise(t, s, last, func(trace *gatewayv1.Trace) { trace.WindowBounds, trace.WindowFirstSeq = nil, 99 }), "")

		exact, err := s.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{
			ConversationId: conversation, RequestId: "exact", Text: "Who knows every boat?", Parameters: &ngramv1.DecodeParameters{MaxCopied: proto.Uint32(6), MaxCopiedExact: proto.Bool(true)},
		})
		if err != nil {
			t.Fatal(err)
		}
		trainWith(t, s.gateway, &ngramv1.IngestHeader{Model: "mute", DropText: true}, "harbour.txt", harbour)
		lost("TEXT_GONE", exact.Message.MessageId, "mute")

		ageFirst(t, target, conversation, 2)
		forgetOld(t, s)
		lost("MESSAGES_GONE", second.Message.MessageId, "")
		if _, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: first.Message.MessageId}); err == nil {
			t.Error("a removed reply is replayed")
		}
	})
}

// otherwise stores a turn like the one that made reply, in a conversation of its own, with a changed trace, and returns the id of its reply.
func otherwise(t *testing.T, s system, reply *gatewayv1.RespondResponse, change func(*gatewayv1.Trace)) string {
	t.Helper()
	ctx, turns := t.Context(), memoryv1.NewTurnServiceClient(s.ConnTo(dbslm.Memory))
	prepared, err := turns.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{
		RequestId: "again", ConversationId: start(t, s.gateway), Text: reply.UserMessage.Content, Lease: durationpb.New(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	trace := proto.CloneOf(reply.Trace)
	trace.TurnId, trace.UserMessageId = prepared.Turn.TurnId, prepared.UserMessage.MessageId
	trace.WindowFirstSeq, trace.WindowLastSeq = 0, 0
	change(trace)
	body, err := proto.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := turns.CommitTurn(ctx, &memoryv1.CommitTurnRequest{
		TurnId: prepared.Turn.TurnId, Content: reply.Message.Content, FinishReason: "stop", Trace: &memoryv1.Trace{Version: 1, Body: body},
	})
	if err != nil {
		t.Fatal(err)
	}
	return committed.Message.MessageId
}

// ageFirst makes the first messages of a conversation a year old.
func ageFirst(t *testing.T, target database.Target, conversation string, messages int) {
	t.Helper()
	db := schemaOf(t, target, memorystore.Schema)
	year := (365 * 24 * time.Hour).Microseconds()
	for _, statement := range []string{
		`UPDATE tbl_l2_messages SET created_at = created_at - ? WHERE conversation_id = ? AND seq <= ?`,
		`UPDATE tbl_l2_conversations SET first_message_at = first_message_at - ? WHERE conversation_id = ? AND ? > 0`,
	} {
		if _, err := db.Exec(t.Context(), statement, year, conversation, messages); err != nil {
			t.Fatal(err)
		}
	}
}

// forgetOld removes messages older than a month.
func forgetOld(t *testing.T, s system) {
	t.Helper()
	retention := memoryv1.NewRetentionServiceClient(s.Conn())
	if _, err := retention.SetRetention(t.Context(), &memoryv1.SetRetentionRequest{Policy: &memoryv1.RetentionPolicy{
		Messages: durationpb.New(30 * 24 * time.Hour), Every: durationpb.New(24 * time.Hour),
	}}); err != nil {
		t.Fatal(err)
	}
	stream, err := retention.RunRetention(t.Context(), &memoryv1.RunRetentionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			t.Fatal("the run did not finish")
		}
		if err != nil {
			t.Fatal(err)
		}
		if resp.Finished {
			if resp.Run.GetMessages() != 2 {
				t.Fatalf("removed %v; want 2 messages", resp.Run)
			}
			return
		}
	}
}
