package server

import (
	"context"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/store"
)

// scorer scores through the RPC.
func scorer(t *testing.T, service *Inference, model string) goldentest.Score {
	return func(sentence []string) []goldentest.Token {
		request := &ngramv1.ScoreRequest{Model: model, Texts: []string{strings.Join(sentence, " ") + "\n"}, Tokens: true}
		response, err := service.Score(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		var tokens []goldentest.Token
		for _, token := range response.GetScores()[0].GetSentences()[0].GetTokens() {
			tokens = append(tokens, goldentest.Token{
				Token: token.GetToken().GetText(), Matched: int(token.GetMatchedOrder()), Log10: token.GetLog10Probability(),
			})
		}
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
				loadARPA(t, db, "golden", c.ARPA, c.Order)
				for name, options := range map[string]store.ReaderOptions{"cached": {}, "uncached": {CacheBytes: -1}} {
					t.Run(name, func(t *testing.T) {
						c.Check(t, scorer(t, NewInference(store.NewReader(db, options), nil), "golden"))
					})
				}
			})
		})
	}
}
