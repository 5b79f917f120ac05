package server

import (
	"context"
	"io"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// fuzzed opens a small model on SQLite.
func fuzzed(f *testing.F) (*Inference, *store.Store) {
	f.Helper()
	db := databasetest.Open(f, databasetest.SQLiteTarget(f), store.Schema, database.Options{})
	ngramtest.Train(f, db, "m", ngram.Settings{Order: 3}, ngram.BuildOptions{}, rhymes)
	return NewInference(store.NewReader(db, store.ReaderOptions{}), nil), store.New(db, store.Options{})
}

// refused fails the test unless the error is one that a caller can act on.
func refused(t *testing.T, err error) {
	t.Helper()
	switch errors.KindOf(err) {
	case errors.InvalidArgument, errors.NotFound, errors.FailedPrecondition:
	default:
		t.Fatalf("kind %v: %v", errors.KindOf(err), err)
	}
	if errors.ReasonOf(err) == "" {
		t.Fatalf("no reason: %v", err)
	}
}

func probable(t *testing.T, log10 float64) {
	t.Helper()
	if math.IsNaN(log10) || math.IsInf(log10, 0) || log10 > 0 {
		t.Fatalf("log10 probability %v", log10)
	}
}

// FuzzScore sends what no client should to Score, Predict and Tokenize: a refusal by name or a proper answer, explained or not.
func FuzzScore(f *testing.F) {
	service, _ := fuzzed(f)
	f.Add("the cat sat", "on the mat.", "m", uint32(0), uint32(5), true, true, uint64(0))
	f.Add("", "\x00\xff<unk> </s>", "m", uint32(7), uint32(0), false, false, uint64(1))
	f.Add("a\nb\r\n\n\u2028\ufeff", strings.Repeat("cat ", 300), "nobody", uint32(1), uint32(1<<31), true, false, uint64(1<<40))
	f.Fuzz(func(t *testing.T, first, second, model string, build, limit uint32, explain, documents bool, bytes uint64) {
		var options *ngramv1.ExplainOptions
		if explain {
			options = &ngramv1.ExplainOptions{MaxTokens: limit, Documents: documents, MaxTextBytes: bytes, Sql: documents}
		}
		scored, err := service.Score(t.Context(), &ngramv1.ScoreRequest{Model: model, BuildId: build, Texts: []string{first, second}, Tokens: documents, Explain: options})
		if err != nil {
			refused(t, err)
		} else {
			for _, text := range scored.GetScores() {
				probable(t, text.GetLog10Probability())
				for _, sentence := range text.GetSentences() {
					for _, token := range sentence.GetTokens() {
						probable(t, token.GetLog10Probability())
						if e := token.GetExplanation(); e != nil {
							probable(t, e.GetExactLog10Probability())
						}
					}
				}
			}
		}
		predicted, err := service.Predict(t.Context(), &ngramv1.PredictRequest{Model: model, BuildId: build, Context: first, TopK: limit % 1000, Explain: options})
		if err != nil {
			refused(t, err)
		} else {
			sum := 0.0
			for _, p := range predicted.GetPredictions() {
				probable(t, p.GetLog10Probability())
				sum += p.GetProbability()
			}
			if sum > 1+1e-6 || len(predicted.GetPredictions()) == 0 {
				t.Fatalf("%d predictions of mass %v", len(predicted.GetPredictions()), sum)
			}
		}
		if _, err := service.Tokenize(t.Context(), &ngramv1.TokenizeRequest{Model: model, BuildId: build, Text: second}); err != nil {
			refused(t, err)
		}
	})
}

// sent is an evaluation's stream without a network.
type sent struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*ngramv1.EvaluateRequest
	last     *ngramv1.EvaluateResponse
}

func (s *sent) Context() context.Context { return s.ctx }

func (s *sent) Send(response *ngramv1.EvaluateResponse) error {
	s.last = response
	return nil
}

func (s *sent) Recv() (*ngramv1.EvaluateRequest, error) {
	if len(s.requests) == 0 {
		return nil, io.EOF
	}
	request := s.requests[0]
	s.requests = s.requests[1:]
	return request, nil
}

// FuzzEvaluate streams text in pieces, and messages in any order, and asks for what was stored.
func FuzzEvaluate(f *testing.F) {
	service, models := fuzzed(f)
	stored := &evaluations{store: models}
	f.Add([]byte("the cat sat\non the mat"), uint8(3), uint32(2), uint32(2), true, "label", "x", int32(3))
	f.Add([]byte("\xff\xfe\x00"), uint8(0), uint32(1<<31), uint32(0), false, "\xff", "", int32(-1))
	f.Add([]byte{}, uint8(1), uint32(0), uint32(9), true, "", "AAAA", int32(1001))
	f.Fuzz(func(t *testing.T, text []byte, cut uint8, mass, positions uint32, keep bool, label, token string, page int32) {
		stream := &sent{ctx: t.Context()}
		header := &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Header{Header: &ngramv1.EvaluateHeader{
			Model: "m", CheckMass: mass % 1000, Renormalise: positions % 1000, Store: keep && len(label) <= 512, Label: label, Tokens: keep,
		}}}
		if cut != 1 {
			stream.requests = append(stream.requests, header)
		}
		for len(text) > 0 {
			n := min(int(cut)%7+1, len(text))
			stream.requests = append(stream.requests, &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Chunk{Chunk: text[:n]}})
			text = text[n:]
		}
		if cut == 2 {
			stream.requests = append(stream.requests, header, &ngramv1.EvaluateRequest{})
		}
		if err := service.Evaluate(stream); err != nil {
			refused(t, err)
		} else if e := stream.last.GetEvaluation(); e.GetTokens() == 0 || !(e.GetPerplexityIncludingOov() >= 1) {
			t.Fatalf("the evaluation is %v", e)
		}
		if _, err := stored.ListEvaluations(t.Context(), &ngramv1.ListEvaluationsRequest{Model: label, PageToken: token, PageSize: page, TextSha256: []byte(token)}); err != nil {
			refused(t, err)
		}
		if _, err := stored.CompareEvaluations(t.Context(), &ngramv1.CompareEvaluationsRequest{EvaluationIds: []string{label, token}}); err != nil {
			refused(t, err)
		}
		if _, err := service.ListContexts(t.Context(), &ngramv1.ListContextsRequest{Model: "m", PageToken: token, PageSize: page}); err != nil {
			refused(t, err)
		}
	})
}
