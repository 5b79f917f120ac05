package dbslm_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// step is one place in a turn where something dies.
type step struct {
	service dbslm.Service
	method  string
	when    moment
	signal  bool // a signal waits; else level 1 writes
}

var steps = []step{
	{dbslm.Ngram, "GetModel", before, true},
	{dbslm.Concept, "GetDecidingBuild", before, true},
	{dbslm.Concept, "GetDecidingBuild", after, true},
	{dbslm.Memory, "PrepareTurn", before, true},
	{dbslm.Memory, "PrepareTurn", after, true},
	{dbslm.Concept, "Next", before, true},
	{dbslm.Concept, "Next", after, true},
	{dbslm.Ngram, "Generate", before, false},
	{dbslm.Ngram, "Generate", amid, false},
	{dbslm.Ngram, "Generate", after, false},
	{dbslm.Memory, "CommitTurn", before, true},
	{dbslm.Memory, "CommitTurn", after, true},
	{dbslm.Memory, "CommitTurn", before, false},
	{dbslm.Memory, "CommitTurn", after, false},
	{dbslm.Memory, "GetTrace", before, true},
	{dbslm.Concept, "ConfirmSignals", before, true},
	{dbslm.Concept, "ConfirmSignals", after, true},
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
				kind := "text"
				if s.signal {
					kind = "signal"
				}
				t.Run(strings.Join([]string{string(s.when), s.method, kind, victim, retry}, "_"), func(t *testing.T) {
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
	signal := ""
	if s.signal {
		signal = w.push(t, conversation, "s")
	}

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
	first := try(calling, f, ask(conversation, "asked", "Tell me about the boats."))
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
		second := try(ctx, f, ask(conversation, "asked", "Tell me about the boats."))
		switch {
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
	asked, noticed := 0, []*memoryv1.Message(nil)
	for _, m := range messages {
		if m.Content == "Tell me about the boats." {
			asked++
		}
		if strings.Contains(m.Content, notice) {
			noticed = append(noticed, m)
		}
	}
	if want := s.method == "PrepareTurn" && s.when == before || (s.method == "GetModel" || s.method == "GetDecidingBuild") && victim != "peer"; asked != 1 && (sameRequest || !want) {
		t.Errorf("the message stands %d times: %v", asked, messages)
	}
	if !s.signal {
		return
	}
	if len(noticed) != 1 {
		t.Fatalf("the signal was spoken %d times: %v", len(noticed), messages)
	}
	if got := w.signal(t, conversation, signal); got.State != conceptv1.Signal_STATE_CONFIRMED || got.TurnId != noticed[0].TurnId {
		t.Errorf("the signal is %v, spoken in turn %s", got, noticed[0].TurnId)
	}
}
