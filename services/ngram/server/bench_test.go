package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/store"
)

// readings is a text to train on and one to score.
type readings struct{ name, training, test string }

// benchmarkCorpora are War and Peace, and it joined with Shakespeare, where DBSLM_DATA_DIR has them, else the story of the tests.
func benchmarkCorpora(b *testing.B) []readings {
	b.Helper()
	dir := os.Getenv("DBSLM_DATA_DIR")
	if dir == "" {
		line := strings.Join(strings.Fields(story), " ") + "\n"
		return []readings{{"story", line, line}}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		return string(text)
	}
	war := readings{"warandpeace", read("warandpeace.train.txt"), read("warandpeace.test.txt")}
	return []readings{war, {"joined", read("shakespeare.train.txt") + war.training, read("shakespeare.test.txt") + war.test}}
}

// ignore keeps the tests' recorder of statements away.
type ignore struct{}

func (ignore) Statement(context.Context, database.Statement) {}

// subject is a trained store and a text to ask about.
type subject struct {
	db   *database.DB
	path path
	test string
}

func (s subject) client(b *testing.B) ngramv1.InferenceServiceClient {
	b.Helper()
	s.path.reader(b, s.db, "bench").Close() // makes the local file
	return dial(b, s.db, s.path.options)
}

// measures are what BenchmarkServing measures.
var measures = []struct {
	name string
	run  func(*testing.B, subject)
}{
	{"score", measureScore},
	{"stream", measureScoreStream},
	{"ready", measureReady},
	{"lookup", measureLookup},
	{"generate", measureGenerate},
	{"first", measureFirstToken},
	{"reply", measureReply},
	{"evaluate", measureEvaluate},
}

// BenchmarkServing asks a model over every path, on both engines, side by side: corpora, orders 3 and 5 in 8 bits.
func BenchmarkServing(b *testing.B) {
	for _, text := range benchmarkCorpora(b) {
		for _, order := range []int{3, 5} {
			for name, target := range map[string]func(testing.TB) database.Target{"sqlite": databasetest.SQLiteTarget, "mysql": databasetest.MySQLTarget} {
				b.Run(fmt.Sprintf("%s-%d-%s", text.name, order, name), func(b *testing.B) {
					db := databasetest.Open(b, target(b), store.Schema, database.Options{Observer: ignore{}})
					ngramtest.Train(b, db, "bench", ngram.Settings{Order: order, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, text.training)
					for _, measure := range measures {
						for _, way := range paths(b) {
							b.Run(measure.name+"/"+way.name, func(b *testing.B) { measure.run(b, subject{db, way, text.test}) })
						}
					}
				})
			}
		}
	}
}

// spent is the CPU time of this process so far: client and service, without a database server.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// perSecond reports how many tokens work handles in a second of CPU time and on the clock.
func perSecond(b *testing.B, work func(i int) (tokens int)) {
	b.Helper()
	tokens, before := 0, spent(b)
	b.ResetTimer()
	for i := range b.N {
		tokens += work(i)
	}
	b.ReportMetric(float64(tokens)/(spent(b)-before).Seconds(), "tokens/CPU-s")
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

// measureScore scores the test text in the process, its words looked up before.
func measureScore(b *testing.B, s subject) {
	reader := s.path.reader(b, s.db, "bench")
	view, err := reader.Open(b.Context(), ngram.DefaultTenant, "bench", 0)
	if err != nil {
		b.Fatal(err)
	}
	sentences, tokens := [][]uint32{}, 0
	for line := range strings.SplitSeq(strings.TrimSuffix(s.test, "\n"), "\n") {
		ids := []uint32{ngram.SentenceStart}
		for _, word := range strings.Fields(line) {
			ids = append(ids, view.Token([]byte(word)))
		}
		sentences, tokens = append(sentences, append(ids, ngram.SentenceEnd)), tokens+len(ids)
	}
	sum := 0.0
	perSecond(b, func(int) int {
		if err := view.Score(b.Context(), sentences, func(_, _ int, _ []uint32, r scoring.Record) { sum += r.Log10 }); err != nil {
			b.Fatal(err)
		}
		return tokens
	})
	if stats := reader.CacheStats(); stats.Resident > 0 {
		var grams float64
		err := s.db.QueryRow(b.Context(), `SELECT SUM(ngrams) FROM tbl_l1_mkn_params WHERE build_id = 1`).Scan(&grams)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(stats.ResidentBytes)/grams, "B/ngram")
	}
}

// measureScoreStream scores the test text over one stream, a hundred lines a batch.
func measureScoreStream(b *testing.B, s subject) {
	client := s.client(b)
	lines := strings.Split(strings.TrimSuffix(s.test, "\n"), "\n")
	perSecond(b, func(int) int {
		stream := openScores(b, client, &ngramv1.ScoreStreamHeader{Model: "bench"})
		go func() {
			for batch := range slices.Chunk(lines, 100) {
				_ = stream.Send(scoreBatch(batch...)) // Recv tells
			}
			_ = stream.CloseSend()
		}()
		tokens := 0
		for {
			response, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return tokens
			}
			if err != nil {
				b.Fatal(err)
			}
			for _, score := range response.GetScores() {
				tokens += int(score.GetTokens())
			}
		}
	})
}

