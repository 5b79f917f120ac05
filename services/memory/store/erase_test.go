package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
)

// TestEraseOneOfTenThousand erases a person among 10,000: by processes that are killed (SIGKILL) after some batches, then by one
// that stops after every second batch and goes on. Then it looks into every column of every table for what the person had said.
func TestEraseOneOfTenThousand(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const people = 10_000
		crowd(t, s, people)
		all := tables(t, s)
		before := counts(t, s, all)

		const secret = "Xanthippe" // in everything that is the person's
		who := tenantUser{tenant: "crowd", user: secret}
		for i := range 3 {
			c := beginAs(t, s, who.tenant, who.user)
			for j := range 120 {
				exchange(t, s, c, fmt.Sprintf("I am %s and this is message %d.", secret, j), "Hello "+secret+".", noon)
			}
			p := prepare(t, s, request(t, c, secret, "One more turn of "+secret), noon)
			if _, _, err := s.CommitTurn(ctx, c.Tenant, p.Turn.ID, Reply{Content: "x", FinishReason: "stop", Trace: &memory.Trace{Version: 1, Body: []byte(secret)}}, noon); err != nil {
				t.Fatal(err)
			}
			prepare(t, s, request(t, c, "open", "A turn of "+secret+" that stays open"), noon)
			k := correctionIn(t, c, fmt.Sprint("c", i), "the name of "+secret, "Xan")
			k.ErrorMessageID = p.UserMessage.ID
			k, _ = record(t, s, k, noon)
			record(t, s, correctionIn(t, c, fmt.Sprint("c2", i), "the name of "+secret, "Thippe"), noon)
			wide := correctionIn(t, c, fmt.Sprint("u", i), "the town of "+secret, secret+"ville")
			wide.Scope = memory.ScopeUser
			record(t, s, wide, noon)
			models := correctionIn(t, c, fmt.Sprint("m", i), "a model's fact by "+secret, secret)
			models.Scope, models.Model = memory.ScopeModel, "m"
			record(t, s, models, noon)
			for scope, place := range map[string]memory.Place{"c": {Scope: memory.ScopeConversation, ConversationID: c.ID}, "u": {Scope: memory.ScopeUser, ConversationID: c.ID}} {
				f := factIn(t, c, fmt.Sprint("f", scope, i), secret, fmt.Sprint("colour", i), "blue")
				f.Place = place
				if _, err := s.RememberFact(ctx, f, noon); err != nil {
					t.Fatal(err)
				}
				b := memory.Bias{Tenant: c.Tenant, RequestID: fmt.Sprint("b", scope, i), Place: place, Context: memory.Context{Pattern: secret}, Sequence: secret, Strength: 1, Created: noon, CorrectionID: k.ID}
				if _, err := s.CreateBias(ctx, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(grep(t, s, all, secret)) < 8 {
			t.Fatalf("the search finds only %v before the erasure", grep(t, s, all, secret))
		}
		subject := memory.Subject{UserID: who.user}
		for range 3 {
			removeUntilKilled(t, s.db.Target(), "erase", who)
		}
		var removed int64
		if err := s.db.QueryRow(ctx, `SELECT rows_removed FROM tbl_l2_erasures WHERE tenant = ? AND request_id = 'e' AND finished_at IS NULL`, who.tenant).Scan(&removed); err != nil || removed < eraseBatch {
			t.Fatalf("the killed processes removed %d rows, error %v", removed, err)
		}
		killed := errors.New(errors.Aborted, "KILLED", "killed")
		var e Erasure
		attempts := 0
		for err := error(killed); err != nil; attempts++ {
			if attempts > 100 {
				t.Fatal(err)
			}
			batches := 0
			e, err = s.Erase(ctx, who.tenant, subject, "e", noon, func(int64) error {
				if batches++; batches == 2 {
					return killed
				}
				return nil
			})
			if err != nil && errors.ReasonOf(err) != "KILLED" {
				t.Fatal(err)
			}
		}
		if attempts < 5 || !e.Finished || e.Rows < 750 {
			t.Errorf("%d attempts, %+v", attempts, e)
		}
		if left, err := s.CountSubject(ctx, who.tenant, subject); err != nil || left != 0 {
			t.Errorf("%d rows are left, error %v", left, err)
		}
		if found := grep(t, s, all, secret); len(found) > 0 {
			t.Errorf("the person is still in %v", found)
		}
		after := counts(t, s, all)
		delete(before, "tbl_l2_erasures")
		delete(after, "tbl_l2_erasures")
		// A model's scope stays locked under its own name.
		delete(before, "tbl_l2_scopes")
		delete(after, "tbl_l2_scopes")
		// How many corrections a model's scope has stays counted, and nothing else there.
		after["tbl_l2_correction_word_counts"]--
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("other people's rows: %s", diff)
		}
		var audit int
		if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l2_erasures WHERE tenant = ? AND subject = ? AND finished_at IS NOT NULL`, who.tenant, subject.Digest(who.tenant)).Scan(&audit); err != nil || audit != 1 {
			t.Errorf("%d rows say that it happened, error %v", audit, err)
		}
	})
}

type tenantUser struct{ tenant, user string }

// crowd makes people with a conversation of two messages each.
func crowd(t *testing.T, s *Store, people int) {
	t.Helper()
	conversations := []string{
		"tenant", "conversation_id", "user_id", "agent_id", "title", "metadata_json", "archived", "user_messages", "assistant_messages", "committed_turns",
		"failed_turns", "active_corrections", "content_bytes", "created_at", "updated_at",
	}
	messages := []string{"tenant", "conversation_id", "seq", "message_id", "sender", "finish_reason", "content_end", "created_at", "content"}
	var c, m [][]any
	for i := range people {
		id, err := newID()
		if err != nil {
			t.Fatal(err)
		}
		c = append(c, []any{"crowd", id, fmt.Sprint("person ", i), "", "", "{}", 0, 1, 1, 0, 0, 0, 10, micros(noon), micros(noon)})
		for seq, sender := range []string{"user", "assistant"} {
			m = append(m, []any{"crowd", id, seq + 1, fmt.Sprintf("%s%02d", id[:34], seq), sender, "", 5 * (seq + 1), micros(noon), "hello"})
		}
	}
	slices.SortFunc(m, func(a, b []any) int {
		return strings.Compare(a[1].(string)+fmt.Sprint(a[2]), b[1].(string)+fmt.Sprint(b[2]))
	})
	err := s.db.InTx(t.Context(), func(tx *database.Tx) error {
		if err := tx.Upsert(t.Context(), "tbl_l2_conversations", conversations, []string{"tenant", "conversation_id"}, nil, c); err != nil {
			return err
		}
		for i, row := range m {
			row[3] = fmt.Sprintf("01890000-0000-7000-8000-%012d", i)
		}
		return tx.Upsert(t.Context(), "tbl_l2_messages", messages, []string{"tenant", "conversation_id", "seq"}, nil, m)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tables lists the columns of every table of the schema.
func tables(t *testing.T, s *Store) map[string][]string {
	t.Helper()
	query := `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()`
	if s.db.Dialect() == database.SQLite {
		query = `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'`
	}
	all := map[string][]string{}
	result, err := s.db.Query(t.Context(), query)
	err = rows(result, err, func(row database.Scanner) error {
		var table, column string
		err := row.Scan(&table, &column)
		if strings.HasPrefix(table, "tbl_") && table != "tbl_l2_correction_view" {
			all[table] = append(all[table], column)
		}
		return err
	})
	if err != nil || len(all) < 12 {
		t.Fatalf("tables %v, error %v", all, err)
	}
	return all
}

func counts(t *testing.T, s *Store, all map[string][]string) map[string]int64 {
	t.Helper()
	n := map[string]int64{}
	for table := range all {
		var rows int64
		if err := s.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		n[table] = rows
	}
	return n
}

// grep lists the columns that hold a text, whatever its case.
func grep(t *testing.T, s *Store, all map[string][]string, needle string) (found []string) {
	t.Helper()
	for table, columns := range all {
		for _, column := range columns {
			if table == "tbl_l2_message_traces" && column == "body" { // compressed; their rows are counted
				continue
			}
			var n int
			query := "SELECT COUNT(*) FROM " + table + " WHERE LOWER(CAST(" + column + " AS CHAR)) LIKE ?"
			if err := s.db.QueryRow(t.Context(), query, "%"+strings.ToLower(needle)+"%").Scan(&n); err != nil {
				t.Fatal(table, column, err)
			}
			if n > 0 {
				found = append(found, table+"."+column)
			}
		}
	}
	slices.Sort(found)
	return found
}

func testEraseConversation(t *testing.T, s *Store) {
	ctx := t.Context()
	a, b := begin(t, s), begin(t, s)
	for i, c := range []memory.Conversation{a, b} {
		exchange(t, s, c, "Something to erase", "Yes.", noon)
		record(t, s, correctionIn(t, c, fmt.Sprint(i), "x", "y"), noon)
		wide := correctionIn(t, c, fmt.Sprint("w", i), fmt.Sprint("wide ", i), "y")
		wide.Scope = memory.ScopeUser
		record(t, s, wide, noon)
	}
	none := func(int64) error { return nil }
	for range 2 {
		e, err := s.Erase(ctx, a.Tenant, memory.Subject{ConversationID: a.ID}, "r", noon, none)
		if err != nil || !e.Finished || e.Rows == 0 {
			t.Errorf("%+v, error %v", e, err)
		}
	}
	_, err := s.Conversation(ctx, a.Tenant, a.ID)
	wantError(t, err, errors.NotFound, "CONVERSATION_NOT_FOUND")
	_, err = s.Erase(ctx, a.Tenant, memory.Subject{ConversationID: b.ID}, "r", noon, none)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	checkCounters(t, s, b)
	if got := transcript(t, s, b); len(got) != 2 {
		t.Errorf("the other conversation holds %v", got)
	}
	if got := values(match(t, s, b, "", "wide 0", 5)); len(got) != 1 {
		t.Errorf("a correction of the person that was made in it: %v", got)
	}
	if e, err := s.Erase(ctx, "another", memory.Subject{ConversationID: b.ID}, "r", noon, none); err != nil || e.Rows != 0 {
		t.Errorf("another tenant erased %+v, error %v", e, err)
	}
	if got := transcript(t, s, b); len(got) != 2 {
		t.Errorf("the other conversation holds %v", got)
	}
}
