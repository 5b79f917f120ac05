package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testTurn(t *testing.T, s *Store) {
	c := begin(t, s)
	r := request(t, c, "r1", "Hello")
	r.Pins = memory.Pins{Seed: 1<<64 - 1, Model: "m", NgramBuildID: 7, ConceptBuildID: 1<<32 - 1}
	p := prepare(t, s, r, noon)
	want := memory.Turn{
		Tenant: c.Tenant, ID: p.Turn.ID, ConversationID: c.ID, RequestID: "r1", State: memory.TurnOpen, LeaseUntil: noon.Add(time.Minute),
		Pins: r.Pins, UserMessageID: p.UserMessage.ID, UserSeq: 1, Created: noon,
	}
	if diff := cmp.Diff(want, p.Turn); diff != "" {
		t.Error(diff)
	}
	if len(p.Window.Messages) != 0 || p.Window.Omitted != 0 || p.Conversation.UserMessages != 1 || !p.Conversation.First.Equal(noon) {
		t.Errorf("first turn: window %+v, conversation %+v", p.Window, p.Conversation)
	}
	trace := &memory.Trace{Version: 1, Body: bytes.Repeat([]byte("trace\x00\xff"), 1000), NgramBuildID: 7, ConceptBuildID: 9, Model: "m"}
	turn, m, err := s.CommitTurn(t.Context(), c.Tenant, p.Turn.ID, Reply{Content: "Hi.", FinishReason: "stop", Trace: trace}, noon.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want = want.Commit(m.ID, 2, noon.Add(time.Second))
	if diff := cmp.Diff(want, turn); diff != "" {
		t.Error(diff)
	}
	stored, err := s.Turn(t.Context(), c.Tenant, turn.ID, noon.Add(time.Hour))
	if diff := cmp.Diff(want, stored); diff != "" || err != nil {
		t.Error(err, diff)
	}
	trace.MessageID = m.ID
	gotTrace, err := s.Trace(t.Context(), c.Tenant, m.ID)
	if diff := cmp.Diff(*trace, gotTrace); diff != "" || err != nil {
		t.Error(err, diff)
	}

	again := prepare(t, s, r, noon.Add(time.Hour)) // the request of a committed turn
	if again.Turn.ID != turn.ID || again.Reply == nil || again.Reply.ID != m.ID || again.Trace == nil || !bytes.Equal(again.Trace.Body, trace.Body) {
		t.Errorf("the repeated request gave %+v", again)
	}
	p2 := prepare(t, s, request(t, c, "r2", "And?"), noon.Add(2*time.Second))
	if got := len(p2.Window.Messages); got != 2 || p2.Window.Messages[0].Content != "Hello" || p2.Window.Messages[1].FinishReason != "stop" {
		t.Errorf("second turn's window: %+v", p2.Window)
	}
	if diff := cmp.Diff([]string{"1 user Hello", "2 assistant Hi.", "3 user And?"}, transcript(t, s, c)); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, s, c)
}

