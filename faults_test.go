package dbslm_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// step is one place in a turn where something dies.
type step struct {
	service dbslm.Service
	method  string
	when    moment
	kind    kind
}

// kind is what a turn is about.
type kind string

const (
	signalled kind = "signal"    // a signal waits
	free      kind = "text"      // level 1 writes
	noticed   kind = "noticed"   // the message corrects the reply before it
	refused   kind = "refused"   // level 1 notices a mistake of the caller, so that the turn fails
	unsettled kind = "unsettled" // a signal waits that a turn has claimed whose gateway died, and whose lease is over
)

var steps = []step{
	{dbslm.Ngram, "GetModel", before, signalled},
	{dbslm.Concept, "GetDecidingBuild", before, signalled},
	{dbslm.Concept, "GetDecidingBuild", after, signalled},
	{dbslm.Memory, "PrepareTurn", before, signalled},
	{dbslm.Memory, "PrepareTurn", after, signalled},
	{dbslm.Concept, "Next", before, signalled},
	{dbslm.Concept, "Next", after, signalled},
	{dbslm.Ngram, "Generate", before, free},
	{dbslm.Ngram, "Generate", amid, free},
	{dbslm.Ngram, "Generate", after, free},
	{dbslm.Memory, "CommitTurn", before, signalled},
	{dbslm.Memory, "CommitTurn", after, signalled},
	{dbslm.Memory, "CommitTurn", before, free},
	{dbslm.Memory, "CommitTurn", after, free},
	{dbslm.Memory, "GetTrace", before, signalled},
	{dbslm.Concept, "ConfirmSignals", before, signalled},
	{dbslm.Concept, "ConfirmSignals", after, signalled},
	{dbslm.Memory, "RecordCorrection", before, noticed},
	{dbslm.Memory, "RecordCorrection", after, noticed},
	{dbslm.Concept, "PushSignal", before, noticed},
	{dbslm.Concept, "PushSignal", after, noticed},
	{dbslm.Memory, "FailTurn", before, refused},
	{dbslm.Memory, "FailTurn", after, refused},
	{dbslm.Memory, "GetTurn", before, unsettled},
	{dbslm.Memory, "GetTurn", after, unsettled},
	{dbslm.Concept, "ReleaseSignals", before, unsettled},
	{dbslm.Concept, "ReleaseSignals", after, unsettled},
}

// Wherever in a turn a service or the gateway itself dies, as what it calls sees it and as a process that is killed, or the caller leaves, and whether the person's client repeats the request or
// sends another: no message is lost or doubled, no turn stays open beyond its lease, a retry has the same seed and
// gets the stored reply if there is one, and a waiting signal is in exactly one reply.
func testDyingAtEveryStep(t *testing.T, w *world) {
	for _, s := range steps {
		for _, victim := range []string{"peer", "gateway", "process", "caller"} {
			if victim == "process" && raceDetector {
				continue // a process of its own races with nobody
			}
			for _, retry := range []string{"same", "new"} {
				t.Run(strings.Join([]string{string(s.when), s.method, string(s.kind), victim, retry}, "_"), func(t *testing.T) {
					w.dieAndRetry(t, s, victim, retry == "same")
				})
			}
		}
	}
}

