package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/server"
	"dbslm/services/concept/store"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clients are the service's clients through the whole interceptor chain.
type clients struct {
	conceptv1.CatalogueServiceClient
	conceptv1.SignalServiceClient
	conceptv1.DecisionServiceClient
	conn grpc.ClientConnInterface
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func serve(t *testing.T, db *database.DB) clients {
	t.Helper()
	s := rpc.NewServer(rpc.Options{}, server.New(db, server.Options{Clock: func() time.Time { return start }}))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	conn := s.Local()
	return clients{conceptv1.NewCatalogueServiceClient(conn), conceptv1.NewSignalServiceClient(conn), conceptv1.NewDecisionServiceClient(conn), conn}
}

// each runs f against a fresh service on every engine and checks every statement with a MySQL 8 grammar.
func each(t *testing.T, f func(t *testing.T, c clients, db *database.DB)) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		recorder := &databasetest.Recorder{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: recorder})
		f(t, serve(t, db), db)
		if db.Dialect() == database.MySQL {
			recorder.Check(t)
		}
	})
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, kind errors.Kind, reason string) {
	t.Helper()
	if errors.KindOf(err) != kind || errors.ReasonOf(err) != reason {
		t.Errorf("got %v (%v %s), want %v %s", err, errors.KindOf(err), errors.ReasonOf(err), kind, reason)
	}
}

func (c clients) put(t *testing.T, concept *conceptv1.Concept, templates []*conceptv1.Template, utterances ...string) {
	t.Helper()
	must[*conceptv1.PutConceptResponse](t)(c.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: concept}))
	for _, tm := range templates {
		tm.Concept = concept.Name
		must[*conceptv1.PutTemplateResponse](t)(c.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: tm}))
	}
	if len(utterances) == 0 {
		return
	}
	req := &conceptv1.AddExamplesRequest{}
	for _, u := range utterances {
		req.Examples = append(req.Examples, &conceptv1.Example{Concept: concept.Name, Utterance: u})
	}
	must[*conceptv1.AddExamplesResponse](t)(c.AddExamples(t.Context(), req))
}

func (c clients) shop(t *testing.T) {
	c.put(t, &conceptv1.Concept{Name: "Hours", MetadataSchema: `{"days": "string"}`, StaticPayload: `{"days": "Monday to Friday"}`, CoolDown: 2},
		[]*conceptv1.Template{{Text: "We are open {days}."}, {LanguageCode: "pt", Text: "Abrimos de {days}."}, {Name: "formal", LanguageCode: "pt", Text: "Estamos ao seu dispor de {days}.", Tags: []string{"formal"}, Weight: 0.001}},
		"when are you open", "what are your opening hours", "are you open today")
	c.put(t, &conceptv1.Concept{Name: "Price", MetadataSchema: `{"price": "string"}`},
		[]*conceptv1.Template{{Text: "It costs {price}."}},
		"what does it cost", "how much is a ticket", "what is the price")
}

func next(t *testing.T, c clients, req *conceptv1.NextRequest) *conceptv1.NextResponse {
	t.Helper()
	if req.ConversationId == "" {
		req.ConversationId = "c"
	}
	if req.TurnId == "" {
		req.TurnId = "t"
	}
	req.Now = timestamppb.New(start)
	return must[*conceptv1.NextResponse](t)(c.Next(t.Context(), req))
}

