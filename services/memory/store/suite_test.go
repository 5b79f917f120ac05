package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/window"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(writerVariable); role != "" {
		os.Exit(writeUntilKilled(role))
	}
	if role := os.Getenv(removerVariable); role != "" {
		os.Exit(remove(role))
	}
	goleak.VerifyTestMain(m)
}

// noon is when tests happen.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

// each runs f on both engines with a store over fresh tables.
func each(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Helper()
	databasetest.Each(t, Schema, func(t *testing.T, db *database.DB) { f(t, open(t, db)) })
}

func open(t testing.TB, db *database.DB) *Store {
	t.Helper()
	s, err := New(db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStore is the conformance suite: everything the service promises about what it stores, on both engines. The cases share
// the tables, each with tenants of its own.
func TestStore(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for _, c := range []struct {
			name string
			test func(*testing.T, *Store)
		}{
			{"ManyWritersOneOrder", testManyWritersOneOrder},
			{"AppendIsIdempotent", testAppendIsIdempotent},
			{"ContentIsKeptExactly", testContentIsKeptExactly},
			{"PagesOfMessages", testPagesOfMessages},
			{"WindowOfLongMessages", testWindowOfLongMessages},
			{"WindowThrough", testWindowThrough},
			{"UnknownAndForeignThingsAreTheSame", testUnknownAndForeignThingsAreTheSame},
			{"Conversations", testConversations},
			{"DeleteConversation", testDeleteConversation},
			{"Turn", testTurn},
			{"PrepareIsIdempotent", testPrepareIsIdempotent},
			{"OneOpenTurn", testOneOpenTurn},
			{"LeaseEnds", testLeaseEnds},
			{"FailTurn", testFailTurn},
			{"CommitTwiceAtOnce", testCommitTwiceAtOnce},
			{"CommitOrFailAtOnce", testCommitOrFailAtOnce},
			{"EmptyAndPartialReplies", testEmptyAndPartialReplies},
			{"ThinTraces", testThinTraces},
			{"CancelledContexts", testCancelledContexts},
			{"ClockGoesBackwards", testClockGoesBackwards},
			{"TurnsAgainstAModel", testTurnsAgainstAModel},
			{"RecordCorrection", testRecordCorrection},
			{"Chains", testChains},
			{"OverruledBySubject", testOverruledBySubject},
			{"SupersessionUnderContention", testSupersessionUnderContention},
			{"RecordOnceUnderContention", testRecordOnceUnderContention},
			{"SupersedeAndRevoke", testSupersedeAndRevoke},
			{"ScopesOfCorrections", testScopesOfCorrections},
			{"CorrectionsOfATurn", testCorrectionsOfATurn},
			{"LongTextsMatch", testLongTextsMatch},
			{"DocumentedQueryAgrees", testDocumentedQueryAgrees},
			{"Reinforcement", testReinforcement},
			{"Promotion", testPromotion},
			{"PromoteOrRevokeAtOnce", testPromoteOrRevokeAtOnce},
			{"ImportedCorrections", testImportedCorrections},
			{"CuesOfCorrections", testCuesOfCorrections},
			{"Search", testSearch},
			{"SearchAgainstReading", testSearchAgainstReading},
			{"Reindex", testReindex},
			{"EraseConversation", testEraseConversation},
			{"EraseWhatAPersonSaidToAModel", testEraseWhatAPersonSaidToAModel},
			{"CorrectionsOutliveTheirConversation", testCorrectionsOutliveTheirConversation},
			{"Retention", testRetention},
			{"RetentionIsResumed", testRetentionIsResumed},
			{"Facts", testFacts},
			{"FactsUnderContention", testFactsUnderContention},
			{"AtMostSoManyFactsAndBiases", testAtMostSoManyFactsAndBiases},
			{"Biases", testBiases},
			{"OneActiveEntryPerSubject", testOneActiveEntryPerSubject},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, s) })
		}
	})
}

// begin creates a conversation of ada with the test's own tenant.
func begin(t testing.TB, s *Store) memory.Conversation {
	t.Helper()
	return beginAs(t, s, tenant(t), "ada")
}

func tenant(t testing.TB) string {
	t.Helper()
	return t.Name()[:min(len(t.Name()), 64)]
}

