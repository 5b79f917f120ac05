package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
)

// testEraseWhatAPersonSaidToAModel erases a person whose corrections were promoted to a model, superseded there by others, and
// recorded by others in the person's conversation: the reviewed facts stay, and no word of the person in any column.
func testEraseWhatAPersonSaidToAModel(t *testing.T, s *Store) {
	ctx := t.Context()
	const name, secret = "Melusine", "Wurzelbrunft"
	all := tables(t, s)
	hers, others := beginAs(t, s, tenant(t), name), begin(t, s)
	model := memory.Place{Scope: memory.ScopeModel, Model: "m"}
	_, reply := exchange(t, s, hers, "Where do the "+secret+" people of Lemuria build their capital?", "At "+secret+".", noon)
	corrected := func(request string, k memory.Correction) memory.Correction {
		t.Helper()
		k.Tenant, k.RequestID, k.ErrorMessageID = hers.Tenant, request, reply.ID
		if k.Place.Scope == "" {
			k.Place = memory.Place{Scope: memory.ScopeConversation}
		}
		k.ConversationID = hers.ID
		k, _ = record(t, s, complete(t, k), noon)
		return k
	}
	promoted := func(k memory.Correction, by string) memory.Correction {
		t.Helper()
		k, err := s.PromoteCorrection(ctx, k.Tenant, k.ID, model, by, noon)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	lemuria := memory.CorrectedFact{Entity: "Lemuria", Attribute: "capital", Value: "Ys", Extra: `{"source":"` + secret + `"}`}
	fact := promoted(corrected("1", memory.Correction{ErrorContext: "my " + secret, Fact: lemuria}), "editor")
	free := promoted(corrected("2", memory.Correction{ErrorContext: "at " + secret, Fact: memory.CorrectedFact{Value: "Kitezh"}}), "editor")
	once := promoted(corrected("3", memory.Correction{ErrorContext: "old " + secret, Fact: memory.CorrectedFact{Entity: "Mu", Value: "north"}}), "editor")
	asks := "Where do the " + secret + " people of Lemuria build their capital?"
	if got := values(match(t, s, others, "m", asks, 5)); len(got) == 0 || got[0] != "north" {
		t.Fatalf("before: %v", got)
	}
	// Somebody else corrects what was promoted, and takes the question over; a desk records in her conversation.
	bens := complete(t, memory.Correction{Tenant: hers.Tenant, RequestID: "ben", Place: model, RecordedBy: "ben", Fact: memory.CorrectedFact{Entity: "Mu", Value: "south"}})
	bens, superseded := record(t, s, bens, noon)
	if !slices.Equal(superseded, []string{once.ID}) || bens.Cue == "" {
		t.Fatalf("%+v superseded %v", bens, superseded)
	}
	desks := corrected("desk", memory.Correction{Place: model, RecordedBy: "desk", ErrorContext: "what the desk calls wrong", Fact: memory.CorrectedFact{Value: "right"}})
	quotes := corrected("quotes", memory.Correction{Place: model, RecordedBy: "desk", ErrorContext: asks, Fact: memory.CorrectedFact{Value: "somewhere"}})
	reviewed, _ := record(t, s, capitalIn(t, others, "r", "Paris"), noon)
	reviewed = promoted(reviewed, name)
	if _, err := s.RevokeCorrection(ctx, fact.Tenant, free.ID, "as "+name+" says", noon); err != nil {
		t.Fatal(err)
	}
	if len(grep(t, s, all, secret)) < 8 || len(grep(t, s, all, name)) < 3 {
		t.Fatalf("before the erasure: %v, %v", grep(t, s, all, secret), grep(t, s, all, name))
	}
	subject := memory.Subject{UserID: name}
	var exported []string
	err := s.Export(ctx, hers.Tenant, subject, func(line []byte) error {
		if strings.Contains(string(line), `"scope":"model"`) {
			exported = append(exported, string(line))
		}
		return nil
	})
	if err != nil || len(exported) != 6 || !strings.Contains(strings.Join(exported, ""), secret) {
		t.Errorf("of the model are exported %v, error %v", exported, err)
	}
	if e, err := s.Erase(ctx, hers.Tenant, subject, "e", noon, func(int64) error { return nil }); err != nil || !e.Finished {
		t.Fatalf("%+v, error %v", e, err)
	}
	for _, needle := range []string{secret, name, "brunft"} {
		if found := grep(t, s, all, needle); len(found) > 0 {
			t.Errorf("%s is still in %v", needle, found)
		}
	}
	if n, err := s.CountSubject(ctx, hers.Tenant, subject); err != nil || n != 0 {
		t.Errorf("%d rows are left, error %v", n, err)
	}
	for _, gone := range []memory.Correction{free, quotes} {
		_, err := s.Correction(ctx, gone.Tenant, gone.ID)
		wantError(t, err, errors.NotFound, "CORRECTION_NOT_FOUND")
	}
	for _, stays := range []memory.Correction{fact, once, bens, desks, reviewed} {
		k, err := s.Correction(ctx, stays.Tenant, stays.ID)
		want := stays.Fact
		if want.Extra = ""; err != nil || k.Fact != want {
			t.Errorf("%+v became %+v, error %v", stays, k, err)
		}
	}
	for text, want := range map[string]string{
		"What is the capital of Lemuria?": "Ys", "And where is Mu?": "south", "Is it what the desk calls wrong?": "right", "France's capital?": "Paris",
	} {
		if got := values(match(t, s, begin(t, s), "m", text, 5)); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: %v", text, got)
		}
	}
	if got := match(t, s, others, "m", asks, 5); len(got) != 1 || got[0].ID != fact.ID { // by its entity and attribute
		t.Errorf("the question still finds %v", values(got))
	}
}

