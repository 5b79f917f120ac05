package dbslm_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// hang returns a hook that holds calls of a method until their caller gives up, as a peer does that is stopped but not dead.
func hang(method string) func(context.Context, string, moment) error {
	return func(ctx context.Context, m string, at moment) error {
		if m == method && at == before {
			<-ctx.Done()
			return errors.From(ctx.Err())
		}
		return nil
	}
}

// However short its deadline, a turn leaves nothing half-way: a repetition gets one reply, and the conversation goes on.
func testShortDeadlines(t *testing.T, w *world) {
	conversation := start(t, w)
	for i, limit := range []int{1, 5, 10, 20, 30, 35, 40, 50, 60, 80, 100, 150, 200, 400} {
		req := ask(conversation, fmt.Sprint("r", i), fmt.Sprintf("Tell me about boat %d.", i))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(limit)*time.Millisecond)
		first := try(ctx, w, req)
		cancel()
		if first.err != nil && errors.KindOf(first.err) != errors.DeadlineExceeded {
			t.Errorf("%d ms: %v", limit, first.err)
		}
		second := try(t.Context(), w, req)
		if second.err != nil || first.finished != nil && first.finished.Message.MessageId != second.finished.Message.MessageId {
			t.Errorf("%d ms: first %v, repeated %v", limit, first, second)
		}
		third := attempt{err: errors.New(errors.Aborted, "", "")}
		for begun := time.Now(); errors.KindOf(third.err) == errors.Aborted && time.Since(begun) < 3*time.Second; time.Sleep(10 * time.Millisecond) {
			third = try(t.Context(), w, ask(conversation, fmt.Sprint("n", i), fmt.Sprintf("And boat %d?", 100+i)))
		}
		if third.err != nil {
			t.Errorf("%d ms: the next message: %v", limit, third.err)
		}
	}
	w.checkClosed(t, w.history(t, conversation))
}

// A peer that hangs costs a part of the turn, not the turn.
func testHangingPeers(t *testing.T, w *world) {
	tests := []struct {
		service dbslm.Service
		method  string
		check   func(a attempt) bool
	}{
		{dbslm.Concept, "Next", func(a attempt) bool {
			d := a.finished.GetTrace().GetDegradations()
			return a.text != "" && len(d) == 1 && d[0].Service == "concept" && d[0].Code == "DEADLINE_EXCEEDED" && a.finished.Trace.NgramBuildId != 0
		}},
		{dbslm.Ngram, "GetModel", func(a attempt) bool {
			d := a.finished.GetTrace().GetDegradations()
			return strings.Contains(a.text, "cannot be reached") && len(d) == 1 && d[0].Service == "ngram"
		}},
		{dbslm.Ngram, "Generate", func(a attempt) bool {
			d := a.finished.GetTrace().GetDegradations()
			return strings.Contains(a.text, "ran out of time") && len(d) == 1 && d[0].Reason == "TURN_TIME_UP" &&
				a.finished.FinishReason == ngramv1.FinishReason_FINISH_REASON_ERROR
		}},
		{dbslm.Memory, "PrepareTurn", func(a attempt) bool { return errors.KindOf(a.err) == errors.DeadlineExceeded }},
		{dbslm.Memory, "CommitTurn", func(a attempt) bool { return errors.KindOf(a.err) == errors.DeadlineExceeded }},
		{dbslm.Concept, "ConfirmSignals", func(a attempt) bool { return a.err == nil || errors.KindOf(a.err) == errors.DeadlineExceeded }},
	}
	conversations := make([]string, len(tests))
	t.Run("at once", func(t *testing.T) {
		for i, test := range tests {
			conversations[i] = start(t, w)
			t.Run(test.method, func(t *testing.T) {
				t.Parallel()
				conversation := conversations[i]
				if test.method == "ConfirmSignals" {
					w.push(t, conversation, "s")
				}
				f := w.gateway(t)
				f.lines[test.service].on(hang(test.method))
				ctx, cancel := context.WithTimeout(t.Context(), 1600*time.Millisecond)
				defer cancel()
				if a := try(ctx, f, ask(conversation, "1", "Tell me about the boats.")); !test.check(a) {
					t.Errorf("got %v, %v", a, a.finished.GetTrace())
				}
			})
		}
	})
	w.ahead.Add(int64(30 * time.Second)) // what is still open now stays so for its lease only
	for i, conversation := range conversations {
		if a := try(t.Context(), w, ask(conversation, "2", "And the fog?")); a.err != nil {
			t.Errorf("after %s hung: %v", tests[i].method, a.err)
		}
	}
	t.Run("status", func(t *testing.T) {
		f := w.gateway(t)
		f.lines[dbslm.Concept].on(hang("Check"))
		begun := time.Now()
		resp, err := f.GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
		if took := time.Since(begun); err != nil || took > 3*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		for _, p := range resp.Peers {
			if p.Reachable == (p.Service == "concept") || p.Reachable == (p.Detail != "") {
				t.Errorf("status: %v", p)
			}
		}
		if len(resp.Models) != 1 {
			t.Errorf("models: %v", resp.Models)
		}
	})
}

