package server

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// alone makes the inference service a whole one for the server of pkg/rpc.
type alone struct{ *Inference }

func (alone) Ready(context.Context) error { return nil }

// dial serves the store through the full interceptor chain.
func dial(t testing.TB, db *database.DB, options store.ReaderOptions) ngramv1.InferenceServiceClient {
	t.Helper()
	server := rpc.NewServer(rpc.Options{}, alone{NewInference(store.NewReader(db, options), nil)})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return ngramv1.NewInferenceServiceClient(server.Local())
}

const tinyModel = "tiny"

// eachTiny runs f on both engines with the tiny model of KenLM in the store.
func eachTiny(t *testing.T, f func(t *testing.T, db *database.DB, client ngramv1.InferenceServiceClient)) {
	t.Helper()
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		loadARPA(t, db, tinyModel, filepath.Join("..", "testdata", "golden", "tiny.arpa"), 3)
		f(t, db, dial(t, db, store.ReaderOptions{}))
	})
}

func plain(seed uint64, change func(*ngramv1.DecodeParameters)) *ngramv1.DecodeParameters {
	parameters := &ngramv1.DecodeParameters{Profile: plainProfile, Seed: proto.Uint64(seed)}
	if change != nil {
		change(parameters)
	}
	return parameters
}

func TestTokenize(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		response, err := client.Tokenize(t.Context(), &ngramv1.TokenizeRequest{Model: tinyModel, Text: "the zebra  sat\r\n\n<s> </s>"})
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		var known [][]bool
		for _, sentence := range response.GetSentences() {
			texts, ids := []string{}, []bool{}
			for _, token := range sentence.GetTokens() {
				texts, ids = append(texts, token.GetText()), append(ids, token.GetId() != 0)
			}
			got, known = append(got, texts), append(known, ids)
		}
		if diff := cmp.Diff([][]string{{"the", "zebra", "sat"}, {}, {"<s>", "</s>"}}, got); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([][]bool{{true, false, true}, {}, {false, false}}, known); diff != "" {
			t.Errorf("known tokens (-want +got):\n%s", diff)
		}
		if response.GetBuildId() != 7 {
			t.Errorf("build %d", response.GetBuildId())
		}
	})
}

func TestPredict(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		response, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: tinyModel, Context: "the dog", TopK: 1000})
		if err != nil {
			t.Fatal(err)
		}
		predictions := response.GetPredictions()
		if len(predictions) != 12 {
			t.Fatalf("%d predictions of 12 events", len(predictions))
		}
		first, sum := predictions[0], 0.0
		if first.GetToken().GetText() != "</s>" || math.Abs(first.GetLog10Probability()+0.35396627) > 1e-9 || first.GetMatchedOrder() != 3 {
			t.Errorf("after \"the dog\" comes %v", first)
		}
		for i, prediction := range predictions {
			sum += prediction.GetProbability()
			if i > 0 && prediction.GetProbability() > predictions[i-1].GetProbability() {
				t.Errorf("prediction %d is likelier than the one before", i)
			}
			if math.Abs(math.Log10(prediction.GetProbability())-prediction.GetLog10Probability()) > 1e-12 {
				t.Errorf("%v: the two probabilities differ", prediction)
			}
			scored, err := client.Score(t.Context(), &ngramv1.ScoreRequest{Model: tinyModel, Texts: []string{"the dog " + prediction.GetToken().GetText()}, Tokens: true})
			if err != nil {
				t.Fatal(err)
			}
			if record := scored.GetScores()[0].GetSentences()[0].GetTokens()[2]; prediction.GetToken().GetId() > 2 &&
				record.GetLog10Probability() != prediction.GetLog10Probability() {
				t.Errorf("predicted %v, scored %v", prediction, record)
			}
		}
		if math.Abs(sum-1) > 1e-6 { // KenLM writes float32
			t.Errorf("the probabilities of all tokens sum to %g", sum)
		}
		begin, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: tinyModel})
		if err != nil {
			t.Fatal(err)
		}
		if got := begin.GetPredictions()[0].GetToken().GetText(); got != "the" || len(begin.GetPredictions()) != 10 || begin.GetContext()[0].GetText() != "<s>" {
			t.Errorf("a sentence begins with %q: %v", got, begin)
		}
	})
}