func TestNextPredictsFillsAndAbstains(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		for name, test := range map[string]struct {
			req  *conceptv1.NextRequest
			want string // text, or the abstention's reason
		}{
			"static value":      {&conceptv1.NextRequest{Text: "When are you open?"}, "We are open Monday to Friday."},
			"language fallback": {&conceptv1.NextRequest{Text: "When are you open?", LanguageCode: "pt-BR"}, "Abrimos de Monday to Friday."},
			"unknown language":  {&conceptv1.NextRequest{Text: "When are you open?", LanguageCode: "fi"}, "We are open Monday to Friday."},
			"tags":              {&conceptv1.NextRequest{Text: "When are you open?", LanguageCode: "pt", TemplateTags: []string{"short", "formal"}}, "Estamos ao seu dispor de Monday to Friday."},
			"cooling down":      {&conceptv1.NextRequest{Text: "When are you open?", Recent: []*conceptv1.Spoken{{Concept: "Hours", RepliesAgo: 1}}}, "cooling_down"},
			"cooled down":       {&conceptv1.NextRequest{Text: "When are you open?", Recent: []*conceptv1.Spoken{{Concept: "Hours", RepliesAgo: 2}}}, "We are open Monday to Friday."},
			"forced":            {&conceptv1.NextRequest{Text: "When are you open?", ForceConcept: "Hours", Recent: []*conceptv1.Spoken{{Concept: "Hours"}}}, "We are open Monday to Friday."},
			"correction wins": {&conceptv1.NextRequest{Text: "When are you open?", Corrections: []*conceptv1.KnownFact{
				{Entity: "shop", Attribute: "Days", Value: "every day", CorrectionId: "x"},
			}}, "We are open every day."},
			"request wins": {&conceptv1.NextRequest{Text: "When are you open?", PayloadJson: `{"days":"never"}`}, "We are open never."},
			"missing slot": {&conceptv1.NextRequest{Text: "What does it cost?"}, "missing_slot"},
			"fact":         {&conceptv1.NextRequest{Text: "What does it cost?", Facts: []*conceptv1.KnownFact{{Attribute: "price", Value: "5 euros"}}}, "It costs 5 euros."},
			"template syntax in a value": {&conceptv1.NextRequest{Text: "What does it cost?", Facts: []*conceptv1.KnownFact{
				{Attribute: "price", Value: "{days} <b>{{"},
			}}, "It costs {days} <b>{{."},
			"something else": {&conceptv1.NextRequest{Text: "Tell me about the lighthouse keeper's grandmother."}, "below_threshold"},
			"nothing":        {&conceptv1.NextRequest{Text: "?"}, "below_threshold"},
			"used already":   {&conceptv1.NextRequest{Text: "When are you open?", UsedConcepts: []string{"Hours"}}, "all_used"},
			"signals only":   {&conceptv1.NextRequest{Text: "When are you open?", SignalsOnly: true}, "signals_only"},
			"summary": {
				&conceptv1.NextRequest{Text: "Remind me what we discussed.", Window: []*conceptv1.Utterance{
					{Text: "I want to mend my grandfather's radio."}, {Assistant: true, Text: "SECRET REPLY"},
				}},
				"Based on our recent exchange: you said “I want to mend my grandfather's radio”.",
			},
			"summary of nothing": {&conceptv1.NextRequest{Text: "Remind me what we discussed."}, "We have only just begun, so there is nothing to sum up yet."},
		} {
			t.Run(name, func(t *testing.T) {
				resp := next(t, c, test.req)
				got := resp.GetSpan().GetText() + resp.GetAbstention().GetReason()
				if got != test.want {
					t.Errorf("got %q, want %q (%v)", got, test.want, resp)
				}
				again := next(t, c, test.req)
				if again.String() != resp.String() {
					t.Errorf("the same request gave %v, then %v", resp, again)
				}
			})
		}
	})
}

