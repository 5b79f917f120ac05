package store_test

import (
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/store"
)

// Every statement that grows with the model reads by the primary key, on both engines.
func TestPlans(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 400)))
		for name, query := range map[string]string{
			"registry of some contexts":   `SELECT context_hash, parent_hash, a_total FROM tbl_l1_context_registry WHERE model_id = 1 AND n = 2 AND context_hash IN (1, 2, 3)`,
			"followers of some":           `SELECT context_hash, next_token_id, c, a FROM tbl_l1_ng_counts_n WHERE model_id = 1 AND n = 2 AND context_hash IN (1, 2, 3)`,
			"some followers":              `SELECT c, a FROM tbl_l1_ng_counts_n WHERE model_id = 1 AND n = 2 AND context_hash = 1 AND next_token_id IN (4, 5)`,
			"counts of a part":            `SELECT context_hash, next_token_id, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = 1 AND n = 2 AND context_hash BETWEEN 1 AND 2 ORDER BY context_hash, next_token_id`,
			"open packed rows":            `SELECT packed FROM tbl_l1_ng_topk_n WHERE model_id = 1 AND n = 2 AND context_hash BETWEEN 1 AND 2 AND until_build IS NULL ORDER BY context_hash, chunk`,
			"open rows":                   `SELECT q_logprob FROM tbl_l1_ng_probs_n WHERE model_id = 1 AND n = 2 AND until_build IS NULL AND context_hash IN (1, 2) ORDER BY context_hash, next_token_id`,
			"verification":                `SELECT COUNT(*) FROM tbl_l1_ng_probs_n WHERE model_id = 1 AND n = 2 AND context_hash BETWEEN 1 AND 2 AND since_build = 1`,
			"documented query":            `SELECT next_token_id FROM tbl_l1_ngram_probs WHERE context_hash = 1 ORDER BY quantized_prob DESC LIMIT 1`,
			"documented query, any model": `SELECT next_token_id FROM tbl_l1_ngram_probs_by_model WHERE tenant = 'default' AND model = 'x' AND context_hash = 1 ORDER BY quantized_prob DESC LIMIT 1`,
			"a piece of text":             `SELECT piece FROM tbl_corpus_text WHERE model_id = 1 AND document_id = 'x' AND first_byte <= 5 ORDER BY first_byte DESC LIMIT 1`,
		} {
			for _, step := range plan(t, db, query) {
				if db.Dialect() == database.MySQL && step.access == "ALL" && (step.table == "p" || strings.HasPrefix(step.table, "tbl_l1_ng_")) {
					t.Errorf("%s reads all of %s", name, step.table)
				}
				if db.Dialect() == database.SQLite && strings.HasPrefix(step.access, "SCAN") && (strings.Contains(step.access, " p") || strings.Contains(step.access, "tbl_l1_ng_")) {
					t.Errorf("%s: %s", name, step.access)
				}
			}
		}
	})
}

type step struct{ table, access string }

func plan(t *testing.T, db *database.DB, query string) []step {
	t.Helper()
	explain := "EXPLAIN "
	if db.Dialect() == database.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	var steps []step
	err := db.Stream(t.Context(), explain+query, nil, func(row database.Row) error {
		if db.Dialect() == database.SQLite {
			steps = append(steps, step{access: string(row.Bytes(3))})
			return nil
		}
		steps = append(steps, step{table: string(row.Bytes(2)), access: string(row.Bytes(3))}) // MySQL 8 has a column between
		return nil
	})
	if err != nil || len(steps) == 0 {
		t.Fatalf("%s: no plan, error %v", query, err)
	}
	return steps
}

// The concept document's query, as it is written there, gives the follower with the highest code.
func TestDocumentedQuery(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		train(t, s, "default", whitespace, ngram.BuildOptions{}, "a b\na b\na b\na c\n")
		// Another build of the same model, not published, must not show.
		if _, err := receive(t, s, "default", whitespace, source("more", strings.Repeat("a c\n", 9))); err != nil {
			t.Fatal(err)
		}
		if _, err := tryTrain(t.Context(), s, "default", nil); err != nil {
			t.Fatal(err)
		}
		var a, next int64
		if err := db.QueryRow(t.Context(), `SELECT token_id FROM tbl_l1_vocabulary WHERE token = ?`, []byte("a")).Scan(&a); err != nil {
			t.Fatal(err)
		}
		query := `SELECT next_token_id FROM tbl_l1_ngram_probs WHERE context_hash = ? ORDER BY quantized_prob DESC LIMIT 1`
		if err := db.QueryRow(t.Context(), query, contexthash.Sum([]uint32{uint32(a)})).Scan(&next); err != nil {
			t.Fatal(err)
		}
		var word []byte
		if err := db.QueryRow(t.Context(), `SELECT token FROM tbl_l1_vocabulary WHERE token_id = ?`, next).Scan(&word); err != nil || string(word) != "b" {
			t.Errorf("after a comes %q, error %v", word, err)
		}
		var raw, adjusted int64
		if err := db.QueryRow(t.Context(), `SELECT raw_count, adjusted_count FROM tbl_l1_ngram_counts WHERE context_hash = ? AND next_token_id = ?`,
			contexthash.Sum(nil), next).Scan(&raw, &adjusted); err != nil || raw != 3 || adjusted != 1 {
			t.Errorf("b has counts %d and %d, error %v", raw, adjusted, err)
		}
		if err := db.QueryRow(t.Context(), `SELECT continuation_count FROM tbl_l1_continuations WHERE token_id = ?`, next).Scan(&adjusted); err != nil || adjusted != 1 {
			t.Errorf("b continues %d contexts, error %v", adjusted, err)
		}
	})
}

// A model with probabilities below 1e-7 gets wider codebooks, in one build more, and the same from any history.
func TestRangesWiden(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		unigrams := ngram.Settings{Order: 1, Tokenizer: ngram.TokenizerWhitespace}
		heavy := store.Source{Label: "heavy", Text: strings.NewReader(strings.Repeat("x ", 1500)), Weight: 1_000_000}
		if _, err := receive(t, s, "m", unigrams, heavy, source("light", text(unigrams.Tokenizer, sentences(1, 30)))); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			build, err := tryTrain(t.Context(), s, "m", nil)
			if err != nil {
				t.Fatal(err)
			}
			var lo float64
			if err := db.QueryRow(t.Context(), `SELECT lo FROM tbl_quant_meta WHERE codebook_id = ?`, build.UnigramCodebook).Scan(&lo); err != nil || lo >= -8 {
				t.Errorf("the range begins at %g, error %v", lo, err)
			}
			read(t, db, "m", build.ID)
		}
	})
}
