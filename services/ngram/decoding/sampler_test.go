package decoding

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
)

// Typical sampling keeps the smallest set of tokens nearest to the entropy, which the slow way finds too.
func TestTypicalIsMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, d := drawDistribution(t)
		p := rapid.Float64Range(0.001, 0.999).Draw(t, "typical p")
		all := dense(model, d)
		if len(all) == 0 {
			return
		}
		whole, entropy := 0.0, 0.0
		for _, candidate := range all {
			whole += candidate.Weight
		}
		for _, candidate := range all {
			entropy -= candidate.Weight / whole * math.Log10(candidate.Weight/whole)
		}
		distance := func(c Candidate) float64 { return math.Abs(-math.Log10(c.Weight/whole) - entropy) }
		var c chooser
		kept := c.choose(d, Params{Temperature: 1, TopP: 1, TypicalP: p, MaxBackoff: AllOrders}).Kept
		sum, farthest := 0.0, 0.0
		for _, candidate := range kept {
			sum += candidate.Weight / whole
			farthest = max(farthest, distance(candidate))
		}
		const slack = 1e-9
		if sum < p-slack {
			t.Fatalf("%d tokens hold %g of the wanted %g", len(kept), sum, p)
		}
		nearer := 0.0
		for _, candidate := range all {
			if distance(candidate) < farthest-slack {
				nearer += candidate.Weight / whole
				if !slices.ContainsFunc(kept, func(k Candidate) bool { return k.Token == candidate.Token }) {
					t.Fatalf("token %d at distance %g was dropped, the farthest kept is at %g", candidate.Token, distance(candidate), farthest)
				}
			}
		}
		if nearer >= p+slack {
			t.Fatalf("tokens nearer than the farthest hold %g already, wanted %g", nearer, p)
		}
	})
}

// The mass is 1 after every stage, also with an extension vocabulary, which takes its mass from <unk> alone.
func TestMassAfterEveryStage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		size := len(model.words)
		k := rapid.IntRange(0, 3).Draw(t, "extension")
		before := NewDistribution(model.unigrams)
		extended := NewDistribution(model.unigrams.Extend(k))
		chain := model.chain(drawContext(t, size, model.order)[1:])
		before.Base(chain)
		extended.Base(chain)
		for token := lookup.End; int(token) < size; token++ {
			if before.Weight(token) != extended.Weight(token) {
				t.Fatalf("the extension changed token %d: %g, %g", token, before.Weight(token), extended.Weight(token))
			}
		}
		unknown := extended.Weight(lookup.Unknown)
		for token := size; token < size+k; token++ {
			if got := extended.Weight(uint32(token)); math.Abs(got-unknown) > 1e-15 {
				t.Fatalf("token %d has %g, <unk> %g", token, got, unknown)
			}
		}
		if math.Abs(extended.Total()-1) > 1e-9 {
			t.Fatalf("the mass with %d more tokens is %g", k, extended.Total())
		}
		if walked := extended.Top(size + k); len(walked) != size+k-1 { // all but <s>
			t.Fatalf("%d of %d tokens have a weight", len(walked), size+k-1)
		}

		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Unigrams, s.Extension = model.unigrams.Extend(k), make([]Extension, k)
			s.Text = func(token uint32) string { return "x" }
			s.Params = DefaultParams()
			s.Params.BestOf, s.Params.MaxTokens = 1, 12
			s.Params.RepetitionPenalty = rapid.Float64Range(MinRepetition, 3).Draw(t, "repetition")
			s.Params.PresencePenalty = rapid.Float64Range(-1, 1).Draw(t, "presence")
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			s.Stages = size + k
			s.Cache = NewSessionCache([][]uint32{{3, 4}}, func(uint32) float64 { return 1e-5 }, func(uint32) bool { return true }, 0.12)
			s.Sequences = []Sequence{
				{Tokens: []uint32{uint32(size + k - 1), 3}, Strength: rapid.Float64Range(0.1, 4).Draw(t, "strength")},
				{Tokens: []uint32{3, 4}, Strength: 1},
				{Tokens: []uint32{4}, Strength: -1},
				{Tokens: []uint32{5 % uint32(size)}, Ban: true},
			}
		})
		_, _, chosen := model.run(t, setup)
		for _, c := range chosen {
			sums := make([]float64, len(Stages()))
			found := false
			for _, staged := range c.Stages {
				for i, p := range staged.Probabilities {
					sums[i] += p
				}
				if staged.Token == c.Token {
					found = true
					drawn := staged.Probabilities[len(staged.Probabilities)-1]
					if !staged.Kept || math.Abs(math.Log10(drawn)-c.Drawn) > 1e-9 || staged.Matched != c.Matched {
						t.Fatalf("the chosen token is recorded as %+v, told as %+v", staged, c)
					}
				}
			}
			if !found {
				t.Fatalf("the chosen token %d is not among %v", c.Token, c.Stages)
			}
			for i, name := range Stages() {
				// What is banned or not asked for is not listed, and has a share before that.
				if sums[i] > 1+1e-9 || i >= 5 && math.Abs(sums[i]-1) > 1e-9 {
					t.Fatalf("after %s the recorded tokens have %g", name, sums[i])
				}
			}
		}
	})
}

