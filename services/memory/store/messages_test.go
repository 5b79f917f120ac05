package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/window"

	"github.com/google/go-cmp/cmp"
)

func appendAt(s *Store, c memory.Conversation, request string, sender memory.Sender, content string, now time.Time) (memory.Message, error) {
	return s.AppendMessage(context.Background(), c.Tenant, memory.Message{
		ConversationID: c.ID, RequestID: request, Sender: sender, Content: content, Created: now,
	})
}

func testManyWritersOneOrder(t *testing.T, s *Store) {
	c := begin(t, s)
	const writers, each = 16, 8
	errs := together(writers, func(i int) error {
		for j := range each {
			sender := memory.SenderUser
			if (i+j)%3 == 0 {
				sender = memory.SenderAssistant
			}
			// The clock jumps about: order must not care.
			at := noon.Add(time.Duration(rand.IntN(1000)-500) * time.Second)
			if _, err := appendAt(s, c, fmt.Sprintf("%d/%d", i, j), sender, fmt.Sprintf("w%d m%d", i, j), at); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	lines := transcript(t, s, c)
	if len(lines) != writers*each {
		t.Fatalf("%d messages, want %d", len(lines), writers*each)
	}
	for i := range writers { // each writer's own messages keep their order
		last := -1
		for j := range each {
			at := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, fmt.Sprintf(" w%d m%d", i, j)) })
			if at <= last {
				t.Fatalf("writer %d: message %d stands at %d, the one before at %d", i, j, at, last)
			}
			last = at
		}
	}
	checkCounters(t, s, c)
}