// A caller who opens a stream and does not read it holds neither the turn nor the conversation.
func testCallerWhoDoesNotRead(t *testing.T, w *world) {
	conversation := start(t, w)
	for i := range 6 {
		_, err := w.signals.PushSignal(t.Context(), &conceptv1.PushSignalRequest{
			RequestId: fmt.Sprint(conversation, i), ConversationId: conversation, Concept: "Notice", Ttl: durationpb.New(time.Hour),
			PayloadJson: fmt.Sprintf(`{"hour":"%d%s"}`, i, strings.Repeat("6", 60_000)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	req := ask(conversation, "1", "Tell me about the boats.")
	req.MaxSegments = 16
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := w.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: req})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the turn to begin", func() bool { return len(w.history(t, conversation)) == 1 })
	var next attempt
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		if next = try(t.Context(), w, ask(conversation, "2", "And the fog?")); errors.KindOf(next.err) != errors.Aborted {
			break
		}
	}
	if next.err != nil {
		t.Fatal(next.err)
	}
	for err == nil { // the caller wakes up
		_, err = stream.Recv()
	}
	if errors.ReasonOf(err) != "CALLER_TOO_SLOW" {
		t.Errorf("the stream ended with %v", err)
	}
	if a := try(t.Context(), w, req); a.err != nil || a.finished.FinishReason != ngramv1.FinishReason_FINISH_REASON_CANCELLED || len(a.text) < 60_000 {
		t.Errorf("repeated: %v, %v, %d bytes", a.err, a.finished.GetFinishReason(), len(a.text))
	}
	w.checkClosed(t, w.history(t, conversation))
}

// Cancelling ends the SQL behind a turn: a statement that waits for a lock, and the reads of a long generation.
func testCancelStopsSQL(t *testing.T, w *world) {
	t.Run("waiting for a lock", func(t *testing.T) {
		conversation := start(t, w)
		w.push(t, conversation, "s")
		db := w.dbs[dbslm.Concept]
		locked, release := make(chan struct{}), make(chan struct{})
		held := make(chan error, 1)
		go func() {
			held <- db.InTx(context.Background(), func(tx *database.Tx) error {
				_, err := tx.Exec(context.Background(), `UPDATE tbl_l3_concept_signals SET score = score WHERE conversation_id = ?`, conversation)
				if err == nil {
					close(locked)
					<-release
				}
				return err
			})
		}()
		<-locked
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		if a := try(ctx, w, ask(conversation, "1", "Tell me about the boats.")); errors.KindOf(a.err) != errors.Canceled {
			t.Errorf("got %v", a)
		}
		waitFor(t, "the turn to be closed", func() bool { return len(w.history(t, conversation)) == 2 })
		if db.Dialect() == database.MySQL {
			waitFor(t, "the statement to be gone", func() bool {
				var n int
				err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM information_schema.processlist
WHERE info LIKE '%tbl_l3_concept_signals%FOR UPDATE%' AND id <> CONNECTION_ID()`).Scan(&n)
				if err != nil {
					t.Fatal(err)
				}
				return n == 0
			})
		}
		close(release)
		if err := <-held; err != nil {
			t.Error(err)
		}
		if a := try(t.Context(), w, ask(conversation, "2", "And the fog?")); a.err != nil || !strings.Contains(a.text, notice) {
			t.Errorf("the signal was lost: %v", a)
		}
	})
	t.Run("generating", func(t *testing.T) {
		conversation := start(t, w)
		var chunks atomic.Int32
		f := w.gateway(t)
		f.lines[dbslm.Ngram].on(func(_ context.Context, _ string, when moment) error {
			if when == amid {
				chunks.Add(1)
			}
			return nil
		})
		req := ask(conversation, "1", "Tell me about the boats.")
		all, one, tokens, hot := uint32(0), uint32(1), uint32(4096), 3.0
		req.Parameters = &ngramv1.DecodeParameters{
			MaxTokens: &tokens, MaxSentences: &all, BestOf: &one, Temperature: &hot, NoRepeatNgram: &all,
		}
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := f.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: req})
		for err == nil {
			var resp *gatewayv1.StreamRespondResponse
			if resp, err = stream.Recv(); resp.GetDelta() != nil {
				cancel()
			}
		}
		cancel()
		if errors.KindOf(err) != errors.Canceled {
			t.Fatalf("the stream ended with %v", err)
		}
		var reply *memoryv1.Message
		waitFor(t, "the reply to be stored", func() bool {
			if m := w.history(t, conversation); len(m) == 2 {
				reply = m[1]
			}
			return reply != nil
		})
		if reply.FinishReason != "cancelled" || reply.Content == "" || chunks.Load() > 1000 {
			t.Errorf("stored %v after %d chunks", reply, chunks.Load())
		}
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("waited 5 s for %s", what)
		}
	}
}
