package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func quiet(memory.RetentionRun) error { return nil }

// aged makes a conversation with an exchange a day, the last one that many days before noon, each with a trace.
func aged(t *testing.T, s *Store, tenant string, exchanges, daysAgo int) memory.Conversation {
	t.Helper()
	c := beginAs(t, s, tenant, "ada")
	for i := range exchanges {
		said := noon.Add(-time.Duration(daysAgo+exchanges-1-i) * day)
		p := prepare(t, s, request(t, c, fmt.Sprint("r", i), fmt.Sprintf("Wednesbury number%d", i)), said)
		reply := Reply{Content: fmt.Sprint("Reply ", i), FinishReason: "stop", Trace: &memory.Trace{Version: 1, Body: []byte("body"), Detail: []byte("detail")}, Carried: []byte("carried")}
		if _, _, err := s.CommitTurn(t.Context(), tenant, p.Turn.ID, reply, said); err != nil {
			t.Fatal(err)
		}
	}
	return conversation(t, s, c)
}

func keep(t *testing.T, s *Store, r memory.Retention) {
	t.Helper()
	r, err := r.Complete()
	if err == nil {
		_, err = s.SetRetention(t.Context(), r, noon)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testRetention applies a policy of all three kinds: idle conversations go whole, old messages go from those that go on, and
// what is younger stays as it was, readable from both ends.
func testRetention(t *testing.T, s *Store) {
	ctx := t.Context()
	tn := tenant(t)
	idle := aged(t, s, tn, 3, 40)
	record(t, s, correctionIn(t, idle, "k", "harbour", "x"), noon)
	if _, err := s.db.Exec(ctx, `UPDATE tbl_l2_conversations SET updated_at = ? WHERE tenant = ? AND conversation_id = ?`, micros(noon.Add(-40*day)), tn, idle.ID); err != nil {
		t.Fatal(err)
	}
	long := aged(t, s, tn, 30, 0)
	foreign := aged(t, s, tn+"2", 3, 400)

	if run, err := s.RunRetention(ctx, tn, at(noon), quiet); err != nil || run != (memory.RetentionRun{}) {
		t.Errorf("without a policy: %+v, error %v", run, err)
	}
	keep(t, s, memory.Retention{Tenant: tn, Conversations: 30 * day, Messages: 10*day + time.Hour, TraceDetail: 5*day + time.Hour})
	if due, err := s.DueRetention(ctx, noon, 1000); err != nil || !slices.Contains(due, tn) {
		t.Errorf("due: %v, error %v", due, err)
	}
	policy, _, err := s.Retention(ctx, tn)
	if err != nil {
		t.Fatal(err)
	}
	would, err := s.WouldRemove(ctx, policy, noon)
	if err != nil || would.Conversations != 1 || would.Messages != 6+2*19 || would.Traces != 3+24 {
		t.Errorf("would remove %+v, error %v", would, err)
	}
	run, err := s.RunRetention(ctx, tn, at(noon), quiet)
	if err != nil || run.Conversations != 1 || run.Messages != 2*19 || run.Traces != 5 || run.Bytes == 0 || !run.Finished.Equal(noon) {
		t.Errorf("%+v, error %v", run, err)
	}
	_, err = s.Conversation(ctx, tn, idle.ID)
	wantError(t, err, errors.NotFound, "CONVERSATION_NOT_FOUND")
	if n, err := s.CountSubject(ctx, tn, memory.Subject{ConversationID: idle.ID}); err != nil || n != 0 {
		t.Errorf("%d rows of the idle conversation are left, error %v", n, err)
	}
	if got := transcript(t, s, foreign); len(got) != 6 {
		t.Errorf("another tenant's conversation holds %v", got)
	}

	// What is left reads as before: forward, backward, in a window, by search.
	for _, newestFirst := range []bool{false, true} {
		var seqs []int64
		q := MessageQuery{Tenant: tn, ConversationID: long.ID, NewestFirst: newestFirst, Limit: 7}
		for {
			page, next, err := s.Messages(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page {
				seqs = append(seqs, m.Seq)
			}
			if q.After = next; next == nil {
				break
			}
			if len(page) == 0 {
				t.Fatal("an empty page that is not the last one")
			}
		}
		if slices.Sort(seqs); len(seqs) != 22 || seqs[0] != 39 || seqs[21] != 60 {
			t.Errorf("newest first %v: %v", newestFirst, seqs)
		}
	}
	stale := MessageQuery{Tenant: tn, ConversationID: long.ID, After: &AfterMessage{Seq: 2, End: 10}, Limit: 5} // a token from before
	if page, _, err := s.Messages(ctx, stale); err != nil || len(page) != 5 || page[0].Seq != 39 {
		t.Errorf("an old place in the list: %d messages, error %v", len(page), err)
	}
	if found, _, err := s.Search(ctx, SearchQuery{Tenant: tn, Words: "Wednesbury", Limit: 100}); err != nil || len(found) != 11 {
		t.Errorf("%d messages are found, error %v", len(found), err)
	}
	for table, want := range map[string]int{"tbl_l2_turns": 11, "tbl_l2_message_traces": 11, "tbl_l2_message_words": 22 + 11*2} {
		var n int
		if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE tenant = ?", tn).Scan(&n); err != nil || n != want {
			t.Errorf("%s has %d rows, want %d, error %v", table, n, want, err)
		}
	}
	got := conversation(t, s, long)
	if got.Messages() != 60 || got.Removed != 38 || string(got.Carried) != "carried" || !got.First.Equal(noon.Add(-10*day)) {
		t.Errorf("%+v", got)
	}
	exchange(t, s, long, "Is the harbour open?", "Yes.", noon)
	if p := prepare(t, s, request(t, long, "r0", "a request of long ago"), noon); p.UserMessage.Seq != 63 || p.Window.Omitted != 62-int64(len(p.Window.Messages)) {
		t.Errorf("a request id whose message went: %+v, window of %d, %d omitted", p.UserMessage, len(p.Window.Messages), p.Window.Omitted)
	}
	policy, runs, err := s.Retention(ctx, tn)
	if err != nil || len(runs) != 1 || runs[0] != run || !policy.NextRun.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v, runs %+v, error %v", policy, runs, err)
	}
	if due, err := s.DueRetention(ctx, noon.Add(59*time.Minute), 1000); err != nil || slices.Contains(due, tn) {
		t.Errorf("due again: %v, error %v", due, err)
	}

	// Everything but an open turn goes from a conversation of old messages, also what it carried on, which may hold what was said.
	if _, err := s.db.Exec(ctx, `UPDATE tbl_l2_conversations SET carried = ? WHERE tenant = ? AND conversation_id = ?`, []byte("carried"), tn, long.ID); err != nil {
		t.Fatal(err)
	}
	keep(t, s, memory.Retention{Tenant: tn, Messages: time.Hour})
	if _, err := s.RunRetention(ctx, tn, at(noon.Add(2*time.Hour)), quiet); err != nil {
		t.Error(err)
	}
	if got := conversation(t, s, long); got.Removed != 63 || got.Carried != nil || !got.First.IsZero() || got.OpenTurnID != "" {
		t.Errorf("%+v", got)
	}
	if got, _, err := s.Messages(ctx, MessageQuery{Tenant: tn, ConversationID: long.ID, Limit: 5}); err != nil || len(got) != 0 {
		t.Errorf("%v, error %v", got, err)
	}
	if m := exchangeReply(t, s, long); m.Seq != 65 {
		t.Errorf("the next reply has seq %d", m.Seq)
	}
	if _, err := s.DeleteConversation(ctx, tn, long.ID); err != nil {
		t.Error(err)
	}
	var words int
	if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_l2_message_words WHERE tenant = ?", tn).Scan(&words); err != nil || words != 0 {
		t.Errorf("%d words are left, error %v", words, err)
	}
	for _, wrong := range []memory.Retention{{Messages: time.Minute}, {Conversations: -day}, {TraceDetail: 200 * 365 * day}, {Messages: day, Every: time.Second}} {
		_, err := wrong.Complete()
		wantError(t, err, errors.InvalidArgument, memory.ReasonInvalid)
	}
}

