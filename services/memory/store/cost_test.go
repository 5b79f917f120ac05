package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
)

// TestTurnsCostTheSameForever compares a turn in a conversation of a few messages with one of 10,000 messages and 2,000 ended
// corrections: the same statements, no scan of a table, no more rows read, nothing sorted on the disk.
func TestTurnsCostTheSameForever(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		recorder := &databasetest.Recorder{}
		s := open(t, databasetest.Open(t, target, Schema, database.Options{Observer: recorder}))
		short, long := begin(t, s), beginAs(t, s, tenant(t), "bob")
		fill(t, s, short, 20, 3)
		fill(t, s, long, 10_000, 2_000)
		mysql := s.db.Dialect() == database.MySQL
		if mysql {
			for _, table := range []string{"tbl_l2_messages", "tbl_l2_correction_log", "tbl_l2_correction_words", "tbl_l2_correction_word_counts", "tbl_l2_turns", "tbl_l2_facts", "tbl_l2_token_bias"} {
				result, err := s.db.Query(t.Context(), "ANALYZE TABLE "+table)
				if err := rows(result, err, func(database.Scanner) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range []memory.Conversation{short, long} { // once each, to warm up
			exchange(t, s, c, "Is the harbour open?", "Yes.", noon)
		}
		cost := map[string][2]int64{}
		for i, c := range []memory.Conversation{short, long} {
			begun := recorder.Count("")
			handlers := handlerReads(t, s)
			p := prepare(t, s, request(t, c, "measured", "Is the harbour of topic17 open on Sunday?"), noon)
			read := handlerReads(t, s) - handlers
			prepared := recorder.Count("")
			reply := Reply{Content: "No.", FinishReason: "stop", Trace: &memory.Trace{Version: 1, Body: []byte("b"), Detail: []byte("d")}}
			if _, _, err := s.CommitTurn(t.Context(), c.Tenant, p.Turn.ID, reply, noon); err != nil {
				t.Fatal(err)
			}
			committed := recorder.Count("")
			if len(p.Window.Messages) != 12 || len(p.Corrections) != 1 || len(p.Recent) != 1 {
				t.Errorf("window of %d, %d corrections, %d recent", len(p.Window.Messages), len(p.Corrections), len(p.Recent))
			}
			overhead := 0
			if mysql {
				overhead = 2 // reading the server's counters
			}
			for name, n := range map[string]int{"statements to prepare": prepared - begun - overhead, "statements to commit": committed - prepared, "rows read": int(read)} {
				both := cost[name]
				both[i] = int64(n)
				cost[name] = both
			}
		}
		for name, n := range cost {
			if n[0] != n[1] {
				t.Errorf("%s: %d in a short conversation, %d in a long one", name, n[0], n[1])
			}
		}
		const transaction = 2 // BEGIN, COMMIT
		if n := cost["statements to prepare"][1]; n > 8+transaction {
			t.Errorf("%d statements to prepare a turn", n)
		}
		if n := cost["statements to commit"][1]; n > 8+transaction {
			t.Errorf("%d statements to commit a turn", n)
		}
		if mysql {
			t.Logf("rows read to prepare a turn: %d", cost["rows read"][1])
		}

		// The longest ways through PrepareTurn stay within eight statements too.
		for name, at := range map[string]time.Time{"renewed lease": noon.Add(time.Second), "expired turn": noon.Add(time.Hour)} {
			prepare(t, s, request(t, long, name, "first"), noon)
			again := request(t, long, name, "first")
			if name == "expired turn" {
				again = request(t, long, "after it", "second")
			}
			begun := recorder.Count("")
			p := prepare(t, s, again, at)
			if n := recorder.Count("") - begun; n > 8+transaction {
				t.Errorf("%s: %d statements", name, n)
			}
			commit(t, s, p.Turn, "reply", at)
		}
		explain(t, s, long)
		if !refuses(t, s, `SELECT COUNT(*) FROM tbl_l2_messages WHERE content_end = ?`, 3) {
			t.Error("a scan of a table goes unnoticed")
		}
		if mysql {
			recorder.Check(t)
		}
	})
}

// handlerReads is how many rows the server's storage engines have read so far; 0 on SQLite, which does not count.
func handlerReads(t *testing.T, s *Store) (n int64) {
	t.Helper()
	if s.db.Dialect() == database.SQLite {
		return 0
	}
	result, err := s.db.Query(t.Context(), "SHOW GLOBAL STATUS WHERE Variable_name LIKE 'Handler_read%' OR Variable_name = 'Created_tmp_disk_tables'")
	err = rows(result, err, func(row database.Scanner) error {
		var name string
		var value int64
		err := row.Scan(&name, &value)
		n += value
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill loads a history directly: messages, ended corrections in the same scope, and one active correction.
func fill(t *testing.T, s *Store, c memory.Conversation, messages, corrections int) {
	t.Helper()
	err := s.db.InTx(t.Context(), func(tx *database.Tx) error {
		columns := []string{"tenant", "conversation_id", "seq", "message_id", "request_id", "turn_id", "sender", "finish_reason", "content_end", "created_at", "content"}
		_, err := tx.Load(t.Context(), "tbl_l2_messages", columns, func(w database.RowWriter) error {
			for range messages {
				id, err := newID()
				if err != nil {
					return err
				}
				sender := memory.SenderUser
				if c.Messages()%2 == 1 {
					sender = memory.SenderAssistant
				}
				content := fmt.Sprintf("This is what was said as number %d of this conversation.", c.Messages())
				var seq, end int64
				c, seq, end = c.Append(sender, len(content), noon)
				w.String(c.Tenant)
				w.String(c.ID)
				w.Int(seq)
				w.String(id)
				w.String(id)
				w.Null()
				w.String(string(sender))
				w.String("")
				w.Int(end)
				w.Int(micros(noon))
				w.String(content)
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return writeConversation(t.Context(), tx, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	var words [][]any // as many as the ended corrections had, and more
	for i := range 1000 + corrections {
		words = append(words, []any{c.Tenant, memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}.Key(), fmt.Sprintf("ended%06d", i), int64(0)})
	}
	err = s.db.InTx(t.Context(), func(tx *database.Tx) error {
		key := []string{"tenant", "scope_key", "word"}
		return tx.Upsert(t.Context(), correctionWordCounts, append(key, "corrections"), key, nil, words)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(corrections, 30) {
		record(t, s, correctionIn(t, c, fmt.Sprint(c.ID, i), "harbour of topic17", fmt.Sprint(i)), noon)
	}
	err = s.db.InTx(t.Context(), func(tx *database.Tx) error {
		for i := range corrections {
			id, err := newID()
			if err != nil {
				return err
			}
			k := correctionIn(t, c, id, fmt.Sprint("ended topic", i), "x")
			if _, err := tx.Exec(t.Context(), insertCorrection, k.Tenant, id, id, string(k.Scope), k.Place.Key(), k.ConversationID, "", "", nil, nil,
				k.ErrorContext, k.Key().Phrase(), "{}", k.Subject, nil, "", micros(noon), nil, 1, nil, nil, nil, nil); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), `UPDATE tbl_l2_correction_log SET active = 0 WHERE tenant = ? AND conversation_id = ? AND active_key IS NULL`, c.Tenant, c.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// explain checks the plan of every query of the read side of a turn, on a long conversation.
func explain(t *testing.T, s *Store, c memory.Conversation) {
	t.Helper()
	e := &explainer{db: s.db}
	c = conversation(t, s, c)
	ctx := t.Context()
	r := request(t, c, "explained", "Is the harbour of topic17 open?")
	b := bearing{conversation: c, model: "m", text: matching.NewText(r.Text), said: memory.Said{Messages: []string{r.Text}, Folded: []string{folding.Text(r.Text)}}, now: noon, limit: 5, known: everything}
	_, _, err := readWindowAndRequest(ctx, e, r, &b)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	check(err)
	p := PreparedTurn{}
	check(p.read(ctx, e, b))
	_, err = readFrequencies(ctx, e, c, "m", b.text)
	check(err)
	_, err = readCandidates(ctx, e, c, b.frequencies, b.text, 5)
	check(err)
	long := frequencies{}
	scope := memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}.Key()
	long.add(scope, "topic17", 3)
	long.add(scope, "harbour", maxListed+1) // more than are read: looked for among the others
	_, err = readCandidates(ctx, e, c, long, b.text, 5)
	check(err)
	for _, words := range [][][]string{{{"harbour"}}, {{"harbour", "de:harbour"}, {"said", "de:said"}}} {
		query, args := searchStatement(SearchQuery{Tenant: c.Tenant, ConversationID: c.ID, After: c.ID, Limit: 10}, words)
		result, err := e.Query(ctx, query, args...)
		check(rows(result, err, func(database.Scanner) error { return nil }))
	}
	_, _, err = questionBefore(ctx, e, memory.Correction{Tenant: c.Tenant, ErrorMessageID: c.ID})
	check(err)
	_, err = readWindow(ctx, e, c.Tenant, c.ID, r.Bounds, c.Messages(), c.ContentBytes)
	check(err)
	_, err = readConversation(ctx, e, c.Tenant, c.ID, "")
	check(err)
	for _, query := range []struct {
		sql  string
		args []any
	}{
		{selectTurn, []any{c.Tenant, c.ID}},
		{selectTurnWithConversation, []any{c.Tenant, c.ID}},
		{selectMessageBySeq, []any{c.Tenant, c.ID, 17}},
		{selectMessage, []any{c.Tenant, c.ID}},
		{selectMessageByRequest, []any{c.Tenant, c.ID, "x"}},
		{selectTrace, []any{c.Tenant, c.ID}},
		{selectMessagesForward, []any{c.Tenant, c.ID, 5000, 5100, 1 << 40, 5001}},
		{selectMessagesBackward, []any{c.Tenant, c.ID, 5000, 4900, 0}},
		{selectMessagesNamed, []any{c.Tenant, c.ID, "a", "b"}},
		{selectCorrection, []any{c.Tenant, c.ID}},
		{selectMessagesToIndex, []any{c.Tenant, c.ID, 5000, 10}},
		{selectCorrectionByRequest, []any{c.Tenant, c.ID}},
		{selectCorrectionActive, []any{c.Tenant, c.ID}},
		{selectSuperseded, []any{c.Tenant, c.ID, 1}},
		{findCorrectionsMadeIn, []any{c.Tenant, c.ID, 10}},
		{findCorrectionsAskedIn, []any{c.Tenant, c.ID, 10}},
		{findCorrectionsAskedBy, []any{c.Tenant, "x", 10}},
		{findCorrectionsReviewed, []any{c.Tenant, "x", 10}},
		{documented, []any{c.ID, " x "}},
		{selectFactByRequest, []any{c.Tenant, c.ID}},
		{selectBiasByRequest, []any{c.Tenant, c.ID}},
		{countRegexBiases, []any{c.Tenant, c.ID}},
		{selectDetails, []any{c.Tenant, micros(noon), 10}},
		{findIdle, []any{c.Tenant, micros(noon), 10}},
		{findBegunBefore, []any{c.Tenant, micros(noon), 0, 0, "", 10}},
		{selectConversationByRequest, []any{c.Tenant, c.ID}},
		{selectConversations + conversationsNotArchived + conversationsMostRecentFirst, []any{c.Tenant, 10}},
		{selectConversations + conversationsOfUser + conversationsMostRecentFirst, []any{c.Tenant, "bob", 10}},
		{selectCorrections + correctionsActive + correctionsByID, []any{c.Tenant, 10}},
		{selectBiases + biasesNewestFirst, []any{c.Tenant, 10}},
		{selectBiases + biasesOfConversation + biasesNewestFirst, []any{c.Tenant, c.ID, 10}},
		{selectCorrections + correctionsMadeIn + correctionsActive + correctionsNewestFirst, []any{c.Tenant, c.ID, 10}},
		{selectScope, []any{c.Tenant, "x"}},
	} {
		result, err := e.Query(ctx, query.sql, query.args...)
		check(rows(result, err, func(database.Scanner) error { return nil }))
	}
	for _, fault := range e.faults {
		t.Error(fault)
	}
	if e.plans < 20 {
		t.Errorf("only %d plans were checked", e.plans)
	}
}

// explainer is a Querier that finds fault with queries that read a table from end to end.
type explainer struct {
	db     *database.DB
	plans  int
	faults []string
}

func (e *explainer) fault(format string, args ...any) {
	e.faults = append(e.faults, fmt.Sprintf(format, args...))
}

var (
	jsonTable  = regexp.MustCompile(`"table_name": "([^"]*)",\s*(?:"partitions": [^,]*,\s*)?"access_type": "([^"]*)"`)
	sqliteScan = regexp.MustCompile(`^SCAN (tbl_\w+|[a-z]+)( |$)`)
)

func (e *explainer) Query(ctx context.Context, query string, args ...any) (*database.Rows, error) {
	e.plans++
	if e.db.Dialect() == database.SQLite {
		result, err := e.db.Query(ctx, "EXPLAIN QUERY PLAN "+query, args...)
		err = rows(result, err, func(row database.Scanner) error {
			var id, parent, unused int
			var detail string
			err := row.Scan(&id, &parent, &unused, &detail)
			if m := sqliteScan.FindStringSubmatch(detail); m != nil && !isIntermediate(m[1]) && !strings.Contains(detail, "USING") {
				e.fault("%s in\n%s", detail, query)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return e.db.Query(ctx, query, args...)
	}
	var plan string
	if err := e.db.QueryRow(ctx, "EXPLAIN FORMAT=JSON "+query, args...).Scan(&plan); err != nil {
		return nil, err
	}
	tables := jsonTable.FindAllStringSubmatch(plan, -1)
	if len(tables) == 0 && !strings.Contains(plan, "no matching row") && !strings.Contains(plan, "Impossible WHERE") {
		e.fault("no table in the plan of\n%s\n%s", query, plan)
	}
	for _, m := range tables {
		if (m[2] == "ALL" || m[2] == "index") && !strings.HasPrefix(m[1], "<") && !isIntermediate(m[1]) {
			e.fault("table %s is read by %s in\n%s\n%s", m[1], m[2], query, plan)
		}
	}
	return e.db.Query(ctx, query, args...)
}

// refuses reports whether an explainer finds fault with a query.
func refuses(t *testing.T, s *Store, query string, args ...any) bool {
	t.Helper()
	e := &explainer{db: s.db, faults: []string{}}
	result, err := e.Query(t.Context(), query, args...)
	if err := rows(result, err, func(database.Scanner) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return len(e.faults) > 0
}

// isIntermediate names the subqueries that are bounded by themselves.
func isIntermediate(name string) bool {
	return name == "found" || name == "recent" || name == "hits" || name == "listed"
}

func (e *explainer) QueryRow(ctx context.Context, query string, args ...any) database.Scanner {
	result, err := e.Query(ctx, query, args...)
	if err != nil {
		e.fault("%v", err)
		return e.db.QueryRow(ctx, query, args...)
	}
	_ = result.Close()
	return e.db.QueryRow(ctx, query, args...)
}

func (e *explainer) Exec(context.Context, string, ...any) (int64, error) {
	panic("explaining reads only")
}

func (e *explainer) Stream(context.Context, string, []any, func(database.Row) error) error {
	panic("explaining reads only")
}
