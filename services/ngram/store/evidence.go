package store

import (
	"context"
	"strconv"
	"strings"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/evidence"
	"dbslm/services/ngram/smoothing"
)

// Statement is a statement with its values written in, to be pasted into a SQL client on any engine.
type Statement struct {
	Title string
	SQL   string
}

// The rows of one token, an arm for each order. What is run and what is shown is one text.
const (
	selectProbability = `SELECT p.n, p.context_hash, p.next_token_id, p.q_logprob, COALESCE(p.logprob, q.log10_value) AS log10_value, p.since_build
FROM tbl_l1_ng_probs_n p LEFT JOIN tbl_q_to_mass q ON q.codebook_id = ? AND q.code = p.q_logprob
WHERE p.model_id = ? AND p.n = ? AND p.context_hash = ? AND p.next_token_id = ? AND p.since_build <= ? AND (p.until_build IS NULL OR p.until_build > ?)`

	selectBackoff = `SELECT t.n, t.context_hash, t.q_backoff, COALESCE(t.backoff, q.log10_value, 0) AS log10_value, t.since_build
FROM tbl_l1_ng_topk_n t LEFT JOIN tbl_q_to_mass q ON q.codebook_id = ? AND q.code = t.q_backoff
WHERE t.model_id = ? AND t.n = ? AND t.context_hash = ? AND t.chunk = 0 AND t.since_build <= ? AND (t.until_build IS NULL OR t.until_build > ?)`

	selectCount = `SELECT n, context_hash, next_token_id, c, COALESCE(a, c) AS adjusted FROM tbl_l1_ng_counts_n
WHERE model_id = ? AND n = ? AND context_hash = ? AND next_token_id = ?`

	selectContext = `SELECT n, context_hash, parent_hash, oldest_token_id, a_total, n1, n2, n3 FROM tbl_l1_context_registry
WHERE model_id = ? AND n = ? AND context_hash = ?`

	selectRawTotal = `SELECT n, CAST(SUM(c) AS SIGNED) AS raw_total FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash = ? GROUP BY n`
	selectAllRaw   = `SELECT n, raw_total FROM tbl_l1_model_orders WHERE model_id = ? AND n = ?`

	unionAll = "\nUNION ALL\n"
)

// arms is a statement in the making.
type arms struct {
	query strings.Builder
	args  []any
}

func (a *arms) add(arm string, args ...any) {
	if a.query.Len() > 0 {
		a.query.WriteString(unionAll)
	}
	a.query.WriteString(arm)
	a.args = append(a.args, args...)
}

func (a *arms) shown(title string) Statement {
	return Statement{title, inlined(a.query.String(), a.args) + ";"}
}

// inlined writes whole numbers in place of the question marks of a query.
func inlined(query string, args []any) string {
	var b strings.Builder
	for _, piece := range strings.SplitAfter(query, "?") {
		text, marked := strings.CutSuffix(piece, "?")
		b.WriteString(text)
		if marked {
			b.WriteString(strconv.FormatInt(args[0].(int64), 10))
			args = args[1:]
		}
	}
	return b.String()
}

