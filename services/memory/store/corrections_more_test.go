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

func capitalIn(t *testing.T, c memory.Conversation, request, value string) memory.Correction {
	t.Helper()
	return complete(t, memory.Correction{
		Tenant: c.Tenant, RequestID: request, Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID},
		Fact: memory.CorrectedFact{Entity: "France", Attribute: "capital", Value: value},
	})
}

func testReinforcement(t *testing.T, s *Store) {
	c := begin(t, s)
	for i, step := range []struct {
		value string
		times uint32
	}{{"Paris", 1}, {"PARIS", 2}, {" Paris. ", 3}, {"Lyon", 1}, {"Paris", 1}} {
		k, _ := record(t, s, capitalIn(t, c, string(rune('a'+i)), step.value), noon)
		if k.Times != step.times {
			t.Errorf("%q for the %d. time: counted %d", step.value, i+1, k.Times)
		}
	}
	if got := values(match(t, s, c, "", "France's capital?", 5)); !cmp.Equal(got, []string{"Paris"}) {
		t.Errorf("matched %v", got)
	}
	checkCounters(t, s, c)
}

func testPromotion(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	narrow, _ := record(t, s, capitalIn(t, c, "r", "Paris"), noon)
	to := memory.Place{Scope: memory.ScopeUser}
	wide, err := s.PromoteCorrection(ctx, c.Tenant, narrow.ID, to, "editor", noon)
	if err != nil || wide.Scope != memory.ScopeUser || wide.UserID != "ada" || wide.ReviewedBy != "editor" || wide.Origin != "promoted:"+narrow.ID || !wide.Active() || wide.Imported() {
		t.Fatalf("promoted: %+v, error %v", wide, err)
	}
	if again, err := s.PromoteCorrection(ctx, c.Tenant, narrow.ID, to, "editor", noon.Add(time.Hour)); err != nil || again.ID != wide.ID {
		t.Errorf("promoted again: %+v, error %v", again, err)
	}
	if got, err := s.Correction(ctx, c.Tenant, narrow.ID); err != nil || !got.Active() {
		t.Errorf("the narrow one: %+v, error %v", got, err)
	}
	elsewhere := begin(t, s)
	found := func(want ...string) {
		t.Helper()
		if got := values(match(t, s, elsewhere, "", "capital of France", 5)); !slices.Equal(got, want) {
			t.Errorf("in another conversation: %v, want %v", got, want)
		}
	}
	found("Paris")
	// What ended is promoted again, whichever way it ended.
	if _, err := s.RevokeCorrection(ctx, c.Tenant, wide.ID, "", noon); err != nil {
		t.Fatal(err)
	}
	found()
	second, err := s.PromoteCorrection(ctx, c.Tenant, narrow.ID, to, "editor", noon)
	if err != nil || second.ID == wide.ID || !second.Active() {
		t.Errorf("promoted after it was revoked: %+v, error %v", second, err)
	}
	found("Paris")
	users := capitalIn(t, c, "users", "Lyon")
	users.Scope = memory.ScopeUser
	users, _ = record(t, s, users, noon)
	found("Lyon")
	wide, err = s.PromoteCorrection(ctx, c.Tenant, narrow.ID, to, "editor", noon)
	if err != nil || wide.ID == second.ID || !wide.Active() {
		t.Errorf("promoted after it was superseded: %+v, error %v", wide, err)
	}
	found("Paris")
	if k, err := s.Correction(ctx, c.Tenant, users.ID); err != nil || k.SupersededBy != wide.ID {
		t.Errorf("%+v, error %v", k, err)
	}
	for name, place := range map[string]memory.Place{"not wider": {Scope: memory.ScopeUser}, "narrower": {Scope: memory.ScopeConversation, ConversationID: c.ID}, "no model": {Scope: memory.ScopeModel}} {
		if _, err := s.PromoteCorrection(ctx, c.Tenant, wide.ID, place, "", noon); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.RevokeCorrection(ctx, c.Tenant, narrow.ID, "", noon); err != nil {
		t.Fatal(err)
	}
	_, err = s.PromoteCorrection(ctx, c.Tenant, narrow.ID, memory.Place{Scope: memory.ScopeModel, Model: "m"}, "", noon)
	wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)
}

