package server

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// Absurd requests are refused by name and size, and the service goes on.
func TestAbsurdRequests(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		stops := make([]string, 10_000)
		for i := range stops {
			stops[i] = fmt.Sprint("stop", i)
		}
		_, err := tryGenerate(t.Context(), client, &ngramv1.GenerateRequest{Model: tinyModel, Parameters: plain(1, func(p *ngramv1.DecodeParameters) { p.Stop = stops })})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "parameters.stop") {
			t.Errorf("10,000 stop sequences: %v", err)
		}
		_, err = client.Score(t.Context(), &ngramv1.ScoreRequest{Model: tinyModel, Texts: []string{strings.Repeat("the cat sat\n", 10<<20/12)}})
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "send less at a time") {
			t.Errorf("a text of 10 MB: %v", err)
		}
		if got, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: tinyModel, Texts: []string{"the cat sat"}}); err != nil || got.GetScores()[0].GetTokens() != 4 {
			t.Errorf("afterwards: %v, %v", got, err)
		}
	})
}

// A model that is deleted, or a build that is dropped, under a stream of scores: what was answered stands, the next batch is
// told, on every path.
func TestModelDeletedWhileItServes(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for i, way := range paths(t) {
			model := fmt.Sprint("gone", i)
			ngramtest.Train(t, db, model, ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, "a b c\nb c a\n")
			if way.options.ResidentBytes > 0 {
				way.reader(t, db, model).Close()
			}
			stream := openScores(t, dial(t, db, way.options), &ngramv1.ScoreStreamHeader{Model: model})
			if err := stream.Send(scoreBatch("a b c")); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			if err := store.New(db, store.Options{}).DeleteModel(t.Context(), ngram.DefaultTenant, model); err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(scoreBatch("a b c")) // Recv tells
			if _, err := stream.Recv(); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "was dropped") {
				t.Errorf("%s: %v", way.name, err)
			}
		}
	})
}