// testCorrectionsOutliveTheirConversation removes conversations in each way: what was corrected for the person, or promoted, is
// found by the same questions as before, and quotes nothing that was said.
func testCorrectionsOutliveTheirConversation(t *testing.T, s *Store) {
	ctx := t.Context()
	all := tables(t, s)
	for name, remove := range map[string]func(t *testing.T, c memory.Conversation){
		"delete": func(t *testing.T, c memory.Conversation) {
			if _, err := s.DeleteConversation(ctx, c.Tenant, c.ID); err != nil {
				t.Error(err)
			}
		},
		"expire": func(t *testing.T, c memory.Conversation) {
			keep(t, s, memory.Retention{Tenant: c.Tenant, Conversations: day})
			if run, err := s.RunRetention(ctx, c.Tenant, at(noon.Add(30*day)), quiet); err != nil || run.Conversations == 0 {
				t.Errorf("%+v, error %v", run, err)
			}
		},
		"erase": func(t *testing.T, c memory.Conversation) {
			if _, err := s.Erase(ctx, c.Tenant, memory.Subject{ConversationID: c.ID}, "e", noon, func(int64) error { return nil }); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := begin(t, s)
			_, reply := exchange(t, s, c, "Wo ist der Schlüssel der Bäckerei?", "Nie.", noon)
			wide := memory.Correction{Tenant: c.Tenant, RequestID: "r", ErrorMessageID: reply.ID, ErrorContext: "Nie", Fact: memory.CorrectedFact{Value: "um acht"}}
			wide.Place = memory.Place{Scope: memory.ScopeUser, ConversationID: c.ID}
			wide, _ = record(t, s, complete(t, wide), noon)
			narrow := correctionIn(t, c, "n", "Niemals", "täglich")
			narrow.ErrorMessageID = reply.ID
			narrow, _ = record(t, s, narrow, noon)
			promoted, err := s.PromoteCorrection(ctx, c.Tenant, narrow.ID, memory.Place{Scope: memory.ScopeModel, Model: "m"}, "editor", noon)
			if err != nil {
				t.Fatal(err)
			}
			next := begin(t, s)
			found := func() []string {
				return values(match(t, s, next, "m", "Kannst du mir noch einmal sagen, wo die Schlüssel der Bäckereien sind?", 5))
			}
			if got := found(); !cmp.Equal(got, []string{"um acht", "täglich"}) {
				t.Errorf("before: %v", got)
			}
			remove(t, c)
			if name == "expire" {
				next = begin(t, s)
			}
			if got := found(); !cmp.Equal(got, []string{"um acht", "täglich"}) {
				t.Errorf("found %v", got)
			}
			for i, before := range []memory.Correction{wide, promoted} {
				k, err := s.Correction(ctx, c.Tenant, before.ID)
				if err != nil || !k.Active() || k.ConversationID != "" || k.ErrorMessageID != "" || k.AskedIn != "" || k.AskedBy != "ada" || k.Cue == before.Cue || k.Cue == "" {
					t.Errorf("%d: %+v, error %v", i, k, err)
				}
			}
			if found := grep(t, s, all, "der Schl"); len(found) > 0 {
				t.Errorf("the question stands in %v", found)
			}
			if _, err := s.RevokeCorrection(ctx, c.Tenant, wide.ID, "", noon.Add(time.Hour)); err != nil {
				t.Error(err)
			}
			if _, err := s.RevokeCorrection(ctx, c.Tenant, promoted.ID, "", noon.Add(time.Hour)); err != nil {
				t.Error(err)
			}
			for _, table := range []string{"tbl_l2_correction_words", "tbl_l2_correction_word_counts"} {
				var n int
				if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+table+" WHERE tenant = ? AND word <> ''", c.Tenant).Scan(&n); err != nil || n != 0 {
					t.Errorf("%s has %d rows, error %v", table, n, err)
				}
			}
		})
	}
}
