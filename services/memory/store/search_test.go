package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/errors"
	"dbslm/services/memory"

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
	word := rapid.SampledFrom([]string{"boat", "Boats", "harbour", "the", "7", "é", "Café", "cafes", "首都", "100%", "light-house", "opened"})
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
		wanted := messageWords(asked)
		if len(wanted) == 0 {
			return
		}
		var want, got []string
		for _, text := range slices.Backward(said) {
			has := messageWords(text)
			if !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(has, w) }) {
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
