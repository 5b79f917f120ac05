package server

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// path is one way to a build.
type path struct {
	name    string
	options store.ReaderOptions
}

const residentBytes = 1 << 30

// paths are all ways to a build: its rows, a cache of them, and the whole build in a file or in memory.
func paths(t testing.TB) []path {
	return []path{
		{"sql", store.ReaderOptions{CacheBytes: -1}},
		{"cached", store.ReaderOptions{}},
		{"file", store.ReaderOptions{CacheBytes: -1, ResidentBytes: residentBytes, ResidentDir: t.TempDir()}},
		{"memory", store.ReaderOptions{CacheBytes: -1, ResidentBytes: residentBytes}},
	}
}

// reader opens a path to a model.
func (p path) reader(t testing.TB, db *database.DB, model string) *store.Reader {
	t.Helper()
	reader := store.NewReader(db, p.options)
	t.Cleanup(reader.Close)
	p.prepare(t, reader, model)
	return reader
}

// prepare makes a model resident where it ought to be.
func (p path) prepare(t testing.TB, reader *store.Reader, model string) {
	t.Helper()
	ready, err := reader.Prepare(context.Background(), ngram.DefaultTenant, model)
	if err != nil || ready != (p.options.ResidentBytes > 0) {
		t.Fatalf("path %s: resident %v, error %v", p.name, ready, err)
	}
	view, err := reader.Open(context.Background(), ngram.DefaultTenant, model, 0)
	if err != nil || view.Resident() != ready {
		t.Fatalf("path %s: the view is resident: %v, error %v", p.name, view.Resident(), err)
	}
	if p.options.ResidentDir != "" {
		if files, err := filepath.Glob(filepath.Join(p.options.ResidentDir, "build-*.resident")); err != nil || len(files) == 0 {
			t.Fatalf("no local file: %v", err)
		}
	}
}

// pathModels are small models of every storage and tokeniser and several orders.
var pathModels = []struct {
	name     string
	settings ngram.Settings
	storage  ngram.Storage
}{
	{"one", ngram.Settings{Order: 1, Tokenizer: ngram.TokenizerWhitespace}, ngram.Storage8},
	{"two", ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}, ngram.StorageExact},
	{"three", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}, ngram.Storage8},
	{"five", ngram.Settings{Order: 5, Tokenizer: ngram.TokenizerWhitespace}, ngram.Storage16},
	{"letters", ngram.Settings{Order: 7, Tokenizer: ngram.TokenizerBytes}, ngram.Storage8},
}

// pathText has words with hundreds of followers and many with one.
func pathText() string {
	var out strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for range 700 {
		for range random.IntN(9) {
			if random.IntN(3) > 0 {
				fmt.Fprintf(&out, "w%d ", random.IntN(6))
			} else {
				fmt.Fprintf(&out, "w%d ", random.IntN(400))
			}
		}
		out.WriteString(".\n\n")
	}
	return out.String()
}

func drawText(t *rapid.T) string {
	words := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "common") {
			return fmt.Sprint("w", rapid.IntRange(0, 6).Draw(t, "word"))
		}
		return rapid.SampledFrom([]string{"w17", "w77", "w399", "w400", "unheard", ".", "\n", "w1.", "\n\n"}).Draw(t, "word")
	}), 0, 30).Draw(t, "words")
	return strings.Join(words, " ")
}

