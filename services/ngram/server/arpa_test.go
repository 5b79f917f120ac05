package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// loadARPA writes the rows of an exact build from an ARPA file that KenLM made, so that reading is tested against
// KenLM without our own training in between.
func loadARPA(t testing.TB, db *database.DB, name, path string, order int) {
	t.Helper()
	entries := goldentest.ReadARPA(t, path)
	ids, words := vocabularyOf(entries)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(context.Background(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO tbl_l1_models (model_id, tenant, name, state, max_order, tokenizer, tokenizer_parameters, normalization, unk_policy,
  counts_version, vocabulary_size, documents, sentences, tokens, request_id, created_at)
VALUES (1, 'default', ?, 'live', ?, 'whitespace', '', 'nfc', 'reserved', 1, ?, 1, 8, 8, '', 0)`, name, order, len(words))
	exec(`INSERT INTO tbl_l1_model_names (tenant, name, model_id, published_build, lease_until, created_at) VALUES ('default', ?, 1, 7, 0, 0)`, name)
	exec(`INSERT INTO tbl_l1_builds (build_id, model_id, tenant, name, state, smoothing, kenlm_quirk, storage, max_order, vocabulary_end, vocabulary_size,
  counts_version, tokens, rows_added, rows_closed, swept, warnings, failure, created_at)
VALUES (7, 1, 'default', ?, 'ready', 'modified-kneser-ney', 1, 'exact', ?, ?, ?, 1, 8, 0, 0, 0, '[]', '', 0)`, name, order, len(words), len(words)-1)
	for id, word := range words {
		exec(`INSERT INTO tbl_l1_vocabulary (model_id, token_id, token, is_control, freq_global) VALUES (1, ?, ?, ?, 1)`, id, []byte(word), id < 3)
	}
	for context, followers := range followersOf(entries) {
		var tokens []uint32
		for _, word := range strings.Fields(context) {
			tokens = append(tokens, ids[word])
		}
		var list []packed.Follower
		for word, log10 := range followers {
			list = append(list, packed.Follower{Code: packed.Code(log10), Token: ids[word]})
		}
		slices.SortFunc(list, packed.Before)
		backoff := 0.0
		if context != "" {
			backoff = entries[context].Backoff
		}
		const chunk = 4 // small, so that contexts have several
		for i := 0; i*chunk < len(list); i++ {
			blob, err := packed.Append(nil, packed.WidthExact, list[i*chunk:min((i+1)*chunk, len(list))])
			if err != nil {
				t.Fatal(err)
			}
			var stored any
			if i == 0 {
				stored = backoff
			}
			exec(`INSERT INTO tbl_l1_ng_topk_n (model_id, n, context_hash, chunk, since_build, until_build, q_backoff, backoff, followers, packed)
VALUES (1, ?, ?, ?, 7, NULL, NULL, ?, ?, ?)`, len(tokens)+1, contexthash.Sum(tokens), i, stored, len(list), blob)
		}
	}
}

func vocabularyOf(entries map[string]goldentest.Entry) (map[string]uint32, []string) {
	words := []string{"<unk>", "<s>", "</s>"}
	for gram := range entries {
		if !strings.Contains(gram, " ") && !slices.Contains(words[:3], gram) {
			words = append(words, gram)
		}
	}
	slices.Sort(words[lookup.Specials:])
	ids := map[string]uint32{}
	for id, word := range words {
		ids[word] = uint32(id)
	}
	return ids, words
}

// followersOf lists the followers of every context; <s> follows nothing.
func followersOf(entries map[string]goldentest.Entry) map[string]map[string]float64 {
	followers := map[string]map[string]float64{}
	for gram, entry := range entries {
		if gram == "<s>" {
			continue
		}
		context, word := "", gram
		if at := strings.LastIndexByte(gram, ' '); at >= 0 {
			context, word = gram[:at], gram[at+1:]
		}
		if followers[context] == nil {
			followers[context] = map[string]float64{}
		}
		followers[context][word] = entry.Log10
	}
	return followers
}

// registerContexts writes registry rows with 6 followers and a count of 9.
func registerContexts(t testing.TB, db *database.DB, contexts [][]uint32) {
	t.Helper()
	for _, tokens := range contexts {
		_, err := db.Exec(t.Context(), `INSERT INTO tbl_l1_context_registry (model_id, n, context_hash, parent_hash, oldest_token_id, a3, n1, n2, n3)
VALUES (1, ?, ?, ?, ?, 4, 1, 2, 3)`, len(tokens)+1, contexthash.Sum(tokens), contexthash.Sum(tokens[1:]), int64(tokens[0]))
		if err != nil {
			t.Fatal(err)
		}
	}
}