// What is drawn with the plain profile has the distribution that Predict tells, <unk> and the empty sentence aside.
func TestSamplesFollowPredict(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		for _, prompt := range []string{"", "the dog", "a cat saw"} {
			predicted, err := client.Predict(t.Context(), &ngramv1.PredictRequest{Model: tinyModel, Context: prompt, TopK: 1000})
			if err != nil {
				t.Fatal(err)
			}
			want, whole := map[string]float64{}, 0.0
			for _, prediction := range predicted.GetPredictions() {
				if id := prediction.GetToken().GetId(); id > 2 {
					want[prediction.GetToken().GetText()] = prediction.GetProbability()
					whole += prediction.GetProbability()
				}
			}
			const draws = 400
			counts := map[string]int{}
			for seed := range uint64(draws) {
				request := &ngramv1.GenerateRequest{
					Model: tinyModel, Prompt: prompt, ContinueText: prompt != "",
					Parameters: plain(seed, func(p *ngramv1.DecodeParameters) { p.MaxTokens = proto.Uint32(1) }),
				}
				counts[generate(t, client, request).Tokens[0]]++
			}
			chi := 0.0
			for token, p := range want {
				expected := draws * p / whole
				chi += (float64(counts[token]) - expected) * (float64(counts[token]) - expected) / expected
			}
			if chi > 32 { // 10 degrees of freedom: exceeded once in 2500 times
				t.Errorf("after %q: chi square %.1f over %d tokens: %v", prompt, chi, len(want), counts)
			}
		}
	})
}

func TestGenerateIsDeterministic(t *testing.T) {
	answers := map[string]generation{}
	request := func(seed uint64) *ngramv1.GenerateRequest {
		return &ngramv1.GenerateRequest{
			Model: tinyModel, History: []string{"a bird sat"},
			Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(seed), MaxSentences: proto.Uint32(3), MaxBackoff: proto.Uint32(255)},
		}
	}
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		loadARPA(t, db, tinyModel, filepath.Join("..", "testdata", "golden", "tiny.arpa"), 3)
		clients := map[string]ngramv1.InferenceServiceClient{
			"cached":   dial(t, db, store.ReaderOptions{}),
			"uncached": dial(t, db, store.ReaderOptions{CacheBytes: -1}),
			"narrow":   dial(t, db, store.ReaderOptions{CacheBytes: 600}),
		}
		for name, client := range clients {
			for range 2 { // the second time from memory
				for seed := range uint64(20) {
					got := generate(t, client, request(seed))
					key := "seed " + string(rune('a'+seed))
					if got.Text == "" {
						t.Errorf("%s: an empty reply", key)
					}
					first, known := answers[key]
					if !known {
						answers[key] = got
						continue
					}
					if first.Text != got.Text || !proto.Equal(first.finish, got.finish) || !proto.Equal(first.header, got.header) ||
						!proto.Equal(first.chunks[0], got.chunks[0]) {
						t.Errorf("%s, %s: %q and %q", key, name, first.Text, got.Text)
					}
				}
			}
		}
	})
}