func testAppendIsIdempotent(t *testing.T, s *Store) {
	c := begin(t, s)
	ids := make([]string, 8)
	errs := together(len(ids), func(i int) error {
		m, err := appendAt(s, c, "same", memory.SenderUser, "hello", noon)
		ids[i] = m.ID
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one request gave messages %v", ids)
	}
	if diff := cmp.Diff([]string{"1 user hello"}, transcript(t, s, c)); diff != "" {
		t.Error(diff)
	}
	_, err := appendAt(s, c, "same", memory.SenderUser, "other", noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	_, err = appendAt(s, c, "same", memory.SenderAssistant, "hello", noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	other := begin(t, s) // request ids belong to a conversation
	if _, err := appendAt(s, other, "same", memory.SenderUser, "other", noon); err != nil {
		t.Error(err)
	}
	checkCounters(t, s, c)
}

func testContentIsKeptExactly(t *testing.T, s *Store) {
	c := begin(t, s)
	contents := []string{
		" leading and trailing ", "tab\tnew\nline\r\n", "'quotes\" and \\backslashes\\ %_", "首都 🙂 e\u0301 é \u2028", "\ufeffmark", "ß İ ı",
		strings.Repeat("ä", 1<<19), "; DROP TABLE tbl_l2_messages; --",
	}
	for i, content := range contents {
		m, err := appendAt(s, c, fmt.Sprint(i), memory.SenderUser, content, noon)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Message(t.Context(), c.Tenant, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got != m {
			t.Errorf("stored %.40q, read %.40q", m.Content, got.Content)
		}
	}
	checkCounters(t, s, c)
}

func testPagesOfMessages(t *testing.T, s *Store) {
	c := begin(t, s)
	list := func(newest bool, limit int) (seqs []int64, pages int) {
		var after *AfterMessage
		for {
			page, next, err := s.Messages(t.Context(), MessageQuery{Tenant: c.Tenant, ConversationID: c.ID, NewestFirst: newest, Limit: limit, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page {
				seqs = append(seqs, m.Seq)
			}
			pages++
			if next == nil {
				return seqs, pages
			}
			after = next
		}
	}
	if seqs, pages := list(false, 10); len(seqs) != 0 || pages != 1 {
		t.Errorf("an empty conversation gave %v in %d pages", seqs, pages)
	}
	var want []int64
	for i := range int64(7) {
		if _, err := appendAt(s, c, fmt.Sprint(i), memory.SenderUser, "m", noon); err != nil {
			t.Fatal(err)
		}
		want = append(want, i+1)
	}
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	for limit, pages := range map[int]int{1: 7, 3: 3, 7: 1, 1000: 1} {
		forward, n := list(false, limit)
		if diff := cmp.Diff(want, forward); diff != "" || n != pages {
			t.Errorf("pages of %d: %d pages, want %d\n%s", limit, n, pages, diff)
		}
		backward, n := list(true, limit)
		if diff := cmp.Diff(backwards, backward); diff != "" || n != pages {
			t.Errorf("pages of %d backwards: %d pages, want %d\n%s", limit, n, pages, diff)
		}
	}
	for i := range 9 { // nine mebibytes do not fit a page
		if _, err := appendAt(s, c, fmt.Sprint("long", i), memory.SenderUser, strings.Repeat("x", 1<<20), noon); err != nil {
			t.Fatal(err)
		}
		want = append(want, int64(len(want))+1)
	}
	backwards = slices.Clone(want)
	slices.Reverse(backwards)
	forward, n := list(false, 1000)
	if diff := cmp.Diff(want, forward); diff != "" || n != 3 {
		t.Errorf("%d pages, want 3\n%s", n, diff)
	}
	backward, n := list(true, 1000)
	if diff := cmp.Diff(backwards, backward); diff != "" || n != 3 {
		t.Errorf("backwards %d pages, want 3\n%s", n, diff)
	}
}

func testWindowOfLongMessages(t *testing.T, s *Store) {
	c := begin(t, s)
	long := strings.Repeat("long words ", 90_000)
	for i := range 14 {
		if _, err := appendAt(s, c, fmt.Sprint(i), []memory.Sender{memory.SenderUser, memory.SenderAssistant}[i%2], long+fmt.Sprint(i), noon); err != nil {
			t.Fatal(err)
		}
	}
	for _, tokens := range []uint32{0, 10, 1_000_000} {
		b, err := window.NewBounds(0, tokens, "", "")
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.Window(t.Context(), c.Tenant, c.ID, b)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, m := range w.Messages {
			size += len(m.Content)
		}
		if len(w.Messages) == 0 || int64(size) > 2*window.MaxBytes || w.Omitted != 14-int64(len(w.Messages)) || !strings.HasSuffix(w.Messages[len(w.Messages)-1].Content, " 13") {
			t.Errorf("at most %d tokens: %d messages of %d bytes, %d left out", tokens, len(w.Messages), size, w.Omitted)
		}
	}
	p := prepare(t, s, request(t, c, "turn", "short"), noon)
	if !p.Window.FirstCut || p.Window.Tokens > window.DefaultTokens || p.Window.Omitted != 13 {
		t.Errorf("window of %d messages and %d tokens, %d left out", len(p.Window.Messages), p.Window.Tokens, p.Window.Omitted)
	}
	if _, err := s.ArchiveConversation(t.Context(), c.Tenant, c.ID, noon); err != nil {
		t.Fatal(err)
	}
	commit(t, s, p.Turn, "the open turn of an archived conversation still gets its reply", noon)
	checkCounters(t, s, c)
}

func testUnknownAndForeignThingsAreTheSame(t *testing.T, s *Store) {
	ctx := t.Context()
	c := beginAs(t, s, "theirs", "eve")
	turn, reply := exchange(t, s, c, "q", "a", noon)
	p := prepare(t, s, request(t, c, "open", "q2"), noon)
	k, _, err := s.RecordCorrection(ctx, correctionIn(t, c, "r1", "the capital", "Paris"), noon)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.RememberFact(ctx, factIn(t, c, "r1", "France", "capital", "Paris"), noon)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.CreateBias(ctx, memory.Bias{
		Tenant: c.Tenant, RequestID: "r1", Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}, Sequence: "x", Strength: 1, Created: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	mine := begin(t, s)
	for name, try := range map[string]func(tenant, suffix string) error{
		"CONVERSATION_NOT_FOUND get":     func(tn, x string) error { _, err := s.Conversation(ctx, tn, c.ID+x); return err },
		"CONVERSATION_NOT_FOUND archive": func(tn, x string) error { _, err := s.ArchiveConversation(ctx, tn, c.ID+x, noon); return err },
		"CONVERSATION_NOT_FOUND delete":  func(tn, x string) error { _, err := s.DeleteConversation(ctx, tn, c.ID+x); return err },
		"CONVERSATION_NOT_FOUND append": func(tn, x string) error {
			_, err := s.AppendMessage(ctx, tn, memory.Message{ConversationID: c.ID + x, RequestID: "r", Sender: memory.SenderUser, Content: "x", Created: noon})
			return err
		},
		"CONVERSATION_NOT_FOUND window": func(tn, x string) error { _, err := s.Window(ctx, tn, c.ID+x, bounds(t)); return err },
		"CONVERSATION_NOT_FOUND list": func(tn, x string) error {
			_, _, err := s.Messages(ctx, MessageQuery{Tenant: tn, ConversationID: c.ID + x, Limit: 1})
			return err
		},
		"CONVERSATION_NOT_FOUND prepare": func(tn, x string) error {
			r := request(t, c, "new", "x")
			r.Tenant, r.ConversationID = tn, c.ID+x
			_, err := s.PrepareTurn(ctx, r, noon)
			return err
		},
		"CONVERSATION_NOT_FOUND match": func(tn, x string) error { _, err := s.MatchCorrections(ctx, tn, c.ID+x, "", "x", 5); return err },
		"CONVERSATION_NOT_FOUND correct": func(tn, x string) error {
			k := correctionIn(t, c, "r9", "x", "y")
			k.Tenant, k.ConversationID = tn, c.ID+x
			_, _, err := s.RecordCorrection(ctx, k, noon)
			return err
		},
		"CONVERSATION_NOT_FOUND facts": func(tn, x string) error {
			_, _, err := s.Facts(ctx, FactQuery{Tenant: tn, ConversationID: c.ID + x, Limit: 1})
			return err
		},
		"CONVERSATION_NOT_FOUND biases": func(tn, x string) error {
			_, _, err := s.Biases(ctx, BiasQuery{Tenant: tn, ConversationID: c.ID + x, Limit: 1})
			return err
		},
		"CONVERSATION_NOT_FOUND corrections": func(tn, x string) error {
			_, _, err := s.Corrections(ctx, CorrectionQuery{Tenant: tn, ConversationID: c.ID + x, Limit: 1})
			return err
		},
		"MESSAGE_NOT_FOUND get": func(tn, x string) error { _, err := s.Message(ctx, tn, reply.ID+x); return err },
		"TURN_NOT_FOUND get":    func(tn, x string) error { _, err := s.Turn(ctx, tn, turn.ID+x, noon); return err },
		"TURN_NOT_FOUND fail":   func(tn, x string) error { _, err := s.FailTurn(ctx, tn, p.Turn.ID+x, "", noon); return err },
		"TURN_NOT_FOUND commit": func(tn, x string) error {
			_, _, err := s.CommitTurn(ctx, tn, p.Turn.ID+x, Reply{Content: "x", FinishReason: "stop"}, noon)
			return err
		},
		"CORRECTION_NOT_FOUND get":       func(tn, x string) error { _, err := s.Correction(ctx, tn, k.ID+x); return err },
		"CORRECTION_NOT_FOUND revoke":    func(tn, x string) error { _, err := s.RevokeCorrection(ctx, tn, k.ID+x, "", noon); return err },
		"CORRECTION_NOT_FOUND supersede": func(tn, x string) error { _, err := s.SupersedeCorrection(ctx, tn, k.ID+x, k.ID, noon); return err },
		"FACT_NOT_FOUND retire":          func(tn, x string) error { _, err := s.RetireFact(ctx, tn, f.ID+x, noon); return err },
		"BIAS_NOT_FOUND delete":          func(tn, x string) error { return s.DeleteBias(ctx, tn, b.ID+x) },
		"TRACE_NOT_FOUND get":            func(tn, x string) error { _, err := s.Trace(ctx, tn, reply.ID+x); return err },
	} {
		reason, _, _ := strings.Cut(name, " ")
		t.Run(name, func(t *testing.T) {
			foreign, unknown := try(mine.Tenant, ""), try("theirs", "x")
			wantError(t, foreign, errors.NotFound, reason)
			wantError(t, unknown, errors.NotFound, reason)
		})
	}
	if got := conversation(t, s, c); got.Messages() != 3 || got.OpenTurnID != p.Turn.ID {
		t.Errorf("somebody changed it: %+v", got)
	}
}

func testConversations(t *testing.T, s *Store) {
	ctx := t.Context()
	create := func(request, user string, at time.Time) (memory.Conversation, error) {
		return s.CreateConversation(ctx, memory.Conversation{
			Tenant: "t", RequestID: request, UserID: user, AgentID: "bot", Title: "Ünïcode " + request, Metadata: map[string]string{"k": "v\""}, Created: at,
		})
	}
	ids := make([]string, 8)
	errs := together(len(ids), func(i int) error {
		c, err := create("same", "ada", noon)
		ids[i] = c.ID
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if len(slices.Compact(ids)) != 1 {
		t.Fatalf("one request made conversations %v", ids)
	}
	for i := range 5 {
		user := []string{"ada", "bob"}[i%2]
		if _, err := create(fmt.Sprint(i), user, noon.Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.Conversation(ctx, "t", ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if first.Title != "Ünïcode same" || first.Metadata["k"] != "v\"" || !first.Created.Equal(noon) {
		t.Errorf("read %+v", first)
	}
	list := func(q ConversationQuery) (titles []string) {
		for {
			page, next, err := s.Conversations(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				titles = append(titles, strings.TrimPrefix(c.Title, "Ünïcode "))
			}
			if q.After = next; next == nil {
				return titles
			}
		}
	}
	exchange(t, s, first, "q", "a", noon.Add(time.Hour)) // now the most recently used
	for limit := 1; limit < 8; limit++ {
		if diff := cmp.Diff([]string{"same", "4", "3", "2", "1", "0"}, list(ConversationQuery{Tenant: "t", Limit: limit})); diff != "" {
			t.Errorf("pages of %d: %s", limit, diff)
		}
	}
	if diff := cmp.Diff([]string{"3", "1"}, list(ConversationQuery{Tenant: "t", UserID: "bob", Limit: 1})); diff != "" {
		t.Error(diff)
	}
	if got := list(ConversationQuery{Tenant: "T", Limit: 9}); got != nil {
		t.Errorf("tenants differ by case, got %v", got)
	}
	for range 2 {
		c, err := s.ArchiveConversation(ctx, "t", ids[0], noon.Add(2*time.Hour))
		if err != nil || !c.Archived {
			t.Fatalf("archiving: %+v, %v", c, err)
		}
	}
	if diff := cmp.Diff([]string{"4", "3", "2", "1", "0"}, list(ConversationQuery{Tenant: "t", Limit: 2})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"same", "4", "2", "0"}, list(ConversationQuery{Tenant: "t", UserID: "ada", IncludeArchived: true, Limit: 3})); diff != "" {
		t.Error(diff)
	}
	_, err = appendAt(s, first, "r", memory.SenderUser, "x", noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonArchived)
	_, err = s.PrepareTurn(ctx, request(t, first, "r", "x"), noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonArchived)
	if got := len(transcript(t, s, first)); got != 2 {
		t.Errorf("an archived conversation has %d messages to read, want 2", got)
	}
}

func testDeleteConversation(t *testing.T, s *Store) {
	ctx := t.Context()
	c, other := begin(t, s), begin(t, s)
	for _, in := range []memory.Conversation{c, other} {
		turn, _ := exchange(t, s, in, "q", "a", noon)
		k := correctionIn(t, in, "k"+in.ID, "x", "y")
		k.ErrorMessageID = turn.UserMessageID
		if _, _, err := s.RecordCorrection(ctx, k, noon); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RememberFact(ctx, factIn(t, in, "f"+in.ID, "a", "b", "c"), noon); err != nil {
			t.Fatal(err)
		}
	}
	wide := correctionIn(t, c, "wide", "wide", "y")
	wide.Scope = memory.ScopeUser
	wide, _, err := s.RecordCorrection(ctx, wide, noon)
	if err != nil {
		t.Fatal(err)
	}
	narrow := correctionIn(t, c, "narrow", "narrow", "y")
	narrow, _, err = s.RecordCorrection(ctx, narrow, noon)
	if err != nil {
		t.Fatal(err)
	}
	bias, err := s.CreateBias(ctx, memory.Bias{
		Tenant: c.Tenant, RequestID: "b", Place: memory.Place{Scope: memory.ScopeModel, Model: "m"}, Sequence: "x", Strength: 1, CorrectionID: narrow.ID, Created: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, s, request(t, c, "open", "still open"), noon)
	n, err := s.DeleteConversation(ctx, c.Tenant, c.ID)
	if err != nil || n != 3 {
		t.Fatalf("deleted %d messages, error %v", n, err)
	}
	_, _, err = s.CommitTurn(ctx, c.Tenant, p.Turn.ID, Reply{Content: "late", FinishReason: "stop"}, noon)
	wantError(t, err, errors.NotFound, "TURN_NOT_FOUND")
	_, err = s.Conversation(ctx, c.Tenant, c.ID)
	wantError(t, err, errors.NotFound, "CONVERSATION_NOT_FOUND")
	for _, table := range []string{"tbl_l2_messages", "tbl_l2_turns", "tbl_l2_correction_log", "tbl_l2_facts", "tbl_l2_token_bias"} {
		var left int
		if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE conversation_id = ?", c.ID).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows are left in %s, error %v", left, table, err)
		}
	}
	kept, err := s.Correction(ctx, c.Tenant, wide.ID)
	if err != nil || !kept.Active() || kept.ConversationID != "" {
		t.Errorf("the person's correction became %+v, error %v", kept, err)
	}
	list, _, err := s.Biases(ctx, BiasQuery{Tenant: c.Tenant, Limit: 9})
	if err != nil || len(list) != 1 || list[0].ID != bias.ID || list[0].CorrectionID != "" {
		t.Errorf("the model's bias became %+v, error %v", list, err)
	}
	if got := len(transcript(t, s, other)); got != 2 {
		t.Errorf("the other conversation has %d messages, want 2", got)
	}
	checkCounters(t, s, other)
	matches, err := s.MatchCorrections(ctx, other.Tenant, other.ID, "", "x wide", 5)
	if err != nil || len(matches) != 2 {
		t.Errorf("matches %v, error %v", matches, err)
	}
}

// A window that ends with an earlier message is the same whatever was said since, for the turn, its retry and who looks later.
func testWindowThrough(t *testing.T, s *Store) {
	c := begin(t, s)
	for i := range 4 {
		if _, err := appendAt(s, c, fmt.Sprint(i), []memory.Sender{memory.SenderUser, memory.SenderAssistant}[i%2], fmt.Sprint("given ", i), noon); err != nil {
			t.Fatal(err)
		}
	}
	said := func(w window.Window) (out []string) {
		for _, m := range w.Messages {
			out = append(out, m.Content)
		}
		return append(out, fmt.Sprint(w.Omitted))
	}
	for _, through := range []int64{1, 3, 4, 9} {
		want := []string{"given 0", "given 1", "given 2", "given 3"}[:min(through, 4)]
		want = append(slices.Clone(want), "0")
		for n := range 2 {
			r := request(t, c, fmt.Sprint("turn ", through, n), "asked")
			if through > 4 { // nothing was said since, of which this is the bound
				r = request(t, begin(t, s), "turn", "asked")
				want = []string{"0"}
			}
			r.Bounds = r.Bounds.Through(through)
			p := prepare(t, s, r, noon)
			again := prepare(t, s, r, noon)
			commit(t, s, p.Turn, "answered", noon)
			before, err := s.WindowBefore(t.Context(), c.Tenant, p.Turn.ConversationID, p.UserMessage.ID, r.Bounds)
			if err != nil {
				t.Fatal(err)
			}
			for name, w := range map[string]window.Window{"the turn": p.Window, "its retry": again.Window, "later": before} {
				if diff := cmp.Diff(want, said(w)); diff != "" {
					t.Errorf("through %d, %s sees\n%s", through, name, diff)
				}
			}
		}
	}
	checkCounters(t, s, c)
}
