package dbslm_test

import (
	"fmt"
	"strings"
	"testing"

	"dbslm/pkg/database"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// modelRows is a build as plain SQL returns its rows: every n-gram spelled out by the registry of contexts, every stored value read
// from its codebook. Contexts are keyed by their token ids, oldest first.
type modelRows struct {
	order   int
	end     uint32 // of the build's token ids
	words   map[uint32]string
	ids     map[string]uint32
	log10   map[string]map[uint32]float64
	backoff map[string]float64
}

func contextKey(ids []uint32) string { return fmt.Sprint(ids) }

// readModel reads the rows of a build.
func readModel(t *testing.T, db *database.DB, build uint32) *modelRows {
	t.Helper()
	m := &modelRows{words: map[uint32]string{}, ids: map[string]uint32{}, log10: map[string]map[uint32]float64{}, backoff: map[string]float64{}}
	var model, unigrams, longer, backoffs int64
	err := db.QueryRow(t.Context(), `SELECT model_id, max_order, vocabulary_end, unigram_codebook, logprob_codebook, backoff_codebook FROM tbl_l1_builds WHERE build_id = ?`, build).
		Scan(&model, &m.order, &m.end, &unigrams, &longer, &backoffs)
	if err != nil {
		t.Fatal(err)
	}
	each := func(query string, args []any, row func(database.Row)) {
		if err := db.Stream(t.Context(), query, args, func(r database.Row) error { row(r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	each(`SELECT token_id, token FROM tbl_l1_vocabulary WHERE model_id = ?`, []any{model}, func(r database.Row) {
		id, word := uint32(r.Int(0)), string(r.Bytes(1))
		m.words[id] = word
		if id > 2 {
			m.ids[word] = id
		}
	})
	type place struct{ n, hash int64 }
	type link struct {
		parent int64
		oldest uint32
	}
	links := map[place]link{}
	each(`SELECT n, context_hash, COALESCE(parent_hash, 0), COALESCE(oldest_token_id, 0) FROM tbl_l1_context_registry WHERE model_id = ?`, []any{model}, func(r database.Row) {
		links[place{r.Int(0), r.Int(1)}] = link{r.Int(2), uint32(r.Int(3))}
	})
	spell := func(n, hash int64) string {
		var ids []uint32
		for ; n > 1; n-- {
			l, known := links[place{n, hash}]
			if !known {
				t.Fatalf("the context %d of order %d is not registered", hash, n)
			}
			ids, hash = append(ids, l.oldest), l.parent
		}
		return contextKey(ids)
	}
	const serving = ` WHERE p.model_id = ? AND p.since_build <= ? AND (p.until_build IS NULL OR p.until_build > ?)`
	each(`SELECT p.n, p.context_hash, p.next_token_id, COALESCE(p.logprob, q.log10_value) FROM tbl_l1_ng_probs_n p
LEFT JOIN tbl_q_to_mass q ON q.codebook_id = CASE p.n WHEN 1 THEN ? ELSE ? END AND q.code = p.q_logprob`+serving, []any{unigrams, longer, model, build, build}, func(r database.Row) {
		context := spell(r.Int(0), r.Int(1))
		if m.log10[context] == nil {
			m.log10[context] = map[uint32]float64{}
		}
		m.log10[context][uint32(r.Int(2))] = r.Float(3)
	})
	each(`SELECT p.n, p.context_hash, COALESCE(p.backoff, q.log10_value, 0) FROM tbl_l1_ng_topk_n p
LEFT JOIN tbl_q_to_mass q ON q.codebook_id = ? AND q.code = p.q_backoff`+serving+` AND p.chunk = 0`, []any{backoffs, model, build, build}, func(r database.Row) {
		m.backoff[spell(r.Int(0), r.Int(1))] = r.Float(2)
	})
	return m
}

// wordsOf cuts text as the model does.
func wordsOf(t *testing.T, s system) func(string) []string {
	client := ngramv1.NewInferenceServiceClient(s.Conn())
	known := map[string][]string{}
	return func(written string) []string {
		if strings.TrimSpace(written) == "" {
			return nil
		}
		if _, done := known[written]; !done {
			resp, err := client.Tokenize(t.Context(), &ngramv1.TokenizeRequest{Model: "default", Text: written})
			if err != nil {
				t.Fatal(err)
			}
			for _, sentence := range resp.Sentences {
				for _, token := range sentence.Tokens {
					known[written] = append(known[written], token.Text)
				}
			}
		}
		return known[written]
	}
}