func beginAs(t testing.TB, s *Store, tenant, user string) memory.Conversation {
	t.Helper()
	c, err := s.CreateConversation(context.Background(), memory.Conversation{Tenant: tenant, UserID: user, AgentID: "db-slm", Created: noon})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bounds(t testing.TB) window.Bounds {
	t.Helper()
	b, err := window.NewBounds(0, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func request(t testing.TB, c memory.Conversation, id, text string) TurnRequest {
	t.Helper()
	return TurnRequest{
		Tenant: c.Tenant, RequestID: id, ConversationID: c.ID, Text: text,
		Bounds: bounds(t), Lease: memory.DefaultLease, CorrectionLimit: memory.DefaultCorrections,
	}
}

func prepare(t testing.TB, s *Store, r TurnRequest, now time.Time) PreparedTurn {
	t.Helper()
	p, err := s.PrepareTurn(context.Background(), r, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func commit(t testing.TB, s *Store, turn memory.Turn, text string, now time.Time) memory.Message {
	t.Helper()
	_, m, err := s.CommitTurn(context.Background(), turn.Tenant, turn.ID, Reply{Content: text, FinishReason: "stop"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// exchange runs one whole turn.
func exchange(t testing.TB, s *Store, c memory.Conversation, question, answer string, now time.Time) (memory.Turn, memory.Message) {
	t.Helper()
	id, err := newID()
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, s, request(t, c, id, question), now)
	return p.Turn, commit(t, s, p.Turn, answer, now)
}

func conversation(t testing.TB, s *Store, c memory.Conversation) memory.Conversation {
	t.Helper()
	got, err := s.Conversation(context.Background(), c.Tenant, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// transcript lists a conversation as "seq sender content", and checks that seq has no gaps and End adds up.
func transcript(t testing.TB, s *Store, c memory.Conversation) []string {
	t.Helper()
	var lines []string
	var after *AfterMessage
	end := int64(0)
	for {
		page, next, err := s.Messages(context.Background(), MessageQuery{Tenant: c.Tenant, ConversationID: c.ID, After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			end += int64(len(m.Content))
			if m.Seq != int64(len(lines))+1 || m.End != end {
				t.Errorf("message %d has seq %d and end %d, want end %d", len(lines)+1, m.Seq, m.End, end)
			}
			lines = append(lines, fmt.Sprintf("%d %s %s", m.Seq, m.Sender, m.Content))
		}
		if next == nil {
			return lines
		}
		after = next
	}
}

// checkCounters compares a conversation's counters with what counting gives.
func checkCounters(t testing.TB, s *Store, c memory.Conversation) {
	t.Helper()
	got := conversation(t, s, c)
	for _, count := range []struct {
		name, query string
		kept        int64
	}{
		{"user messages", `SELECT COUNT(*) FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND sender = 'user'`, got.UserMessages},
		{"assistant messages", `SELECT COUNT(*) FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ? AND sender = 'assistant'`, got.AssistantMessages},
		{"committed turns", `SELECT COUNT(*) FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ? AND state = 'committed'`, got.CommittedTurns},
		{"failed turns", `SELECT COUNT(*) FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ? AND state = 'failed'`, got.FailedTurns},
		{"active corrections", `SELECT COUNT(*) FROM tbl_l2_correction_log WHERE tenant = ? AND conversation_id = ? AND active = 1`, got.Corrections},
		{"content", `SELECT COALESCE(MAX(content_end), 0) FROM tbl_l2_messages WHERE tenant = ? AND conversation_id = ?`, got.ContentBytes},
	} {
		var counted int64
		if err := s.db.QueryRow(context.Background(), count.query, c.Tenant, c.ID).Scan(&counted); err != nil {
			t.Fatal(err)
		}
		if counted != count.kept {
			t.Errorf("%s: %d are kept, %d are there", count.name, count.kept, counted)
		}
	}
	var open int64
	if err := s.db.QueryRow(context.Background(), `SELECT COUNT(*) FROM tbl_l2_turns WHERE tenant = ? AND conversation_id = ? AND state = 'open'`, c.Tenant, c.ID).Scan(&open); err != nil {
		t.Fatal(err)
	}
	if open > 1 || (open == 1) != (got.OpenTurnID != "") {
		t.Errorf("%d turns are open, the conversation names %q", open, got.OpenTurnID)
	}
}

// together runs f n times at once and returns the errors by index.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func wantError(t testing.TB, err error, kind errors.Kind, reason string) {
	t.Helper()
	if err == nil || errors.KindOf(err) != kind || errors.ReasonOf(err) != reason {
		t.Errorf("got %v (%s), want kind %s, reason %s", err, errors.ReasonOf(err), kind, reason)
	}
	if err != nil && strings.Contains(errors.Public(err), "%!") {
		t.Errorf("badly formatted: %q", errors.Public(err))
	}
}