func testImportedCorrections(t *testing.T, s *Store) {
	c := begin(t, s)
	imported := func(request, value string) memory.Correction {
		k := capitalIn(t, c, request, value)
		k.Origin = "another store"
		k, _ = record(t, s, k, noon)
		return k
	}
	first := imported("i1", "Lyon")
	if !first.Active() || first.Origin != "another store" {
		t.Errorf("imported: %+v", first)
	}
	if again := imported("i1", "Lyon"); again.ID != first.ID {
		t.Errorf("imported twice: %+v", again)
	}
	if second := imported("i2", "Nice"); !second.Active() {
		t.Errorf("a newer import: %+v", second)
	}
	local, superseded := record(t, s, capitalIn(t, c, "l", "Paris"), noon)
	if len(superseded) != 1 {
		t.Errorf("what is said here superseded %v", superseded)
	}
	late := imported("i3", "Metz")
	if late.Active() || late.SupersededBy != local.ID {
		t.Errorf("an import outranked what was said here: %+v", late)
	}
	if again := imported("i3", "Metz"); again.ID != late.ID || again.Active() {
		t.Errorf("imported twice: %+v", again)
	}
	if got := values(match(t, s, c, "", "capital of France", 5)); !cmp.Equal(got, []string{"Paris"}) {
		t.Errorf("matched %v", got)
	}
	// Of other subjects too, what was said here stands before what was imported later.
	other := correctionIn(t, c, "i4", "capital of France", "imported")
	other.Origin = "another store"
	record(t, s, other, noon.Add(time.Hour))
	if got := values(match(t, s, c, "", "capital of France", 5)); !cmp.Equal(got, []string{"Paris", "imported"}) {
		t.Errorf("matched %v", got)
	}
	checkCounters(t, s, c)
}

func testCuesOfCorrections(t *testing.T, s *Store) {
	c := begin(t, s)
	_, reply := exchange(t, s, c, "What's the capital of Australia?", "Sydney, of course.", noon)
	k := correctionIn(t, c, "r", "Sydney", "Canberra")
	k.ErrorMessageID = reply.ID
	k, _ = record(t, s, k, noon)
	if k.Cue != "What's the capital of Australia?" {
		t.Errorf("cue %q", k.Cue)
	}
	for text, want := range map[string]int{
		"Is Sydney large?": 1, "And the capital of AUSTRALIA again?": 1, "What is the capital of Austria?": 0, "What is the population of Australia?": 0,
	} {
		if got := match(t, s, c, "", text, 5); len(got) != want {
			t.Errorf("%q matched %v", text, got)
		}
	}
}

// testPromoteOrRevokeAtOnce lets promotions race with the end of what they promote: none records what had ended before.
func testPromoteOrRevokeAtOnce(t *testing.T, s *Store) {
	ctx := t.Context()
	for round := range 10 {
		c := begin(t, s)
		narrow, _ := record(t, s, capitalIn(t, c, fmt.Sprint("r", round), "Paris"), noon)
		to := memory.Place{Scope: memory.ScopeModel, Model: fmt.Sprint("m", round)}
		var promoted [8]memory.Correction
		errs := together(9, func(i int) (err error) {
			if i == 8 {
				_, err = s.RevokeCorrection(ctx, c.Tenant, narrow.ID, "", noon)
				return err
			}
			promoted[i], err = s.PromoteCorrection(ctx, c.Tenant, narrow.ID, to, "editor", noon)
			return err
		})
		ids := map[string]bool{}
		for i, err := range errs {
			switch {
			case i == 8 && err != nil:
				t.Error(err)
			case i < 8 && err == nil:
				ids[promoted[i].ID] = true
			case i < 8:
				wantError(t, err, errors.FailedPrecondition, memory.ReasonCorrectionEnded)
			}
		}
		if len(ids) > 1 {
			t.Errorf("promoted to %d corrections", len(ids))
		}
		page, _, err := s.Corrections(ctx, CorrectionQuery{Tenant: c.Tenant, Model: to.Model, IncludeEnded: true, Limit: 10})
		if err != nil || len(page) != len(ids) {
			t.Errorf("%d are stored, %d were returned, error %v", len(page), len(ids), err)
		}
	}
}