// question draws a request and returns what sends it.
func question(t *rapid.T, model string) (name string, ask func(*Inference) ([]byte, error)) {
	answer := func(m proto.Message, err error) ([]byte, error) {
		if err != nil {
			return []byte(err.Error()), nil //nolint:nilerr // an error is an answer, too
		}
		return proto.MarshalOptions{Deterministic: true}.Marshal(m)
	}
	switch rapid.IntRange(0, 2).Draw(t, "question") {
	case 0:
		request := &ngramv1.ScoreRequest{Model: model, Texts: []string{drawText(t), drawText(t)}, Tokens: true}
		return request.String(), func(s *Inference) ([]byte, error) { return answer(s.Score(context.Background(), request)) }
	case 1:
		request := &ngramv1.PredictRequest{Model: model, Context: drawText(t), TopK: rapid.Uint32Range(0, 1000).Draw(t, "top_k")}
		return request.String(), func(s *Inference) ([]byte, error) { return answer(s.Predict(context.Background(), request)) }
	}
	parameters := &ngramv1.DecodeParameters{
		Seed:        proto.Uint64(rapid.Uint64().Draw(t, "seed")),
		Temperature: proto.Float64(rapid.SampledFrom([]float64{0, 0.5, 1, 2}).Draw(t, "temperature")),
		TopK:        proto.Uint32(rapid.SampledFrom([]uint32{0, 1, 40, 500}).Draw(t, "top_k")),
		TopP:        proto.Float64(rapid.SampledFrom([]float64{0.5, 0.95, 1}).Draw(t, "top_p")),
		MaxTokens:   proto.Uint32(20), MaxSentences: proto.Uint32(0), BestOf: proto.Uint32(rapid.Uint32Range(1, 3).Draw(t, "best_of")),
		PresencePenalty: proto.Float64(rapid.SampledFrom([]float64{0, 0.7}).Draw(t, "penalty")),
		Biases:          []*ngramv1.SequenceBias{{Text: "w3", StrengthLog10: rapid.Float64Range(-2, 2).Draw(t, "bias")}},
	}
	if rapid.Bool().Draw(t, "steered") {
		parameters.TypicalP = proto.Float64(rapid.SampledFrom([]float64{0.3, 1}).Draw(t, "typical_p"))
		parameters.RepetitionPenalty, parameters.PenaltyHistory = proto.Float64(1.3), proto.Uint32(8)
		parameters.MaxCopied = proto.Uint32(rapid.Uint32Range(0, 6).Draw(t, "max_copied"))
		parameters.MaxCopiedExact = proto.Bool(rapid.Bool().Draw(t, "exact"))
		parameters.Required = []string{"w5 unheard"}
		parameters.Extension = []*ngramv1.ExtensionWord{{Text: "neverseen"}}
		parameters.Biases = append(parameters.Biases, &ngramv1.SequenceBias{Text: "new words", InsteadOf: "w2"},
			&ngramv1.SequenceBias{Text: "w4 w1 w6", Pattern: "w1", StrengthLog10: 1}, &ngramv1.SequenceBias{Text: "w0", After: "w3"})
	}
	if rapid.Bool().Draw(t, "back off") {
		parameters.MaxBackoff = proto.Uint32(rapid.SampledFrom([]uint32{0, 1, 255}).Draw(t, "max_backoff"))
	}
	if rapid.IntRange(0, 3).Draw(t, "search") == 0 {
		parameters.BestOf, parameters.BeamWidth = nil, proto.Uint32(rapid.Uint32Range(1, 4).Draw(t, "beam_width"))
		parameters.LengthPenalty = proto.Float64(rapid.SampledFrom([]float64{0, 0.6, 1}).Draw(t, "length_penalty"))
	}
	request := &ngramv1.GenerateRequest{Model: model, History: []string{drawText(t)}, Prompt: drawText(t), ContinueText: rapid.Bool().Draw(t, "continue"), Parameters: parameters}
	return request.String(), func(s *Inference) ([]byte, error) {
		stream := &recordedStream{ctx: context.Background()}
		err := s.Generate(request, stream)
		return answer(stream.joined(), err)
	}
}

// recordedStream is a client of Generate that keeps what it gets.
type recordedStream struct {
	grpc.ServerStream
	ctx    context.Context //nolint:containedctx // what Context returns
	events []*ngramv1.GenerateResponse
}

// Context implements grpc.ServerStream.
func (s *recordedStream) Context() context.Context { return s.ctx }

// Send implements ngramv1.InferenceService_GenerateServer.
func (s *recordedStream) Send(m *ngramv1.GenerateResponse) error {
	s.events = append(s.events, m)
	return nil
}

// joined is the answer as one message: how it is cut into chunks depends on time.
func (s *recordedStream) joined() *ngramv1.GenerateChunk {
	all := &ngramv1.GenerateChunk{}
	for _, event := range s.events {
		if finish := event.GetFinish(); finish != nil {
			all.Text += fmt.Sprint(finish.GetReason(), finish.GetChosen(), finish.GetText())
		}
		all.Text += event.GetChunk().GetText()
		all.Tokens = append(all.Tokens, event.GetChunk().GetTokens()...)
	}
	return all
}

// Every answer is the same bytes on every path to a build, and on both engines.
func TestEveryPathAnswersTheSame(t *testing.T) {
	var first []byte // what the engine before answered to fixed questions
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for _, m := range pathModels {
			ngramtest.Train(t, db, m.name, m.settings, ngram.BuildOptions{Storage: m.storage}, pathText())
		}
		var services []*Inference
		for _, way := range paths(t) {
			reader := store.NewReader(db, way.options)
			defer reader.Close()
			for _, m := range pathModels {
				way.prepare(t, reader, m.name)
			}
			services = append(services, NewInference(reader, nil))
		}
		fixed := fixedAnswers(t, services[len(services)-1])
		if first != nil && !bytes.Equal(first, fixed) {
			t.Error("the engines answer differently")
		}
		first = fixed
		rapid.Check(t, func(t *rapid.T) {
			name, ask := question(t, rapid.SampledFrom(pathModels).Draw(t, "model").name)
			want, err := ask(services[0])
			if err != nil {
				t.Fatal(err)
			}
			for i, service := range services[1:] {
				if got, err := ask(service); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: path %d answers %x, the rows %x, error %v", name, i+1, got, want, err)
				}
			}
		})
	})
}

// fixedAnswers asks every model the same questions on every engine.
func fixedAnswers(t *testing.T, service *Inference) []byte {
	t.Helper()
	questions := rapid.Custom(func(t *rapid.T) func(*Inference) ([]byte, error) {
		_, ask := question(t, rapid.SampledFrom(pathModels).Draw(t, "model").name)
		return ask
	})
	var all []byte
	for seed := range 60 {
		answer, err := questions.Example(seed)(service)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, answer...)
	}
	return all
}