func TestCatalogueIsIdempotentAndChecked(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		ctx := t.Context()
		put := &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "Hours", MetadataSchema: `{"days": "string"}`, StaticPayload: `{"days": "Monday to Friday"}`, CoolDown: 2}}
		if resp := must[*conceptv1.PutConceptResponse](t)(c.PutConcept(ctx, put)); resp.Changed || resp.Concept.Version != 1 {
			t.Errorf("the same concept changed something: %v", resp)
		}
		put.Concept.Description = "When we are there."
		if resp := must[*conceptv1.PutConceptResponse](t)(c.PutConcept(ctx, put)); !resp.Changed || resp.Concept.Version != 2 {
			t.Errorf("another description: %v", resp)
		}
		put.Concept.MetadataSchema, put.Concept.StaticPayload = `{"weeks": "string"}`, ""
		_, err := c.PutConcept(ctx, put)
		wantKind(t, err, errors.FailedPrecondition, "TEMPLATE_UNFIT")
		added := must[*conceptv1.AddExamplesResponse](t)(c.AddExamples(ctx, &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{
			{Concept: "Hours", Utterance: "when are you  open"}, {Concept: "Hours", Utterance: "at what time do you close"},
		}}))
		if added.Added != 1 {
			t.Errorf("added %d examples, want 1", added.Added)
		}
		_, err = c.AddExamples(ctx, &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{{Concept: "Hours", Utterance: "x"}, {Concept: "Nobody", Utterance: "y"}}})
		wantKind(t, err, errors.NotFound, "CONCEPT_NOT_FOUND")
		got := must[*conceptv1.GetConceptResponse](t)(c.GetConcept(ctx, &conceptv1.GetConceptRequest{Name: "Hours"}))
		if got.Examples != 4 || len(got.Templates) != 3 || got.Concept.CoolDown != 2 || !slices.Equal(got.Templates[2].Tags, []string{"formal"}) {
			t.Errorf("got %d examples and %d templates, want 4 and 3, with a cool-down and tags", got.Examples, len(got.Templates))
		}
		for _, bad := range []struct {
			tm     *conceptv1.Template
			kind   errors.Kind
			reason string
		}{
			{&conceptv1.Template{Concept: "Hours", Text: "{unknown}"}, errors.InvalidArgument, "UNKNOWN_SLOT"},
			{&conceptv1.Template{Concept: "Hours", Text: "{days"}, errors.InvalidArgument, "BAD_TEMPLATE"},
			{&conceptv1.Template{Concept: "Hours", Text: "{days.__class__}"}, errors.InvalidArgument, "BAD_TEMPLATE"},
			{&conceptv1.Template{Concept: "Hours", Text: "x", Condition: "a b"}, errors.InvalidArgument, "BAD_CONDITION"},
			{&conceptv1.Template{Concept: "Nobody", Text: "x"}, errors.NotFound, "CONCEPT_NOT_FOUND"},
		} {
			_, err := c.PutTemplate(ctx, &conceptv1.PutTemplateRequest{Template: bad.tm})
			wantKind(t, err, bad.kind, bad.reason)
		}
		_, err = c.PutConcept(ctx, &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "X", MetadataSchema: `{"type": 7}`}})
		wantKind(t, err, errors.InvalidArgument, "BAD_SCHEMA")
		_, err = c.PutConcept(ctx, &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "X", MetadataSchema: strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)}})
		wantKind(t, err, errors.InvalidArgument, "BAD_SCHEMA")
		_, err = c.DeleteConcept(ctx, &conceptv1.DeleteConceptRequest{Name: "ContextSummary"})
		wantKind(t, err, errors.FailedPrecondition, "BUILT_IN")
		list := must[*conceptv1.ListConceptsResponse](t)(c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{PageSize: 4}))
		rest := must[*conceptv1.ListConceptsResponse](t)(c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{PageSize: 4, PageToken: list.NextPageToken}))
		if len(list.Concepts) != 4 || len(rest.Concepts) != 3 || rest.Concepts[0].Name != "Price" {
			t.Errorf("pages: %v, %v", list, rest)
		}
		_, err = c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Bot: "other", PageToken: list.NextPageToken})
		wantKind(t, err, errors.InvalidArgument, "BAD_PAGE_TOKEN")
		must[*conceptv1.DeleteConceptResponse](t)(c.DeleteConcept(ctx, &conceptv1.DeleteConceptRequest{Name: "Hours"}))
		if resp := next(t, c, &conceptv1.NextRequest{Text: "When are you open?"}); resp.GetSpan() != nil {
			t.Errorf("a deleted concept spoke: %v", resp)
		}
	})
}

// The concept document's query, as it is written, names the concept that the service names.
func TestDocumentedQuery(t *testing.T) {
	each(t, func(t *testing.T, c clients, db *database.DB) {
		c.shop(t)
		for feature, want := range map[string]string{"open": "Hours", "hours": "Hours", "price": "Price", "ticket": "Price", "discussed": "ContextSummary"} {
			next(t, c, &conceptv1.NextRequest{Text: feature}) // a bot is built when it is first used after a change
			var got string
			err := db.QueryRow(t.Context(), `SELECT concept_id FROM tbl_l3_concept_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`,
				predict.Hash(feature)).Scan(&got)
			if err != nil {
				t.Fatal(err)
			}
			considered := next(t, c, &conceptv1.NextRequest{Text: feature, Facts: []*conceptv1.KnownFact{{Attribute: "price", Value: "1"}}}).Considered
			if len(considered) == 0 || considered[0].Concept != want || got != want {
				t.Errorf("%s: the query says %s, the service %v, want %s", feature, got, considered, want)
			}
		}
	})
}

