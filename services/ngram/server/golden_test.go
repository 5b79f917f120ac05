package server

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

const goldenModel = "golden"

// scorer scores all sentences of a case through the RPC at once and hands them out one by one.
func scorer(t *testing.T, service *Inference, c goldentest.Case) goldentest.Score {
	t.Helper()
	var scored []*ngramv1.SentenceScore
	for sentences := c.Test; len(sentences) > 0; {
		n := min(len(sentences), 500)
		request := &ngramv1.ScoreRequest{Model: goldenModel, Tokens: true}
		for _, sentence := range sentences[:n] {
			request.Texts = append(request.Texts, strings.Join(sentence, " ")+"\n")
		}
		response, err := service.Score(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, score := range response.GetScores() {
			scored = append(scored, score.GetSentences()...)
		}
		sentences = sentences[n:]
	}
	next := 0
	return func([]string) []goldentest.Token {
		var tokens []goldentest.Token
		for _, token := range scored[next].GetTokens() {
			tokens = append(tokens, goldentest.Token{
				Token: token.GetToken().GetText(), Matched: int(token.GetMatchedOrder()), Log10: token.GetLog10Probability(),
			})
		}
		next++
		return tokens
	}
}

// Reading alone, without our training: the rows are made from KenLM's own ARPA files.
func TestReadingAgainstKenLM(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		if c.ARPA == "" {
			continue // the corpora have vectors, but no complete model
		}
		t.Run(c.Name, func(t *testing.T) {
			databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
				loadARPA(t, db, goldenModel, c.ARPA, c.Order)
				for _, way := range paths(t) {
					t.Run(way.name, func(t *testing.T) {
						c.Check(t, scorer(t, NewInference(way.reader(t, db, goldenModel), nil), c))
					})
				}
			})
		})
	}
}

// trainGolden trains a golden case.
func trainGolden(t *testing.T, db *database.DB, c goldentest.Case, storage ngram.Storage) {
	t.Helper()
	text, err := os.ReadFile(c.TrainFile)
	if err != nil {
		t.Fatal(err)
	}
	settings := ngram.Settings{Order: c.Order, Tokenizer: ngram.TokenizerWhitespace}
	ngramtest.Train(t, db, goldenModel, settings, ngram.BuildOptions{Storage: storage, KenLMQuirk: c.Quirk}, string(text))
}

// The whole way: text is counted, estimated, stored, read back and scored.
func TestTrainingAndScoringAgainstKenLM(t *testing.T) {
	for _, c := range goldentest.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
				trainGolden(t, db, c, ngram.StorageExact)
				for _, way := range paths(t) {
					t.Run(way.name, func(t *testing.T) {
						c.Check(t, scorer(t, NewInference(way.reader(t, db, goldenModel), nil), c))
					})
				}
				exact := evaluateFile(t, db, c.TestFile)
				if relative(exact.GetPerplexityIncludingOov(), c.Golden.PerplexityWithOOV) > 1e-6 ||
					relative(exact.GetPerplexityExcludingOov(), c.Golden.PerplexityNoOOV) > 1e-6 ||
					int64(exact.GetTokens()) != c.Golden.TestTokens || int64(exact.GetOov()) != c.Golden.OOV {
					t.Errorf("%v, KenLM says %d tokens, %d unknown, %g and %g", exact, c.Golden.TestTokens, c.Golden.OOV,
						c.Golden.PerplexityWithOOV, c.Golden.PerplexityNoOOV)
				}
				if exact.GetMassContexts() == 0 || exact.GetMassErrorMax() > 1e-9 {
					t.Errorf("mass error %g over %d contexts", exact.GetMassErrorMax(), exact.GetMassContexts())
				}
				storages := []ngram.Storage{ngram.Storage8, ngram.Storage16}
				switch {
				case c.Quirk:
				case db.Dialect() == database.SQLite:
					storages = storages[:1] // a corpus takes a while, and 16 bits are the same code
				default:
					storages = nil // both engines hold the same codes
				}
				for _, storage := range storages {
					trainGolden(t, db, c, storage)
					coarse := evaluateFile(t, db, c.TestFile)
					limit := map[ngram.Storage]float64{ngram.Storage8: 1e-3, ngram.Storage16: 1e-4}[storage]
					if c.Quirk {
						limit *= 40 // a few dozen tokens average nothing out
					}
					if got := relative(coarse.GetRenormalisedPerplexity(), exact.GetSampledPerplexity()); got > limit {
						t.Errorf("%s bits: renormalised perplexity is off by %g", storage, got)
					}
					t.Logf("%s bits: perplexity %.4f, exact %.4f; renormalised %.4f, exact %.4f at %d positions; mass error %.2g", storage,
						coarse.GetPerplexityIncludingOov(), exact.GetPerplexityIncludingOov(),
						coarse.GetRenormalisedPerplexity(), exact.GetSampledPerplexity(), coarse.GetRenormalisedPositions(), coarse.GetMassErrorMax())
				}
			})
		})
	}
}

func relative(got, want float64) float64 { return math.Abs(got/want - 1) }

// evaluateFile evaluates a file with checks of the mass.
func evaluateFile(t *testing.T, db *database.DB, path string) *ngramv1.Evaluation {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var chunks []string
	for rest := string(text); rest != ""; {
		n := min(len(rest), 1<<16)
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	header := &ngramv1.EvaluateHeader{Model: goldenModel, CheckMass: 1000, Renormalise: 5000}
	evaluation, _, err := evaluate(t, dial(t, db, store.ReaderOptions{}), header, chunks...)
	if err != nil {
		t.Fatal(err)
	}
	return evaluation
}
