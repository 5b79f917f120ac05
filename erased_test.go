package dbslm_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
)

// erase has a gateway erase a subject and returns how many rows memory removed.
func erase(ctx context.Context, g gatewayv1.GatewayServiceClient, subject *memoryv1.PrivacySubject, request string) (uint64, error) {
	stream, err := g.Erase(ctx, &gatewayv1.EraseRequest{Subject: subject, RequestId: request})
	if err != nil {
		return 0, err
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return 0, errors.New(errors.Internal, "UNFINISHED", "the stream ended before it had finished")
		}
		if err != nil {
			return 0, err
		}
		if resp.Finished {
			return resp.Rows, nil
		}
	}
}

// The documents that are a person's go with the person, from every model, whatever dies on the way; those of people whose names begin
// alike stay.
func testErasedDocuments(t *testing.T, w *world) {
	ctx := t.Context()
	for _, model := range []string{"diaries", "letters"} {
		for label, word := range map[string]string{"user/ana": "anazebras", "user/ana/diary.txt": "diaryzebras", "user/anabel/diary.txt": "belzebras"} {
			trainModel(t, w, model, label, word+" gallop over the yellow pier.\n")
		}
		trainModel(t, w, model, "harbour.txt", harbour)
	}
	if places := w.holding(t, "diaryzebras"); len(places) == 0 {
		t.Fatal("the person's words were nowhere")
	}
	labels := func() (all []string) {
		t.Helper()
		for _, model := range []string{"diaries", "letters"} {
			resp, err := ngramv1.NewCorpusServiceClient(w.conns[dbslm.Ngram]).ListDocuments(ctx, &ngramv1.ListDocumentsRequest{Model: model})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range resp.Documents {
				all = append(all, model+":"+d.Label)
			}
		}
		return all
	}
	started, err := w.StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := w.Respond(ctx, &gatewayv1.RespondRequest{
		ConversationId: started.Conversation.ConversationId, RequestId: "1", Model: "diaries", Text: "What gallops over the pier?", Parameters: &ngramv1.DecodeParameters{Required: []string{"yellow pier"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: "bo"})
	if err != nil {
		t.Fatal(err)
	}
	told, err := w.Respond(ctx, &gatewayv1.RespondRequest{
		ConversationId: other.Conversation.ConversationId, RequestId: "1", Model: "diaries", Text: "What gallops?", Parameters: &ngramv1.DecodeParameters{Required: []string{"anazebras"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	subject := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: "ana"}}
	dying := w.gateway(t)
	deaths := 0
	for err := error(errCut); err != nil; deaths++ {
		if deaths > 60 {
			t.Fatal(err)
		}
		steps := 0
		die := func(_ context.Context, method string, when moment) error {
			if method != "ForgetDocument" && method != "ForgetReplies" && method != "ListDocuments" {
				return nil
			}
			if steps++; steps > deaths {
				return errCut
			}
			return nil
		}
		dying.lines[dbslm.Ngram].on(die)
		dying.lines[dbslm.Memory].on(die)
		_, err = erase(ctx, dying, subject, "documents of ana")
		if err != nil && errors.KindOf(err) != errors.Unavailable {
			t.Fatal(err)
		}
	}
	if deaths < 8 {
		t.Errorf("it died only %d times", deaths-1)
	}
	if diff := cmp.Diff([]string{"diaries:harbour.txt", "diaries:user/anabel/diary.txt", "letters:harbour.txt", "letters:user/anabel/diary.txt"}, labels()); diff != "" {
		t.Errorf("documents (-want +left):\n%s", diff)
	}
	if places := w.holding(t, "diaryzebras"); len(places) > 0 {
		t.Errorf("the person's words are still in %q", places)
	}
	if _, err := w.GetTrace(ctx, &gatewayv1.GetTraceRequest{MessageId: reply.Message.MessageId}); errors.KindOf(err) != errors.NotFound {
		t.Errorf("the person's reply: error %v", err)
	}
	if trace, err := w.GetTrace(ctx, &gatewayv1.GetTraceRequest{MessageId: told.Message.MessageId}); err != nil || trace.Trace.GetNotReplayable().GetReason() != "DOCUMENT_FORGOTTEN" {
		t.Errorf("what another one was told of it: %v, error %v", trace, err)
	}
	if messages := w.history(t, other.Conversation.ConversationId); len(messages) != 2 || strings.Contains(messages[1].Content, "anazebras") {
		t.Errorf("what another one was told of it: %v", messages)
	}
}

// The gateway dies at one step of an erasure after the other, each time the same request goes on, and meanwhile the person begins
// conversations in which signals wait. In the end nothing is left of any of them on any level; another person's signals wait on.
func testErasedOverAllLevels(t *testing.T, w *world) {
	ctx := t.Context()
	begin := func(user string) string {
		t.Helper()
		resp, err := w.StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: user})
		if err != nil {
			t.Fatal(err)
		}
		w.push(t, resp.Conversation.ConversationId, "waits")
		return resp.Conversation.ConversationId
	}
	waiting := func(conversation string) int {
		t.Helper()
		resp, err := w.signals.ListSignals(ctx, &conceptv1.ListSignalsRequest{ConversationId: conversation, IncludeEnded: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(resp.Signals)
	}
	for _, kind := range []string{"person", "conversation"} {
		user := "erased " + kind
		hers, other := []string{begin(user), begin(user), begin(user)}, begin("kept "+kind)
		for i, id := range hers {
			respond(t, w, id, "1", "Who counts?", uint64(i))
			w.push(t, id, "again")
		}
		subject := &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: user}}
		if kind == "conversation" {
			subject = &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: hers[0]}}
			hers = hers[:1]
		}
		dying := w.gateway(t)
		deaths := 0
		for err := error(errCut); err != nil; deaths++ {
			if deaths > 40 {
				t.Fatal(err)
			}
			steps := 0
			die := func(_ context.Context, method string, when moment) error {
				if method != "Erase" && method != "EraseSubject" && method != "ListConversations" {
					return nil
				}
				if steps++; steps > deaths {
					return errCut
				}
				if kind == "person" && method == "ListConversations" && when == after && len(hers) < 6 {
					hers = append(hers, begin(user))
				}
				return nil
			}
			dying.lines[dbslm.Memory].on(die)
			dying.lines[dbslm.Concept].on(die)
			if _, err = erase(ctx, dying, subject, "erase "+kind); err != nil && errors.KindOf(err) != errors.Unavailable {
				t.Fatal(err)
			}
		}
		if kind == "person" && len(hers) < 5 {
			t.Errorf("only %d conversations", len(hers))
		}
		if deaths < 6 {
			t.Errorf("%s: it died only %d times", kind, deaths-1)
		}
		for i, id := range hers {
			if n := waiting(id); n != 0 {
				t.Errorf("%s: %d signals wait in conversation %d of %d", kind, n, i, len(hers))
			}
			if _, err := memoryv1.NewConversationServiceClient(w.conns[dbslm.Memory]).GetConversation(ctx, &memoryv1.GetConversationRequest{ConversationId: id}); errors.KindOf(err) != errors.NotFound {
				t.Errorf("%s: conversation %d: error %v", kind, i, err)
			}
		}
		foreign, err := memoryv1.NewPrivacyServiceClient(w.conns[dbslm.Memory]).Erase(ctx, &memoryv1.EraseRequest{
			Subject: subject, RequestId: "foreign " + kind, HoldConversations: true, ReleasedConversationIds: []string{other},
		})
		for err == nil {
			_, err = foreign.Recv()
		}
		if errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s: releasing another person's conversation: error %v", kind, err)
		}
		if n := waiting(other); n != 1 {
			t.Errorf("%s: %d signals wait in another person's conversation", kind, n)
		}
		if rows, err := erase(ctx, w, subject, "erase "+kind); err != nil || rows == 0 {
			t.Errorf("%s: the same request again removed %d rows, error %v", kind, rows, err)
		}
	}
	if _, err := erase(ctx, w, &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_UserId{UserId: "nobody"}}, "nobody"); err != nil {
		t.Errorf("somebody unknown: error %v", err)
	}
}
