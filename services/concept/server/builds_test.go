package server_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept/predict"

	"github.com/google/go-cmp/cmp"
)

func (c clients) add(t *testing.T, bot, name string, utterances ...string) {
	t.Helper()
	req := &conceptv1.AddExamplesRequest{Bot: bot}
	for _, u := range utterances {
		req.Examples = append(req.Examples, &conceptv1.Example{Concept: name, Utterance: u})
	}
	must[*conceptv1.AddExamplesResponse](t)(c.AddExamples(t.Context(), req))
}

func (c clients) builds(t *testing.T, bot string) []*conceptv1.ConceptBuild {
	t.Helper()
	return must[*conceptv1.ListConceptBuildsResponse](t)(c.ListConceptBuilds(t.Context(), &conceptv1.ListConceptBuildsRequest{Bot: bot})).Builds
}

// Rows of the published build of a bot, without its id.
func publishedRows(t *testing.T, db *database.DB, bot string) (out []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT f.context_hash, f.feature, f.documents FROM tbl_l3_concept_pointers AS p JOIN tbl_l3_concept_build_features AS f ON f.build_id = p.build_id WHERE p.bot = ? ORDER BY f.context_hash`,
		`SELECT c.context_hash, c.concept_id, c.c FROM tbl_l3_concept_pointers AS p JOIN tbl_l3_concept_build_counts AS c ON c.build_id = p.build_id WHERE p.bot = ? ORDER BY c.context_hash, c.concept_id`,
		`SELECT r.context_hash, r.concept_id, r.q_prob FROM tbl_l3_concept_pointers AS p JOIN tbl_l3_concept_build_probs AS r ON r.build_id = p.build_id WHERE p.bot = ? ORDER BY r.n, r.context_hash, r.concept_id`,
	} {
		rows, err := db.Query(t.Context(), query, bot)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var h, n int64
			var name string
			if err := rows.Scan(&h, &name, &n); err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprint(h, name, n))
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestBuildsArePublishedRolledBackAndFollowTheExamples(t *testing.T) {
	each(t, func(t *testing.T, c clients, db *database.DB) {
		ctx := t.Context()
		c.shop(t)
		first := next(t, c, &conceptv1.NextRequest{Text: "opening times"})
		builds := c.builds(t, "")
		if len(builds) != 1 || !builds[0].Published || first.BuildId != builds[0].BuildId || builds[0].Threshold != predict.Threshold {
			t.Fatalf("a bot is built when it is first used: %v, %v", builds, first)
		}
		c.add(t, "", "Hours", "tell me your opening times")
		must[*conceptv1.ListConceptsResponse](t)(c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{}))
		must[*conceptv1.GetConceptResponse](t)(c.GetConcept(ctx, &conceptv1.GetConceptRequest{Name: "Hours"}))
		if n := len(c.builds(t, "")); n != 1 {
			t.Errorf("adding an example, or reading the bot, made a build: %d", n)
		}
		second := next(t, c, &conceptv1.NextRequest{Text: "opening times"})
		if second.BuildId <= first.BuildId || second.GetSpan().GetConcept() != "Hours" {
			t.Fatalf("the next use is without the new example: %v", second)
		}
		if pinned := next(t, c, &conceptv1.NextRequest{Text: "opening times", BuildId: first.BuildId}); !cmp.Equal(pinned.String(), first.String()) {
			t.Errorf("the first build decided %v, pinned %v", first, pinned)
		}
		back := must[*conceptv1.PublishConceptBuildResponse](t)(c.PublishConceptBuild(ctx, &conceptv1.PublishConceptBuildRequest{BuildId: first.BuildId}))
		if !back.Build.Published {
			t.Errorf("rolled back: %v", back)
		}
		c.add(t, "", "Hours", "from when to when")
		if resp := next(t, c, &conceptv1.NextRequest{Text: "opening times"}); resp.String() != first.String() {
			t.Errorf("after rolling back a change of examples published another build: %v", resp)
		}
		silent := must[*conceptv1.CreateConceptBuildResponse](t)(c.CreateConceptBuild(ctx, &conceptv1.CreateConceptBuildRequest{}))
		if resp := next(t, c, &conceptv1.NextRequest{Text: "opening times"}); silent.Build.Published || resp.BuildId != first.BuildId {
			t.Errorf("a build that was not to be published decides: %v", resp)
		}
		must[*conceptv1.PublishConceptBuildResponse](t)(c.PublishConceptBuild(ctx, &conceptv1.PublishConceptBuildRequest{BuildId: silent.Build.BuildId}))
		c.add(t, "", "Hours", "since what time")
		if resp := next(t, c, &conceptv1.NextRequest{Text: "opening times"}); resp.BuildId <= silent.Build.BuildId {
			t.Errorf("builds do not follow the examples again: %v", resp)
		}
		for range 12 {
			must[*conceptv1.CreateConceptBuildResponse](t)(c.CreateConceptBuild(ctx, &conceptv1.CreateConceptBuildRequest{Publish: true}))
		}
		if n := len(c.builds(t, "")); n != 8 {
			t.Errorf("%d builds are kept", n)
		}
		var orphans int64
		if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l3_concept_build_counts WHERE build_id NOT IN (SELECT build_id FROM tbl_l3_concept_builds)`).Scan(&orphans); err != nil || orphans > 0 {
			t.Errorf("%d rows of dropped builds are left (%v)", orphans, err)
		}
		// A process that died after it dropped a build left its rows: the next one that drops removes them.
		left := c.builds(t, "")[3].BuildId
		next(t, c, &conceptv1.NextRequest{Text: "opening times", BuildId: left}) // and it was the latest to decide
		if _, err := db.Exec(ctx, `UPDATE tbl_l3_concept_builds SET dropped = 1 WHERE build_id = ?`, left); err != nil {
			t.Fatal(err)
		}
		if n := len(c.builds(t, "")); n != 7 {
			t.Errorf("a dropped build is listed: %d", n)
		}
		_, err := c.Next(ctx, &conceptv1.NextRequest{ConversationId: "c", TurnId: "t", Text: "x", BuildId: left})
		wantKind(t, err, errors.NotFound, "CONCEPT_BUILD_NOT_FOUND")
		must[*conceptv1.CreateConceptBuildResponse](t)(c.CreateConceptBuild(ctx, &conceptv1.CreateConceptBuildRequest{Publish: true}))
		for _, table := range []string{"builds", "build_features", "build_counts", "build_probs"} {
			var n int64
			if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l3_concept_`+table+` WHERE build_id = ?`, left).Scan(&n); err != nil || n > 0 {
				t.Errorf("%s: %d rows of a dropped build are left (%v)", table, n, err)
			}
		}
		_, err = c.Next(ctx, &conceptv1.NextRequest{ConversationId: "c", TurnId: "t", Text: "x", BuildId: first.BuildId})
		wantKind(t, err, errors.NotFound, "CONCEPT_BUILD_NOT_FOUND")
		_, err = c.PublishConceptBuild(ctx, &conceptv1.PublishConceptBuildRequest{BuildId: 4_000_000_000})
		wantKind(t, err, errors.NotFound, "CONCEPT_BUILD_NOT_FOUND")
		_, err = c.CreateConceptBuild(ctx, &conceptv1.CreateConceptBuildRequest{Bot: "nobody"})
		wantKind(t, err, errors.NotFound, "BOT_NOT_FOUND")
	})
}

// Adding and removing in any order gives the rows of training on what is left, and the bytes of a model read back decide alike.
func TestRowsAreAFunctionOfTheSetOfExamples(t *testing.T) {
	words := []string{"open", "when", "borrow", "drill", "price", "how", "much", "you", "the", "is"}
	random := rand.New(rand.NewPCG(3, 4))
	utterance := func() (u string) {
		for range 2 + random.IntN(4) {
			u += words[random.IntN(len(words))] + " "
		}
		return u
	}
	each(t, func(t *testing.T, c clients, db *database.DB) {
		bots := []string{"straight", "winding"}
		for _, bot := range bots {
			for _, name := range []string{"A", "B", "C"} {
				must[*conceptv1.PutConceptResponse](t)(c.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Bot: bot, Concept: &conceptv1.Concept{Name: name}}))
			}
		}
		for range 4 {
			left := map[[2]string]bool{}
			for range 30 {
				e := [2]string{string(rune('A' + random.IntN(3))), utterance()}
				left[e] = true
				c.add(t, "winding", e[0], e[1])
				if random.IntN(10) == 0 {
					next(t, c, &conceptv1.NextRequest{Bot: "winding", Text: "open"})
				}
				for old := range left {
					if random.IntN(3) == 0 {
						delete(left, old)
						must[*conceptv1.DeleteExamplesResponse](t)(c.DeleteExamples(t.Context(), &conceptv1.DeleteExamplesRequest{Bot: "winding", Examples: []*conceptv1.Example{{Concept: old[0], Utterance: old[1]}}}))
					}
					break
				}
			}
			want := must[*conceptv1.ListExamplesResponse](t)(c.ListExamples(t.Context(), &conceptv1.ListExamplesRequest{Bot: "winding", PageSize: 1000})).Examples
			must[*conceptv1.AddExamplesResponse](t)(c.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Bot: "straight", Examples: want}))
			text := utterance()
			var said [2]string
			for i, bot := range bots {
				resp := next(t, c, &conceptv1.NextRequest{Bot: bot, Text: text})
				resp.BuildId = 0
				said[i] = resp.String()
			}
			if said[0] != said[1] {
				t.Errorf("%q: %s, %s", text, said[0], said[1])
			}
			if diff := cmp.Diff(publishedRows(t, db, "straight"), publishedRows(t, db, "winding")); diff != "" {
				t.Fatal(diff)
			}
			must[*conceptv1.DeleteExamplesResponse](t)(c.DeleteExamples(t.Context(), &conceptv1.DeleteExamplesRequest{Bot: "straight", Examples: want}))
			must[*conceptv1.DeleteExamplesResponse](t)(c.DeleteExamples(t.Context(), &conceptv1.DeleteExamplesRequest{Bot: "winding", Examples: want}))
		}
	})
}

// The documented query answers for the default bot only; the other view knows all.
func TestProbabilitiesOfTwoBots(t *testing.T) {
	each(t, func(t *testing.T, c clients, db *database.DB) {
		c.shop(t)
		must[*conceptv1.PutConceptResponse](t)(c.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Bot: "other", Concept: &conceptv1.Concept{Name: "Door"}}))
		c.add(t, "other", "Door", "open the door", "is the door open")
		for _, bot := range []string{"", "other"} {
			next(t, c, &conceptv1.NextRequest{Bot: bot, Text: "open"})
		}
		for query, want := range map[string]string{
			`SELECT concept_id FROM tbl_l3_concept_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`:                                                 "Hours",
			`SELECT concept_id FROM tbl_l3_concept_probs_by_bot WHERE tenant = 'default' AND bot = 'other' AND context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`: "Door",
		} {
			var got string
			if err := db.QueryRow(t.Context(), query, predict.Hash("open")).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %q, %v", query, got, err)
			}
		}
	})
}
