package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/store"
)

// dump is everything that the tables say about a model, spelled in words, so that two models can be compared whatever
// the order in which their texts arrived.
type dump struct {
	Grams    map[string]string // n-gram → counts, and its probability in the build
	Contexts map[string]string // context → sums, and its backoff weight in the build
	Words    map[string]string // word → frequency and forms
	Params   []string          // discounts of the build
}

// read dumps the generation in training, and a build of it; 0 for no build.
func read(t testing.TB, db *database.DB, name string, build ngram.BuildID) dump {
	t.Helper()
	ctx := context.Background()
	model, err := store.New(db, store.Options{}).Model(ctx, ngram.DefaultTenant, name)
	if err != nil {
		t.Fatal(err)
	}
	d := dumper{t: t, db: db, model: int64(model.ID), build: int64(build)}
	out := dump{Grams: map[string]string{}, Contexts: map[string]string{}, Words: map[string]string{}}
	d.vocabulary(out.Words)
	d.registry(out.Contexts)
	d.stream(`SELECT n, context_hash, next_token_id, c, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = ?`, []any{d.model}, func(row database.Row) {
		out.Grams[d.spell(row.Int(0), row.Int(1))+d.words[row.Int(2)]] = fmt.Sprintf("c %d a %d", row.Int(3), row.Int(4))
	})
	if build != 0 {
		d.derived(out)
		d.stream(`SELECT n, d1, d2, d3, fallback, ngrams FROM tbl_l1_mkn_params WHERE build_id = ? ORDER BY n`, []any{d.build}, func(row database.Row) {
			out.Params = append(out.Params, fmt.Sprint(row.Int(0), row.Float(1), row.Float(2), row.Float(3), row.Int(4), row.Int(5)))
		})
		d.stream(`SELECT n, class, lambda, events FROM tbl_l1_jm_weights WHERE build_id = ? ORDER BY n, class`, []any{d.build}, func(row database.Row) {
			out.Params = append(out.Params, fmt.Sprint("weight ", row.Int(0), row.Int(1), row.Float(2), row.Int(3)))
		})
		d.stream(`SELECT o.n, o.cutoff, o.pruned, p.applied_threshold FROM tbl_l1_pruning p JOIN tbl_l1_pruning_orders o ON o.build_id = p.build_id
WHERE p.build_id = ? ORDER BY o.n`, []any{d.build}, func(row database.Row) {
			out.Params = append(out.Params, fmt.Sprint("pruned ", row.Int(0), row.Int(1), row.Int(2), row.Float(3)))
		})
	}
	return out
}

type dumper struct {
	t            testing.TB
	db           *database.DB
	model, build int64
	words        map[int64]string
	parents      map[[2]int64][2]int64
}

func (d *dumper) stream(query string, args []any, row func(database.Row)) {
	d.t.Helper()
	err := d.db.Stream(context.Background(), query, args, func(r database.Row) error { row(r); return nil })
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *dumper) vocabulary(out map[string]string) {
	d.words = map[int64]string{}
	d.stream(`SELECT token_id, token, is_control, freq_global FROM tbl_l1_vocabulary WHERE model_id = ?`, []any{d.model}, func(row database.Row) {
		word := string(row.Bytes(1))
		if row.Int(2) != 0 {
			word = strings.ToUpper(word)
		}
		d.words[row.Int(0)] = word
		out[word] = fmt.Sprint(row.Int(3))
	})
	d.stream(`SELECT token_id, form, inner_count, start_count FROM tbl_l1_surface_forms WHERE model_id = ? ORDER BY token_id, form`, []any{d.model}, func(row database.Row) {
		out[d.words[row.Int(0)]] += fmt.Sprintf(" %s:%d/%d", row.Bytes(1), row.Int(2), row.Int(3))
	})
	d.stream(`SELECT token_id, form FROM tbl_l1_forms WHERE model_id = ? AND since_build <= ? AND (until_build IS NULL OR until_build > ?)`,
		[]any{d.model, d.build, d.build}, func(row database.Row) { out[d.words[row.Int(0)]] += " → " + string(row.Bytes(1)) })
}

func (d *dumper) registry(out map[string]string) {
	d.parents = map[[2]int64][2]int64{}
	sums := map[[2]int64]string{}
	d.stream(`SELECT n, context_hash, parent_hash, oldest_token_id, a_total, n1, n2, n3 FROM tbl_l1_context_registry WHERE model_id = ?`, []any{d.model}, func(row database.Row) {
		key := [2]int64{row.Int(0), row.Int(1)}
		d.parents[key] = [2]int64{row.Int(2), row.Int(3)}
		sums[key] = fmt.Sprint(row.Int(4), row.Int(5), row.Int(6), row.Int(7))
	})
	for key, s := range sums {
		out[fmt.Sprint(key[0], " ", d.spell(key[0], key[1]))] = s
	}
}

