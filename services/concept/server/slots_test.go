package server_test

import (
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// borrow is a concept that asks for what a person does not say.
func borrow() (*conceptv1.Concept, []*conceptv1.Template) {
	concept := &conceptv1.Concept{
		Name: "Borrow", MetadataSchema: `{"tool": "string", "day": "string", "count": "integer?", "note": "string?"}`,
		Slots: []*conceptv1.ReadSlot{
			{Slot: "tool", Values: []*conceptv1.SlotValue{{Value: "ladder", Synonyms: []string{"long ladder", "Leiter"}}, {Value: "drill", Synonyms: []string{"Bohrmaschine"}}}},
			{Slot: "day", Kind: "date"},
			{Slot: "count", Kind: "integer", Earlier: true},
			{Slot: "note", Pattern: `(?i)\bfor (\w+)\b`},
		},
	}
	return concept, []*conceptv1.Template{
		{Text: "The {tool} is yours on {day|date}."},
		{Asks: "tool", Text: "Which tool?"},
		{Asks: "tool", Text: "Welches Werkzeug?", LanguageCode: "de"},
		{Asks: "day", Text: "When do you need the {tool}?"},
	}
}

func TestSlotsAreStoredAndChecked(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		ctx, bots := t.Context(), conceptv1.NewBotServiceClient(c.conn)
		concept, templates := borrow()
		c.put(t, concept, templates, "may I borrow a tool")
		got := must[*conceptv1.GetConceptResponse](t)(c.GetConcept(ctx, &conceptv1.GetConceptRequest{Name: "Borrow"}))
		if diff := cmp.Diff(concept.Slots, got.Concept.Slots, protocmp.Transform()); diff != "" {
			t.Errorf("slots (-put +got):\n%s", diff)
		}
		var names []string
		for _, tm := range got.Templates {
			names = append(names, tm.LanguageCode+"/"+tm.Name+" "+tm.Asks)
		}
		if list := strings.Join(names, ", "); list != "/ask_day day, /ask_tool tool, /default , de/ask_tool tool" {
			t.Errorf("templates: %s", list)
		}
		put := func(change func(*conceptv1.Concept)) (*conceptv1.PutConceptResponse, error) {
			concept, _ := borrow()
			change(concept)
			return c.PutConcept(ctx, &conceptv1.PutConceptRequest{Concept: concept})
		}
		if again := must[*conceptv1.PutConceptResponse](t)(put(func(*conceptv1.Concept) {})); again.Changed {
			t.Error("the same slots are a change")
		}
		if earlier := must[*conceptv1.PutConceptResponse](t)(put(func(c *conceptv1.Concept) { c.Slots[1].Earlier = true })); !earlier.Changed || earlier.Concept.Version != 2 {
			t.Errorf("other slots: %v", earlier)
		}
		for _, bad := range []struct {
			reason string
			change func(*conceptv1.Concept)
		}{
			{"BAD_SLOTS", func(c *conceptv1.Concept) { c.Slots[3].Pattern = "(" }},
			{"BAD_SLOTS", func(c *conceptv1.Concept) { c.Slots[1].Pattern = "x" }},
			{"BAD_SLOTS", func(c *conceptv1.Concept) { c.Slots[0].Values[1].Synonyms = []string{"LEITER"} }},
			{"SLOT_UNFIT", func(c *conceptv1.Concept) { c.Slots[1].Slot = "colour" }},
			{"SLOT_UNFIT", func(c *conceptv1.Concept) { c.Slots[2].Kind = "date" }},
			{"INVALID_REQUEST", func(c *conceptv1.Concept) { c.Slots[1].Kind = "colour" }},
		} {
			_, err := put(bad.change)
			wantKind(t, err, errors.InvalidArgument, bad.reason)
		}
		_, err := put(func(c *conceptv1.Concept) { c.Slots = c.Slots[1:] })
		wantKind(t, err, errors.FailedPrecondition, "TEMPLATE_UNFIT")
		for reason, tm := range map[string]*conceptv1.Template{
			"UNKNOWN_SLOT": {Asks: "colour", Text: "Which colour?"},
			"NEVER_SPEAKS": {Asks: "day", Text: "So {day}?"},
			"SLOT_UNFIT":   {Text: "{count|list} {tool} on {day}", Name: "unfit"},
		} {
			tm.Concept = "Borrow"
			_, err := c.PutTemplate(ctx, &conceptv1.PutTemplateRequest{Template: tm})
			wantKind(t, err, errors.InvalidArgument, reason)
		}
		predicted := must[*conceptv1.PredictResponse](t)(conceptv1.NewPredictionServiceClient(c.conn).Predict(ctx, &conceptv1.PredictRequest{
			Texts: []string{"may I borrow 2 ladders tomorrow for Ada", "xylophones"}, Now: timestamppb.New(start),
		})).Predictions
		if diff := cmp.Diff([]*conceptv1.ReadSlotValue{
			{Slot: "count", ValueJson: "2", From: 13, To: 14}, {Slot: "day", ValueJson: `"2026-03-02"`, From: 23, To: 31}, {Slot: "note", ValueJson: `"Ada"`, From: 32, To: 39},
		}, predicted[0].Slots, protocmp.Transform()); diff != "" || !cmp.Equal(predicted[0].UnsaidSlots, []string{"tool"}) || predicted[1].Slots != nil {
			t.Errorf("%v; said (-want +got):\n%s", predicted, diff)
		}
		file := must[*conceptv1.ExportBotResponse](t)(bots.ExportBot(ctx, &conceptv1.ExportBotRequest{})).File
		if r := must[*conceptv1.ApplyBotResponse](t)(bots.ApplyBot(ctx, &conceptv1.ApplyBotRequest{File: file})); r.Applied || len(r.Problems) > 0 {
			t.Errorf("the bot as exported changes it: %v\n%s", r, file)
		}
		history := must[*conceptv1.ListHistoryResponse](t)(bots.ListHistory(ctx, &conceptv1.ListHistoryRequest{}))
		if e := history.Entries[0]; e.What != "concept" || !strings.Contains(e.Content, `"slots":[{"slot":"tool","values":[{"value":"ladder"`) {
			t.Errorf("history: %v", e)
		}
	})
}

