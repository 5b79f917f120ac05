package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
)

func factIn(t testing.TB, c memory.Conversation, request, entity, attribute, value string) memory.Fact {
	t.Helper()
	f, err := memory.Fact{
		Tenant: c.Tenant, RequestID: request, Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID},
		Entity: entity, Attribute: attribute, Value: value,
	}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func testFacts(t *testing.T, s *Store) {
	ctx := t.Context()
	c, other := begin(t, s), begin(t, s)
	remember := func(f memory.Fact) memory.Fact {
		t.Helper()
		f, err := s.RememberFact(ctx, f, noon)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := remember(factIn(t, c, "1", "Loft", "opening hours", "9 to 5"))
	if again := remember(factIn(t, c, "1", " Loft ", "opening  hours", "9 to 5")); again.ID != first.ID {
		t.Errorf("repeated: %+v", again)
	}
	_, err := s.RememberFact(ctx, factIn(t, c, "1", "Loft", "opening hours", "other"), noon)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	second := remember(factIn(t, c, "2", "LOFT", "Opening hours", "10 to 4"))
	wide := factIn(t, c, "3", "loft", "opening hours", "never")
	wide.Place = memory.Place{Scope: memory.ScopeUser, UserID: "ada"}
	remember(wide)
	wide.RequestID, wide.Attribute, wide.Value = "4", "price", "24"
	price := remember(wide)
	wide.RequestID, wide.Place = "5", memory.Place{Scope: memory.ScopeModel, Model: "m"}
	remember(wide)

	turn := func(in memory.Conversation, model string) (out []string) {
		r := request(t, in, "t"+model+fmt.Sprint(time.Now().UnixNano()), "x")
		r.Pins.Model = model
		p := prepare(t, s, r, noon)
		for _, f := range p.Facts {
			out = append(out, fmt.Sprintf("%s %s=%s", f.Scope, f.Attribute, f.Value))
		}
		commit(t, s, p.Turn, "reply", noon)
		return out
	}
	if diff := cmp.Diff([]string{"conversation Opening hours=10 to 4", "user price=24"}, turn(c, "m")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"user price=24", "user opening hours=never"}, turn(other, "")); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		retired, err := s.RetireFact(ctx, c.Tenant, price.ID, noon.Add(time.Second))
		if err != nil || !retired.Retired.Equal(noon.Add(time.Second)) {
			t.Errorf("retired %+v, error %v", retired, err)
		}
		if read, err := s.Fact(ctx, c.Tenant, price.ID); err != nil || !cmp.Equal(read, retired) {
			t.Errorf("read %+v, error %v, retired %+v", read, err, retired)
		}
	}
	if diff := cmp.Diff([]string{"user opening hours=never", "model price=24"}, turn(other, "m")); diff != "" {
		t.Error(diff)
	}
	list := func(q FactQuery) (out []string) {
		q.Tenant = c.Tenant
		for {
			page, more, err := s.Facts(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				out = append(out, f.Entity+" "+f.Attribute+" "+f.Value)
			}
			if !more {
				return out
			}
			q.After = page[len(page)-1].ID
		}
	}
	for limit := 1; limit < 6; limit++ {
		if diff := cmp.Diff([]string{"LOFT Opening hours 10 to 4", "loft opening hours never"}, list(FactQuery{ConversationID: c.ID, Limit: limit})); diff != "" {
			t.Errorf("by %d: %s", limit, diff)
		}
		want := []string{"LOFT Opening hours 10 to 4", "Loft opening hours 9 to 5", "loft opening hours never", "loft price 24"}
		if diff := cmp.Diff(want, list(FactQuery{ConversationID: c.ID, IncludeRetired: true, Limit: limit})); diff != "" {
			t.Errorf("by %d, retired ones too: %s", limit, diff)
		}
		if got := list(FactQuery{UserID: "ada", Limit: limit}); !slices.Equal(got, []string{"loft opening hours never"}) {
			t.Errorf("ada's: %v", got)
		}
		if got := list(FactQuery{Limit: limit}); len(got) != 3 {
			t.Errorf("all: %v", got)
		}
	}
	old, err := scanFact(s.db.QueryRow(ctx, selectFact, c.Tenant, first.ID))
	if err != nil || !old.Retired.Equal(second.Created) {
		t.Errorf("the former value is %+v, error %v", old, err)
	}
}

