package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/matching"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testSearch(t *testing.T, s *Store) {
	ctx := t.Context()
	a, b := begin(t, s), begin(t, s)
	exchange(t, s, a, "When does the Café open its doors?", "The cafés opened at 7 today.", noon)
	exchange(t, s, b, "The harbour opens at 7.", "100% of the boats' crews agree.", noon)
	search := func(words, conversation string, limit int) (found []string) {
		t.Helper()
		q := SearchQuery{Tenant: a.Tenant, Words: words, ConversationID: conversation, Limit: limit}
		for {
			page, more, err := s.Search(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page {
				found = append(found, m.Content)
			}
			if !more {
				return found
			}
			q.After = page[len(page)-1].ID
		}
	}
	for limit := 1; limit < 4; limit++ {
		for _, c := range []struct {
			words, conversation string
			want                []string
		}{
			{"opening", "", []string{"The harbour opens at 7.", "The cafés opened at 7 today.", "When does the Café open its doors?"}},
			{"CAFE 7", "", []string{"The cafés opened at 7 today."}},
			{"opens 7", a.ID, []string{"The cafés opened at 7 today."}},
			{"boat", "", []string{"100% of the boats' crews agree."}},
			{"boat harbour", "", nil},
			{"% boats", "", []string{"100% of the boats' crews agree."}},
			{"nowhere", "", nil},
		} {
			if diff := cmp.Diff(c.want, search(c.words, c.conversation, limit)); diff != "" {
				t.Errorf("%q by %d: %s", c.words, limit, diff)
			}
		}
	}
	// In the languages that messages tell, and in no other one: "rates" is "rat" in German only.
	for i, said := range []string{
		"Wo ist der Riegel zu den Bäckereien?", "¿Cuáles son los horarios de la biblioteca?", "Les chevaux sont dans les écuries.", "Onde estão as chaves da biblioteca?", "There was a rat.",
	} {
		c := begin(t, s)
		exchange(t, s, c, said, fmt.Sprint("x", i), noon)
		for _, query := range [][]string{{"Bäckerei", "der Bäckerei", "bäckerei riegel"}, {"horario", "horario bibliotecas", "el horario"}, {"écurie", "l'écurie des chevaux"}, {"chave", "a chave"}, {"rats"}}[i] {
			if got := search(query, c.ID, 5); !slices.Equal(got, []string{said}) {
				t.Errorf("%q finds %q, not %q", query, got, said)
			}
		}
	}
	if got := search("rates", "", 5); got != nil {
		t.Errorf("rates: %q", got)
	}
	for words, field := range map[string]string{"the of": "no word", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma": "at most"} {
		_, _, err := s.Search(ctx, SearchQuery{Tenant: a.Tenant, Words: words, Limit: 10})
		wantError(t, err, errors.InvalidArgument, memory.ReasonInvalid)
		if err != nil && !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not say %q", err, field)
		}
	}
	_, _, err := s.Search(ctx, SearchQuery{Tenant: a.Tenant, Words: "x1", ConversationID: "01890000-0000-7000-8000-000000000000", Limit: 1})
	wantError(t, err, errors.NotFound, "CONVERSATION_NOT_FOUND")
	if got, _, err := s.Search(ctx, SearchQuery{Tenant: "another", Words: "opening", Limit: 10}); err != nil || len(got) != 0 {
		t.Errorf("another tenant finds %v, error %v", got, err)
	}

	// Deleting a conversation leaves none of its words.
	if _, err := s.DeleteConversation(ctx, b.Tenant, b.ID); err != nil {
		t.Fatal(err)
	}
	if got := search("opening", "", 10); len(got) != 2 {
		t.Errorf("after deleting: %v", got)
	}
	var words int
	if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l2_message_words w LEFT JOIN tbl_l2_messages m ON m.tenant = w.tenant AND m.message_id = w.message_id