// Evidence reads the rows of a token after a context, at every order from that of the whole context down to 1, longest
// first, as plain SQL finds them: no path that serves takes part. The statements are what was run.
func (v *View) Evidence(ctx context.Context, estimate Estimate, tokens []uint32, token uint32) ([]evidence.Order, []Statement, error) {
	build := v.Build
	model, id, next := int64(build.Model), int64(build.ID), int64(token)
	orders := make([]evidence.Order, len(tokens)+1)
	var probabilities, backoffs, counts, contexts, totals arms
	for i := range orders {
		o := &orders[i]
		o.Tokens, o.N = tokens[i:], len(tokens)-i+1
		o.Hash = contexthash.Sum(o.Tokens)
		n := int64(o.N)
		probabilities.add(selectProbability, v.codebookOf(o.N), model, n, o.Hash, next, id, id)
		backoffs.add(selectBackoff, build.BackoffCodebook, model, n, o.Hash, id, id)
		counts.add(selectCount, model, n, o.Hash, next)
		contexts.add(selectContext, model, n, o.Hash)
		switch {
		case estimate.Smoothing == ngram.ModifiedKneserNey:
		case o.N == 1:
			totals.add(selectAllRaw, model, n)
		default:
			totals.add(selectRawTotal, model, n, o.Hash)
		}
	}
	at := func(row database.Row) *evidence.Order { return &orders[len(tokens)+1-int(row.Int(0))] }
	for _, read := range []struct {
		arms *arms
		row  func(database.Row)
	}{
		{&probabilities, func(row database.Row) {
			at(row).Probability = &evidence.Stored{Code: optional(row, 3), Log10: row.Float(4), Since: ngram.BuildID(row.Int(5))}
		}},
		{&backoffs, func(row database.Row) {
			at(row).Backoff = &evidence.Stored{Code: optional(row, 2), Log10: row.Float(3), Since: ngram.BuildID(row.Int(4))}
		}},
		{&counts, func(row database.Row) { at(row).Count = &evidence.Count{Raw: row.Int(3), Adjusted: row.Int(4)} }},
		{&contexts, func(row database.Row) {
			parent := optional(row, 2)
			if empty := contexthash.Sum(nil); row.Int(0) == 2 {
				parent = &empty // NULL in the row
			}
			at(row).Context = &evidence.Context{Parent: parent, Total: row.Int(4), Followers: [3]int64{row.Int(5), row.Int(6), row.Int(7)}}
		}},
		{&totals, func(row database.Row) {
			if known := at(row).Context; known != nil {
				known.RawTotal = row.Int(1)
			}
		}},
	} {
		if len(read.arms.args) == 0 {
			continue
		}
		err := v.reader.db.Stream(ctx, read.arms.query.String(), read.arms.args, func(row database.Row) error {
			read.row(row)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	statements := []Statement{
		probabilities.shown("probabilities: tbl_l1_ng_probs_n"), backoffs.shown("backoff weights: tbl_l1_ng_topk_n"),
		counts.shown("counts: tbl_l1_ng_counts_n"), contexts.shown("contexts: tbl_l1_context_registry"), v.words(tokens, token),
	}
	if len(totals.args) > 0 {
		statements = append(statements, totals.shown("raw counts of contexts: tbl_l1_ng_counts_n"))
	}
	return orders, statements, nil
}

// codebookOf is the codebook of the probabilities of an order; 0 for exact storage.
func (v *View) codebookOf(n int) int64 {
	if n == 1 {
		return v.Build.UnigramCodebook
	}
	return v.Build.LogprobCodebook
}

func optional(row database.Row, column int) *int64 {
	if row.IsNull(column) {
		return nil
	}
	value := row.Int(column)
	return &value
}

const selectTokens = `SELECT token_id, token, is_control, freq_global FROM tbl_l1_vocabulary WHERE model_id = ? AND token_id IN (`

// words is the statement that spells the tokens out.
func (v *View) words(tokens []uint32, token uint32) Statement {
	query, args := selectTokens+"?", []any{int64(v.Build.Model), int64(token)}
	for _, id := range tokens {
		query, args = query+", ?", append(args, int64(id))
	}
	return Statement{"words: tbl_l1_vocabulary", inlined(query+")", args) + ";"}
}

// SumOf is the statement that adds up what a chain used: the probability at the order that was found, the backoff weights
// above it, and for a unigram the normaliser.
func (v *View) SumOf(chain evidence.Chain, token uint32) Statement {
	build := v.Build
	model, id := int64(build.Model), int64(build.ID)
	var used arms
	for _, o := range chain.Orders {
		n := int64(o.N)
		if o.Role == evidence.BackedOff || o.Role == evidence.Matched && o.N == 1 {
			used.add(selectBackoff, build.BackoffCodebook, model, n, o.Hash, id, id)
		}
		if o.Role == evidence.Matched {
			used.add(selectProbability, v.codebookOf(o.N), model, n, o.Hash, int64(token), id, id)
		}
	}
	// Each arm counts by its value alone.
	query := used.query.String()
	query = strings.ReplaceAll(query, columnsOf(selectProbability), "SELECT COALESCE(p.logprob, q.log10_value) AS log10_value\n")
	query = strings.ReplaceAll(query, columnsOf(selectBackoff), "SELECT COALESCE(t.backoff, q.log10_value, 0) AS log10_value\n")
	return Statement{"log10 of the probability", "SELECT SUM(log10_value) AS log10_probability FROM (\n" + inlined(query, used.args) + "\n) chain;"}
}

// columnsOf is the first line of a statement.
func columnsOf(query string) string {
	first, _, _ := strings.Cut(query, "\n")
	return first + "\n"
}

const selectCountsOf = `SELECT next_token_id, c, COALESCE(a, c) FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash = ? AND next_token_id IN `

// Counts returns the counts of tokens after the ends of a context, by token; those without a row are left out. found has
// the tokens by the order of their n-grams; each token stands once.
func (v *View) Counts(ctx context.Context, tokens []uint32, found map[int][]uint32) (map[uint32]evidence.Count, error) {
	var read arms
	for n := len(tokens) + 1; n > 0; n-- {
		if len(found[n]) == 0 {
			continue
		}
		args := []any{int64(v.Build.Model), int64(n), contexthash.Sum(tokens[len(tokens)-(n-1):])}
		for _, token := range found[n] {
			args = append(args, int64(token))
		}
		read.add(selectCountsOf+database.In(len(found[n])), args...)
	}
	counts := map[uint32]evidence.Count{}
	if len(read.args) == 0 {
		return counts, nil
	}
	err := v.reader.db.Stream(ctx, read.query.String(), read.args, func(row database.Row) error {
		counts[uint32(row.Int(0))] = evidence.Count{Raw: row.Int(1), Adjusted: row.Int(2)}
		return nil
	})
	return counts, err
}

// Estimate is what the exact values of a build rest on beside the counts of the context.
type Estimate struct {
	smoothing.Params // of the estimator; no codebooks
	Counts           CountState
	Storage          ngram.Storage
}

// CountState says how the counts of today relate to a build.
type CountState uint8

// The states.
const (
	CountsCurrent CountState = iota + 1 // the build was derived from them
	CountsChanged                       // they changed since
	CountsNone                          // the model has none
)

const (
	selectEstimate = `SELECT b.smoothing, b.storage, b.vocabulary_size, b.counts_version, m.counts_version AS counts_version_now,
  (SELECT COUNT(*) FROM tbl_l1_context_registry r WHERE r.model_id = b.model_id AND r.n = 1) AS counted
FROM tbl_l1_builds b JOIN tbl_l1_models m ON m.model_id = b.model_id WHERE b.build_id = ?`
	selectEstimateOrders  = `SELECT n, d1, d2, d3 FROM tbl_l1_mkn_params WHERE build_id = ? ORDER BY n`
	selectEstimateWeights = `SELECT n, class, lambda, events FROM tbl_l1_jm_weights WHERE build_id = ? ORDER BY n, class`
)

// Estimate reads the parameters of the view's build; the statements are what was run.
func (v *View) Estimate(ctx context.Context) (Estimate, []Statement, error) {
	var e Estimate
	var then, now, counted int64
	id := int64(v.Build.ID)
	err := v.reader.db.QueryRow(ctx, selectEstimate, id).Scan(&e.Smoothing, &e.Storage, &e.VocabularySize, &then, &now, &counted)
	if err != nil {
		return e, nil, err
	}
	switch {
	case counted == 0:
		e.Counts = CountsNone
	case then == now:
		e.Counts = CountsCurrent
	default:
		e.Counts = CountsChanged
	}
	err = v.reader.db.Stream(ctx, selectEstimateOrders, []any{id}, func(row database.Row) error {
		e.Discounts = append(e.Discounts, ngram.Discounts{Order: int(row.Int(0)), D1: row.Float(1), D2: row.Float(2), D3: row.Float(3)})
		return nil
	})
	statements := []Statement{
		{"build: tbl_l1_builds", inlined(selectEstimate, []any{id}) + ";"},
		{"parameters: tbl_l1_mkn_params", inlined(selectEstimateOrders, []any{id}) + ";"},
	}
	if err != nil || e.Smoothing != ngram.JelinekMercer {
		return e, statements, err
	}
	statements = append(statements, Statement{"weights: tbl_l1_jm_weights", inlined(selectEstimateWeights, []any{id}) + ";"})
	err = v.reader.db.Stream(ctx, selectEstimateWeights, []any{id}, func(row database.Row) error {
		e.Weights = append(e.Weights, ngram.Weight{Order: int(row.Int(0)), Class: int(row.Int(1)), Lambda: row.Float(2), Events: row.Int(3)})
		return nil
	})
	return e, statements, err
}