func TestGenerateOptions(t *testing.T) {
	eachTiny(t, func(t *testing.T, db *database.DB, client ngramv1.InferenceServiceClient) {
		greedy := func(change func(*ngramv1.DecodeParameters)) *ngramv1.GenerateRequest {
			return &ngramv1.GenerateRequest{Model: tinyModel, Parameters: plain(1, func(p *ngramv1.DecodeParameters) {
				p.Temperature = proto.Float64(0)
				if change != nil {
					change(p)
				}
			})}
		}
		reply := generate(t, client, greedy(nil))
		if reply.Text != "The bird ran to the dog" || reply.Reason != ngramv1.FinishReason_FINISH_REASON_STOP {
			t.Errorf("the likeliest sentence is %q, %v", reply.Text, reply.Reason)
		}
		if len(reply.chunks[0].GetTokens()) != 1 || len(reply.Tokens) != 7 { // six words and the end of the sentence
			t.Errorf("%d tokens, of them %d in the first chunk, which waits for no other", len(reply.Tokens), len(reply.chunks[0].GetTokens()))
		}
		stopped := generate(t, client, greedy(func(p *ngramv1.DecodeParameters) { p.Stop = []string{"do"} }))
		if stopped.Text != "The bird ran to the " || stopped.Reason != ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE {
			t.Errorf("stopped: %q, %v", stopped.Text, stopped.Reason)
		}
		banned := generate(t, client, greedy(func(p *ngramv1.DecodeParameters) { p.Bans = []string{"the dog", "unheard of"} }))
		if strings.Contains(banned.Text, "dog") || !strings.HasPrefix(banned.Text, "The ") {
			t.Errorf("with \"the dog\" banned: %q", banned.Text)
		}
		biased := generate(t, client, greedy(func(p *ngramv1.DecodeParameters) {
			p.Biases = []*ngramv1.SequenceBias{{Text: "a bird", StrengthLog10: 10}}
		}))
		if !strings.HasPrefix(biased.Text, "A bird") {
			t.Errorf("with \"a bird\" preferred: %q", biased.Text)
		}
		cut := generate(t, client, greedy(func(p *ngramv1.DecodeParameters) { p.MaxTokens = proto.Uint32(1) }))
		if cut.Text != "The" || cut.Reason != ngramv1.FinishReason_FINISH_REASON_LENGTH {
			t.Errorf("cut: %q, %v", cut.Text, cut.Reason)
		}
		continued := generate(t, client, &ngramv1.GenerateRequest{Model: tinyModel, Prompt: "the dog saw", ContinueText: true, Parameters: greedy(nil).GetParameters()})
		if continued.Text != " the cat" {
			t.Errorf("continued: %q", continued.Text)
		}
		ignored := generate(t, client, &ngramv1.GenerateRequest{Model: tinyModel, Prompt: "the dog saw", Parameters: greedy(nil).GetParameters()})
		if ignored.Text != reply.Text {
			t.Errorf("a prompt that is not to be continued changed the reply to %q", ignored.Text)
		}

		exec(t, db, `INSERT INTO tbl_decode_bans (model_id, ban) VALUES (0, ?)`, []byte("dog"))
		exec(t, db, `INSERT INTO tbl_decode_hparams (model_id, profile, parameters) VALUES (1, 'terse', '{"max_tokens": 1, "temperature": 0, "best_of": 1}')`)
		exec(t, db, `INSERT INTO tbl_decode_hparams (model_id, profile, parameters) VALUES (0, 'broken', '{"max_tokens": -1}')`)
		if reply := generate(t, client, greedy(nil)); strings.Contains(reply.Text, "dog") {
			t.Errorf("the stored ban is not kept: %q", reply.Text)
		}
		terse := generate(t, client, &ngramv1.GenerateRequest{Model: tinyModel, Parameters: &ngramv1.DecodeParameters{Profile: "terse"}})
		if terse.Text != "The" || terse.header.GetParameters().GetMaxTokens() != 1 || terse.header.GetParameters().Seed == nil {
			t.Errorf("profile \"terse\": %q with %v", terse.Text, terse.header)
		}
		for name, want := range map[string]errors.Kind{"broken": errors.FailedPrecondition, "unheard": errors.NotFound} {
			_, err := tryGenerate(t.Context(), client, &ngramv1.GenerateRequest{Model: tinyModel, Parameters: &ngramv1.DecodeParameters{Profile: name}})
			if errors.KindOf(err) != want {
				t.Errorf("profile %q: %v", name, err)
			}
		}
	})
}

func exec(t *testing.T, db *database.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestGenerateCancelled(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := client.Generate(ctx, &ngramv1.GenerateRequest{Model: tinyModel, Parameters: plain(1, func(p *ngramv1.DecodeParameters) {
			p.MaxTokens, p.MaxSentences = proto.Uint32(4096), proto.Uint32(0)
		})})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		deadline := time.Now().Add(5 * time.Second)
		for {
			_, err := stream.Recv()
			if err == nil && time.Now().Before(deadline) {
				continue // what was under way
			}
			if errors.KindOf(err) != errors.Canceled {
				t.Errorf("after cancelling: %v", err)
			}
			return
		}
	})
}