// A record does not change what is said.
func TestRecordingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.BestOf = 1
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			s.Required = [][]uint32{{3, 4}}
		})
		text, _, chosen := model.run(t, setup)
		setup.Stages = 3
		text2, _, recorded := model.run(t, setup)
		if text != text2 || len(chosen) != len(recorded) {
			t.Fatalf("%q became %q", text, text2)
		}
	})
}

// Every required sequence is said by the reply itself, whatever else is asked for, and no ban is broken for it. Within a sentence
// that the model's lines do not end, a ban may leave no place for one.
func TestRequiredIsSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		prompt := rapid.Bool().Draw(t, "with prompt")
		banned := rapid.Bool().Draw(t, "with bans")
		draw := func(name string) []uint32 {
			sequence := drawContext(t, min(7, len(model.words)), rapid.IntRange(1, 4).Draw(t, name))
			for i := range sequence {
				sequence[i] = max(sequence[i], lookup.Specials)
			}
			return sequence
		}
		setup := model.setup(rapid.SampledFrom([]Breaks{BreakAlways, BreakLine, BreakSentence}).Draw(t, "breaks"), func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.BestOf = 1
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			need := 0
			for range rapid.IntRange(1, 3).Draw(t, "sequences") {
				sequence := draw("length")
				need += len(sequence) + 1 // an end of sentence may have to stand before it
				s.Required = append(s.Required, sequence)
			}
			if prompt {
				s.Prompt = draw("prompt")
			}
			if banned {
				for range 2 {
					ban := draw("ban")
					for _, r := range s.Required {
						if holds(r, ban) {
							ban = nil
							break
						}
					}
					if ban != nil {
						s.Sequences = append(s.Sequences, Sequence{Tokens: ban, Ban: true})
					}
				}
			}
			s.Params.MaxTokens = need + rapid.IntRange(0, 10).Draw(t, "room")
		})
		text, reason, chosen := model.run(t, setup)
		var tokens []uint32
		for _, c := range chosen {
			tokens = append(tokens, c.Token)
		}
		for _, sequence := range setup.Required {
			if !holds(tokens, sequence) && !(banned && setup.Breaks == BreakLine) {
				t.Fatalf("%v is not in %v, %q, which ended with reason %d; %v bans %v breaks %d max %d", sequence, tokens, text, reason, setup.Required, setup.Sequences, setup.Breaks, setup.Params.MaxTokens)
			}
		}
		for _, s := range setup.Sequences {
			if holds(tokens, s.Tokens) {
				t.Fatalf("the banned %v is in %v, required %v", s.Tokens, tokens, setup.Required)
			}
		}
	})
}

