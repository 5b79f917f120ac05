package dbslm_test

import (
	"slices"
	"strings"
	"testing"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/concept/predict"
	conceptstore "dbslm/services/concept/store"
	"dbslm/services/memory/folding"
	memorystore "dbslm/services/memory/store"
	ngramstore "dbslm/services/ngram/store"
)

// The three queries that the README shows run as written on every engine and say what the services say.
func TestDocumentedQueries(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		url := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), url, nil); err != nil {
			t.Fatal(err)
		}
		s := open(t, dbslm.Config{DB: url})
		train(t, s.gateway, "harbour.txt", harbour)
		lines := strings.Split(harbour, "\n")
		slices.Reverse(lines)
		trainModel(t, s.gateway, "another", "mirrored.txt", strings.Join(lines, "\n")) // the same token ids mean other words there
		s.hours(t)
		t.Run("token", func(t *testing.T) { mostProbableToken(t, s, target) })
		t.Run("corrections", func(t *testing.T) { matchingCorrections(t, s, target) })
		t.Run("concept", func(t *testing.T) { mostProbableConcept(t, s, target) })
	})
}

func schemaOf(t *testing.T, target database.Target, schema database.Schema) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), target, schema, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mostProbableToken(t *testing.T, s system, target database.Target) {
	db := schemaOf(t, target, ngramstore.Schema)
	client := ngramv1.NewInferenceServiceClient(s.Conn())
	for _, context := range []string{"", "the", "the harbour", "the boats", "when the fog", "she sings"} {
		predicted, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "default", Context: context, TopK: 50})
		if err != nil {
			t.Fatal(err)
		}
		best := predicted.Predictions[0]
		var token uint32
		err = db.QueryRow(t.Context(), `SELECT next_token_id FROM tbl_l1_ngram_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`,
			best.ContextHash).Scan(&token)
		if err != nil {
			t.Fatal(err)
		}
		said := 0.0
		for _, p := range predicted.Predictions {
			if p.Token.Id == token {
				said = p.Probability
			}
		}
		if said != best.Probability { // another token of the same probability is as good an answer
			t.Errorf("after %q the query names token %d with probability %v; the service says %v", context, token, said, best)
		}
	}
}

func matchingCorrections(t *testing.T, s system, target database.Target) {
	db := schemaOf(t, target, memorystore.Schema)
	client := memoryv1.NewCorrectionServiceClient(s.Conn())
	conversation := start(t, s.gateway)
	for id, wrong := range map[string]string{"1": "the keeper of the lighthouse", "2": "100% of_the boats", "3": "Überfahrt nach Norden"} {
		_, err := client.RecordCorrection(t.Context(), &memoryv1.RecordCorrectionRequest{
			RequestId: id, ConversationId: conversation, ErrorContext: wrong, Fact: &memoryv1.CorrectedFact{Value: "right " + id},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for asked, want := range map[string]int{
		"Who is the KEEPER of the lighthouse?": 1, "100% of_the boats": 1, "100 percent of the boats": 0, "überfahrt NACH norden bitte": 1, "nothing": 0,
	} {
		matched, err := client.MatchCorrections(t.Context(), &memoryv1.MatchCorrectionsRequest{ConversationId: conversation, Text: asked})
		if err != nil {
			t.Fatal(err)
		}
		literal := map[string]bool{}
		for _, m := range matched.Matches {
			if m.Score == 1 {
				literal[m.Correction.CorrectionId] = true
			}
		}
		rows, err := db.Query(t.Context(), `SELECT correction_id, corrected_fact_json FROM tbl_l2_correction_view
 WHERE conversation_id = ? AND ? LIKE CONCAT('%', error_context_pattern, '%') ESCAPE '!' ORDER BY created_at DESC LIMIT 5`,
			conversation, folding.Text(asked))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for rows.Next() {
			var id, fact string
			if err := rows.Scan(&id, &fact); err != nil {
				t.Fatal(err)
			}
			if found++; !literal[id] {
				t.Errorf("%q: the query finds %s, the service does not (%v)", asked, id, matched)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if found != want || len(literal) != want {
			t.Errorf("%q: the query finds %d, the service %d, want %d", asked, found, len(literal), want)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mostProbableConcept(t *testing.T, s system, target database.Target) {
	db := schemaOf(t, target, conceptstore.Schema)
	for _, word := range []string{"market", "open", "day", "discussed"} {
		next, err := conceptv1.NewDecisionServiceClient(s.ConnTo(dbslm.Concept)).Next(t.Context(), &conceptv1.NextRequest{ConversationId: "c", TurnId: "t", Text: word})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = db.QueryRow(t.Context(), `SELECT concept_id FROM tbl_l3_concept_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`,
			predict.Hash(word)).Scan(&got)
		if err != nil {
			t.Fatal(err)
		}
		if len(next.Considered) == 0 || next.Considered[0].Concept != got {
			t.Errorf("%q: the query names %s, the service %v", word, got, next.Considered)
		}
	}
}