// A correction that calls wrong what another one says is right stands beside it, is recorded once, and taken back leaves the other.
func testChains(t *testing.T, s *Store) {
	c := begin(t, s)
	_, reply := exchange(t, s, c, "What is the capital of Australia?", "Sydney.", noon)
	correct := func(request, wrong, right string) memory.Correction {
		t.Helper()
		k := correctionIn(t, c, request, wrong, right)
		k.ErrorMessageID = reply.ID
		stored, superseded := record(t, s, k, noon)
		again, _ := record(t, s, k, noon)
		if again.ID != stored.ID || len(superseded) != 0 {
			t.Errorf("recorded %v and %v, superseded %v", stored.ID, again.ID, superseded)
		}
		return stored
	}
	asked := 0
	stands := func(text, value string, wrong ...string) {
		t.Helper()
		asked++
		p := prepare(t, s, request(t, c, fmt.Sprint("turn", asked), text), noon)
		commit(t, s, p.Turn, "reply", noon)
		if len(p.Corrections) != 1 || p.Corrections[0].Fact.Value != value || !slices.Equal(p.Corrections[0].Wrong, wrong) {
			t.Errorf("%q: %+v", text, p.Corrections)
		}
	}
	correct("first", "Sydney", "Melbourne")
	second := correct("second", "Melbourne", "Canberra")
	third := correct("third", "Canberra", "Perth")
	stands("And what is Australia's capital?", "Perth", "Canberra", "Melbourne", "Sydney")
	for i, k := range []memory.Correction{third, second} {
		if _, err := s.RevokeCorrection(t.Context(), c.Tenant, k.ID, "", noon); err != nil {
			t.Fatal(err)
		}
		stands("the capital of Australia?", []string{"Canberra", "Melbourne"}[i], [][]string{{"Melbourne", "Sydney"}, {"Sydney"}}[i]...)
	}
	checkCounters(t, s, c)
}

// A correction of the person is overruled by one of the conversation of the same subject that shares no word with the text and is none of
// the recent ones.
func testOverruledBySubject(t *testing.T, s *Store) {
	c := begin(t, s)
	k := correctionIn(t, c, "wide", "the kangaroo's town", "Sydney")
	k.Place, k.Fact.Entity, k.Fact.Attribute = memory.Place{Scope: memory.ScopeUser, ConversationID: c.ID}, "Australia", "capital"
	record(t, s, complete(t, k), noon)
	text := "Which is the kangaroo's town?"
	p := prepare(t, s, request(t, c, "before", text), noon)
	commit(t, s, p.Turn, "reply", noon)
	if got := standing(p.Corrections); !slices.Equal(got, []string{"Sydney"}) {
		t.Fatalf("%v stand", got)
	}
	k = capitalIn(t, c, "narrow", "Canberra")
	k.Fact.Entity = "Australia"
	record(t, s, complete(t, k), noon)
	for i := range memory.RecentCorrection {
		record(t, s, correctionIn(t, c, fmt.Sprint("later", i), fmt.Sprint("topic", i), "x"), noon)
	}
	if p = prepare(t, s, request(t, c, "after", text), noon); !slices.Equal(standing(p.Corrections), []string{"Canberra"}) {
		t.Errorf("%v stand", standing(p.Corrections))
	}
}