func push(t *testing.T, c clients, id string, score float64, ttl time.Duration) string {
	t.Helper()
	req := &conceptv1.PushSignalRequest{RequestId: id, ConversationId: "c", Concept: "Hours", Score: score, PayloadJson: fmt.Sprintf(`{"days":%q}`, id)}
	if ttl >= 0 {
		req.Ttl = durationpb.New(ttl)
	}
	return must[*conceptv1.PushSignalResponse](t)(c.PushSignal(t.Context(), req)).Signal.SignalId
}

func TestSignals(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		low, high := push(t, c, "low", 1, 0), push(t, c, "high", 2, -1)
		if again := push(t, c, "high", 2, -1); again != high {
			t.Errorf("the same request stored another signal")
		}
		first := next(t, c, &conceptv1.NextRequest{Text: "x", TurnId: "t1"})
		if first.GetSpan().GetSignal().GetSignalId() != high || first.GetSpan().GetComplete() {
			t.Fatalf("the highest score speaks first, and does not end the reply: %v", first)
		}
		second := next(t, c, &conceptv1.NextRequest{Text: "x", TurnId: "t1", UsedSignalIds: []string{high}, UsedConcepts: []string{"Hours"}})
		if second.GetSpan().GetSignal().GetSignalId() != low {
			t.Fatalf("then the lower: %v", second)
		}
		push(t, c, "late", 9, 0) // must not change what a retry of the turn gets
		if retry := next(t, c, &conceptv1.NextRequest{Text: "x", TurnId: "t1"}); retry.String() != first.String() {
			t.Errorf("a retry got %v, first was %v", retry, first)
		}
		other := next(t, c, &conceptv1.NextRequest{Text: "x", TurnId: "t2"})
		if other.GetSpan().GetText() != "We are open late." || len(other.UnsettledTurnIds) != 1 || other.UnsettledTurnIds[0] != "t1" {
			t.Errorf("another turn gets what is left and learns of t1's claims: %v", other)
		}
		settled := must[*conceptv1.ConfirmSignalsResponse](t)(c.ConfirmSignals(t.Context(), &conceptv1.ConfirmSignalsRequest{TurnId: "t1", SignalIds: []string{high}}))
		again := must[*conceptv1.ConfirmSignalsResponse](t)(c.ConfirmSignals(t.Context(), &conceptv1.ConfirmSignalsRequest{TurnId: "t1", SignalIds: []string{high}}))
		if settled.Confirmed != 1 || settled.Released != 1 || again.Confirmed != 1 || again.Released != 0 {
			t.Errorf("confirm: %v, again: %v", settled, again)
		}
		if third := next(t, c, &conceptv1.NextRequest{Text: "x", TurnId: "t3"}); third.GetSpan().GetSignal().GetSignalId() != low {
			t.Errorf("a released signal speaks later: %v", third)
		}
		_, err := c.PushSignal(t.Context(), &conceptv1.PushSignalRequest{RequestId: "r", ConversationId: "c", Concept: "Nobody"})
		wantKind(t, err, errors.NotFound, "CONCEPT_NOT_FOUND")
		_, err = c.CancelSignal(t.Context(), &conceptv1.CancelSignalRequest{SignalId: high})
		wantKind(t, err, errors.FailedPrecondition, "SIGNAL_NOT_WAITING")
		_, err = c.CancelSignal(t.Context(), &conceptv1.CancelSignalRequest{SignalId: "none"})
		wantKind(t, err, errors.NotFound, "SIGNAL_NOT_FOUND")
	})
}

func TestExpiredSignalIsSilent(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		push(t, c, "soon gone", 5, time.Second)
		resp := must[*conceptv1.NextResponse](t)(c.Next(t.Context(), &conceptv1.NextRequest{
			ConversationId: "c", TurnId: "t", Text: "x", Now: timestamppb.New(start.Add(time.Second)),
		}))
		if resp.GetSpan() != nil {
			t.Errorf("an expired signal spoke: %v", resp)
		}
	})
}