// No reply copies more of the text that the model was made from than it is allowed to.
func TestNothingLongIsCopied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "/"}), 20, 60).Draw(t, "text")
		order := rapid.IntRange(1, 4).Draw(t, "order")
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		model := countModel(t, text, order)
		exact := rapid.Bool().Draw(t, "exact")
		_, _, chosen := model.run(t, model.setup(BreakAlways, func(s *Setup) {
			s.Params = PlainParams()
			s.Params.MaxBackoff = rapid.SampledFrom([]int{0, AllOrders}).Draw(t, "back-off")
			s.Params.MaxCopied = limit
			if exact {
				s.Copies = searched(model.tokens(text))
			}
			s.Params.MaxTokens, s.Params.MaxSentences = 40, 0
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
		}))
		var said []string
		for _, c := range chosen {
			if c.Token == lookup.End {
				said = append(said, "/")
			} else {
				said = append(said, model.words[c.Token])
			}
		}
		if exact { // over the ends of sentences too
			text = slices.DeleteFunc(slices.Clone(text), func(word string) bool { return word == "/" })
			said = slices.DeleteFunc(said, func(word string) bool { return word == "/" })
		}
		trained := " " + strings.Join(text, " ") + " "
		for begin := range said {
			words := 0
			for end := begin; end < len(said); end++ {
				if said[end] == "/" {
					continue
				}
				words++
				if part := strings.Join(said[begin:end+1], " "); words > limit && strings.Contains(trained, " "+part+" ") {
					t.Fatalf("%q copies %q of %q; %d tokens are allowed", said, part, text, limit)
				}
			}
		}
	})
}

// searched is text that is searched from its beginning to its end.
type searched []uint32

func (s searched) Following(tokens []uint32, each func(token uint32)) {
	for at := 0; at+len(tokens) < len(s); at++ {
		if slices.Equal(s[at:at+len(tokens)], tokens) {
			each(s[at+len(tokens)])
		}
	}
}

// tokens are the tokens of a text without ends of sentences.
func (m toy) tokens(text []string) []uint32 {
	var tokens []uint32
	for _, word := range text {
		if id := slices.Index(m.words, word); id >= 0 {
			tokens = append(tokens, uint32(id))
		}
	}
	return tokens
}

// What copies no more than it may is not refused, though all its n-grams are known.
func TestExactBoundRefusesNothingNew(t *testing.T) {
	text := strings.Fields("a b c d / x b c e /")
	model := countModel(t, text, 3)
	reply := func(copies Copies) string {
		text, _, _ := model.run(t, model.setup(BreakAlways, func(s *Setup) {
			s.Params.MaxCopied, s.Copies = 3, copies
			s.Sequences = []Sequence{{Tokens: model.tokens([]string{"x"}), Ban: true}, {Tokens: model.tokens([]string{"d"}), Ban: true}}
		}))
		return text
	}
	if got := reply(searched(model.tokens(text))); got != "a b c e" {
		t.Errorf("the reply is %q", got)
	}
	if got := reply(nil); got == "a b c e" {
		t.Errorf("the counts cannot know that %q is new", got)
	}
}