// measureReady opens a resident model: from its local file, and from the tables.
func measureReady(b *testing.B, s subject) {
	if s.path.options.ResidentBytes == 0 {
		b.Skip("nothing is made ready on this path")
	}
	before := spent(b)
	for range b.N {
		s.path.reader(b, s.db, "bench").Close() // of the file only the first time from the tables
	}
	b.ReportMetric(float64((spent(b)-before).Milliseconds())/float64(b.N), "CPU-ms/op")
}

// measureLookup is the best that SQL alone can do for a token: the packed rows of the contexts of all orders in one round
// trip, their bytes read and nothing made of them. The contexts are those of the test text.
func measureLookup(b *testing.B, s subject) {
	if s.path.name != "sql" {
		b.Skip("a look-up has no other path")
	}
	reader := s.path.reader(b, s.db, "bench")
	view, err := reader.Open(b.Context(), ngram.DefaultTenant, "bench", 0)
	if err != nil {
		b.Fatal(err)
	}
	var contexts [][]uint32
	for line := range strings.SplitSeq(s.test[:min(len(s.test), 1<<16)], "\n") {
		ids := []uint32{ngram.SentenceStart}
		for _, word := range strings.Fields(line) {
			ids = append(ids, view.Token([]byte(word)))
			contexts = append(contexts, scoring.ContextAt(ids, len(ids), view.Build.Order))
		}
	}
	perSecond(b, func(i int) int {
		for _, context := range contexts[i*100%len(contexts):][:min(100, len(contexts)-i*100%len(contexts))] {
			var arms []string
			var args []any
			for j := range context {
				arms = append(arms, `SELECT packed FROM tbl_l1_ng_topk_n WHERE model_id = ? AND n = ? AND context_hash = ?`)
				args = append(args, int64(view.Build.Model), len(context)-j+1, contexthash.Sum(context[j:]))
			}
			if len(arms) == 0 {
				continue
			}
			err := s.db.Stream(b.Context(), strings.Join(arms, " UNION ALL "), args, func(row database.Row) error {
				_ = row.Bytes(0)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		return min(100, len(contexts)-i*100%len(contexts))
	})
}

// measureGenerate draws replies with top-k 40 and top-p 0.95, one candidate each and all back-off allowed.
func measureGenerate(b *testing.B, s subject) {
	client := s.client(b)
	request := func(seed uint64) *ngramv1.GenerateRequest {
		return &ngramv1.GenerateRequest{Model: "bench", Parameters: &ngramv1.DecodeParameters{
			Profile: plainProfile, TopK: proto.Uint32(40), TopP: proto.Float64(0.95), MaxSentences: proto.Uint32(0),
			MaxTokens: proto.Uint32(500), Seed: proto.Uint64(seed),
		}}
	}
	for seed := range uint64(10) {
		generate(b, client, request(seed)) // fills the cache, where there is one
	}
	perSecond(b, func(i int) int { return len(generate(b, client, request(uint64(i%10))).Tokens) })
}

// measureFirstToken waits for the first token of a reply, and for a call that does nothing but open the model.
func measureFirstToken(b *testing.B, s subject) {
	client := s.client(b)
	call, first := time.Duration(0), time.Duration(0)
	for i := range b.N {
		start := time.Now()
		if _, err := client.Tokenize(b.Context(), &ngramv1.TokenizeRequest{Model: "bench"}); err != nil {
			b.Fatal(err)
		}
		call += time.Since(start)
		start = time.Now()
		stream, err := client.Generate(b.Context(), &ngramv1.GenerateRequest{Model: "bench", Parameters: plain(uint64(i), nil)})
		if err != nil {
			b.Fatal(err)
		}
		for {
			event, err := stream.Recv()
			if err != nil {
				b.Fatal(err)
			}
			if event.GetChunk() != nil {
				first += time.Since(start)
				break
			}
		}
		for err == nil {
			_, err = stream.Recv()
		}
	}
	b.ReportMetric(float64(call.Microseconds())/float64(b.N), "µs/call")
	b.ReportMetric(float64(first.Microseconds())/float64(b.N), "µs/first-token")
}

// measureReply draws replies as a conversation wants them: the best of eight.
func measureReply(b *testing.B, s subject) {
	client := s.client(b)
	prompts := strings.SplitN(s.test, "\n", 51)
	perSecond(b, func(i int) int {
		seed := i % 50
		return len(generate(b, client, &ngramv1.GenerateRequest{
			Model: "bench", History: []string{prompts[seed%len(prompts)]},
			Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(uint64(seed))},
		}).Tokens)
	})
}

// measureEvaluate scores the test text.
func measureEvaluate(b *testing.B, s subject) {
	client := s.client(b)
	var chunks []string
	for rest := s.test; rest != ""; {
		n := min(len(rest), 1<<16)
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	perSecond(b, func(int) int {
		evaluation, _, err := evaluate(b, client, &ngramv1.EvaluateHeader{Model: "bench"}, chunks...)
		if err != nil {
			b.Fatal(err)
		}
		return int(evaluation.GetTokens())
	})
}