func evaluate(t testing.TB, client ngramv1.InferenceServiceClient, header *ngramv1.EvaluateHeader, chunks ...string) (*ngramv1.Evaluation, []*ngramv1.SentenceScore, error) {
	t.Helper()
	stream, err := client.Evaluate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	requests := []*ngramv1.EvaluateRequest{{Part: &ngramv1.EvaluateRequest_Header{Header: header}}}
	for _, chunk := range chunks {
		requests = append(requests, &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Chunk{Chunk: []byte(chunk)}})
	}
	for _, request := range requests {
		if err := stream.Send(request); err != nil {
			break // the answer tells why
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var sentences []*ngramv1.SentenceScore
	for {
		response, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if sentence := response.GetSentence(); sentence != nil {
			sentences = append(sentences, sentence)
		}
		if evaluation := response.GetEvaluation(); evaluation != nil {
			return evaluation, sentences, nil
		}
	}
}

func TestEvaluate(t *testing.T) {
	eachTiny(t, func(t *testing.T, _ *database.DB, client ngramv1.InferenceServiceClient) {
		const text = "the dog ran\na zebra sat on the cat\n\nthe bird saw a"
		header := &ngramv1.EvaluateHeader{Model: tinyModel, CheckMass: 100, Renormalise: 5, Tokens: true}
		whole, sentences, err := evaluate(t, client, header, text)
		if err != nil {
			t.Fatal(err)
		}
		pieces, _, err := evaluate(t, client, header, strings.Split(text, "")...)
		if err != nil {
			t.Fatal(err)
		}
		timeless := func(e *ngramv1.Evaluation) string {
			e.Latency, e.CreateTime = nil, nil
			return e.String()
		}
		if whole.GetLatency().GetSentences() != 4 || whole.GetLatency().GetMaxMicros() <= 0 || whole.GetCreateTime() == nil {
			t.Errorf("times: %v", whole)
		}
		if diff := cmp.Diff(timeless(whole), timeless(pieces)); diff != "" {
			t.Errorf("the same text in pieces (-whole +pieces):\n%s", diff)
		}
		if whole.GetTokens() != 17 || whole.GetOov() != 1 || whole.GetSentences() != 4 || whole.GetBuildId() != 7 || whole.GetModel() != tinyModel {
			t.Errorf("counts: %v", whole)
		}
		sum, oov := 0.0, 0.0
		for _, sentence := range sentences {
			for _, token := range sentence.GetTokens() {
				sum += token.GetLog10Probability()
				if token.GetOov() {
					oov += token.GetLog10Probability()
					if token.GetToken().GetText() != "zebra" {
						t.Errorf("the unknown token is %v", token)
					}
				}
			}
		}
		including, excluding := math.Pow(10, -sum/17), math.Pow(10, -(sum-oov)/16)
		if math.Abs(whole.GetPerplexityIncludingOov()-including) > 1e-9 || math.Abs(whole.GetPerplexityExcludingOov()-excluding) > 1e-9 {
			t.Errorf("perplexities %v, the records say %g and %g", whole, including, excluding)
		}
		if whole.GetMassContexts() < 10 || whole.GetMassErrorMax() == 0 || whole.GetMassErrorMax() > 1e-6 { // KenLM writes float32
			t.Errorf("mass: %v", whole)
		}
		if whole.GetRenormalisedPositions() != 5 || math.Abs(whole.GetSampledPerplexity()/whole.GetRenormalisedPerplexity()-1) > 1e-6 {
			t.Errorf("renormalised: %v", whole)
		}
		for name, test := range map[string]struct {
			header *ngramv1.EvaluateHeader
			text   string
			want   errors.Kind
		}{
			"unknown model": {&ngramv1.EvaluateHeader{Model: "nobody"}, "a", errors.NotFound},
			"empty text":    {&ngramv1.EvaluateHeader{Model: tinyModel}, "", errors.InvalidArgument},
			"not UTF-8":     {&ngramv1.EvaluateHeader{Model: tinyModel}, "the dog\n\xff\xfe", errors.InvalidArgument},
		} {
			if _, _, err := evaluate(t, client, test.header, test.text); errors.KindOf(err) != test.want {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestListContexts(t *testing.T) {
	eachTiny(t, func(t *testing.T, db *database.DB, client ngramv1.InferenceServiceClient) {
		reader := store.NewReader(db, store.ReaderOptions{})
		service := NewInference(reader, nil)
		view, err := service.open(t.Context(), &ngramv1.PredictRequest{Model: tinyModel})
		if err != nil {
			t.Fatal(err)
		}
		the, dog := view.Token([]byte("the")), view.Token([]byte("dog"))
		for _, use := range [][]uint32{{the}, {the, dog}, {the, dog}, {the, dog}, {dog, dog, dog}} {
			steps := view.Steps()
			if _, err := steps.Read(t.Context(), [][]uint32{use}); err != nil {
				t.Fatal(err)
			}
			steps.Done()
		}
		registerContexts(t, db, [][]uint32{{the}, {dog}, {the, dog}})
		if err := reader.FlushUses(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		var got []string
		shares := 0.0
		page := ""
		for {
			response, err := client.ListContexts(t.Context(), &ngramv1.ListContextsRequest{Model: tinyModel, PageSize: 2, PageToken: page})
			if err != nil {
				t.Fatal(err)
			}
			for _, context := range response.GetContexts() {
				var words []string
				for _, token := range context.GetTokens() {
					words = append(words, token.GetText())
				}
				got = append(got, strings.Join(words, " "))
				shares += context.GetShare()
				if context.GetHotness() <= 0 || context.GetHotness() > 5 || context.GetFollowers() != 6 || context.GetCount() != 9 {
					t.Errorf("%v", context)
				}
			}
			if page = response.GetNextPageToken(); page == "" {
				break
			}
		}
		if math.Abs(shares-1) > 1e-9 {
			t.Errorf("the shares of all contexts add up to %v", shares)
		}
		if diff := cmp.Diff([]string{"dog", "the dog", "the"}, got); diff != "" {
			t.Errorf("contexts, most used first (-want +got):\n%s", diff)
		}
		_, err = client.ListContexts(t.Context(), &ngramv1.ListContextsRequest{Model: tinyModel, PageToken: "x"})
		if errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("a wrong page token: %v", err)
		}
	})
}
