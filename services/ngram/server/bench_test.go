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

// subject is a trained store, one path to it, and a text to ask about.
type subject struct {
	db     *database.DB
	path   path
	test   string
	server *databasetest.Server // of the database; nil for an embedded one
}

func (s subject) client(b *testing.B) ngramv1.InferenceServiceClient {
	b.Helper()
	s.path.reader(b, s.db, "bench").Close() // makes the local file
	return dial(b, s.db, s.path.options)
}

// The names of the paths in the benchmarks, which leave out the whole build in memory: it is the file's bytes.
var pathNames = map[string]string{"sql": "rows", "cached": "cached", "file": "resident"}

// measures are what BenchmarkServing measures, and over which paths.
var measures = []struct {
	name  string
	paths string
	run   func(*testing.B, subject)
}{
	{"score", "rows cached resident", measureScore},
	{"stream", "rows cached resident", measureScoreStream},
	{"evaluate", "rows cached resident", measureEvaluate},
	{"generate", "rows cached resident", measureGenerate},
	{"lookup", "rows", measureLookup},
	{"first", "cached resident", measureFirstToken},
	{"reply", "cached resident", measureReply},
	{"ready-from-tables", "resident", measureReadyFromTables},
	{"ready-from-file", "resident", measureReadyFromFile},
}

// BenchmarkServing asks a model over every path, on both engines, side by side: corpora, orders 3 and 5 in 8 bits. Order 10
// of the corpora joined, 6 million n-grams, is only made ready. One iteration of a measure is enough work to tell, so
// -benchtime 1x prints the whole table.
func BenchmarkServing(b *testing.B) {
	corpora := benchmarkCorpora(b)
	for i, text := range corpora {
		for _, order := range []int{3, 5, 10} {
			if order == 10 && i < len(corpora)-1 {
				continue
			}
			for _, engine := range []string{"sqlite", "mysql"} {
				b.Run(fmt.Sprintf("%s-%d-%s", text.name, order, engine), func(b *testing.B) { serve(b, text, order, engine) })
			}
		}
	}
}

