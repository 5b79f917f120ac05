package server

import (
	"context"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

// collector is a stream without a network.
type collector struct {
	grpc.ServerStream
	ctx       context.Context
	responses []*ngramv1.GenerateResponse
}

func (c *collector) Context() context.Context { return c.ctx }

func (c *collector) Send(response *ngramv1.GenerateResponse) error {
	c.responses = append(c.responses, response)
	return nil
}

// FuzzGenerate sends what no client should: the service refuses it by name or gives a proper reply, whether or not the
// interceptors have looked at the request.
func FuzzGenerate(f *testing.F) {
	db := databasetest.Open(f, databasetest.SQLiteTarget(f), store.Schema, database.Options{})
	loadARPA(f, db, tinyModel, filepath.Join("..", "testdata", "golden", "tiny.arpa"), 3)
	service := NewInference(store.NewReader(db, store.ReaderOptions{}), nil)
	f.Add("the dog", "a cat", "x", "bird", 0.8, 0.95, 0.0, 0.0, uint32(40), uint32(5), uint32(1), uint32(4), uint64(1), true)
	f.Add("\x00<s>\r\n\n", "\xff", "", "", -1.0, 2.0, 7.0, 99.0, uint32(1<<31), uint32(0), uint32(999), uint32(99), uint64(0), false)
	f.Fuzz(func(t *testing.T, prompt, history, stop, ban string, temperature, topP, minP, strength float64, topK, maxTokens, maxSentences, bestOf uint32, seed uint64, continues bool) {
		request := &ngramv1.GenerateRequest{
			Model: tinyModel, Prompt: prompt, ContinueText: continues, History: []string{history, prompt}, ReplySoFar: history,
			Parameters: &ngramv1.DecodeParameters{
				Temperature: proto.Float64(temperature), TopP: proto.Float64(topP), MinP: proto.Float64(minP), PresencePenalty: proto.Float64(strength),
				CacheWeight: proto.Float64(minP), TopK: proto.Uint32(topK), MaxTokens: proto.Uint32(maxTokens % 70), MaxSentences: proto.Uint32(maxSentences),
				BestOf: proto.Uint32(bestOf % 40), MaxBackoff: proto.Uint32(topK % 300), NoRepeatNgram: proto.Uint32(maxSentences % 80), Seed: proto.Uint64(seed),
				Stop: []string{stop}, Bans: []string{ban}, Biases: []*ngramv1.SequenceBias{{Text: stop, StrengthLog10: strength}},
			},
		}
		stream := &collector{ctx: t.Context()}
		err := service.Generate(request, stream)
		if err != nil {
			switch errors.KindOf(err) {
			case errors.InvalidArgument:
			case errors.FailedPrecondition:
				if ban == "" {
					t.Fatalf("without a ban there is always something to say: %v", err)
				}
			default:
				t.Fatalf("kind %v: %v", errors.KindOf(err), err)
			}
			return
		}
		finish := stream.responses[len(stream.responses)-1].GetFinish()
		if finish == nil || finish.GetTokens() == 0 || !utf8.ValidString(finish.GetText()) {
			t.Fatalf("the reply ends with %v", finish)
		}
		if finish.GetText() == "" && finish.GetReason() != ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE {
			t.Fatalf("an empty reply: %v", finish)
		}
	})
}
