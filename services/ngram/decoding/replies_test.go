package decoding

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

var update = flag.Bool("update", false, "write testdata/replies.txt anew")

// inventedModel is a model of order 4 over 200 words, invented from a seed, with probabilities as an 8-bit codebook
// has them. Its masses are not normalised: only the arithmetic matters here.
func inventedModel(t *testing.T) toy {
	t.Helper()
	model := toy{order: 4, words: []string{"<unk>", "<s>", "</s>"}, contexts: map[string]*lookup.Context{}}
	for i := range 200 {
		model.words = append(model.words, fmt.Sprintf("w%d", i*7919%1000))
	}
	model.words[3] = "."
	source := NewSource(2026, 0)
	value := func() float64 { return exactmath.Pow10(-7 + 7*float64(source.Below(256))/255) }
	masses := map[uint32]float64{}
	for id := range uint32(len(model.words)) {
		if id != lookup.Start {
			masses[id] = value()
		}
	}
	unigrams, err := lookup.NewUnigrams(newContext(masses, 1), ranks(model.words))
	if err != nil {
		t.Fatal(err)
	}
	model.unigrams = unigrams
	for range 3000 {
		context := make([]uint32, 1+source.Below(3))
		for i := range context {
			context[i] = uint32(1 + source.Below(40))
		}
		followers := map[uint32]float64{}
		for range 1 + source.Below(20) {
			followers[uint32(2+source.Below(60))] = value()
		}
		model.contexts[key(context)] = newContext(followers, exactmath.Pow10(-2.5*float64(source.Below(256))/255))
	}
	return model
}

// firstRanked is the first kind whose replies are ranked as by default today.
const firstRanked = 14

// replies draws replies with many kinds of parameters and writes down every bit that matters.
func replies(t *testing.T) string {
	t.Helper()
	model := inventedModel(t)
	var out strings.Builder
	for i, change := range []func(*Setup){
		func(*Setup) {},
		func(s *Setup) { s.Params = PlainParams() },
		func(s *Setup) { s.Params.TopK, s.Params.TopP, s.Params.Temperature = 0, 0.9, 1.7 },
		func(s *Setup) { s.Params.MinP, s.Params.TopK, s.Params.BestOf = 0.01, 0, 1 },
		func(s *Setup) {
			s.Params.PresencePenalty, s.Params.FrequencyPenalty, s.Params.MaxBackoff = 0.3, 0.1, AllOrders
		},
		func(s *Setup) { s.Params.Temperature, s.Params.MaxBackoff = 0.35, 1 },
		func(s *Setup) {
			s.Params.MaxSentences, s.Params.MaxBackoff = 3, 2
			s.Sequences = []Sequence{{Tokens: []uint32{9, 12}, Strength: 1.25}, {Tokens: []uint32{30}, Ban: true}, {Tokens: []uint32{8}, Strength: -0.7}}
		},
		func(s *Setup) { s.Params.TypicalP, s.Params.TopK, s.Params.TopP = 0.6, 0, 1 },
		func(s *Setup) {
			s.Params.RepetitionPenalty, s.Params.MaxBackoff, s.Params.BestOf = 1.4, AllOrders, 2
			s.PenaltyHistory = []uint32{17, 23, 44, 5, 17}
		},
		func(s *Setup) { s.Params.MaxCopied, s.Params.MaxBackoff = 5, 1 },
		func(s *Setup) { s.Required, s.Params.BestOf = [][]uint32{{9, 12, 33}, {61}}, 3 },
		func(s *Setup) {
			own := s.Unigrams.Bound()
			s.Unigrams = s.Unigrams.Extend(2)
			s.Extension = []Extension{{Like: 9, Free: true}, {Like: 12}}
			spell := s.Text
			s.Text = func(token uint32) string {
				if int(token) >= own {
					return fmt.Sprintf("new%d", int(token)-own)
				}
				return spell(token)
			}
			s.Sequences = []Sequence{
				{Tokens: []uint32{uint32(own), uint32(own + 1)}, Strength: 2, Pattern: []uint32{17}},
				{Tokens: []uint32{uint32(own + 1), 12}, InsteadOf: []uint32{9}},
				{Tokens: []uint32{12, 30, 31}, Lead: 1, Strength: 0.5},
			}
		},
		func(s *Setup) { s.Params.BeamWidth, s.Params.LengthPenalty, s.Params.TopK = 4, 0.7, 20 },
		func(s *Setup) { s.Params.BeamWidth, s.Params.MaxSentences, s.Required = 3, 2, [][]uint32{{9, 12}} },
		func(*Setup) {},
		func(s *Setup) {
			s.Params.MaxBackoff = 0
			s.Earlier = []uint32{17, 23, 44, lookup.End, 165, 9, 12, lookup.End}
		},
		func(s *Setup) {
			s.Params.ShortPenalty, s.Params.SeamPenalty, s.Params.EchoPenalty, s.Params.MaxSentences = 4, 0.25, 2, 2
			s.Sequences = []Sequence{{Tokens: []uint32{9, 12}, Strength: 1.25}}
		},
	} {
		for seed := range uint64(12) {
			setup := model.setup(BreakSentence, func(s *Setup) {
				s.Params = DefaultParams()
				s.Params.MaxBackoff = AllOrders
				ranked := s.Params
				s.Params.BestOf, s.Params.ShortPenalty, s.Params.SeamPenalty, s.Params.EchoPenalty = 8, 0.5, 0, 0 // as traces without them mean
				if i >= firstRanked {
					s.Params = ranked
				}
				s.Cache = NewSessionCache([][]uint32{{17, 23, 44}, {5, 17, 61, 33}}, func(uint32) float64 { return 1e-3 }, func(uint32) bool { return true }, 0.12)
				change(s)
				s.Params.Seed = seed
				s.Params.MaxTokens = 30
			})
			chosen, events := 0, []Event(nil)
			if setup.Params.BeamWidth > 0 {
				events = model.search(setup)[seed%3].Events // no seed takes part
			} else {
				chosen, events = model.runPanel(setup)
			}
			bits := uint64(0)
			for _, event := range events {
				if event.Chosen != nil {
					bits = mix(bits ^ math.Float64bits(event.Chosen.Drawn) ^ mix(math.Float64bits(event.Chosen.Log10)))
				}
			}
			text, _ := said(events)
			fmt.Fprintf(&out, "%d %d %d %016x %s\n", i, seed, chosen, bits, text)
		}
	}
	return out.String()
}

// TestRepliesArePinned holds replies fixed over time: what a seed gave once it always gives.
func TestRepliesArePinned(t *testing.T) {
	path := filepath.Join("testdata", "replies.txt")
	got := replies(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Errorf("line %d\n got %s\nwant %s", i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%d replies, pinned are %d", len(gotLines), len(wantLines))
	}
}