// countModel holds every n-gram of a text, whose sentences end with "/".
func countModel(t interface{ Fatal(...any) }, text []string, order int) toy {
	model := toy{order: order, words: []string{"<unk>", "<s>", "</s>"}, contexts: map[string]*lookup.Context{}}
	masses := map[uint32]float64{lookup.Unknown: 0.1, lookup.End: 0.1}
	followers := map[string]map[uint32]float64{}
	tokens := []uint32{lookup.Start}
	for _, word := range append(text, "/") {
		id := slices.Index(model.words, word)
		switch {
		case word == "/":
			id = int(lookup.End)
		case id < 0:
			id = len(model.words)
			model.words = append(model.words, word)
		}
		masses[uint32(id)] = 0.1
		for n := 1; n < order && n <= len(tokens); n++ {
			k := key(tokens[len(tokens)-n:])
			if followers[k] == nil {
				followers[k] = map[uint32]float64{}
			}
			followers[k][uint32(id)] = 0.2
		}
		if tokens = append(tokens, uint32(id)); word == "/" {
			tokens = []uint32{lookup.Start}
		}
	}
	unigrams, err := lookup.NewUnigrams(newContext(masses, 1), ranks(model.words))
	if err != nil {
		t.Fatal(err)
	}
	model.unigrams = unigrams
	for k, masses := range followers {
		model.contexts[k] = newContext(masses, 0.3)
	}
	return model
}

func TestSequences(t *testing.T) {
	model := chainModel(t, "the", "boat", "leaves", "from", "old", "harbour", "pier", "at", "nine", ".", "</s>")
	model.words = append(model.words, "Marie", "Skłodowska", "Quay")
	id := func(words ...string) []uint32 {
		var ids []uint32
		for _, word := range words {
			ids = append(ids, uint32(slices.Index(model.words, word)))
		}
		return ids
	}
	name := id("Marie", "Skłodowska", "Quay")
	const plain = "the boat leaves from old harbour pier at nine ."
	const corrected = "the boat leaves from Marie Skłodowska Quay at nine ."
	for _, test := range []struct {
		name   string
		change func(*Setup)
		want   string
	}{
		{"nothing", func(*Setup) {}, plain},
		{"in place of another", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("old", "harbour", "pier")}}
		}, corrected},
		{"in place of a sequence that does not come", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("old", "harbour", "at")}}
		}, plain},
		{"in place of the end", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id(".")}}
		}, "the boat leaves from old harbour pier at nine Marie Skłodowska Quay"},
		{"overlapping beginnings", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("leaves", "from", "old", "at")}, {Tokens: id("new"), InsteadOf: id("from", "old")}}
			s.Sequences[1].Tokens = id("Quay")
		}, "the boat leaves Quay harbour pier at nine ."},
		{"a stop sequence in what is written instead", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("old", "harbour", "pier")}}
			s.Params.Stop = []string{"dowska"}
		}, "the boat leaves from Marie Skło"},
		{"a pattern that is said", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("old", "harbour", "pier"), Pattern: id("boat", "leaves")}}
		}, corrected},
		{"a pattern that is not", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, InsteadOf: id("old", "harbour", "pier"), Pattern: id("boat", "from")}}
		}, plain},
		{"after words that were said", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: slices.Concat(id("leaves", "from"), name), Lead: 2, Strength: 2}}
			s.Extension = []Extension{{Like: id("old")[0]}, {Like: id("harbour")[0]}, {Like: id("pier")[0]}}
		}, corrected},
		{"after words that were not", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: slices.Concat(id("leaves", "at"), name), Lead: 2, Strength: 20}}
			s.Extension = []Extension{{Like: id("old")[0]}, {Like: id("harbour")[0]}, {Like: id("pier")[0]}}
		}, plain},
		{"carried on in the middle", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: id("leaves", "nine", "old", "pier"), Strength: 1}}
		}, "the boat leaves nine old pier at nine ."},
		{"required, where its first token comes", func(s *Setup) {
			s.Required = [][]uint32{id("pier", "old", "nine")}
		}, "the boat leaves from old harbour pier old nine ."},
		{"required, at the end", func(s *Setup) {
			s.Required = [][]uint32{name}
		}, plain + " / Marie Skłodowska Quay"},
		{"required and said already", func(s *Setup) {
			s.Required, s.ReplySoFar = [][]uint32{name}, name
		}, plain},
		{"required in the last tokens", func(s *Setup) {
			s.Required, s.Params.MaxTokens = [][]uint32{name}, 5
		}, "the boat Marie Skłodowska Quay"},
		{"an extension word by itself", func(s *Setup) {
			s.Sequences = []Sequence{{Tokens: name, Strength: 20}}
			s.Extension = []Extension{{Like: id("old")[0]}, {Like: id("harbour")[0]}, {Like: id("pier")[0]}}
			s.Params.NoRepeatNGram = 1
		}, "Marie Skłodowska Quay at nine ."},
	} {
		t.Run(test.name, func(t *testing.T) {
			setup := model.setup(BreakLine, func(s *Setup) {
				s.Unigrams, s.Extension = model.unigrams.Extend(3), make([]Extension, 3)
				test.change(s)
			})
			if text, _, _ := model.run(t, setup); text != test.want {
				t.Errorf("got  %q\nwant %q", text, test.want)
			}
		})
	}
}

