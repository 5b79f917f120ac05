package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
)

// What is not known is not asked for: a turn pays the statement that reads what bears on it only where a correction, a fact or a
// bias is there to be read, of whatever kind and scope it is.
func TestWhatIsNotKnownIsNotAskedFor(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		recorder := &databasetest.Recorder{}
		s := open(t, databasetest.Open(t, target, Schema, database.Options{Observer: recorder}))
		asked := func(c memory.Conversation, text string) (PreparedTurn, int) {
			t.Helper()
			before := recorder.Count("")
			r := request(t, c, text, text)
			r.Pins.Model = "m"
			p := prepare(t, s, r, noon)
			n := recorder.Count("") - before
			commit(t, s, p.Turn, "Yes.", noon)
			return p, n
		}
		bare := begin(t, s)
		exchange(t, s, bare, "Is the harbour open?", "Yes.", noon)
		_, fewest := asked(bare, "Is the tide high?")
		if want := 6 + 2; fewest != want {
			t.Errorf("%d statements where nothing is known, want %d", fewest, want)
		}
		place := func(scope memory.Scope, c memory.Conversation) memory.Place {
			switch scope {
			case memory.ScopeUser:
				return memory.Place{Scope: scope, UserID: c.UserID}
			case memory.ScopeModel:
				return memory.Place{Scope: scope, Model: "m"}
			}
			return memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}
		}
		for _, scope := range []memory.Scope{memory.ScopeConversation, memory.ScopeUser, memory.ScopeModel} {
			told := beginAs(t, s, fmt.Sprint(tenant(t), scope, "f"), "ada")
			f := factIn(t, told, "1", "Loft", "price", "24")
			f.Place = place(scope, told)
			if _, err := s.RememberFact(t.Context(), f, noon); err != nil {
				t.Fatal(err)
			}
			if p, n := asked(told, "Is the tide high?"); len(p.Facts) != 1 || n != fewest+1 {
				t.Errorf("%s: %d facts by %d statements, want 1 by %d", scope, len(p.Facts), n, fewest+1)
			}
			biased := beginAs(t, s, fmt.Sprint(tenant(t), scope, "b"), "ada")
			bias, err := memory.Bias{Tenant: biased.Tenant, RequestID: "1", Place: place(scope, biased), Sequence: "ebb", Strength: 1, Created: noon}.Complete(noon)
			if err == nil {
				_, err = s.CreateBias(t.Context(), bias)
			}
			if err != nil {
				t.Fatal(err)
			}
			if p, n := asked(biased, "Is the tide high?"); len(p.Biases) != 1 || n != fewest+1 {
				t.Errorf("%s: %d biases by %d statements, want 1 by %d", scope, len(p.Biases), n, fewest+1)
			}
		}
		corrected := beginAs(t, s, tenant(t)+"k", "ada")
		k, _ := record(t, s, correctionIn(t, corrected, "1", "harbour", "closed"), noon)
		if p, _ := asked(corrected, "Is the tide high?"); len(p.Recent) != 1 || len(p.Corrections) != 0 {
			t.Errorf("recent %v, bearing %v", p.Recent, p.Corrections)
		}
		if p, _ := asked(corrected, "Is the harbour open?"); len(p.Recent) != 1 || len(p.Corrections) != 1 {
			t.Errorf("recent %v, bearing %v", p.Recent, p.Corrections)
		}
		if _, err := s.RevokeCorrection(t.Context(), k.Tenant, k.ID, "", noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if p, n := asked(corrected, "Is the harbour closed?"); len(p.Recent) != 0 || len(p.Corrections) != 0 || n != fewest {
			t.Errorf("after revoking: recent %v, bearing %v by %d statements, want %d", p.Recent, p.Corrections, n, fewest)
		}
	})
}

// The bounds that stand in the text of the statements are those that the rest of the package knows.
func TestBoundsInStatements(t *testing.T) {
	for statement, limit := range map[string]int{
		selectList: maxListed, selectListWithin: maxListed, selectCandidatesAfter: maxCandidates, selectRecent: memory.RecentCorrection,
		selectScopeFacts: memory.MaxTurnFacts, selectScopeBiasesAfter: maxBiases,
	} {
		if !strings.Contains(statement, fmt.Sprintf(" LIMIT %d)", limit)) {
			t.Errorf("the limit is not %d in %s", limit, statement)
		}
	}
}
