package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// correctionIn is a correction of scope conversation with an error context and a value.
func correctionIn(t testing.TB, c memory.Conversation, request, errorContext, value string) memory.Correction {
	t.Helper()
	return complete(t, memory.Correction{
		Tenant: c.Tenant, RequestID: request, Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID},
		ErrorContext: errorContext, Fact: memory.CorrectedFact{Value: value},
	})
}

func complete(t testing.TB, k memory.Correction) memory.Correction {
	t.Helper()
	k, err := k.Complete()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func record(t testing.TB, s *Store, k memory.Correction, now time.Time) (memory.Correction, []string) {
	t.Helper()
	k, superseded, err := s.RecordCorrection(context.Background(), k, now)
	if err != nil {
		t.Fatal(err)
	}
	return k, superseded
}

func match(t testing.TB, s *Store, c memory.Conversation, model, text string, limit int) []memory.CorrectionMatch {
	t.Helper()
	matches, err := s.MatchCorrections(context.Background(), c.Tenant, c.ID, model, text, limit)
	if err != nil {
		t.Fatal(err)
	}
	return matches
}

func values(matches []memory.CorrectionMatch) (out []string) {
	for _, m := range matches {
		out = append(out, m.Fact.Value)
	}
	return out
}

func standing(list []memory.Standing) (out []string) {
	for _, s := range list {
		out = append(out, s.Fact.Value)
	}
	return out
}

func testRecordCorrection(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	turn, reply := exchange(t, s, c, "What is the capital of Australia?", "Sydney.", noon)
	k := complete(t, memory.Correction{
		Tenant: c.Tenant, RequestID: "r", Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID},
		ErrorMessageID: reply.ID, CorrectionMessageID: turn.UserMessageID, ErrorContext: " Sydney is the capital; 100% ",
		Fact: memory.CorrectedFact{Entity: "Australia", Attribute: "capital", Value: "Canberra", Extra: `{"source": "p. <12>", "a": [1.50, null]}`},
	})
	stored, superseded := record(t, s, k, noon)
	if len(superseded) != 0 || stored.Subject != "australia / capital" || stored.RecordedBy != "ada" || stored.Version != 1 || !stored.Active() {
		t.Errorf("stored %+v, superseded %v", stored, superseded)
	}
	if want := `{"a":[1.50,null],"source":"p. <12>"}`; stored.Fact.Extra != want {
		t.Errorf("further keys %s, want %s", stored.Fact.Extra, want)
	}
	got, err := s.Correction(ctx, c.Tenant, stored.ID)
	if diff := cmp.Diff(stored, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	var json string
	if err := s.db.QueryRow(ctx, "SELECT corrected_fact_json FROM tbl_l2_correction_view WHERE conversation_id = ?", c.ID).Scan(&json); err != nil {
		t.Fatal(err)
	}
	if want := `{"a":[1.50,null],"attribute":"capital","entity":"Australia","source":"p. <12>","value":"Canberra"}`; json != want {
		t.Errorf("fact %s, want %s", json, want)
	}

	again, superseded := record(t, s, k, noon.Add(time.Hour))
	if again.ID != stored.ID || len(superseded) != 0 {
		t.Errorf("repeated: %+v, superseded %v", again, superseded)
	}
	other := k
	other.Fact.Value = "Melbourne"
	_, _, err = s.RecordCorrection(ctx, other, noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)

	other.RequestID = "r2"
	second, superseded := record(t, s, other, noon)
	if diff := cmp.Diff([]string{stored.ID}, superseded); diff != "" {
		t.Error(diff)
	}
	if !second.Created.After(stored.Created) {
		t.Errorf("times do not grow: %v, %v", stored.Created, second.Created)
	}
	ended, err := s.Correction(ctx, c.Tenant, stored.ID)
	if err != nil || ended.Active() || ended.SupersededBy != second.ID || ended.Version != 2 || !ended.Superseded.Equal(second.Created) || ended.Fact != stored.Fact {
		t.Errorf("the first one became %+v, error %v", ended, err)
	}
	if repeated, superseded := record(t, s, other, noon); repeated.ID != second.ID || !slices.Equal(superseded, []string{stored.ID}) {
		t.Errorf("repeated: %+v, superseded %v", repeated, superseded)
	}
	if got := conversation(t, s, c); got.Corrections != 1 {
		t.Errorf("%d corrections are counted", got.Corrections)
	}

	// An unknown message, and one of another conversation, are refused and nothing is kept.
	elsewhere := begin(t, s)
	_, foreign := exchange(t, s, elsewhere, "q", "a", noon)
	for i, id := range []string{"01890000-0000-7000-8000-000000000000", foreign.ID} {
		bad := k
		bad.RequestID, bad.ErrorMessageID = fmt.Sprint("bad", i), id
		_, _, err := s.RecordCorrection(ctx, bad, noon)
		wantError(t, err, errors.NotFound, "MESSAGE_NOT_FOUND")
	}
	checkCounters(t, s, c)
}

func testSupersessionUnderContention(t *testing.T, s *Store) {
	c, other := begin(t, s), begin(t, s)
	const writers = 16
	errs := together(writers, func(i int) error {
		for j := range 3 {
			in := c
			if i%2 == 1 {
				in = other
			}
			k := memory.Correction{
				Tenant: c.Tenant, RequestID: fmt.Sprintf("%d/%d", i, j), Place: memory.Place{Scope: memory.ScopeUser, ConversationID: in.ID},
				Fact: memory.CorrectedFact{Entity: "Loft", Attribute: []string{"price", "hours"}[j%2], Value: fmt.Sprintf("%d/%d", i, j)},
			}
			k, err := k.Complete()
			if err != nil {
				return err
			}
			stored, _, err := s.RecordCorrection(context.Background(), k, noon)
			if err != nil {
				return err
			}
			if i%5 == 0 && j == 2 {
				_, err = s.RevokeCorrection(context.Background(), c.Tenant, stored.ID, "changed my mind", noon)
				if err != nil && errors.ReasonOf(err) != memory.ReasonCorrectionEnded {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	all := map[string]memory.Correction{}
	page, next, err := s.Corrections(t.Context(), CorrectionQuery{Tenant: c.Tenant, UserID: "ada", IncludeEnded: true, Limit: 100})
	if err != nil || next != nil || len(page) != 3*writers {
		t.Fatalf("%d corrections, error %v", len(page), err)
	}
	for i, k := range page {
		all[k.ID] = k
		if i > 0 && !page[i-1].Created.After(k.Created) {
			t.Errorf("times do not grow: %v, %v", k.Created, page[i-1].Created)
		}
	}
	active := map[string]int{}
	for _, k := range page {
		steps := 0
		for at := k; at.SupersededBy != ""; at = all[at.SupersededBy] { // every chain is readable and ends
			if next := all[at.SupersededBy]; next.Subject != k.Subject || !next.Created.After(at.Created) {
				t.Fatalf("%+v is superseded by %+v", at, next)
			}
			if steps++; steps > len(page) {
				t.Fatal("the chain of successors is a circle")
			}
		}
		if k.Active() {
			active[k.Subject]++
		}
	}
	for subject, n := range active {
		if n > 1 {
			t.Errorf("%d active corrections of %s", n, subject)
		}
	}
	var words, distinct int
	err = s.db.QueryRow(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT correction_id) FROM tbl_l2_correction_words WHERE tenant = ?`, c.Tenant).Scan(&words, &distinct)
	if err != nil || distinct != len(active) {
		t.Errorf("the index names %d corrections, %d subjects have an active one, error %v", distinct, len(active), err)
	}
	checkCounters(t, s, c)
	checkCounters(t, s, other)
}

func testRecordOnceUnderContention(t *testing.T, s *Store) {
	c := begin(t, s)
	ids := make([]string, 8)
	errs := together(len(ids), func(i int) error {
		stored, _, err := s.RecordCorrection(context.Background(), correctionIn(t, c, "same", "x", "y"), noon)
		ids[i] = stored.ID
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one request recorded %v", ids)
	}
	// The same request id at once in two scopes: one is recorded, the other refused.
	place := func(i int) memory.Place { return memory.Place{Scope: memory.ScopeModel, Model: fmt.Sprint("m", i)} }
	errs = together(4, func(i int) error {
		k := correctionIn(t, c, "scopes", "x", "y")
		k.Place = place(i)
		_, _, err := s.RecordCorrection(context.Background(), k, noon)
		return err
	})
	recorded := 0
	for _, err := range errs {
		if err == nil {
			recorded++
			continue
		}
		wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	}
	if recorded != 1 {
		t.Errorf("%d were recorded", recorded)
	}
}

func testSupersedeAndRevoke(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	a, _ := record(t, s, correctionIn(t, c, "a", "alpha", "1"), noon)
	b, _ := record(t, s, correctionIn(t, c, "b", "beta", "2"), noon)
	g, _ := record(t, s, correctionIn(t, c, "g", "gamma", "3"), noon)
	wide := correctionIn(t, c, "w", "wide", "4")
	wide.Scope = memory.ScopeUser
	w, _ := record(t, s, wide, noon)

	_, err := s.SupersedeCorrection(ctx, c.Tenant, a.ID, a.ID, noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonInvalid)
	_, err = s.SupersedeCorrection(ctx, c.Tenant, a.ID, w.ID, noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionScope)
	for range 2 {
		got, err := s.SupersedeCorrection(ctx, c.Tenant, a.ID, b.ID, noon)
		if err != nil || got.SupersededBy != b.ID || got.Active() || got.Version != 2 {
			t.Errorf("superseded: %+v, error %v", got, err)
		}
	}
	_, err = s.SupersedeCorrection(ctx, c.Tenant, a.ID, g.ID, noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)
	_, err = s.SupersedeCorrection(ctx, c.Tenant, b.ID, a.ID, noon) // back again
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)
	_, err = s.RevokeCorrection(ctx, c.Tenant, a.ID, "", noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)

	for _, reason := range []string{"was right after all", "another"} {
		got, err := s.RevokeCorrection(ctx, c.Tenant, b.ID, reason, noon)
		if err != nil || got.RevokeReason != "was right after all" || got.Active() || got.Revoked.Before(b.Created) || got.Version != 2 {
			t.Errorf("revoked: %+v, error %v", got, err)
		}
	}
	_, err = s.SupersedeCorrection(ctx, c.Tenant, g.ID, b.ID, noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)
	if diff := cmp.Diff([]string{"3", "4"}, values(match(t, s, c, "", "alpha beta gamma wide", 50))); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, s, c)
	// After an end the subject is free again, and the old one stays ended.
	if _, superseded := record(t, s, correctionIn(t, c, "b2", "beta", "5"), noon); len(superseded) != 0 {
		t.Errorf("superseded %v", superseded)
	}
	checkCounters(t, s, c)
}

func testScopesOfCorrections(t *testing.T, s *Store) {
	ctx := t.Context()
	c, same, bob := begin(t, s), begin(t, s), beginAs(t, s, tenant(t), "bob")
	add := func(request, value string, place memory.Place) error {
		_, _, err := s.RecordCorrection(ctx, complete(t, memory.Correction{
			Tenant: c.Tenant, RequestID: request, Place: place, ErrorContext: "the price", Fact: memory.CorrectedFact{Value: value},
		}), noon)
		return err
	}
	for i, place := range []memory.Place{
		{Scope: memory.ScopeModel, Model: "m", ConversationID: c.ID},
		{Scope: memory.ScopeUser, ConversationID: c.ID},
		{Scope: memory.ScopeConversation, ConversationID: c.ID, UserID: "ignored", Model: "ignored"},
		{Scope: memory.ScopeUser, UserID: "bob"},
		{Scope: memory.ScopeModel, Model: "n"},
	} {
		if err := add(fmt.Sprint(i), fmt.Sprint(i), place); err != nil {
			t.Fatal(err)
		}
	}
	for name, place := range map[string]memory.Place{
		"conversation without one": {Scope: memory.ScopeConversation},
		"user without one":         {Scope: memory.ScopeUser},
		"another user's":           {Scope: memory.ScopeUser, ConversationID: c.ID, UserID: "bob"},
		"model without one":        {Scope: memory.ScopeModel, ConversationID: c.ID},
		"unknown":                  {Scope: "galaxy"},
	} {
		wantError(t, add(name, "x", place), errors.InvalidArgument, memory.ReasonInvalid)
	}
	for _, check := range []struct {
		in    memory.Conversation
		model string
		want  []string
	}{
		{c, "m", []string{"2", "1", "0"}},
		{c, "", []string{"2", "1"}},
		{c, "n", []string{"2", "1", "4"}},
		{same, "m", []string{"1", "0"}},
		{bob, "m", []string{"3", "0"}},
		{bob, "x", []string{"3"}},
	} {
		if diff := cmp.Diff(check.want, values(match(t, s, check.in, check.model, "What is the price?", 50))); diff != "" {
			t.Errorf("%s asks %q: %s", check.in.UserID, check.model, diff)
		}
	}
	if got := values(match(t, s, c, "m", "What is the price?", 2)); !slices.Equal(got, []string{"2", "1"}) {
		t.Errorf("at most 2: %v", got)
	}
	if got := conversation(t, s, c); got.Corrections != 3 {
		t.Errorf("%d corrections were made in it, counted %d", 3, got.Corrections)
	}
	list := func(q CorrectionQuery) (out []string) {
		q.Tenant = c.Tenant
		for {
			page, next, err := s.Corrections(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range page {
				out = append(out, k.Fact.Value)
			}
			if q.After = next; next == nil {
				return out
			}
		}
	}
	for limit := 1; limit < 4; limit++ {
		got := list(CorrectionQuery{ConversationID: c.ID, Limit: limit})
		slices.Sort(got) // of different scopes with one time
		if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" {
			t.Errorf("made in the conversation, by %d: %s", limit, diff)
		}
		if got := list(CorrectionQuery{UserID: "bob", Limit: limit}); !slices.Equal(got, []string{"3"}) {
			t.Errorf("bob's: %v", got)
		}
		if got := list(CorrectionQuery{Model: "n", Limit: limit}); !slices.Equal(got, []string{"4"}) {
			t.Errorf("the model's: %v", got)
		}
		if got := list(CorrectionQuery{Limit: limit}); len(got) != 5 {
			t.Errorf("all: %v", got)
		}
	}
}

func testCorrectionsOfATurn(t *testing.T, s *Store) {
	c := begin(t, s)
	for i := range 8 {
		record(t, s, correctionIn(t, c, fmt.Sprint(i), fmt.Sprintf("topic%d of the day", i), fmt.Sprint(i)), noon)
	}
	p := prepare(t, s, request(t, c, "r", "Topic3 of the day, and topic5?"), noon)
	if got := standing(p.Corrections); !slices.Equal(got, []string{"3", "5"}) && !slices.Equal(got, []string{"3"}) {
		t.Errorf("matched %v", got)
	}
	if len(p.Corrections) == 0 || p.Corrections[0].Score != 1 {
		t.Errorf("matches %+v", p.Corrections)
	}
	var recent []string
	for _, k := range p.Recent {
		recent = append(recent, k.Fact.Value)
	}
	if diff := cmp.Diff([]string{"7", "6", "5", "4", "3"}, recent); diff != "" {
		t.Error(diff)
	}
	if p.Conversation.Corrections != 8 {
		t.Errorf("statistics count %d corrections", p.Conversation.Corrections)
	}
	commit(t, s, p.Turn, "reply", noon)
	// A correction takes effect in the very next turn, and its revocation too.
	k, _ := record(t, s, correctionIn(t, c, "new", "the weather", "dry"), noon)
	p = prepare(t, s, request(t, c, "r2", "How is the weather?"), noon)
	if got := standing(p.Corrections); !slices.Equal(got, []string{"dry"}) {
		t.Errorf("matched %v", got)
	}
	commit(t, s, p.Turn, "reply", noon)
	if _, err := s.RevokeCorrection(t.Context(), c.Tenant, k.ID, "", noon); err != nil {
		t.Fatal(err)
	}
	p = prepare(t, s, request(t, c, "r3", "How is the weather?"), noon)
	if len(p.Corrections) != 0 || p.Recent[0].Fact.Value != "7" {
		t.Errorf("after revocation: %v, recent %v", standing(p.Corrections), p.Recent[0].Fact.Value)
	}
}

func testLongTextsMatch(t *testing.T, s *Store) {
	c := begin(t, s)
	record(t, s, correctionIn(t, c, "r", "needle in a haystack", "found"), noon)
	text := ""
	for i := range 5000 {
		text += fmt.Sprintf("word%d ", i)
		if i == 2500 {
			text += "NEEDLE in a haystack "
		}
	}
	if got := values(match(t, s, c, "", text, 5)); !slices.Equal(got, []string{"found"}) {
		t.Errorf("matched %v", got)
	}
}

// documented is the concept document's query for corrections, as written in docs/decisions/0032-corrections.md.
const documented = `SELECT correction_id, corrected_fact_json FROM tbl_l2_correction_view
WHERE conversation_id = ? AND ? LIKE CONCAT('%', error_context_pattern, '%') ESCAPE '!'
ORDER BY created_at DESC LIMIT 5`

func testDocumentedQueryAgrees(t *testing.T, s *Store) {
	word := rapid.SampledFrom([]string{"the", "Capital", "of", "France", "100%", "a_b", "a!b", "首都", "é", "Café", "it's", "C++", "!", "%", "_", "x\\y", "''"})
	phrase := func(rt *rapid.T, label string, n int) (s string) {
		for _, w := range rapid.SliceOfN(word, 1, n).Draw(rt, label) {
			s += w + " "
		}
		return s
	}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		c := beginAs(t, s, tenant(t), fmt.Sprint("user ", n)) // whose corrections of other cases do not fill the 50 matches
		for range rapid.IntRange(1, 9).Draw(rt, "corrections") {
			n++
			k, err := memory.Correction{
				Tenant: c.Tenant, RequestID: fmt.Sprint(n), ErrorContext: phrase(rt, "context", 2), Fact: memory.CorrectedFact{Entity: "e", Value: "v"},
				Place: memory.Place{
					Scope:          rapid.SampledFrom([]memory.Scope{memory.ScopeConversation, memory.ScopeUser, memory.ScopeModel}).Draw(rt, "scope"),
					ConversationID: c.ID, Model: "m" + c.ID,
				},
			}.Complete()
			if err != nil {
				rt.Fatal(err)
			}
			if folding.Text(k.ErrorContext) != "" && rapid.Bool().Draw(rt, "about its context") {
				k.Fact.Entity = ""
				k = complete(t, k)
			}
			stored, _ := record(t, s, k, noon.Add(time.Duration(n)*time.Second))
			if rapid.IntRange(0, 5).Draw(rt, "revoke") == 0 {
				if _, err := s.RevokeCorrection(context.Background(), c.Tenant, stored.ID, "", noon); err != nil {
					rt.Fatal(err)
				}
			}
		}
		text := phrase(rt, "text", 12)
		var want, got []string
		matches := match(t, s, c, "m"+c.ID, text, 50)
		slices.SortFunc(matches, func(a, b memory.CorrectionMatch) int { return newestFirst(a.Created, b.Created) })
		for _, m := range matches {
			if m.Score == 1 && m.ConversationID == c.ID && len(want) < 5 {
				json, err := m.Fact.JSON()
				if err != nil {
					rt.Fatal(err)
				}
				want = append(want, m.ID+json)
			}
		}
		result, err := s.db.Query(context.Background(), documented, c.ID, folding.Text(text))
		err = rows(result, err, func(row database.Scanner) error {
			var id, json string
			err := row.Scan(&id, &json)
			got = append(got, id+json)
			return err
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			rt.Fatal(err, diff)
		}
	})
}