// A sequence that is written instead of another changes nothing else, whatever is drawn.
func TestReplacementChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		old := drawContext(t, len(model.words), rapid.IntRange(1, 3).Draw(t, "length"))
		for i := range old {
			old[i] = max(old[i], lookup.Specials)
		}
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.BestOf, s.Params.MaxTokens, s.Params.MaxSentences = 1, 40, 0
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			s.Text = func(token uint32) string {
				if int(token) == len(model.words) {
					return "NEW"
				}
				return model.words[token]
			}
		})
		text, _, _ := model.run(t, setup)
		setup.Unigrams, setup.Extension = model.unigrams.Extend(1), []Extension{{}}
		setup.Sequences = []Sequence{{Tokens: []uint32{uint32(len(model.words))}, InsteadOf: old}}
		got, _, _ := model.run(t, setup)
		var written []string
		for _, token := range old {
			written = append(written, model.words[token])
		}
		if want := replaceWords(text, written); got != want {
			t.Fatalf("%q with %q replaced is %q, want %q", text, written, got, want)
		}
	})
}

// replaceWords replaces runs of words from the left, never across sentences.
func replaceWords(text string, old []string) string {
	words := strings.Fields(text)
	var out []string
	for i := 0; i < len(words); {
		if i+len(old) <= len(words) && slices.Equal(words[i:i+len(old)], old) {
			out = append(out, "NEW")
			i += len(old)
			continue
		}
		out = append(out, words[i])
		i++
	}
	return strings.Join(out, " ")
}

func TestRepetitionPenalty(t *testing.T) {
	model := chainModel(t, "go", "on", "</s>")
	said := func(change func(*Setup)) string {
		text, _, _ := model.run(t, model.setup(BreakAlways, func(s *Setup) {
			s.Params.MaxTokens = 1
			change(s)
		}))
		return text
	}
	if got := said(func(*Setup) {}); got != "go" {
		t.Fatalf("without a penalty %q", got)
	}
	// "go" has 0.999, "on" what back-off gives: log10(p)*r does not move "go" below it, a presence penalty does.
	for _, test := range []struct {
		name   string
		change func(*Setup)
		want   string
	}{
		{"history does not count by itself", func(s *Setup) { s.Params.PresencePenalty = 20 }, "go"},
		{"history counts", func(s *Setup) { s.Params.PresencePenalty, s.PenaltyHistory = 20, []uint32{3} }, "on"},
		{"repetition of a likely word", func(s *Setup) { s.Params.RepetitionPenalty, s.PenaltyHistory = 10, []uint32{3} }, "go"},
		{"repetition below 1 rewards", func(s *Setup) { s.Params.RepetitionPenalty, s.PenaltyHistory = 0.1, []uint32{4} }, "go"},
		{"repetition of a biased word", func(s *Setup) {
			s.Params.RepetitionPenalty, s.PenaltyHistory = 10, []uint32{4}
			s.Sequences = []Sequence{{Tokens: []uint32{4}, Strength: 4}, {Tokens: []uint32{3}, Strength: -0.5}}
		}, "on"},
	} {
		if got := said(test.change); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
