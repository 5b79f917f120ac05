package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// benchmarkCorpus is War and Peace where DBSLM_DATA_DIR has it, else the story of the tests.
func benchmarkCorpus(b *testing.B) (training, test string) {
	b.Helper()
	dir := os.Getenv("DBSLM_DATA_DIR")
	if dir == "" {
		line := strings.Join(strings.Fields(story), " ") + "\n"
		return line, line
	}
	for name, into := range map[string]*string{"warandpeace.train.txt": &training, "warandpeace.test.txt": &test} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		*into = string(text)
	}
	return training, test
}

// ignore keeps the tests' recorder of statements away.
type ignore struct{}

func (ignore) Statement(context.Context, database.Statement) {}

// eachEngine runs f with a trained store of order 3 in 8 bits on both engines, with and without a cache of contexts.
func eachEngine(b *testing.B, f func(b *testing.B, client ngramv1.InferenceServiceClient, test string)) {
	b.Helper()
	training, test := benchmarkCorpus(b)
	for name, target := range map[string]func(testing.TB) database.Target{"sqlite": databasetest.SQLiteTarget, "mysql": databasetest.MySQLTarget} {
		b.Run(name, func(b *testing.B) {
			db := databasetest.Open(b, target(b), store.Schema, database.Options{Observer: ignore{}})
			ngramtest.Train(b, db, "bench", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, training)
			for name, options := range map[string]store.ReaderOptions{"sql": {CacheBytes: -1}, "cached": {}} {
				b.Run(name, func(b *testing.B) { f(b, dial(b, db, options), test) })
			}
		})
	}
}

// BenchmarkGenerate draws replies with top-k 40 and top-p 0.95, one candidate each and all back-off allowed.
func BenchmarkGenerate(b *testing.B) {
	eachEngine(b, func(b *testing.B, client ngramv1.InferenceServiceClient, _ string) {
		request := func(seed uint64) *ngramv1.GenerateRequest {
			return &ngramv1.GenerateRequest{Model: "bench", Parameters: &ngramv1.DecodeParameters{
				Profile: plainProfile, TopK: proto.Uint32(40), TopP: proto.Float64(0.95), MaxSentences: proto.Uint32(0),
				MaxTokens: proto.Uint32(200), Seed: proto.Uint64(seed),
			}}
		}
		for seed := range uint64(10) {
			generate(b, client, request(seed)) // fills the cache, where there is one
		}
		tokens := 0
		b.ResetTimer()
		for i := range b.N {
			tokens += len(generate(b, client, request(uint64(i%10))).Tokens)
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
}

// BenchmarkReply draws replies as a conversation wants them: the best of eight.
func BenchmarkReply(b *testing.B) {
	eachEngine(b, func(b *testing.B, client ngramv1.InferenceServiceClient, test string) {
		prompts := strings.SplitN(test, "\n", 51)
		tokens := 0
		b.ResetTimer()
		for i := range b.N {
			seed := i % 50
			tokens += len(generate(b, client, &ngramv1.GenerateRequest{
				Model: "bench", History: []string{prompts[seed%len(prompts)]},
				Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(uint64(seed))},
			}).Tokens)
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
}

// BenchmarkEvaluate scores the test text.
func BenchmarkEvaluate(b *testing.B) {
	eachEngine(b, func(b *testing.B, client ngramv1.InferenceServiceClient, test string) {
		var chunks []string
		for rest := test; rest != ""; {
			n := min(len(rest), 1<<16)
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		tokens := uint64(0)
		b.ResetTimer()
		for range b.N {
			evaluation, _, err := evaluate(b, client, &ngramv1.EvaluateHeader{Model: "bench"}, chunks...)
			if err != nil {
				b.Fatal(err)
			}
			tokens += evaluation.GetTokens()
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
}