// A signal that is due later waits, and its time to live with it; a repeated one waits again once it was heard, and passes over
// times at which nobody was there.
func TestScheduledSignals(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		heard := func(turn string, after time.Duration) string {
			t.Helper()
			resp := must[*conceptv1.NextResponse](t)(c.Next(t.Context(), &conceptv1.NextRequest{
				ConversationId: "c", TurnId: turn, Text: "x", Now: timestamppb.New(start.Add(after)),
			}))
			id := resp.GetSpan().GetSignal().GetSignalId()
			must[*conceptv1.ConfirmSignalsResponse](t)(c.ConfirmSignals(t.Context(), &conceptv1.ConfirmSignalsRequest{TurnId: turn, SignalIds: []string{id}}))
			must[*conceptv1.ConfirmSignalsResponse](t)(c.ConfirmSignals(t.Context(), &conceptv1.ConfirmSignalsRequest{TurnId: turn, SignalIds: []string{id}}))
			return id
		}
		req := func(id string, of func(*conceptv1.PushSignalRequest)) *conceptv1.PushSignalRequest {
			r := &conceptv1.PushSignalRequest{RequestId: id, ConversationId: "c", Concept: "Hours", Ttl: durationpb.New(time.Minute), PayloadJson: `{"days":"late"}`}
			of(r)
			return r
		}
		once := must[*conceptv1.PushSignalResponse](t)(c.PushSignal(t.Context(), req("once", func(r *conceptv1.PushSignalRequest) { r.Delay = durationpb.New(time.Hour) }))).Signal
		if got := once.ExpireTime.AsTime().Sub(start); got != time.Hour+time.Minute || once.DueTime.AsTime().Sub(start) != time.Hour {
			t.Errorf("due %v, expires after %v", once.DueTime, got)
		}
		for _, test := range []struct {
			after time.Duration
			want  string
		}{{0, ""}, {time.Hour - 1000, ""}, {time.Hour + time.Minute, ""}, {time.Hour, once.SignalId}, {time.Hour + time.Second, ""}} {
			if got := heard("once"+test.after.String(), test.after); got != test.want {
				t.Errorf("after %v: %q, want %q", test.after, got, test.want)
			}
		}
		daily := must[*conceptv1.PushSignalResponse](t)(c.PushSignal(t.Context(), req("daily", func(r *conceptv1.PushSignalRequest) {
			r.DueTime, r.Repeat = timestamppb.New(start.Add(2*time.Hour)), durationpb.New(24*time.Hour)
		}))).Signal
		const day = 24 * time.Hour
		var ids []string
		for _, after := range []time.Duration{time.Hour, 2*time.Hour + time.Minute, day + 2*time.Hour, day + 2*time.Hour + time.Second, 5*day + 2*time.Hour, 5*day + 3*time.Hour} {
			ids = append(ids, heard("daily"+after.String(), after))
		}
		if ids[0] != "" || ids[1] != "" || ids[2] != daily.SignalId || ids[3] != "" || ids[4] == "" || ids[4] == ids[2] || ids[5] != "" {
			t.Errorf("heard %v, the first is %s", ids, daily.SignalId)
		}
		for name, of := range map[string]func(*conceptv1.PushSignalRequest){
			"two times":       func(r *conceptv1.PushSignalRequest) { r.Delay, r.DueTime = durationpb.New(1), timestamppb.New(start) },
			"too far":         func(r *conceptv1.PushSignalRequest) { r.DueTime = timestamppb.New(start.AddDate(50, 0, 0)) },
			"no time":         func(r *conceptv1.PushSignalRequest) { r.DueTime = &timestamppb.Timestamp{Nanos: -1} },
			"a negative time": func(r *conceptv1.PushSignalRequest) { r.Delay = durationpb.New(-time.Second) },
			"too often":       func(r *conceptv1.PushSignalRequest) { r.Repeat = durationpb.New(time.Millisecond) },
			"overlapping":     func(r *conceptv1.PushSignalRequest) { r.Repeat = durationpb.New(time.Second) },
			"without an end":  func(r *conceptv1.PushSignalRequest) { r.Repeat, r.Ttl = durationpb.New(time.Hour), durationpb.New(0) },
		} {
			_, err := c.PushSignal(t.Context(), req(name, of))
			wantKind(t, err, errors.InvalidArgument, "BAD_SCHEDULE")
		}
	})
}

