package server_test

import (
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept/server"
	"dbslm/services/concept/store"
)

const loft = `concepts:
  Hours:
    schema: {hours: string}
    values: {hours: 9 to 5}
    templates: ["We are open {hours}."]
    examples: [when are you open, opening hours please]
  Where:
    templates: ["Behind the harbour."]
    examples: [where are you, what is your address]
`

func TestWholeBots(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		recorder := &databasetest.Recorder{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: recorder})
		s := rpc.NewServer(rpc.Options{}, server.New(db, server.Options{}))
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		ctx, c, catalogue := t.Context(), conceptv1.NewBotServiceClient(s.Local()), conceptv1.NewCatalogueServiceClient(s.Local())
		apply := func(req *conceptv1.ApplyBotRequest) *conceptv1.ApplyBotResponse {
			t.Helper()
			return must[*conceptv1.ApplyBotResponse](t)(c.ApplyBot(ctx, req))
		}
		if r := apply(&conceptv1.ApplyBotRequest{File: loft, DryRun: true}); r.Applied || r.ChangeCount != 8 || r.Version != 0 {
			t.Errorf("a dry run gave %v", r)
		}
		if r := apply(&conceptv1.ApplyBotRequest{File: loft}); !r.Applied || r.ChangeCount != 8 || r.Version != 1 {
			t.Errorf("applying gave %v", r)
		}
		exported := must[*conceptv1.ExportBotResponse](t)(c.ExportBot(ctx, &conceptv1.ExportBotRequest{})).File
		if r := apply(&conceptv1.ApplyBotRequest{File: exported}); r.Applied || r.ChangeCount != 0 || r.Version != 1 {
			t.Errorf("applying what was exported gave %v", r)
		}
		// A file with problems changes nothing and names them all.
		bad := strings.ReplaceAll(strings.ReplaceAll(loft, "{hours}.", "{days}."), "Behind", "{behind")
		if r := apply(&conceptv1.ApplyBotRequest{File: bad, DryRun: true}); len(r.Problems) != 2 || r.Problems[0].Line != 5 || r.Problems[1].Line != 8 {
			t.Errorf("problems: %v", r.Problems)
		}
		_, err := c.ApplyBot(ctx, &conceptv1.ApplyBotRequest{File: bad})
		wantKind(t, err, errors.InvalidArgument, "BAD_BOT_FILE")
		_, err = c.ApplyBot(ctx, &conceptv1.ApplyBotRequest{File: loft, IfVersion: 7})
		wantKind(t, err, errors.FailedPrecondition, "BOT_CHANGED")

		less := loft[:strings.Index(loft, "  Where:")]
		if r := apply(&conceptv1.ApplyBotRequest{File: less, Keep: true}); r.Applied {
			t.Errorf("with keep something changed: %v", r)
		}
		less = strings.Replace(less, "9 to 5", "8 to 4", 1)
		if r := apply(&conceptv1.ApplyBotRequest{File: less}); !r.Applied || r.Version != 2 {
			t.Errorf("removing gave %v", r)
		}
		_, err = catalogue.GetConcept(ctx, &conceptv1.GetConceptRequest{Name: "Where"})
		wantKind(t, err, errors.NotFound, "CONCEPT_NOT_FOUND")
		hours := must[*conceptv1.GetConceptResponse](t)(catalogue.GetConcept(ctx, &conceptv1.GetConceptRequest{Name: "Hours"}))
		if hours.Concept.Version != 2 || hours.Examples != 2 {
			t.Errorf("hours is now %v", hours)
		}

		var got []string
		for token := ""; ; {
			page := must[*conceptv1.ListHistoryResponse](t)(c.ListHistory(ctx, &conceptv1.ListHistoryRequest{PageSize: 2, PageToken: token}))
			for _, e := range page.Entries {
				became := "put"
				if e.Content == "" {
					became = "deleted"
				}
				got = append(got, strings.TrimSpace(e.Concept+" "+e.What+" "+became))
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
		want := "Hours concept put, Where concept deleted, examples put, Where template default put, Hours template default put, Where concept put, Hours concept put"
		if strings.Join(got, ", ") != want {
			t.Errorf("history: %s", strings.Join(got, ", "))
		}
		if db.Dialect() == database.MySQL {
			recorder.Check(t)
		}
	})
}
