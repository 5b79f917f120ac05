package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// A search keeps the candidates of all its replies: what would take gigabytes is refused before anything is read.
func TestSearchIsBounded(t *testing.T) {
	for _, c := range []struct {
		width, topK, words int
		fits               bool
	}{
		{0, 0, 10_000_000, true}, {32, 0, 100_000, true}, {32, 0, 1_000_000, false}, {32, 1000, 10_000_000, true}, {32, 200_000, 1_000_000, false}, {3, 0, 1_000_000, true},
	} {
		err := searchable(decoding.Params{BeamWidth: c.width, TopK: c.topK}, c.words)
		if c.fits != (err == nil) || err != nil && (errors.KindOf(err) != errors.InvalidArgument || !strings.Contains(err.Error(), "top_k")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A search answers with its best segments, whatever the seed, explained like any other.
func TestBeamSearch(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		search := func(seed uint64) generation {
			request := ask(seed, "Where is the mail boat?", func(p *ngramv1.DecodeParameters) {
				p.BestOf, p.BeamWidth, p.N, p.MaxBackoff = nil, proto.Uint32(4), proto.Uint32(3), proto.Uint32(255)
			})
			request.Stages, request.Explain = 2, &ngramv1.ExplainOptions{}
			return generate(t, client, request)
		}
		first, second := search(1), search(2)
		if first.Text == "" || first.Text != second.Text || !proto.Equal(first.chunk(), second.chunk()) {
			t.Errorf("one seed finds %q, another %q", first.Text, second.Text)
		}
		candidates := first.finish.GetCandidates()
		if len(candidates) != 3 || candidates[0].GetText() != first.Text || candidates[0].GetScore() < candidates[1].GetScore() || candidates[1].GetText() == first.Text {
			t.Errorf("candidates %v of %q", candidates, first.Text)
		}
		for _, token := range first.chunk().Tokens {
			if token.GetExplanation() == nil || len(token.GetStages()) == 0 {
				t.Errorf("%v is not explained", token)
			}
		}
		if p := first.header.GetParameters(); p.GetBeamWidth() != 4 || p.GetLengthPenalty() != 1 || p.GetBestOf() != 1 {
			t.Errorf("in force: %v", p)
		}
		for field, change := range map[string]func(*ngramv1.DecodeParameters){
			"best_of":        func(p *ngramv1.DecodeParameters) { p.BestOf = proto.Uint32(2) },
			"parameters.n":   func(p *ngramv1.DecodeParameters) { p.N = proto.Uint32(5) },
			"beam_width":     func(p *ngramv1.DecodeParameters) { p.BeamWidth = proto.Uint32(33) },
			"length_penalty": func(p *ngramv1.DecodeParameters) { p.LengthPenalty = proto.Float64(-1) },
			"parameters.beam_width": func(p *ngramv1.DecodeParameters) {
				p.Temperature = proto.Float64(0)
			},
		} {
			_, err := tryGenerate(t.Context(), client, ask(1, "", func(p *ngramv1.DecodeParameters) {
				p.BestOf, p.BeamWidth = nil, proto.Uint32(4)
				change(p)
			}))
			known, _ := errors.AsType[*errors.Error](err)
			if errors.KindOf(err) != errors.InvalidArgument || len(known.Fields()) == 0 || !strings.HasSuffix(known.Fields()[0].Path, field) {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

// longestCopy is how many tokens in a row of a reply stand in a text, ends of sentences aside.
func longestCopy(reply, text []string) int {
	spelled := func(tokens []string) string { return "\n" + strings.Join(tokens, "\n") + "\n" }
	all, longest := spelled(text), 0
	reply = slices.DeleteFunc(slices.Clone(reply), func(token string) bool { return token == "</s>" })
	for begin := range reply {
		for end := begin + longest + 1; end <= len(reply) && strings.Contains(all, spelled(reply[begin:end])); end++ {
			longest = end - begin
		}
	}
	return longest
}

// What is looked for in the text is not copied; a build answers as before when the text grew since, and not at all when its own
// text is gone.
func TestExactCopies(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
		first := ngramtest.Train(t, db, "ferries", settings, ngram.BuildOptions{}, ferries())
		client := dial(t, db, store.ReaderOptions{})
		replies := func(build ngram.BuildID) (all []generation) {
			for seed := range uint64(20) {
				request := ask(seed, "Where is the ferry?", func(p *ngramv1.DecodeParameters) {
					p.MaxCopied, p.MaxCopiedExact, p.MaxSentences = proto.Uint32(5), proto.Bool(true), proto.Uint32(2)
				})
				request.BuildId = uint32(build)
				all = append(all, generate(t, client, request))
			}
			return all
		}
		tokenized, err := client.Tokenize(t.Context(), &ngramv1.TokenizeRequest{Model: "ferries", Text: ferries()})
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, sentence := range tokenized.GetSentences() {
			for _, token := range sentence.GetTokens() {
				text = append(text, token.GetText())
			}
		}
		before := replies(first.ID)
		free, said := 0, 0
		for seed, reply := range before {
			if copied := longestCopy(reply.Tokens, text); copied > 5 {
				t.Errorf("%q copies %d tokens", reply.Text, copied)
			}
			said += len(reply.Tokens)
			free = max(free, longestCopy(generate(t, client, ask(uint64(seed), "Where is the ferry?", nil)).Tokens, text))
		}
		if free <= 5 || said < 60 {
			t.Errorf("without the bound %d tokens are copied, with it %d are said", free, said)
		}

		s := store.New(db, store.Options{})
		add := func(label string, drop bool) {
			err := s.Train(t.Context(), ngram.DefaultTenant, "ferries", "a test", func(ctx context.Context, trainer *store.Trainer) error {
				if _, _, err := trainer.Receive(ctx, store.Source{Label: label, Text: strings.NewReader("Nobody painted the harbour " + label + "."), DropText: drop}); err != nil {
					return err
				}
				if _, err := trainer.Count(ctx, nil); err != nil {
					return err
				}
				build, err := trainer.Build(ctx, ngram.BuildOptions{}, nil)
				if err == nil {
					_, _, err = s.Publish(ctx, ngram.DefaultTenant, "ferries", build.ID)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		add("later", false)
		client = dial(t, db, store.ReaderOptions{})
		for seed, reply := range replies(first.ID) {
			if reply.Text != before[seed].Text {
				t.Errorf("seed %d: %q became %q", seed, before[seed].Text, reply.Text)
			}
		}
		replies(0)
		add("dropped", true)
		request := ask(1, "", func(p *ngramv1.DecodeParameters) { p.MaxCopied, p.MaxCopiedExact = proto.Uint32(5), proto.Bool(true) })
		if _, err := tryGenerate(t.Context(), client, request); errors.KindOf(err) != errors.FailedPrecondition || errors.ReasonOf(err) != "TEXT_NOT_KEPT" {
			t.Errorf("without the text: %v", err)
		}
	})
}
