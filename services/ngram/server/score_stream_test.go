package server

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

func openScores(t testing.TB, client ngramv1.InferenceServiceClient, header *ngramv1.ScoreStreamHeader) ngramv1.InferenceService_ScoreStreamClient {
	t.Helper()
	stream, err := client.ScoreStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&ngramv1.ScoreStreamRequest{Part: &ngramv1.ScoreStreamRequest_Header{Header: header}}); err != nil {
		t.Fatal(err)
	}
	return stream
}

func scoreBatch(texts ...string) *ngramv1.ScoreStreamRequest {
	return &ngramv1.ScoreStreamRequest{Part: &ngramv1.ScoreStreamRequest_Batch{Batch: &ngramv1.ScoreBatch{Texts: texts}}}
}

// A stream of batches, sent without waiting, gives what single calls give, in order.
func TestScoreStreamIsScore(t *testing.T) {
	eachTiny(t, func(t *testing.T, db *database.DB, client ngramv1.InferenceServiceClient) {
		resident := dial(t, db, store.ReaderOptions{ResidentBytes: residentBytes})
		var batches [][]string
		for i := range 200 {
			batches = append(batches, []string{fmt.Sprintf("the cat sat\nthe dog %d", i), "", strings.Repeat("the bird ", i)})
		}
		for name, client := range map[string]ngramv1.InferenceServiceClient{"cached": client, "resident": resident} {
			stream := openScores(t, client, &ngramv1.ScoreStreamHeader{Model: tinyModel, Tokens: true})
			sent := make(chan error, 1)
			go func() {
				for _, texts := range batches {
					if err := stream.Send(scoreBatch(texts...)); err != nil {
						sent <- err
						return
					}
				}
				sent <- stream.CloseSend()
			}()
			for i, texts := range batches {
				got, err := stream.Recv()
				if err != nil {
					t.Fatalf("%s: batch %d: %v", name, i, err)
				}
				want, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: tinyModel, Texts: texts, Tokens: true})
				if err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(&ngramv1.ScoreResponse{Scores: got.GetScores(), BuildId: got.GetBuildId()}, want) {
					t.Fatalf("%s: batch %d is scored otherwise than by a call of its own", name, i)
				}
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: behind the last batch comes %v", name, err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
		brief := openScores(t, client, &ngramv1.ScoreStreamHeader{Model: tinyModel})
		if err := brief.Send(scoreBatch("the cat sat\nthe dog")); err != nil {
			t.Fatal(err)
		}
		if got, err := brief.Recv(); err != nil || len(got.GetScores()) != 1 || got.GetScores()[0].GetTokens() != 7 || got.GetScores()[0].GetSentences() != nil {
			t.Errorf("sums only: %v, %v", got, err)
		}
	})
}

func TestScoreStreamRefusals(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		header := &ngramv1.ScoreStreamRequest{Part: &ngramv1.ScoreStreamRequest_Header{Header: &ngramv1.ScoreStreamHeader{Model: tinyModel}}}
		elsewhere := &ngramv1.ScoreStreamRequest{Part: &ngramv1.ScoreStreamRequest_Header{Header: &ngramv1.ScoreStreamHeader{Model: "nowhere"}}}
		for name, c := range map[string]struct {
			code     codes.Code
			messages []*ngramv1.ScoreStreamRequest
		}{
			"nothing":         {codes.InvalidArgument, nil},
			"no header":       {codes.InvalidArgument, []*ngramv1.ScoreStreamRequest{scoreBatch("a")}},
			"two headers":     {codes.InvalidArgument, []*ngramv1.ScoreStreamRequest{header, header}},
			"an empty batch":  {codes.InvalidArgument, []*ngramv1.ScoreStreamRequest{header, scoreBatch()}},
			"an empty part":   {codes.InvalidArgument, []*ngramv1.ScoreStreamRequest{header, {}}},
			"too many texts":  {codes.InvalidArgument, []*ngramv1.ScoreStreamRequest{header, scoreBatch(make([]string, 10_001)...)}},
			"a missing model": {codes.NotFound, []*ngramv1.ScoreStreamRequest{elsewhere}},
			"10 MB at once":   {codes.ResourceExhausted, []*ngramv1.ScoreStreamRequest{header, scoreBatch(strings.Repeat("the cat ", 10<<20/8))}},
			"only a header":   {codes.OK, []*ngramv1.ScoreStreamRequest{header}},
		} {
			stream, err := client.ScoreStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range c.messages {
				if err := stream.Send(message); err != nil && !errors.Is(err, io.EOF) { // EOF: Recv tells
					t.Fatal(err)
				}
			}
			_ = stream.CloseSend()
			_, err = stream.Recv()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if status.Code(err) != c.code {
				t.Errorf("%s: %v, want %v", name, err, c.code)
			} else if err != nil {
				t.Logf("%s: %v", name, err)
			}
		}
	})
}

// A stream explains each batch as a call of its own would be explained.
func TestScoreStreamExplains(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ngramtest.Train(t, db, "told", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, "the cat sat\nthe dog sat\nthe cat ran\n")
		client := dial(t, db, store.ReaderOptions{})
		options := &ngramv1.ExplainOptions{MaxTokens: 3, Sql: true, Documents: true}
		stream := openScores(t, client, &ngramv1.ScoreStreamHeader{Model: "told", Explain: options})
		for _, texts := range [][]string{{"the cat sat"}, {"a dog ran", "the cat"}} {
			if err := stream.Send(scoreBatch(texts...)); err != nil {
				t.Fatal(err)
			}
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			want, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: "told", Texts: texts, Explain: options})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &ngramv1.ScoreResponse{Scores: got.GetScores(), BuildId: got.GetBuildId(), Explained: got.GetExplained()}, protocmp.Transform()); diff != "" {
				t.Errorf("%q: Score against the stream:\n%s", texts, diff)
			}
			if first := got.GetScores()[0].GetSentences()[0].GetTokens()[0]; first.GetExplanation() == nil || got.GetExplained().GetExplained() != 3 {
				t.Errorf("%q: the first token has the explanation %v, %d are explained", texts, first.GetExplanation(), got.GetExplained().GetExplained())
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("behind the last batch comes %v", err)
		}
	})
}