func exchangeReply(t *testing.T, s *Store, c memory.Conversation) memory.Message {
	t.Helper()
	_, m := exchange(t, s, c, "And now?", "Now too.", noon.Add(3*time.Hour))
	return m
}

// testRetentionIsResumed stops a run after every transaction: the next one goes on with it, and what went is counted once.
func testRetentionIsResumed(t *testing.T, s *Store) {
	ctx := t.Context()
	tn := tenant(t)
	for range 3 {
		c := aged(t, s, tn, 4, 40)
		if _, err := s.db.Exec(ctx, `UPDATE tbl_l2_conversations SET updated_at = ? WHERE tenant = ? AND conversation_id = ?`, micros(noon.Add(-40*day)), tn, c.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		aged(t, s, tn, 5, 8)
	}
	keep(t, s, memory.Retention{Tenant: tn, Conversations: 30 * day, Messages: 9*day + time.Hour, TraceDetail: time.Hour})
	stopped := errors.New(errors.Aborted, "STOPPED", "stopped")
	var run memory.RetentionRun
	attempts := 0
	for err := error(stopped); err != nil; attempts++ {
		told := false
		run, err = s.RunRetention(ctx, tn, at(noon), func(memory.RetentionRun) error {
			if told {
				return stopped
			}
			told = true
			return nil
		})
		if err != nil && errors.ReasonOf(err) != "STOPPED" || attempts > 100 {
			t.Fatal(err)
		}
	}
	if attempts < 5 || run.Conversations != 3 || run.Messages != 3*2*3 || run.Traces != 3*2 {
		t.Errorf("%d attempts, %+v", attempts, run)
	}
	if _, runs, err := s.Retention(ctx, tn); err != nil || len(runs) != 1 || runs[0] != run {
		t.Errorf("runs %+v, error %v", runs, err)
	}

	// Of two at once one waits; a process that went silent does not keep the policy for ever, and finds that it lost it.
	aged(t, s, tn, 5, 100)
	_, err := s.RunRetention(ctx, tn, at(noon), func(memory.RetentionRun) error {
		_, err := s.RunRetention(ctx, tn, at(noon), quiet)
		wantError(t, err, errors.Aborted, memory.ReasonRetentionRuns)
		_, err = s.RunRetention(ctx, tn, at(noon.Add(time.Hour)), quiet)
		return err
	})
	wantError(t, err, errors.Aborted, memory.ReasonRetentionRuns)
	if _, runs, err := s.Retention(ctx, tn); err != nil || len(runs) != 2 || runs[0].Finished.IsZero() || runs[0].Conversations != 1 {
		t.Errorf("runs %+v, error %v", runs, err)
	}
}

// TestRetentionOfKilledProcesses applies one policy to two tenants with the same conversations: of one at once, of the other by
// processes that are killed (SIGKILL), and then to the end. What is left and what was counted is the same.
func TestRetentionOfKilledProcesses(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tenants := []string{tenant(t) + "whole", tenant(t) + "killed"}
		left := make([]map[string]string, 2)
		runs := make([]memory.RetentionRun, 2)
		for i, tn := range tenants {
			var conversations []memory.Conversation
			for _, exchanges := range []int{3, 2, 4} {
				c := aged(t, s, tn, exchanges, 40)
				if _, err := s.db.Exec(ctx, `UPDATE tbl_l2_conversations SET updated_at = ? WHERE tenant = ? AND conversation_id = ?`, micros(noon.Add(-40*day)), tn, c.ID); err != nil {
					t.Fatal(err)
				}
			}
			for _, exchanges := range []int{9, 12, 2} {
				conversations = append(conversations, aged(t, s, tn, exchanges, 4))
			}
			keep(t, s, memory.Retention{Tenant: tn, Conversations: 30 * day, Messages: 9*day + time.Hour, TraceDetail: 6*day + time.Hour})
			now := noon
			if i == 1 {
				for range 4 {
					removeUntilKilled(t, s.db.Target(), "retention", tenantUser{tn, "-"})
					_, err := s.RunRetention(ctx, tn, at(now), quiet)
					wantError(t, err, errors.Aborted, memory.ReasonRetentionRuns) // the dead one's lease
					if _, err := s.db.Exec(ctx, `UPDATE tbl_l2_retention SET lease_until = lease_until - ? WHERE tenant = ?`, retentionLease.Microseconds(), tn); err != nil {
						t.Fatal(err)
					}
				}
				var open int
				if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l2_retention_runs WHERE tenant = ? AND finished_at IS NULL AND conversations > 0`, tn).Scan(&open); err != nil || open != 1 {
					t.Fatalf("%d runs were begun, error %v", open, err)
				}
			}
			run, err := s.RunRetention(ctx, tn, at(now), quiet)
			if err != nil || run.Finished.IsZero() {
				t.Fatalf("%+v, error %v", run, err)
			}
			run.ID = ""
			runs[i] = run
			left[i] = map[string]string{}
			for table, columns := range tables(t, s) {
				if !slices.Contains(columns, "tenant") {
					continue
				}
				var n int64
				if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE tenant = ?", tn).Scan(&n); err != nil {
					t.Fatal(err)
				}
				left[i][table] = fmt.Sprint(n)
			}
			for k, c := range conversations {
				c = conversation(t, s, c)
				said := fmt.Sprint(c.Removed, c.Messages(), c.First)
				page, _, err := s.Messages(ctx, MessageQuery{Tenant: tn, ConversationID: c.ID, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page {
					said += fmt.Sprint("\n", m.Seq, m.End, m.Sender, m.Content)
				}
				left[i][fmt.Sprint("conversation ", k)] = said
			}
		}
		if runs[0].Conversations != 3 || runs[0].Messages == 0 || runs[0].Traces == 0 {
			t.Errorf("%+v", runs[0])
		}
		if diff := cmp.Diff(left[0], left[1]); diff != "" {
			t.Errorf("left (-whole +killed): %s", diff)
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Errorf("counted (-whole +killed): %s", diff)
		}
	})
}