WHERE w.tenant = ? AND m.message_id IS NULL`, a.Tenant).Scan(&words); err != nil || words != 0 {
		t.Errorf("%d words of messages that are gone, error %v", words, err)
	}
}

// Search finds exactly the messages that a reader with the same idea of words would.
func testSearchAgainstReading(t *testing.T, s *Store) {
	word := rapid.SampledFrom([]string{"boat", "Boats", "harbour", "the", "7", "é", "Café", "cafes", "首都", "100%", "light-house", "opened", "die", "Bäckerei", "Bäckereien", "der", "und", "los", "horarios", "horario", "rates", "rat"})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		c := begin(t, s)
		var said []string
		for i, words := range rapid.SliceOfN(rapid.SliceOfN(word, 1, 6), 1, 6).Draw(rt, "messages") {
			text := strings.Join(words, " ")
			if _, err := s.AppendMessage(t.Context(), c.Tenant, memory.Message{ConversationID: c.ID, RequestID: fmt.Sprint(i), Sender: memory.SenderUser, Content: text, Created: noon}); err != nil {
				rt.Fatal(err)
			}
			said = append(said, text)
		}
		asked := strings.Join(rapid.SliceOfN(word, 1, 3).Draw(rt, "query"), " ")
		wanted := matching.QueryTerms(asked)
		if len(wanted) == 0 {
			return
		}
		var want, got []string
		for _, text := range slices.Backward(said) {
			has := messageWords(text)
			if !slices.ContainsFunc(wanted, func(terms []string) bool {
				return !slices.ContainsFunc(terms, func(w string) bool { return slices.Contains(has, w) })
			}) {
				want = append(want, text)
			}
		}
		page, _, err := s.Search(t.Context(), SearchQuery{Tenant: c.Tenant, Words: asked, ConversationID: c.ID, Limit: 100})
		for _, m := range page {
			got = append(got, m.Content)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			rt.Fatalf("%q in %q: %v %s", asked, said, err, diff)
		}
	})
}

// testReindex files messages as versions of before did; stopped after each batch and begun again, all are found by the words of their
// language, and removed without a trace.
func testReindex(t *testing.T, s *Store) {
	ctx := t.Context()
	var all []memory.Conversation
	for range 3 {
		c := begin(t, s)
		all = append(all, c)
		m, err := s.AppendMessage(ctx, c.Tenant, memory.Message{ConversationID: c.ID, RequestID: "1", Sender: memory.SenderUser, Content: "Wo ist der Riegel zu den Bäckereien?", Created: noon})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.Exec(ctx, `DELETE FROM tbl_l2_message_words WHERE tenant = ? AND message_id = ? AND word LIKE 'de:%'`, c.Tenant, m.ID); err != nil {
			t.Fatal(err)
		}
	}
	found := func() int {
		page, _, err := s.Search(ctx, SearchQuery{Tenant: all[0].Tenant, Words: "Bäckerei", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(page)
	}
	if found() != 0 {
		t.Fatal("found before")
	}
	stopped, attempts := errors.New(errors.Aborted, "STOPPED", "stopped"), 0
	for err := error(stopped); err != nil; attempts++ {
		if attempts > 1000 {
			t.Fatal(err)
		}
		told := 0
		_, err = s.Reindex(ctx, func(int64) error {
			if told++; told == 2 {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			t.Fatal(err)
		}
	}
	if found() != 3 {
		t.Errorf("%d are found", found())
	}
	if n, err := s.Reindex(ctx, func(int64) error { return stopped }); err != nil || n < 3 {
		t.Errorf("again: %d, error %v", n, err)
	}
	for _, c := range all {
		if _, err := s.DeleteConversation(ctx, c.Tenant, c.ID); err != nil {
			t.Fatal(err)
		}
	}
	var left int
	if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l2_message_words WHERE tenant = ?`, all[0].Tenant).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d words are left, error %v", left, err)
	}
}
