package server_test

import (
	"math"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

// What is told of a prediction adds up to what was decided: scores to their evidence, probabilities to scores, evidence to rows.
func TestPredictionsAddUp(t *testing.T) {
	each(t, func(t *testing.T, c clients, db *database.DB) {
		ctx := t.Context()
		c.shop(t)
		predictions := conceptv1.NewPredictionServiceClient(c.conn)
		texts := []string{"when are you open", "what is the price of a ticket", "the cat sat on the mat", "", "are you open, and how much does it cost?"}
		resp := must[*conceptv1.PredictResponse](t)(predictions.Predict(ctx, &conceptv1.PredictRequest{Texts: texts, MaxEvidence: 1000, Features: true}))
		if deciding := must[*conceptv1.GetDecidingBuildResponse](t)(predictions.GetDecidingBuild(ctx, &conceptv1.GetDecidingBuildRequest{})); resp.BuildId == 0 || deciding.BuildId != resp.BuildId {
			t.Errorf("build %d judged, %d decides", resp.BuildId, deciding.BuildId)
		}
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		rows := 0
		for i, p := range resp.Predictions {
			occurrence := map[string]*conceptv1.UtteranceFeature{}
			for _, f := range p.Features {
				occurrence[f.Feature] = f
			}
			for _, candidate := range p.Candidates {
				score := candidate.Base
				for _, e := range candidate.Evidence {
					score += e.Weight
					if want := occurrence[e.Feature].Occurrence * math.Log((e.Count+0.08)/0.08); math.Abs(e.Weight-want) > 1e-4 {
						t.Errorf("%s for %s weighs %v, want %v", e.Feature, candidate.Concept, e.Weight, want)
					}
					if resp.BuildId == 0 || i > 1 {
						continue
					}
					var n int64
					err := db.QueryRow(ctx, `SELECT c FROM tbl_l3_concept_build_counts WHERE build_id = ? AND context_hash = ? AND concept_id = ?`,
						resp.BuildId, occurrence[e.Feature].ContextHash, candidate.Concept).Scan(&n)
					if rows++; err != nil || float64(n)/(1<<20) != e.Count {
						t.Errorf("%s for %s: %v, its row says %d (%v)", e.Feature, candidate.Concept, e.Count, n, err)
					}
				}
				near(texts[i]+": score of "+candidate.Concept, candidate.Score, score)
				near(texts[i]+": probability of "+candidate.Concept, candidate.Probability/p.Background.Probability, math.Exp(resp.Scale*(candidate.Score-p.Background.Score)))
			}
			decided := next(t, c, &conceptv1.NextRequest{Text: texts[i], PayloadJson: `{"price":"5"}`})
			if got := decided.GetSpan().GetConcept(); got != p.Concept || decided.GetAbstention().GetReason() != p.Abstention {
				t.Errorf("%q: predicted %q (%s), decided %v", texts[i], p.Concept, p.Abstention, decided)
			}
		}
		if rows < 20 || resp.Predictions[0].Concept != "Hours" || resp.Predictions[1].Concept != "Price" || resp.Predictions[2].Abstention != "below_threshold" {
			t.Errorf("%d rows compared; %v", rows, resp)
		}
		few := must[*conceptv1.PredictResponse](t)(predictions.Predict(ctx, &conceptv1.PredictRequest{Texts: texts[:1], MaxCandidates: 1, MaxEvidence: 2})).Predictions[0]
		if len(few.Candidates) != 1 || len(few.Candidates[0].Evidence) != 2 || few.Candidates[0].EvidenceCount != resp.Predictions[0].Candidates[0].EvidenceCount || few.Features != nil {
			t.Errorf("one candidate, two pieces of evidence: %v", few)
		}
		_, err := predictions.Predict(ctx, &conceptv1.PredictRequest{Texts: texts, BuildId: 999})
		wantKind(t, err, errors.NotFound, "CONCEPT_BUILD_NOT_FOUND")
		_, err = predictions.Predict(ctx, &conceptv1.PredictRequest{})
		wantKind(t, err, errors.InvalidArgument, "INVALID_REQUEST")
	})
}

// Nothing but giving it something makes a bot; who asks for another one learns which there are.
func TestUnknownBots(t *testing.T) {
	each(t, func(t *testing.T, c clients, _ *database.DB) {
		ctx := t.Context()
		c.shop(t)
		bots, predictions := conceptv1.NewBotServiceClient(c.conn), conceptv1.NewPredictionServiceClient(c.conn)
		for name, call := range map[string]func() error{
			"ListConcepts": func() error { _, err := c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Bot: "nobody"}); return err },
			"GetConcept": func() error {
				_, err := c.GetConcept(ctx, &conceptv1.GetConceptRequest{Bot: "nobody", Name: "Hours"})
				return err
			},
			"ListTemplates": func() error {
				_, err := c.ListTemplates(ctx, &conceptv1.ListTemplatesRequest{Bot: "nobody", Concept: "Hours"})
				return err
			},
			"ListExamples": func() error { _, err := c.ListExamples(ctx, &conceptv1.ListExamplesRequest{Bot: "nobody"}); return err },
			"DeleteConcept": func() error {
				_, err := c.DeleteConcept(ctx, &conceptv1.DeleteConceptRequest{Bot: "nobody", Name: "Hours"})
				return err
			},
			"ListConceptBuilds": func() error {
				_, err := c.ListConceptBuilds(ctx, &conceptv1.ListConceptBuildsRequest{Bot: "nobody"})
				return err
			},
			"CreateConceptBuild": func() error {
				_, err := c.CreateConceptBuild(ctx, &conceptv1.CreateConceptBuildRequest{Bot: "nobody"})
				return err
			},
			"Learn": func() error {
				_, err := c.Learn(ctx, &conceptv1.LearnRequest{Bot: "nobody", ReviewedBy: "eva"})
				return err
			},
			"ExportBot": func() error { _, err := bots.ExportBot(ctx, &conceptv1.ExportBotRequest{Bot: "nobody"}); return err },
			"ListHistory": func() error {
				_, err := bots.ListHistory(ctx, &conceptv1.ListHistoryRequest{Bot: "nobody"})
				return err
			},
			"Predict": func() error {
				_, err := predictions.Predict(ctx, &conceptv1.PredictRequest{Bot: "nobody", Texts: []string{"x"}})
				return err
			},
			"GetDecidingBuild": func() error {
				_, err := predictions.GetDecidingBuild(ctx, &conceptv1.GetDecidingBuildRequest{Bot: "nobody"})
				return err
			},
			"Next": func() error {
				_, err := c.Next(ctx, &conceptv1.NextRequest{Bot: "nobody", ConversationId: "c", TurnId: "t", Text: "x"})
				return err
			},
		} {
			err := call()
			wantKind(t, err, errors.NotFound, "BOT_NOT_FOUND")
			if !strings.Contains(errors.Public(err), `there is: "default"`) {
				t.Errorf("%s does not say which bots there are: %v", name, err)
			}
		}
		must[*conceptv1.ListConceptsResponse](t)(c.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Tenant: "new"}))
	})
}