// spell writes a context in words, by its ancestors.
func (d *dumper) spell(n, hash int64) string {
	if n == 1 {
		return ""
	}
	parent, known := d.parents[[2]int64{n, hash}]
	if !known {
		d.t.Fatalf("context %d of order %d is not in the registry", hash, n)
	}
	return d.words[parent[1]] + " " + d.spell(n-1, parent[0])
}

const visible = ` AND since_build <= ? AND (until_build IS NULL OR until_build > ?)`

// derived adds the rows of the build, and checks that the two tables of probabilities say the same.
func (d *dumper) derived(out dump) {
	var storage string
	if err := d.db.QueryRow(context.Background(), `SELECT storage FROM tbl_l1_builds WHERE build_id = ?`, d.build).Scan(&storage); err != nil {
		d.t.Fatal(err)
	}
	codes := map[[3]int64]uint64{}
	args := []any{d.model, d.build, d.build}
	d.stream(`SELECT n, context_hash, next_token_id, q_logprob, logprob FROM tbl_l1_ng_probs_n WHERE model_id = ?`+visible, args, func(row database.Row) {
		key := [3]int64{row.Int(0), row.Int(1), row.Int(2)}
		if _, twice := codes[key]; twice {
			d.t.Errorf("build %d shows %v twice", d.build, key)
		}
		code := uint64(row.Int(3))
		if row.IsNull(3) {
			code = packed.Code(row.Float(4))
		}
		codes[key] = code
		gram := d.spell(key[0], key[1]) + d.words[key[2]]
		out.Grams[gram] += fmt.Sprintf(" p %d", code)
	})
	chunks := map[[2]int64]int64{}
	d.stream(`SELECT n, context_hash, chunk, q_backoff, backoff, followers, packed FROM tbl_l1_ng_topk_n WHERE model_id = ?`+visible+` ORDER BY n, context_hash, chunk`, args, func(row database.Row) {
		n, hash := row.Int(0), row.Int(1)
		if chunks[[2]int64{n, hash}] != row.Int(2) {
			d.t.Errorf("build %d: context %d has chunk %d where %d is due", d.build, hash, row.Int(2), chunks[[2]int64{n, hash}])
		}
		chunks[[2]int64{n, hash}]++
		width := packed.Width16
		switch {
		case storage == "exact":
			width = packed.WidthExact
		case storage == "8" && n > 1:
			width = packed.Width8
		}
		followers := int64(0)
		err := packed.Decode(row.Bytes(6), width, func(code uint64, tokens []uint32) error {
			for _, token := range tokens {
				key := [3]int64{n, hash, int64(token)}
				if codes[key] != code {
					d.t.Errorf("build %d: %v is packed with code %d, its row says %d", d.build, key, code, codes[key])
				}
				delete(codes, key)
				followers++
			}
			return nil
		})
		if err != nil || followers != row.Int(5) {
			d.t.Errorf("build %d: context %d has %d followers, not %d; error %v", d.build, hash, followers, row.Int(5), err)
		}
		if row.Int(2) == 0 {
			backoff := fmt.Sprint(" q ", row.Int(3))
			if row.IsNull(3) {
				backoff = fmt.Sprint(" b ", row.Float(4))
			}
			out.Contexts[fmt.Sprint(n, " ", d.spell(n, hash))] += backoff
		}
	})
	if len(codes) > 0 {
		d.t.Errorf("build %d: %d rows of probabilities are in no packed row", d.build, len(codes))
	}
}

// sentences makes a text of pseudo-random sentences over a few words, the same for the same seed.
func sentences(seed uint64, count int) []string {
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	words := strings.Fields("a b c d e f g h i j k l The the Dog dog saw")
	var out []string
	for range count {
		var s []string
		for range next(9) {
			s = append(s, words[min(next(len(words)), next(len(words)))])
		}
		out = append(out, strings.Join(s, " "))
	}
	return out
}

// text writes sentences so that both tokenisers see the same ones: a line or a paragraph each.
func text(tokenizer ngram.Tokenizer, lines []string) string {
	end := "\n"
	if tokenizer == ngram.TokenizerWords {
		end = "\n\n"
	}
	return strings.Join(lines, end) + end
}

// float reads a packed code back.
func float(t testing.TB, code string) float64 {
	t.Helper()
	var bits uint64
	if _, err := fmt.Sscan(code, &bits); err != nil {
		t.Fatalf("code %q: %v", code, err)
	}
	return packed.Float(bits)
}