func serve(b *testing.B, text readings, order int, engine string) {
	s := subject{test: text.test}
	target := databasetest.SQLiteTarget
	if engine == "mysql" {
		target = databasetest.MySQLTarget
		if server := databasetest.Shared(b); server.Private() {
			s.server = server
		}
	}
	s.db = databasetest.Open(b, target(b), store.Schema, database.Options{Observer: ignore{}})
	ngramtest.Train(b, s.db, "bench", ngram.Settings{Order: order, Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, text.training)
	s.measure(b, func(name string) bool { return order < 10 || strings.HasPrefix(name, "ready") })
}

// measure runs those measures whose names are wanted.
func (s subject) measure(b *testing.B, wanted func(name string) bool) {
	for _, measure := range measures {
		for _, way := range paths(b) {
			if name, known := pathNames[way.name]; known && wanted(measure.name) && slices.Contains(strings.Fields(measure.paths), name) {
				s.path = way
				b.Run(measure.name+"/"+name, func(b *testing.B) { measure.run(b, s) })
			}
		}
	}
}

// spent is the CPU time so far: of this process, which is client and service, and of the database server.
func (s subject) spent(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	total := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if s.server != nil {
		total += s.server.CPU(b)
	}
	return total
}

// perSecond reports how many tokens work handles in a second of CPU time and on the clock.
func (s subject) perSecond(b *testing.B, work func() (tokens int)) {
	b.Helper()
	work() // opens the model and fills the cache, where there is one
	tokens, before := 0, s.spent(b)
	b.ResetTimer()
	for range b.N {
		tokens += work()
	}
	b.ReportMetric(float64(tokens)/(s.spent(b)-before).Seconds(), "tokens/CPU-s")
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
	s.perSecond(b, func() int {
		if err := view.Score(b.Context(), sentences, func(_, _ int, _ []uint32, r scoring.Record) { sum += r.Log10 }); err != nil {
			b.Fatal(err)
		}
		return tokens
	})
	if stats := reader.CacheStats(); stats.Resident > 0 {
		b.ReportMetric(float64(stats.ResidentBytes)/s.ngrams(b), "B/ngram")
	}
}

// measureScoreStream scores the test text over one stream, a hundred lines a batch.
func measureScoreStream(b *testing.B, s subject) {
	client := s.client(b)
	lines := strings.Split(strings.TrimSuffix(s.test, "\n"), "\n")
	s.perSecond(b, func() int {
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

// measureReadyFromTables makes a model resident from its rows.
func measureReadyFromTables(b *testing.B, s subject) {
	before := s.spent(b)
	b.ResetTimer()
	for range b.N {
		s.path.options.ResidentDir = b.TempDir()
		s.path.reader(b, s.db, "bench").Close()
	}
	s.ready(b, before)
}

// measureReadyFromFile makes a model resident from its local file.
func measureReadyFromFile(b *testing.B, s subject) {
	s.path.reader(b, s.db, "bench").Close()
	before := s.spent(b)
	b.ResetTimer()
	for range b.N {
		s.path.reader(b, s.db, "bench").Close()
	}
	s.ready(b, before)
}

func (s subject) ready(b *testing.B, before time.Duration) {
	b.ReportMetric(float64((s.spent(b)-before).Milliseconds())/float64(b.N), "CPU-ms/op")
	b.ReportMetric(s.ngrams(b), "n-grams")
}

func (s subject) ngrams(b *testing.B) (ngrams float64) {
	if err := s.db.QueryRow(b.Context(), `SELECT SUM(ngrams) FROM tbl_l1_mkn_params WHERE build_id = 1`).Scan(&ngrams); err != nil {
		b.Fatal(err)
	}
	return ngrams
}

const benchmarkReplies = 10

// long asks for a long reply with top-k 40 and top-p 0.95, one candidate and all back-off allowed.
func long(seed int) *ngramv1.GenerateRequest {
	return &ngramv1.GenerateRequest{Model: "bench", Parameters: &ngramv1.DecodeParameters{
		Profile: plainProfile, TopK: proto.Uint32(40), TopP: proto.Float64(0.95), MaxSentences: proto.Uint32(0),
		MaxTokens: proto.Uint32(500), Seed: proto.Uint64(uint64(seed)),
	}}
}

// measureGenerate draws replies.
func measureGenerate(b *testing.B, s subject) {
	client := s.client(b)
	s.perSecond(b, func() (tokens int) {
		for seed := range benchmarkReplies {
			tokens += len(generate(b, client, long(seed)).Tokens)
		}
		return tokens
	})
}

// measureLookup draws replies from rows and looks up the contexts of their tokens, in turns. Such a look-up is the best that
// SQL alone can do for a token: the packed rows of the contexts of all orders in one round trip, their bytes read and
// nothing made of them.
func measureLookup(b *testing.B, s subject) {
	client := s.client(b)
	awaitToken(b, client, 0) // opens the model
	view, err := s.path.reader(b, s.db, "bench").Open(b.Context(), ngram.DefaultTenant, "bench", 0)
	if err != nil {
		b.Fatal(err)
	}
	var generating, looking time.Duration
	tokens := 0
	for range b.N {
		for seed := range benchmarkReplies {
			before := s.spent(b)
			reply := generate(b, client, long(seed))
			between := s.spent(b)
			ids := []uint32{ngram.SentenceStart}
			for _, chunk := range reply.chunks {
				for _, token := range chunk.GetTokens() {
					s.look(b, view, scoring.ContextAt(ids, len(ids), view.Build.Order))
					if ids = append(ids, token.GetToken().GetId()); token.GetToken().GetId() == ngram.SentenceEnd {
						ids = []uint32{ngram.SentenceStart}
					}
				}
			}
			generating, looking = generating+between-before, looking+s.spent(b)-between
			tokens += len(reply.Tokens)
		}
	}
	b.ReportMetric(float64(tokens)/looking.Seconds(), "tokens/CPU-s")
	b.ReportMetric(float64(generating)/float64(looking), "look-ups/generated")
}

// look reads the followers of a context and its ends.
func (s subject) look(b *testing.B, view *store.View, context []uint32) {
	const arm = `SELECT packed FROM tbl_l1_ng_topk_n WHERE model_id = ? AND n = ? AND context_hash = ?`
	args := make([]any, 0, 3*len(context))
	for j := range context {
		args = append(args, int64(view.Build.Model), int64(len(context)-j+1), contexthash.Sum(context[j:]))
	}
	if len(args) == 0 {
		return
	}
	query := arm + strings.Repeat(" UNION ALL "+arm, len(context)-1)
	err := s.db.Stream(b.Context(), query, args, func(row database.Row) error {
		_ = row.Bytes(0)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// measureFirstToken waits for the first token of a reply, and for a call that does nothing but open the model, in turns. Of
// the times on the clock it compares the medians; the CPU time is that of the whole reply of one token.
func measureFirstToken(b *testing.B, s subject) {
	const calls = 500
	client := s.client(b)
	awaitToken(b, client, 0) // opens the model
	var empty, first []time.Duration
	var cpuEmpty, cpuFirst time.Duration
	for i := range calls * b.N {
		before, start := s.spent(b), time.Now()
		if _, err := client.Tokenize(b.Context(), &ngramv1.TokenizeRequest{Model: "bench"}); err != nil {
			b.Fatal(err)
		}
		empty = append(empty, time.Since(start))
		between := s.spent(b)
		first = append(first, awaitToken(b, client, i))
		cpuEmpty, cpuFirst = cpuEmpty+between-before, cpuFirst+s.spent(b)-between
	}
	median := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/2])
	}
	b.ReportMetric(median(empty)/1e3, "µs/call")
	b.ReportMetric(median(first)/median(empty), "calls/first-token")
	b.ReportMetric(float64(cpuFirst)/float64(cpuEmpty), "CPU-calls/reply")
}

// awaitToken asks for one token, waits for the end of the reply, and returns after how long the token was there.
func awaitToken(b *testing.B, client ngramv1.InferenceServiceClient, seed int) (first time.Duration) {
	start := time.Now()
	request := long(seed)
	request.Parameters.MaxTokens = proto.Uint32(1)
	stream, err := client.Generate(b.Context(), request)
	if err != nil {
		b.Fatal(err)
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return first
		}
		if err != nil {
			b.Fatal(err)
		}
		if event.GetChunk() != nil {
			first = time.Since(start)
		}
	}
}

// measureReply draws replies as a conversation wants them: the best of eight.
func measureReply(b *testing.B, s subject) {
	client := s.client(b)
	prompts := strings.SplitN(s.test, "\n", 51)
	s.perSecond(b, func() (tokens int) {
		for seed := range 50 {
			tokens += len(generate(b, client, &ngramv1.GenerateRequest{
				Model: "bench", History: []string{prompts[seed%len(prompts)]},
				Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(uint64(seed))},
			}).Tokens)
		}
		return tokens
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
	s.perSecond(b, func() int {
		evaluation, _, err := evaluate(b, client, &ngramv1.EvaluateHeader{Model: "bench"}, chunks...)
		if err != nil {
			b.Fatal(err)
		}
		return int(evaluation.GetTokens())
	})
}
