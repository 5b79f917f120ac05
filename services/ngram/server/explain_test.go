package server

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// babble is text of few words, so that n-grams of every order come back; some words are rare.
func babble(seed uint64, sentences int) string {
	random := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for range sentences {
		for i := range 1 + random.IntN(9) {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "w%d", min(random.IntN(12), random.IntN(40)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var explainAll = &ngramv1.ExplainOptions{MaxTokens: 1000, Documents: true, Sql: true}

// Every explained token, however it was asked for, is what plain SQL computes from the rows that its statements return: from
// the stored values, and from the counts.
func TestExplainByPlainSQL(t *testing.T) {
	for _, options := range []ngram.BuildOptions{
		{Storage: ngram.Storage8, Smoothing: ngram.ModifiedKneserNey},
		{Storage: ngram.Storage16, Smoothing: ngram.ModifiedKneserNey},
		{Storage: ngram.StorageExact, Smoothing: ngram.ModifiedKneserNey},
		{Storage: ngram.StorageExact, Smoothing: ngram.WittenBell},
		{Storage: ngram.StorageExact, Smoothing: ngram.JelinekMercer},
	} {
		storage := options.Storage
		t.Run(string(options.Smoothing)+",storage="+string(storage), func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
				texts := map[string]string{"a": babble(1, 40), "b": babble(2, 30), "c": "w1 w2 w3\nw1 w2 w3\nonce\n"}
				settings := ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWhitespace}
				ngramtest.TrainWith(t, store.New(db, store.Options{}), "m", settings, options, texts)
				client := ngramv1.NewInferenceServiceClient(levelOne(t, db, Options{}).Local())
				check := sqlCheck{t: t, db: db, texts: texts, storage: storage}

				scored, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", Texts: []string{babble(3, 12), "w1 w2 w3 zebra w1\nonce w1", ""}, Explain: explainAll})
				if err != nil {
					t.Fatal(err)
				}
				check.begin(scored.GetExplained())
				for _, text := range scored.GetScores() {
					for _, sentence := range text.GetSentences() {
						for _, token := range sentence.GetTokens() {
							check.token(token.GetExplanation(), token.GetToken(), token.GetLog10Probability(), token.GetMatchedOrder())
						}
					}
				}
				check.sources()

				for seed := range uint64(4) {
					reply := generate(t, client, &ngramv1.GenerateRequest{
						Model: "m", Prompt: "w1 w2", ContinueText: seed%2 == 0, Explain: explainAll,
						Parameters: plain(seed, func(p *ngramv1.DecodeParameters) { p.BestOf = proto.Uint32(1 + 3*uint32(seed/2)) }),
					})
					check.begin(reply.finish.GetExplained())
					for _, chunk := range reply.chunks {
						for _, token := range chunk.GetTokens() {
							check.token(token.GetExplanation(), token.GetToken(), token.GetLog10Probability(), token.GetMatchedOrder())
						}
					}
					check.sources()
				}

				for _, context := range []string{"", "w1 w2", "w3 zebra", "zebra w1 w0 w0"} {
					predicted, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m", Context: context, TopK: 20, Explain: explainAll})
					if err != nil {
						t.Fatal(err)
					}
					check.begin(predicted.GetExplained())
					for _, p := range predicted.GetPredictions() {
						check.token(p.GetExplanation(), p.GetToken(), p.GetLog10Probability(), p.GetMatchedOrder())
						if p.GetBackoffPath() != p.GetExplanation().GetPath() {
							t.Errorf("the path is %q, the explanation says %q", p.GetBackoffPath(), p.GetExplanation().GetPath())
						}
						if matched := check.matched(p.GetExplanation()); !proto.Equal(p.GetCount(), matched.GetCount()) || p.GetContextHash() != matched.GetContextHash() {
							t.Errorf("%v has another count or context than its explanation", p)
						}
					}
					check.sources()
				}

				evaluated, sentences, err := evaluate(t, client, &ngramv1.EvaluateHeader{Model: "m", Explain: explainAll}, babble(4, 6))
				if err != nil {
					t.Fatal(err)
				}
				explained := uint64(0)
				check.begin(nil)
				for _, sentence := range sentences {
					for _, token := range sentence.GetTokens() {
						check.token(token.GetExplanation(), token.GetToken(), token.GetLog10Probability(), token.GetMatchedOrder())
						explained++
					}
				}
				if explained != evaluated.GetTokens() {
					t.Errorf("%d tokens evaluated, %d explained", evaluated.GetTokens(), explained)
				}
				if check.tokens < 150 {
					t.Errorf("only %d tokens were checked", check.tokens)
				}
			})
		})
	}
}