func (w *world) dieAndRetry(t *testing.T, s step, victim string, sameRequest bool) {
	ctx, gatewayDies := t.Context(), victim == "gateway" || victim == "process"
	conversation := start(t, w)
	if a := try(ctx, w, ask(conversation, "first", "Hello.")); a.err != nil {
		t.Fatal(a.err)
	}
	signal, asked := w.before(t, s.kind, conversation)

	var f front
	kill := func() {}
	if victim == "process" {
		p := w.process(t)
		f, kill = p.front, p.kill
	} else {
		f = w.gateway(t)
	}
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	met, lines := atomic.Bool{}, f.lines // of a gateway that dies; the call may be noticed after the next one was started
	f.lines[s.service].on(func(_ context.Context, method string, when moment) error {
		if method != s.method || when != s.when || met.Swap(true) {
			return nil
		}
		if victim == "caller" {
			cancel()
			return nil
		}
		kill()
		for name, l := range lines {
			l.set(gatewayDies || name == s.service)
		}
		return errCut
	})
	first := try(calling, f, asked)
	if !met.Load() {
		t.Fatalf("%s was never met: %v", s.method, first)
	}
	switch victim {
	case "gateway":
		f = w.gateway(t)
	case "process":
		f = w.process(t).front
	}
	for _, l := range f.lines {
		l.set(false)
	}

	if sameRequest {
		second := try(ctx, f, asked)
		switch {
		case s.kind == refused:
			if reason := errors.ReasonOf(second.err); reason != "PROFILE_NOT_FOUND" && reason != "TURN_FAILED" {
				t.Errorf("the retry of what is refused: %v (the first attempt: %v)", second, first)
			}
		case second.err != nil:
			t.Fatalf("the retry failed: %v (the first attempt: %v)", second.err, first.err)
		case first.started != nil && first.started.Seed != second.started.Seed:
			t.Errorf("the retry has seed %d, the first attempt %d", second.started.Seed, first.started.Seed)
		case first.finished != nil && !gatewayDies && first.finished.Message.MessageId != second.finished.Message.MessageId:
			t.Errorf("the retry got another reply than %v: %v", first.finished, second.finished)
		case victim == "caller":
			// The attempt whose caller left goes on to store what it had said, and that counts, whatever the retry has streamed by then; see
			// testCancelledAttemptBeatsItsRetry.
		case second.text != second.finished.Message.Content:
			t.Errorf("streamed %q, stored %q", second.text, second.finished.Message.Content)
		}
	} else {
		other := ask(conversation, "other", "And the fog?")
		a := try(ctx, f, other)
		for begun := time.Now(); victim == "caller" && errors.KindOf(a.err) == errors.Aborted && time.Since(begun) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
			a = try(ctx, f, other) // its gateway lives, and closes the turn without being asked
		}
		if errors.KindOf(a.err) == errors.Aborted { // the turn is open: for its lease, and no longer
			e, ok := errors.AsType[*errors.Error](a.err)
			if !ok || e.RetryDelay() <= 0 || e.RetryDelay() > time.Minute {
				t.Errorf("no time to retry in %v", a.err)
			}
			w.ahead.Add(int64(e.RetryDelay()))
			a = try(ctx, f, other)
		}
		if a.err != nil {
			t.Fatal(a.err)
		}
	}
	if a := try(ctx, f, ask(conversation, "last", "Good bye.")); a.err != nil {
		t.Fatal(a.err)
	}

	messages := w.history(t, conversation)
	w.checkClosed(t, messages)
	times, spoken := 0, []*memoryv1.Message(nil)
	for _, m := range messages {
		if m.Content == asked.Text {
			times++
		}
		if strings.Contains(m.Content, notice) {
			spoken = append(spoken, m)
		}
	}
	if lost := s.method == "PrepareTurn" && s.when == before || (s.method == "GetModel" || s.method == "GetDecidingBuild") && victim != "peer"; times != 1 && (sameRequest || !lost) {
		t.Errorf("the message stands %d times: %v", times, messages)
	}
	if s.kind == noticed {
		w.checkNoticed(t, conversation, messages, victim != "peer")
	}
	if signal == "" {
		return
	}
	if len(spoken) != 1 {
		t.Fatalf("the signal was spoken %d times: %v", len(spoken), messages)
	}
	if got := w.signal(t, conversation, signal); got.State != conceptv1.Signal_STATE_CONFIRMED || got.TurnId != spoken[0].TurnId {
		t.Errorf("the signal is %v, spoken in turn %s", got, spoken[0].TurnId)
	}
}

// before is what happens before the turn in which something dies. It returns the signal that waits then, and the request of the turn.
func (w *world) before(t *testing.T, k kind, conversation string) (signal string, asked *gatewayv1.RespondRequest) {
	t.Helper()
	asked = ask(conversation, "asked", "Tell me about the boats.")
	switch k {
	case signalled:
		signal = w.push(t, conversation, "s")
	case noticed:
		asked.Text = "No, it's Canberra."
		for i, content := range []string{"What is the capital of Australia?", "It is Sydney."} {
			if _, err := memoryv1.NewConversationServiceClient(w.conns[dbslm.Memory]).AppendMessage(t.Context(), &memoryv1.AppendMessageRequest{
				RequestId: fmt.Sprint("h", i), ConversationId: conversation, Sender: memoryv1.Sender(i + 1), Content: content,
			}); err != nil {
				t.Fatal(err)
			}
		}
	case refused:
		asked.Parameters = &ngramv1.DecodeParameters{Profile: "nobody"}
	case unsettled:
		signal = w.push(t, conversation, "s")
		dead := w.gateway(t)
		hook, _ := losing("CommitTurn", before, 100)
		dead.lines[dbslm.Memory].on(hook)
		if a := try(t.Context(), dead, ask(conversation, "dead", "Who is there?")); !strings.Contains(a.text, notice) || a.err == nil {
			t.Fatalf("the attempt that claims the signal: %v", a)
		}
		w.ahead.Add(int64(2 * time.Minute))
	}
	return signal, asked
}

// checkNoticed fails unless the correction in a message is recorded once and acknowledged at most once, or exactly once.
func (w *world) checkNoticed(t *testing.T, conversation string, messages []*memoryv1.Message, surely bool) {
	t.Helper()
	page, err := memoryv1.NewCorrectionServiceClient(w.conns[dbslm.Memory]).ListCorrections(t.Context(), &memoryv1.ListCorrectionsRequest{ConversationId: conversation, IncludeEnded: true})
	if err != nil || len(page.Corrections) != 1 || page.Corrections[0].Fact.GetValue() != "Canberra" {
		t.Errorf("recorded: %v, error %v", page, err)
	}
	acknowledged := 0
	for _, m := range messages {
		if strings.Contains(m.Content, "Incorporating") {
			acknowledged++
		}
	}
	if acknowledged > 1 || surely && acknowledged == 0 {
		t.Errorf("acknowledged %d times: %v", acknowledged, messages)
	}
}