// Values that a concept reads do not count against it: what is said beside them speaks for it. Marks alone are no answer.
func TestValuesDoNotWeakenAConcept(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		c.shop(t)
		c.put(t, &conceptv1.Concept{
			Name: "Book", MetadataSchema: `{"who": "string", "day": "string", "at": "string?", "mail": "string"}`,
			Slots: []*conceptv1.ReadSlot{{Slot: "who", Kind: "text"}, {Slot: "day", Kind: "date"}, {Slot: "at", Kind: "time"}, {Slot: "mail", Kind: "email"}},
		}, []*conceptv1.Template{{Text: "{who}, {day}, {at}, {mail}."}, {Text: "Who?", Asks: "who"}}, "book a table please", "can I book a place", "I want to book a table")
		const said = "Book a table for 12/24/2030 at 7:30pm, a@b.example"
		first := next(t, c, &conceptv1.NextRequest{Text: said})
		if first.GetSpan().GetAsks() != "who" {
			t.Fatalf("%q: %v", said, first)
		}
		judged := must[*conceptv1.PredictResponse](t)(conceptv1.NewPredictionServiceClient(c.conn).Predict(t.Context(), &conceptv1.PredictRequest{Texts: []string{said, "12/24/2030 7:30pm a@b.example"}}))
		if p := judged.Predictions; p[0].Concept != "Book" || p[1].Concept != "" {
			t.Errorf("predicted %v", p)
		}
		for answer, want := range map[string]string{"?!": "Who?", "Ada": "Ada, 2030-12-24, 19:30, a@b.example."} {
			if got := next(t, c, &conceptv1.NextRequest{Text: answer, Form: first.Form}).GetSpan().GetText(); got != want {
				t.Errorf("%q: %q, want %q", answer, got, want)
			}
		}
	})
}