func testFactsUnderContention(t *testing.T, s *Store) {
	c := begin(t, s)
	errs := together(12, func(i int) error {
		_, err := s.RememberFact(context.Background(), factIn(t, c, fmt.Sprint(i), "a", "b", fmt.Sprint(i)), noon)
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	page, _, err := s.Facts(t.Context(), FactQuery{Tenant: c.Tenant, Limit: 100})
	if err != nil || len(page) != 1 {
		t.Errorf("%d facts hold, error %v", len(page), err)
	}
}

func testAtMostSoManyFactsAndBiases(t *testing.T, s *Store) {
	c := begin(t, s)
	for i := range memory.MaxTurnFacts + 3 {
		if _, err := s.RememberFact(t.Context(), factIn(t, c, fmt.Sprint(i), fmt.Sprint("e", i), "a", "v"), noon); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateBias(t.Context(), memory.Bias{
			Tenant: c.Tenant, RequestID: fmt.Sprint(i), Place: memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}, Sequence: "x", Strength: 1, Created: noon,
		}); err != nil {
			t.Fatal(err)
		}
	}
	p := prepare(t, s, request(t, c, "r", "x"), noon)
	if len(p.Facts) != memory.MaxTurnFacts || len(p.Biases) != memory.MaxTurnBiases {
		t.Errorf("%d facts and %d biases", len(p.Facts), len(p.Biases))
	}
	if want := fmt.Sprint("e", memory.MaxTurnFacts+2); p.Facts[0].Entity != want {
		t.Errorf("the newest fact is %s, want %s", p.Facts[0].Entity, want)
	}
}

func testBiases(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	exchange(t, s, c, "Tell me about the harbour", "It is 50% wet.", noon)
	create := func(request string, b memory.Bias) (memory.Bias, error) {
		b.Tenant, b.RequestID, b.Created = c.Tenant, request, noon
		b, err := b.Complete(noon)
		if err != nil {
			return b, err
		}
		return s.CreateBias(ctx, b)
	}
	here := memory.Place{Scope: memory.ScopeConversation, ConversationID: c.ID}
	for name, b := range map[string]memory.Bias{
		"always":         {Place: here, Sequence: "x", Strength: 1},
		"in the window":  {Place: here, Sequence: "x", Strength: -20, Context: memory.Context{Pattern: "HARBOUR"}},
		"in the reply":   {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "50%"}},
		"in the message": {Place: memory.Place{Scope: memory.ScopeUser, UserID: "ada"}, Sequence: " trailing ", Strength: 0.5, Context: memory.Context{Pattern: "ship's"}},
		"the model's":    {Place: memory.Place{Scope: memory.ScopeModel, Model: "m"}, Sequence: "x", Strength: 1, Expires: noon.Add(time.Hour)},
		"after a gap":    {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "tell", Then: "harbour", Gap: 3}},
		"too far apart":  {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "tell", Then: "harbour", Gap: 2}},
		"an expression":  {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: `\d+% wet\.$`, Regex: true}},
		"no such text":   {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: `harbour\?`, Regex: true}},
		"half as strong": {Place: here, Sequence: "x", Strength: 1, HalfLife: time.Minute},
		"not said":       {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "harbours"}},
		"over two":       {Place: here, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "harbour it"}},
		"another model":  {Place: memory.Place{Scope: memory.ScopeModel, Model: "n"}, Sequence: "x", Strength: 1},
		"another person": {Place: memory.Place{Scope: memory.ScopeUser, UserID: "bob"}, Sequence: "x", Strength: 1},
		"soon over":      {Place: here, Sequence: "x", Strength: 1, Expires: noon.Add(time.Minute)},
	} {
		if _, err := create(name, b); err != nil {
			t.Fatal(name, err)
		}
	}
	r := request(t, c, "r", "What about the ship's bell?")
	r.Pins.Model = "m"
	p := prepare(t, s, r, noon.Add(time.Minute))
	got := map[string]memory.Scope{}
	lastRank := 0
	for _, b := range p.Biases {
		if b.Scope.Rank() < lastRank {
			t.Errorf("%s stands after a wider one", b.Scope)
		}
		lastRank = b.Scope.Rank()
		stored, err := scanBias(s.db.QueryRow(ctx, `SELECT `+biasColumns+` FROM tbl_l2_token_bias WHERE tenant = ? AND bias_id = ?`, c.Tenant, b.ID))
		if err != nil {
			t.Fatal(err)
		}
		got[stored.RequestID] = b.Scope
		if want := stored.Strength; b.Effective != want && stored.HalfLife == 0 || stored.HalfLife > 0 && math.Abs(b.Effective-want/2) > 1e-12 {
			t.Errorf("%s has the strength %g", stored.RequestID, b.Effective)
		}
		stored.RequestID, stored.Effective = "", b.Effective
		if diff := cmp.Diff(stored, b); diff != "" {
			t.Error(diff)
		}
	}
	want := map[string]memory.Scope{
		"always": memory.ScopeConversation, "in the window": memory.ScopeConversation, "in the reply": memory.ScopeConversation,
		"after a gap": memory.ScopeConversation, "an expression": memory.ScopeConversation, "half as strong": memory.ScopeConversation,
		"in the message": memory.ScopeUser, "the model's": memory.ScopeModel,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	elsewhere := memory.Place{Scope: memory.ScopeUser, UserID: "eve"}
	for i := range memory.MaxRegexBiases + 1 {
		_, err := create(fmt.Sprint("regex", i), memory.Bias{Place: elsewhere, Sequence: "x", Strength: 1, Context: memory.Context{Pattern: "x+", Regex: true}})
		if i == memory.MaxRegexBiases {
			wantError(t, err, errors.FailedPrecondition, memory.ReasonTooManyBiases)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	one := memory.Bias{Place: here, Sequence: "y", Strength: 1}
	made, err := create("once", one)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := create("once", one); err != nil || again.ID != made.ID {
		t.Errorf("repeated: %+v, error %v", again, err)
	}
	one.Strength = 2
	_, err = create("once", one)
	wantError(t, err, errors.InvalidArgument, memory.ReasonRequestIDReused)
	one.CorrectionID = strings.Repeat("0", 36)
	_, err = create("of a correction", one)
	wantError(t, err, errors.NotFound, "CORRECTION_NOT_FOUND")
	for limit := 1; limit < 12; limit++ {
		seen := map[string]bool{}
		q := BiasQuery{Tenant: c.Tenant, ConversationID: c.ID, Limit: limit}
		for {
			page, more, err := s.Biases(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page {
				seen[b.RequestID] = true
			}
			if !more {
				break
			}
			q.After = page[len(page)-1].ID
		}
		if len(seen) != 12 {
			t.Errorf("pages of %d gave %v", limit, seen)
		}
	}
	if err := s.DeleteBias(ctx, c.Tenant, made.ID); err != nil {
		t.Error(err)
	}
	wantError(t, s.DeleteBias(ctx, c.Tenant, made.ID), errors.NotFound, "BIAS_NOT_FOUND")
}