func testPrepareIsIdempotent(t *testing.T, s *Store) {
	c := begin(t, s)
	exchange(t, s, c, "before", "reply", noon)
	prepared := make([]PreparedTurn, 8)
	errs := together(len(prepared), func(i int) (err error) {
		r := request(t, c, "same", "Hello")
		r.Pins.Seed = uint64(i) + 1
		prepared[i], err = s.PrepareTurn(context.Background(), r, noon.Add(time.Duration(i)*time.Second))
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	first := prepared[0]
	latest := first.Turn.LeaseUntil
	for _, p := range prepared {
		if p.Turn.ID != first.Turn.ID || p.Turn.Pins != first.Turn.Pins || p.UserMessage != first.UserMessage || !p.Turn.Created.Equal(first.Turn.Created) {
			t.Errorf("one request gave %+v and %+v", first.Turn, p.Turn)
		}
		if diff := cmp.Diff(first.Window, p.Window); diff != "" {
			t.Error(diff)
		}
		if p.Turn.LeaseUntil.After(latest) {
			latest = p.Turn.LeaseUntil
		}
	}
	if want := noon.Add(7*time.Second + time.Minute); !latest.Equal(want) {
		t.Errorf("the lease was renewed to %v, want %v", latest, want)
	}
	if got := conversation(t, s, c); !got.OpenUntil.Equal(latest) {
		t.Errorf("the conversation's lease ends %v, the turn's %v", got.OpenUntil, latest)
	}
	_, err := s.PrepareTurn(t.Context(), request(t, c, "same", "Another text"), noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	if _, err := appendAt(s, c, "appended", memory.SenderUser, "x", noon); err != nil {
		t.Fatal(err)
	}
	_, err = s.PrepareTurn(t.Context(), request(t, c, "appended", "x"), noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	_, err = appendAt(s, c, "same", memory.SenderUser, "Hello", noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	checkCounters(t, s, c)
}

func testOneOpenTurn(t *testing.T, s *Store) {
	c := begin(t, s)
	errs := together(16, func(i int) error {
		_, err := s.PrepareTurn(context.Background(), request(t, c, fmt.Sprint(i), "hello"), noon)
		return err
	})
	opened := 0
	for _, err := range errs {
		if err == nil {
			opened++
			continue
		}
		wantError(t, err, errors.Aborted, memory.ReasonTurnOpen)
		if e, ok := errors.AsType[*errors.Error](err); !ok || e.RetryDelay() != time.Minute {
			t.Errorf("no time to retry in %v", err)
		}
	}
	if opened != 1 {
		t.Errorf("%d turns were opened", opened)
	}
	if got := len(transcript(t, s, c)); got != 1 {
		t.Errorf("%d messages, want the one of the open turn", got)
	}
	checkCounters(t, s, c)
}

func testLeaseEnds(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	before, end := noon.Add(time.Minute-time.Microsecond), noon.Add(time.Minute)
	reply := Reply{Content: "late", FinishReason: "stop"}

	lost := prepare(t, s, request(t, c, "lost", "first"), noon)
	_, err := s.PrepareTurn(ctx, request(t, c, "next", "second"), before)
	wantError(t, err, errors.Aborted, memory.ReasonTurnOpen)
	next := prepare(t, s, request(t, c, "next", "second"), end) // closes the lost one
	if len(next.Window.Messages) != 1 || next.Conversation.FailedTurns != 1 {
		t.Errorf("after a failed turn: window %+v, %d failed turns", next.Window, next.Conversation.FailedTurns)
	}
	got, err := s.Turn(ctx, c.Tenant, lost.Turn.ID, end)
	if err != nil || got.State != memory.TurnFailed || got.Failure == "" || !got.Closed.Equal(end) {
		t.Errorf("the lost turn is %+v, error %v", got, err)
	}
	_, _, err = s.CommitTurn(ctx, c.Tenant, lost.Turn.ID, reply, end)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
	_, err = s.PrepareTurn(ctx, request(t, c, "lost", "first"), end)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
	checkCounters(t, s, c)

	// Whoever meets an expired turn closes it: commit, prepare with its own id, get, fail.
	after := end.Add(time.Minute)
	_, _, err = s.CommitTurn(ctx, c.Tenant, next.Turn.ID, reply, after)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
	checkFailed := func(turn memory.Turn, failed int64) {
		t.Helper()
		if stored, err := readTurn(ctx, s.db, turn.Tenant, turn.ID); err != nil || stored.State != memory.TurnFailed {
			t.Errorf("the turn is stored as %+v, error %v", stored, err)
		}
		if got := conversation(t, s, c); got.OpenTurnID != "" || got.FailedTurns != failed {
			t.Errorf("open %q, %d failed, want none and %d", got.OpenTurnID, got.FailedTurns, failed)
		}
		checkCounters(t, s, c)
	}
	checkFailed(next.Turn, 2)
	third := prepare(t, s, request(t, c, "third", "x"), noon)
	_, err = s.PrepareTurn(ctx, request(t, c, "third", "x"), end)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
	checkFailed(third.Turn, 3)
	fourth := prepare(t, s, request(t, c, "fourth", "x"), noon)
	if got, err := s.Turn(ctx, c.Tenant, fourth.Turn.ID, end); err != nil || got.State != memory.TurnFailed {
		t.Errorf("got %+v, error %v", got, err)
	}
	checkFailed(fourth.Turn, 4)
	fifth := prepare(t, s, request(t, c, "fifth", "x"), noon)
	if got, err := s.FailTurn(ctx, c.Tenant, fifth.Turn.ID, "told to", end); err != nil || got.Failure == "told to" {
		t.Errorf("got %+v, error %v", got, err)
	}
	checkFailed(fifth.Turn, 5)
	if diff := cmp.Diff([]string{"1 user first", "2 user second", "3 user x", "4 user x", "5 user x"}, transcript(t, s, c)); diff != "" {
		t.Error(diff)
	}
}

func testFailTurn(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	p := prepare(t, s, request(t, c, "r", "hello"), noon)
	for _, reason := range []string{"no words", "another reason"} {
		got, err := s.FailTurn(ctx, c.Tenant, p.Turn.ID, reason, noon)
		if err != nil || got.State != memory.TurnFailed || got.Failure != "no words" {
			t.Errorf("failing for %s: %+v, error %v", reason, got, err)
		}
	}
	turn, _ := exchange(t, s, c, "q", "a", noon)
	_, err := s.FailTurn(ctx, c.Tenant, turn.ID, "too late", noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnCommitted)
	checkCounters(t, s, c)
}

func testCommitTwiceAtOnce(t *testing.T, s *Store) {
	c := begin(t, s)
	p := prepare(t, s, request(t, c, "r", "hello"), noon)
	replies := make([]memory.Message, 16)
	errs := together(len(replies), func(i int) (err error) {
		_, replies[i], err = s.CommitTurn(context.Background(), c.Tenant, p.Turn.ID,
			Reply{Content: fmt.Sprint("reply ", i), FinishReason: "stop", Trace: &memory.Trace{Body: []byte{byte(i)}}}, noon)
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, m := range replies {
		if m != replies[0] {
			t.Errorf("one turn has replies %+v and %+v", replies[0], m)
		}
	}
	if got := transcript(t, s, c); len(got) != 2 || !strings.HasPrefix(got[1], "2 assistant reply ") {
		t.Errorf("the conversation is %q", got)
	}
	checkCounters(t, s, c)
}

func testCommitOrFailAtOnce(t *testing.T, s *Store) {
	for i := range 5 {
		c := begin(t, s)
		p := prepare(t, s, request(t, c, "r", "hello"), noon)
		errs := together(8, func(i int) error {
			if i%2 == 0 {
				_, err := s.FailTurn(context.Background(), c.Tenant, p.Turn.ID, "raced", noon)
				return err
			}
			_, _, err := s.CommitTurn(context.Background(), c.Tenant, p.Turn.ID, Reply{Content: "reply", FinishReason: "stop"}, noon)
			return err
		})
		failed, committed := errs[0] == nil, errs[1] == nil
		if failed == committed {
			t.Errorf("run %d: failed %v, committed %v", i, errs[0], errs[1])
		}
		for j, err := range errs {
			if (err == nil) != (errs[j%2] == nil) {
				t.Errorf("run %d: %v and %v", i, errs[j%2], err)
			}
		}
		if want := 1 + len(slices.DeleteFunc([]bool{committed}, func(b bool) bool { return !b })); len(transcript(t, s, c)) != want {
			t.Errorf("run %d: %d messages, want %d", i, len(transcript(t, s, c)), want)
		}
		checkCounters(t, s, c)
	}
}

func testEmptyAndPartialReplies(t *testing.T, s *Store) {
	c := begin(t, s)
	for _, finish := range []string{"cancelled", "error"} {
		p := prepare(t, s, request(t, c, finish, "hello"), noon)
		if _, m, err := s.CommitTurn(t.Context(), c.Tenant, p.Turn.ID, Reply{FinishReason: finish}, noon); err != nil || m.FinishReason != finish {
			t.Errorf("reply %+v, error %v", m, err)
		}
	}
	checkCounters(t, s, c)
	transcript(t, s, c)
}

func testCancelledContexts(t *testing.T, s *Store) {
	c := begin(t, s)
	p := prepare(t, s, request(t, c, "open", "hello"), noon)
	other := begin(t, s)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for ctx, kind := range map[context.Context]errors.Kind{gone: errors.Canceled, late: errors.DeadlineExceeded} {
		_, err := s.PrepareTurn(ctx, request(t, other, "r", "x"), noon)
		if errors.KindOf(err) != kind {
			t.Errorf("prepare: %v", err)
		}
		_, _, err = s.CommitTurn(ctx, c.Tenant, p.Turn.ID, Reply{Content: "x", FinishReason: "stop"}, noon)
		if errors.KindOf(err) != kind {
			t.Errorf("commit: %v", err)
		}
		_, _, err = s.RecordCorrection(ctx, correctionIn(t, c, "r", "x", "y"), noon)
		if errors.KindOf(err) != kind {
			t.Errorf("correct: %v", err)
		}
	}
	// Cancelled at any moment, a turn is opened completely or not at all.
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*150*time.Microsecond)
		one := begin(t, s)
		_, err := s.PrepareTurn(ctx, request(t, one, "r", "x"), noon)
		cancel()
		got := conversation(t, s, one)
		if said := len(transcript(t, s, one)); int64(said) != got.Messages() || (said == 1) != (got.OpenTurnID != "") || err == nil && said != 1 {
			t.Errorf("prepare gave %v; %d messages, conversation %+v", err, said, got)
		}
		if again := prepare(t, s, request(t, one, "r", "x"), noon); again.UserMessage.Seq != 1 {
			t.Errorf("the retry is message %d", again.UserMessage.Seq)
		}
		checkCounters(t, s, one)
	}
	checkCounters(t, s, c)
}

func testClockGoesBackwards(t *testing.T, s *Store) {
	c := begin(t, s)
	for i := range 4 {
		exchange(t, s, c, fmt.Sprint("q", i), fmt.Sprint("a", i), noon.Add(-time.Duration(i)*time.Hour))
	}
	p := prepare(t, s, request(t, c, "r", "now"), noon.AddDate(-1, 0, 0))
	var said []string
	for _, m := range p.Window.Messages {
		said = append(said, m.Content)
	}
	if diff := cmp.Diff([]string{"q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"}, said); diff != "" {
		t.Error(diff)
	}
	transcript(t, s, c)
	checkCounters(t, s, c)
}

// testTurnsAgainstAModel runs random operations on one conversation and on a model of it that fits on a page.
func testTurnsAgainstAModel(t *testing.T, s *Store) {
	rapid.Check(t, func(rt *rapid.T) {
		c := begin(t, s)
		now := noon
		type turn struct {
			id    string
			state memory.TurnState
			until time.Time
		}
		var (
			turns = map[string]*turn{} // by request
			open  *turn
			said  []string
		)
		settle := func() {
			if open != nil && !now.Before(open.until) {
				open.state, open = memory.TurnFailed, nil
			}
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "request")
			known := turns[id]
			switch rapid.SampledFrom([]string{"prepare", "prepare", "commit", "fail", "get", "wait"}).Draw(rt, "operation") {
			case "prepare":
				settle()
				p, err := s.PrepareTurn(context.Background(), request(t, c, id, "q "+id), now)
				switch {
				case known == nil && open != nil:
					wantError(t, err, errors.Aborted, memory.ReasonTurnOpen)
				case known != nil && known.state == memory.TurnFailed:
					wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
				case err != nil:
					rt.Fatal(err)
				case known == nil:
					open = &turn{p.Turn.ID, memory.TurnOpen, now.Add(time.Minute)}
					turns[id] = open
					said = append(said, fmt.Sprintf("%d user q %s", len(said)+1, id))
				case p.Turn.ID != known.id || p.Turn.State != known.state || (p.Reply != nil) != (known.state == memory.TurnCommitted):
					rt.Fatalf("got %+v, want %+v", p.Turn, known)
				case known.state == memory.TurnOpen:
					known.until = now.Add(time.Minute)
				}
			case "commit":
				if known == nil {
					continue
				}
				settle()
				_, _, err := s.CommitTurn(context.Background(), c.Tenant, known.id, Reply{Content: "a " + id, FinishReason: "stop"}, now)
				switch {
				case known.state == memory.TurnFailed:
					wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnFailed)
				case err != nil:
					rt.Fatal(err)
				case known.state == memory.TurnOpen:
					known.state, open = memory.TurnCommitted, nil
					said = append(said, fmt.Sprintf("%d assistant a %s", len(said)+1, id))
				}
			case "fail":
				if known == nil {
					continue
				}
				settle()
				_, err := s.FailTurn(context.Background(), c.Tenant, known.id, "", now)
				switch {
				case known.state == memory.TurnCommitted:
					wantError(t, err, errors.FailedPrecondition, memory.ReasonTurnCommitted)
				case err != nil:
					rt.Fatal(err)
				case known.state == memory.TurnOpen:
					known.state, open = memory.TurnFailed, nil
				}
			case "get":
				if known == nil {
					continue
				}
				settle()
				got, err := s.Turn(context.Background(), c.Tenant, known.id, now)
				if err != nil || got.State != known.state {
					rt.Fatalf("got %+v, error %v, want %+v", got, err, known)
				}
			case "wait":
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 40 * time.Second, time.Minute}).Draw(rt, "for"))
			}
		}
		if diff := cmp.Diff(said, transcript(t, s, c)); diff != "" {
			rt.Error(diff)
		}
		checkCounters(t, s, c)
	})
}
