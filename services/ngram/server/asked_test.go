package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// askedModels cut the same text in every way: lines that hold sentences, lines that do not, letters of several bytes.
var askedModels = []struct {
	name     string
	settings ngram.Settings
	text     func() string
}{
	{"words", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}, askedText},
	{"lines", ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWhitespace}, func() string { return spaced(askedText()) }},
	{"verse", ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}, func() string { return strings.ReplaceAll(spaced(askedText()), " the ", "\nthe ") }},
	{"marks", ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}, func() string { return strings.NewReplacer(".", "", "!", "", "?", "").Replace(askedText()) }},
	{"one", ngram.Settings{Order: 1, Tokenizer: ngram.TokenizerWords}, askedText},
	{"bytes", ngram.Settings{Order: 5, Tokenizer: ngram.TokenizerBytes}, askedText},
}

func askedText() string {
	return strings.Repeat(`The ferry leaves from the old pier at nine. “Mind the step!” cried Łukasz (the mate). Is the café open? It isn't, said the captain's cat.

Part one

The 東京 boat — naïve, he thought — sails at ½ past. Ελλάδα is far: très loin! 👩‍🚀 waved from the pier's end. The old ferry sleeps. The old pier waits.

`, 2)
}

func spaced(text string) string {
	var out strings.Builder
	for _, r := range text {
		if strings.ContainsRune(".,!?“”()—:", r) {
			fmt.Fprintf(&out, " %c ", r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

var askedWords = []string{
	"the", "The", "old", "pier", "ferry", "captain's", "cat", "zebra", "Skłodowska", "isn't", "café", "cafe\u0301", "東京", "é", "<unk>", "<s>", "</s>", ".", "!", "“", "”", "(",
	"\n", "\n\n", "👩‍🚀", "\u200d", "½", "'", "naïve,", "Part", "\ufeff", "-", "a",
}

func drawWords(t *rapid.T, name string, least, most int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(askedWords), least, most).Draw(t, name), " ")
}

// Whatever is asked for: a refusal that names what to change, or a reply that keeps all that was asked.
func TestWhateverIsAsked(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	for _, m := range askedModels {
		ngramtest.Train(t, db, m.name, m.settings, ngram.BuildOptions{Storage: ngram.StorageExact}, m.text())
	}
	service := NewInference(store.NewReader(db, store.ReaderOptions{}), nil)
	rapid.Check(t, func(t *rapid.T) {
		request := drawAsked(t)
		answer, err := ask2(service, request)
		if err != nil {
			if k := errors.KindOf(err); k != errors.InvalidArgument && (k != errors.FailedPrecondition || errors.ReasonOf(err) != "NOTHING_TO_SAY") {
				t.Fatalf("%v: %v (%v)", request, err, k)
			}
			return
		}
		check(t, service, request, answer)
	})
}

func ask2(service *Inference, request *ngramv1.GenerateRequest) (*collector, error) {
	stream := &collector{ctx: context.Background()}
	return stream, service.Generate(request, stream)
}

func drawAsked(t *rapid.T) *ngramv1.GenerateRequest {
	maybe := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	p := &ngramv1.DecodeParameters{Seed: proto.Uint64(rapid.Uint64().Draw(t, "seed")), MaxTokens: proto.Uint32(rapid.Uint32Range(1, 40).Draw(t, "max_tokens"))}
	if rapid.Bool().Draw(t, "plain") {
		p.Profile = plainProfile
	}
	float := func(into **float64, name string, values ...float64) {
		if maybe(name) {
			*into = proto.Float64(rapid.SampledFrom(values).Draw(t, name))
		}
	}
	number := func(into **uint32, name string, values ...uint32) {
		if maybe(name) {
			*into = proto.Uint32(rapid.SampledFrom(values).Draw(t, name))
		}
	}
	float(&p.Temperature, "temperature", 0, 5e-324, 1e-9, 0.5, 1, 10)
	float(&p.TopP, "top_p", 5e-324, 0.5, 1-1e-16, 1)
	float(&p.MinP, "min_p", 5e-324, 0.1, 1)
	float(&p.TypicalP, "typical_p", 5e-324, 0.5, 1)
	float(&p.PresencePenalty, "presence", -20, 20, 1)
	float(&p.FrequencyPenalty, "frequency", -20, 20)
	float(&p.RepetitionPenalty, "repetition", 0.1, 10)
	float(&p.CacheWeight, "cache", 0, 0.9)
	float(&p.LengthPenalty, "length", 0, 1, 10)
	number(&p.TopK, "top_k", 0, 1, 1_000_000)
	number(&p.MaxBackoff, "max_backoff", 0, 1, 255)
	number(&p.NoRepeatNgram, "no_repeat", 0, 1, 2, 64)
	number(&p.MaxSentences, "max_sentences", 0, 1, 2, 256)
	number(&p.PenaltyHistory, "penalty_history", 0, 1, 4096)
	number(&p.MaxCopied, "max_copied", 1, 2, 100_000)
	number(&p.BestOf, "best_of", 1, 3)
	number(&p.BeamWidth, "beam", 0, 1, 4)
	number(&p.N, "n", 1, 2, 4)
	if maybe("exact") {
		p.MaxCopiedExact = proto.Bool(true)
	}
	if maybe("marks") {
		p.BalanceMarks = proto.Bool(rapid.Bool().Draw(t, "balance"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "stops") {
		p.Stop = append(p.Stop, rapid.SampledFrom([]string{"pier", "e", " ", "old pier", ".", "é", "\u0301", "京", "Zebra", "\n"}).Draw(t, "stop"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "bans") {
		p.Bans = append(p.Bans, drawWords(t, "ban", 1, 2))
	}
	for range rapid.IntRange(0, 2).Draw(t, "required") {
		p.Required = append(p.Required, drawWords(t, "requires", 1, 3))
	}
	for range rapid.IntRange(0, 2).Draw(t, "biases") {
		b := &ngramv1.SequenceBias{Text: drawWords(t, "bias", 1, 3), StrengthLog10: rapid.SampledFrom([]float64{-20, -1, 0, 5e-324, 2, 20}).Draw(t, "strength")}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			b.InsteadOf = drawWords(t, "instead of", 1, 2)
		case 1:
			b.After = drawWords(t, "after", 1, 2)
		case 2:
			b.Pattern = drawWords(t, "pattern", 1, 2)
		}
		p.Biases = append(p.Biases, b)
	}
	for range rapid.IntRange(0, 2).Draw(t, "extensions") {
		p.Extension = append(p.Extension, &ngramv1.ExtensionWord{Text: drawWords(t, "extension", 1, 2), Like: rapid.SampledFrom([]string{"", "pier", "e"}).Draw(t, "like")})
	}
	return &ngramv1.GenerateRequest{
		Model: rapid.SampledFrom(askedModels).Draw(t, "model").name, Parameters: p,
		Prompt: drawWords(t, "prompt", 0, 4), ContinueText: rapid.Bool().Draw(t, "continue"), ReplySoFar: drawWords(t, "so far", 0, 3),
		History: []string{drawWords(t, "history", 0, 5), drawWords(t, "history", 0, 5)}, Stages: rapid.SampledFrom([]uint32{0, 3}).Draw(t, "stages"),
	}
}

func check(t *rapid.T, service *Inference, request *ngramv1.GenerateRequest, answer *collector) {
	p := request.GetParameters()
	var text string
	var tokens []*ngramv1.GeneratedToken
	var finish *ngramv1.GenerateFinish
	for _, r := range answer.responses {
		if _, err := proto.Marshal(r); err != nil {
			t.Fatalf("%v: %v", request, err)
		}
		text += r.GetChunk().GetText()
		tokens = append(tokens, r.GetChunk().GetTokens()...)
		if f := r.GetFinish(); f != nil {
			finish = f
		}
	}
	if finish == nil || finish.GetText() != text || int(finish.GetTokens()) != len(tokens) || !utf8.ValidString(text) || len(tokens) > int(p.GetMaxTokens()) {
		t.Fatalf("%v: chunks make %q of %d tokens, the finish is %v", request, text, len(tokens), finish)
	}
	for _, stop := range p.GetStop() {
		if strings.Contains(text, stop) {
			t.Fatalf("%v: %q holds the stop sequence %q", request, text, stop)
		}
	}
	for _, token := range tokens {
		if !(token.GetLog10Drawn() <= 0) || math.IsInf(token.GetLog10Drawn(), 0) || !(token.GetLog10Probability() <= 1e-9) || math.IsInf(token.GetLog10Probability(), 0) || token.GetCandidates() == 0 {
			t.Fatalf("%v: the token %v", request, token)
		}
		sums := make([]float64, 8)
		found := false
		for _, staged := range token.GetStages() {
			found = found || staged.GetToken().GetId() == token.GetToken().GetId()
			for i, probability := range staged.GetProbabilities() {
				if !(probability >= 0) {
					t.Fatalf("%v: stage %d has %v", request, i, probability)
				}
				sums[i] += probability
			}
		}
		for i, sum := range sums {
			if sum > 1+1e-9 {
				t.Fatalf("%v: stage %d sums to %v", request, i, sum)
			}
		}
		if request.GetStages() > 0 && !found {
			t.Fatalf("%v: %v is not among its stages", request, token)
		}
	}
	// The same again, and each candidate alone.
	again, err := ask2(service, request)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := again.last(), answer.last(); !proto.Equal(a, b) {
		t.Fatalf("%v: %v, then %v", request, b, a)
	}
	candidates := finish.GetCandidates()
	if len(candidates) > 0 && candidates[0].GetText() != text || len(candidates) > max(1, int(p.GetN())) {
		t.Fatalf("%v: %q, candidates %v", request, text, candidates)
	}
	if !slices.IsSortedFunc(candidates, func(a, b *ngramv1.GenerateCandidate) int {
		switch {
		case a.GetScore() > b.GetScore():
			return -1
		case a.GetScore() < b.GetScore():
			return 1
		}
		return 0
	}) {
		t.Fatalf("%v: candidates %v", request, candidates)
	}
	if p.GetBeamWidth() == 0 {
		for _, c := range candidates {
			alone := proto.CloneOf(request)
			alone.Parameters.BestOf, alone.Parameters.N, alone.Parameters.Seed = proto.Uint32(1), nil, proto.Uint64(c.GetSeed())
			got, err := ask2(service, alone)
			if err != nil || got.last().GetFinish().GetText() != c.GetText() {
				t.Fatalf("%v: candidate %v is %v alone, error %v", request, c, got.last(), err)
			}
		}
	}
	checkWords(t, service, request, tokens, finish)
}

// checkWords holds the reply against what must and must not be said.
func checkWords(t *rapid.T, service *Inference, request *ngramv1.GenerateRequest, tokens []*ngramv1.GeneratedToken, finish *ngramv1.GenerateFinish) {
	p := request.GetParameters()
	cut := func(written string) []string {
		response, err := service.Tokenize(context.Background(), &ngramv1.TokenizeRequest{Model: request.GetModel(), Text: written})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, sentence := range response.GetSentences() {
			for _, token := range sentence.GetTokens() {
				all = append(all, token.GetText()+string(token.GetRaw()))
			}
		}
		return all
	}
	var said []string
	for _, token := range tokens {
		if token.GetToken().GetId() == lookup.End {
			said = append(said, "\x00")
			continue
		}
		written := token.GetToken().GetText()
		if request.GetModel() != "bytes" {
			written = strings.TrimSpace(written)
		}
		said = append(said, written+string(token.GetToken().GetRaw()))
	}
	same := func(a, b string) bool { return a == b }
	if request.GetModel() == "words" || request.GetModel() == "one" {
		straight := strings.NewReplacer("‘", "'", "’", "'")
		same = func(a, b string) bool { // a word of the request is said as it is written there
			return strings.EqualFold(straight.Replace(a), straight.Replace(b))
		}
	}
	holds := func(sequence []string) bool {
		for i := 0; i+len(sequence) <= len(said); i++ {
			if slices.EqualFunc(said[i:i+len(sequence)], sequence, same) {
				return true
			}
		}
		return false
	}
	for _, ban := range p.GetBans() {
		if holds(cut(ban)) {
			t.Fatalf("%v: %q says the banned %q", request, said, cut(ban))
		}
	}
	if finish.GetReason() == ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE || len(p.GetBans()) > 0 || request.GetReplySoFar() != "" {
		return
	}
	for _, required := range p.GetRequired() {
		if !holds(cut(required)) {
			t.Fatalf("%v: %q does not say %q", request, said, cut(required))
		}
	}
}

func (c *collector) last() *ngramv1.GenerateResponse { return c.responses[len(c.responses)-1] }