// sqlCheck recomputes explanations by SQL.
type sqlCheck struct {
	t       *testing.T
	db      *database.DB
	texts   map[string]string // whose n-grams are counted
	storage ngram.Storage
	summary *ngramv1.ExplanationSummary
	seen    uint64
	tokens  int
}

func (c *sqlCheck) begin(summary *ngramv1.ExplanationSummary) {
	if summary != nil {
		c.summary = summary
	}
	c.seen = 0
}

func (c *sqlCheck) matched(e *ngramv1.Explanation) *ngramv1.ExplainedOrder {
	for _, o := range e.GetOrders() {
		if o.GetRole() == ngramv1.ExplainedOrder_ROLE_MATCHED {
			return o
		}
	}
	c.t.Fatalf("nothing matched: %v", e)
	return nil
}

// statement is the text of the statement with that title, without its semicolon.
func statement(statements []*ngramv1.SqlStatement, title string) string {
	for _, s := range statements {
		if strings.HasPrefix(s.GetTitle(), title) {
			return strings.TrimSuffix(s.GetStatement(), ";")
		}
	}
	return ""
}

func (c *sqlCheck) token(e *ngramv1.Explanation, token *ngramv1.Token, log10 float64, matched uint32) {
	t := c.t
	t.Helper()
	c.seen++
	c.tokens++
	if e == nil {
		t.Fatalf("%v is not explained", token)
	}
	for _, s := range append(e.GetStatements(), c.summary.GetStatements()...) {
		if c.tokens%20 == 1 {
			databasetest.ParseMySQL8(t, strings.TrimSuffix(s.GetStatement(), ";"))
		}
	}
	found := c.matched(e)
	if e.GetToken().GetId() != token.GetId() || found.GetOrder() != matched || e.GetLog10Probability() != log10 {
		t.Errorf("%v with %g found at %d is explained as %v", token, log10, matched, e)
	}

	// The stored values, added up by SQL.
	var sum float64
	if err := c.db.QueryRow(t.Context(), statement(e.GetStatements(), "log10")).Scan(&sum); err != nil || math.Abs(sum-log10) > 1e-12 {
		t.Errorf("SQL adds up to %v, served %v, error %v:\n%s", sum, log10, err, statement(e.GetStatements(), "log10"))
	}
	var words int
	if err := c.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM (`+statement(e.GetStatements(), "words")+`) w`).Scan(&words); err != nil || words == 0 {
		t.Errorf("%d words, error %v", words, err)
	}

	// The exact value, interpolated by SQL from the counts. The weights of Jelinek-Mercer are chosen by class, which SQL does
	// not do; what the estimator stored is compared below.
	query := `SELECT r.n,
 (COALESCE(k.adjusted, 0) - CASE COALESCE(k.adjusted, 0) WHEN 0 THEN 0 WHEN 1 THEN o.d1 WHEN 2 THEN o.d2 ELSE o.d3 END) / r.a_total,
 (o.d1 * COALESCE(r.n1, 0) + o.d2 * COALESCE(r.n2, 0) + o.d3 * COALESCE(r.n3, 0)) / r.a_total
FROM (` + statement(e.GetStatements(), "contexts") + `) r
LEFT JOIN (` + statement(e.GetStatements(), "counts") + `) k ON k.n = r.n AND k.context_hash = r.context_hash
JOIN (` + statement(c.summary.GetStatements(), "parameters") + `) o ON o.n = r.n ORDER BY r.n`
	switch ngram.Smoothing(c.summary.GetSmoothing()) {
	case ngram.WittenBell:
		query = `SELECT r.n, COALESCE(k.c, 0) / (t.raw_total + r.f * 1e0), r.f / (t.raw_total + r.f * 1e0)
FROM (SELECT x.n, COALESCE(x.n1, 0) + COALESCE(x.n2, 0) + COALESCE(x.n3, 0) AS f FROM (` + statement(e.GetStatements(), "contexts") + `) x) r
LEFT JOIN (` + statement(e.GetStatements(), "counts") + `) k ON k.n = r.n
JOIN (` + statement(e.GetStatements(), "raw counts") + `) t ON t.n = r.n ORDER BY r.n`
	case ngram.JelinekMercer:
		if math.Abs(e.GetExactLog10Probability()-log10) > 1e-12 || statement(c.summary.GetStatements(), "weights") == "" {
			t.Errorf("%v: stored %v, exact %v", token, log10, e.GetExactLog10Probability())
		}
		return
	}
	rows, err := c.db.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%v:\n%s", err, query)
	}
	defer rows.Close()
	p := 1 / float64(c.summary.GetVocabularySize())
	for rows.Next() {
		var n int
		var own, gamma float64
		if err := rows.Scan(&n, &own, &gamma); err != nil {
			t.Fatal(err)
		}
		p = own + gamma*p
		order := e.GetOrders()[len(e.GetOrders())-n]
		if math.Abs(order.GetExactLog10()-math.Log10(p)) > 1e-12 || math.Abs(order.GetOwn()-own) > 1e-12 || math.Abs(order.GetGamma()-gamma) > 1e-12 {
			t.Errorf("order %d: SQL has %g + %g p = %g, the explanation %v", n, own, gamma, math.Log10(p), order)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	exact := math.Log10(p)
	if math.Abs(e.GetExactLog10Probability()-exact) > 1e-12 {
		t.Errorf("the counts give %v, the explanation says %v", exact, e.GetExactLog10Probability())
	}
	limit := map[ngram.Storage]float64{ngram.Storage8: 0.25, ngram.Storage16: 1e-3, ngram.StorageExact: 1e-12}[c.storage]
	if math.Abs(exact-log10) > limit {
		t.Errorf("%v: stored %v, exact %v", token, log10, exact)
	}
	if coded := found.GetProbability().Code != nil; coded != (c.storage != ngram.StorageExact) {
		t.Errorf("a code is shown: %v", coded)
	}
}

// sources compares the n-grams searched for with a count by hand.
func (c *sqlCheck) sources() {
	t := c.t
	t.Helper()
	s := c.summary
	if s.GetExplained() != c.seen || s.GetTokens() != c.seen || s.GetDocuments() != 3 || s.GetDocumentsSearched() != 3 || s.GetDocumentsWithoutText() != 0 ||
		s.GetCounts() != ngramv1.CountState_COUNT_STATE_CURRENT || s.GetFormula() == "" {
		t.Errorf("%d explained, summary %v", c.seen, s)
	}
	for _, gram := range s.GetSources() {
		var words []string
		for _, token := range gram.GetTokens() {
			words = append(words, token.GetText())
		}
		total, documents := 0, 0
		by := map[string]int{}
		for label, text := range c.texts {
			for line := range strings.Lines(text) {
				line = " <s> " + strings.TrimSpace(line) + " </s> "
				for at := 0; ; at++ {
					i := strings.Index(line[at:], " "+strings.Join(words, " ")+" ")
					if i < 0 {
						break
					}
					at += i
					by[label]++
				}
			}
			if total += by[label]; by[label] > 0 {
				documents++
			}
		}
		if gram.GetCount() != uint64(total) || gram.GetDocuments() != uint64(documents) || total == 0 || len(gram.GetMost()) != documents {
			t.Errorf("%v: by hand %v", gram, by)
		}
		for _, d := range gram.GetMost() {
			if d.GetOccurrences() != uint64(by[d.GetLabel()]) || d.GetWeight() != 1 {
				t.Errorf("%v: by hand %v", d, by)
			}
		}
		var raw int
		query := fmt.Sprintf(`SELECT c FROM tbl_l1_ng_counts_n WHERE model_id = 1 AND n = %d AND context_hash = %d AND next_token_id = %d`,
			gram.GetOrder(), gram.GetContextHash(), gram.GetTokens()[len(words)-1].GetId())
		if err := c.db.QueryRow(t.Context(), query).Scan(&raw); err != nil || raw != total {
			t.Errorf("%v is counted %d times, in the texts %d times, error %v", words, raw, total, err)
		}
	}
}

// What cannot be explained is said or refused by name.
func TestExplainLimits(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}
		build := ngramtest.Train(t, db, "m", settings, ngram.BuildOptions{}, rhymes)
		client := ngramv1.NewInferenceServiceClient(levelOne(t, db, Options{}).Local())
		score := func(options *ngramv1.ExplainOptions) (*ngramv1.ScoreResponse, error) {
			return client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "m", BuildId: uint32(build.ID), Texts: []string{"the cat sat on the mat"}, Explain: options})
		}
		got, err := score(&ngramv1.ExplainOptions{MaxTokens: 2, Documents: true, MaxTextBytes: 10})
		if err != nil {
			t.Fatal(err)
		}
		for i, token := range got.GetScores()[0].GetSentences()[0].GetTokens() {
			if (token.GetExplanation() != nil) != (i < 2) || len(token.GetExplanation().GetStatements()) > 0 {
				t.Errorf("token %d: %v", i, token)
			}
		}
		if s := got.GetExplained(); s.GetExplained() != 2 || s.GetTokens() != 7 || s.GetDocuments() != 1 || s.GetDocumentsSearched() != 0 || s.GetBytesSearched() != 0 || len(s.GetStatements()) > 0 {
			t.Errorf("%v", s)
		}
		if _, err := score(&ngramv1.ExplainOptions{MaxTokens: 1001}); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("too many tokens: %v", err)
		}

		// Text that went, and counts that moved on.
		exec(t, db, `UPDATE tbl_corpus SET text_kept = 0`)
		exec(t, db, `UPDATE tbl_l1_models SET counts_version = counts_version + 1`)
		if got, err = score(&ngramv1.ExplainOptions{Documents: true}); err != nil {
			t.Fatal(err)
		}
		if s := got.GetExplained(); s.GetDocumentsWithoutText() != 1 || s.GetDocumentsSearched() != 0 || s.GetCounts() != ngramv1.CountState_COUNT_STATE_CHANGED {
			t.Errorf("%v", s)
		}

		// A row that was changed by hand does not explain what is served from memory.
		if _, err := score(nil); err != nil {
			t.Fatal(err)
		}
		exec(t, db, `UPDATE tbl_l1_ng_probs_n SET q_logprob = 1 WHERE n > 1`)
		if _, err := score(&ngramv1.ExplainOptions{}); errors.ReasonOf(err) != "EXPLANATION_DIFFERS" || errors.KindOf(err) != errors.DataLoss {
			t.Errorf("changed rows: %v", err)
		}

		// No counts.
		exec(t, db, `DELETE FROM tbl_l1_context_registry`)
		exec(t, db, `DELETE FROM tbl_l1_ng_counts_n`)
		if _, err := score(&ngramv1.ExplainOptions{Documents: true}); errors.KindOf(err) != errors.FailedPrecondition || errors.ReasonOf(err) != "MODEL_WITHOUT_COUNTS" {
			t.Errorf("documents without counts: %v", err)
		}
		predicted, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: "m", Context: "zebra", Explain: &ngramv1.ExplainOptions{}})
		if err != nil {
			t.Fatal(err)
		}
		if predicted.GetExplained().GetCounts() != ngramv1.CountState_COUNT_STATE_NONE || predicted.GetPredictions()[0].GetCount() != nil ||
			predicted.GetPredictions()[0].GetExplanation().ExactLog10Probability != nil {
			t.Errorf("without counts: %v", predicted)
		}
	})
}

// Every path to a build gives the same rows, byte for byte.
func TestExplainOnEveryPath(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ngramtest.Train(t, db, "m", ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, babble(1, 60))
		request := &ngramv1.ScoreRequest{Model: "m", Texts: []string{babble(5, 4), "w1 zebra w2"}, Explain: explainAll}
		var want []byte
		for _, p := range paths(t) {
			answer, err := NewInference(p.reader(t, db, "m"), nil).Score(t.Context(), request)
			if err != nil {
				t.Fatalf("path %s: %v", p.name, err)
			}
			got, err := proto.MarshalOptions{Deterministic: true}.Marshal(answer)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
			}
			if answer.GetExplained().GetExplained() < 20 || !bytes.Equal(got, want) {
				t.Errorf("path %s explains otherwise: %v", p.name, answer)
			}
		}
	})
}