func TestCorrectionReplay(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		must[*conceptv1.PushSignalResponse](t)(c.PushSignal(t.Context(), &conceptv1.PushSignalRequest{
			RequestId: "r", ConversationId: "c", Concept: "CorrectionReplay", Score: 2, PayloadJson: `{"correction_id":"k2"}`,
		}))
		facts := []*conceptv1.KnownFact{
			{Entity: "Spain", Attribute: "capital", Value: "Madrid", CorrectionId: "k1"},
			{Entity: "France", Attribute: "capital", Value: "Paris", CorrectionId: "k2"},
		}
		got := next(t, c, &conceptv1.NextRequest{Text: "hello", Corrections: facts}).GetSpan().GetText()
		if want := "Incorporating your latest correction: the capital of France is Paris."; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if resp := next(t, c, &conceptv1.NextRequest{Text: "hello", Corrections: facts[:1]}); resp.GetSpan() != nil {
			t.Errorf("a correction that no longer holds was said: %v", resp)
		}
	})
}

// A correction that bears on the text answers, unless a concept speaks that holds it; one that does not bear answers nothing.
func TestCorrectedFact(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		fact := &conceptv1.KnownFact{Entity: "France", Attribute: "capital", Value: "Paris", CorrectionId: "k", Bears: true}
		say := func(req *conceptv1.NextRequest) *conceptv1.Span {
			req.Corrections = []*conceptv1.KnownFact{fact}
			return next(t, c, req).GetSpan()
		}
		for language, want := range map[string]string{"": "The capital of France is Paris.", "de-AT": "France, capital: Paris.", "fi": "The capital of France is Paris."} {
			span := say(&conceptv1.NextRequest{Text: "what was it again", LanguageCode: language})
			if span.GetText() != want || span.GetConcept() != "CorrectedFact" || !span.GetComplete() {
				t.Errorf("in %q: %v", language, span)
			}
		}
		if span := say(&conceptv1.NextRequest{Text: "what was it again", UsedConcepts: []string{"CorrectedFact"}}); span != nil {
			t.Errorf("it was said twice: %v", span)
		}
		fact.Entity = ""
		if got := say(&conceptv1.NextRequest{Text: "what was it again"}).GetText(); got != "The right answer is Paris." {
			t.Errorf("without an entity: %q", got)
		}
		fact.Bears = false
		if span := say(&conceptv1.NextRequest{Text: "what was it again"}); span != nil {
			t.Errorf("a correction about something else answered: %v", span)
		}
	})
}

// Many turns of one conversation at once: each signal is claimed by exactly one.
func TestClaimsUnderContention(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		const signals, turns = 12, 16
		for i := range signals {
			push(t, c, fmt.Sprintf("s%d", i), float64(i), 0)
		}
		var mu sync.Mutex
		claimed := map[string]string{}
		var wg sync.WaitGroup
		for i := range turns {
			wg.Go(func() {
				turn := fmt.Sprintf("turn-%d", i)
				for range 30 {
					resp, err := c.ClaimSignal(context.Background(), &conceptv1.ClaimSignalRequest{ConversationId: "c", TurnId: turn})
					if errors.KindOf(err) == errors.Aborted {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if resp.Signal != nil {
						mu.Lock()
						defer mu.Unlock()
						if owner, ok := claimed[resp.Signal.SignalId]; ok {
							t.Errorf("%s and %s hold the same signal", owner, turn)
						}
						claimed[resp.Signal.SignalId] = turn
					}
					return
				}
			})
		}
		wg.Wait()
		if len(claimed) != signals {
			t.Errorf("%d of %d signals were claimed", len(claimed), signals)
		}
	})
}

func TestMigrationsParseAsMySQL8(t *testing.T) { databasetest.CheckMigrations(t, store.Schema) }
