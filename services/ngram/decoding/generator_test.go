package decoding

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
)

// spaces joins tokens by single spaces, a new sentence after " / ".
type spaces struct{ text, sentence bool }

func (s *spaces) Add(token string) string {
	separator := ""
	switch {
	case s.sentence:
		separator = " / "
	case s.text:
		separator = " "
	}
	s.text, s.sentence = true, false
	return separator + token
}

func (s *spaces) Clone() Joiner {
	clone := *s
	return &clone
}

func (s *spaces) EndSentence() string {
	s.sentence = s.text
	return ""
}

// chainModel is a model of order 2 in which every token has one possible follower, in the order of the words; <s> is
// followed by the first word. A word may stand in the list again only if the same word follows it.
func chainModel(t *testing.T, words ...string) toy {
	t.Helper()
	model := toy{order: 2, words: []string{"<unk>", "<s>", "</s>"}, contexts: map[string]*lookup.Context{}}
	ids := map[string]uint32{"</s>": lookup.End}
	masses := map[uint32]float64{lookup.Unknown: 0.5, lookup.End: 0.5}
	for _, word := range words {
		if _, known := ids[word]; !known {
			ids[word] = uint32(len(model.words))
			model.words = append(model.words, word)
		}
	}
	for _, id := range ids {
		masses[id] = 0.5 / float64(len(ids))
	}
	unigrams, err := lookup.NewUnigrams(newContext(masses, 1), ranks(model.words))
	if err != nil {
		t.Fatal(err)
	}
	model.unigrams = unigrams
	last := lookup.Start
	for _, word := range words {
		model.contexts[key([]uint32{last})] = newContext(map[uint32]float64{ids[word]: 0.999}, 0.001)
		if last = ids[word]; last == lookup.End {
			last = lookup.Start
		}
	}
	return model
}

func (m toy) setup(breaks Breaks, change func(*Setup)) Setup {
	setup := Setup{
		Order:    m.order,
		Unigrams: m.unigrams,
		Text:     func(token uint32) string { return m.words[token] },
		Find:     func(token string) uint32 { return uint32(max(0, slices.Index(m.words, token))) },
		Joiner:   func() Joiner { return &spaces{} },
		Breaks:   breaks,
		Params:   Params{Temperature: 0, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders, BestOf: 1, RepetitionPenalty: 1, MaxTokens: 40, MaxSentences: 1},
	}
	if change != nil {
		change(&setup)
	}
	return setup
}

// run lets the model speak and checks what holds for every reply.
func (m toy) run(t interface {
	Helper()
	Fatalf(string, ...any)
}, setup Setup,
) (string, Reason, []Chosen) {
	t.Helper()
	g := NewGenerator(setup)
	var text strings.Builder
	var chosen []Chosen
	for {
		event := g.Step(m.chain(g.Context()))
		text.WriteString(event.Text)
		if event.Chosen != nil {
			chosen = append(chosen, *event.Chosen)
		}
		if event.Reason != Unfinished {
			if text.String() != g.Text() {
				t.Fatalf("pieces make %q, the reply is %q", text.String(), g.Text())
			}
			if len(chosen) != g.Tokens() || len(chosen) > setup.Params.MaxTokens {
				t.Fatalf("%d tokens in events, %d in the reply, %d allowed", len(chosen), g.Tokens(), setup.Params.MaxTokens)
			}
			return text.String(), event.Reason, chosen
		}
	}
}

func TestGeneratorEndings(t *testing.T) {
	prose := []string{"mr", ".", "smith", "slept", "till", "noon", "!", "”", "then", "he", "woke", "up", "?", "</s>"}
	for _, test := range []struct {
		name   string
		words  []string
		breaks Breaks
		change func(*Setup)
		want   string
		reason Reason
	}{
		{name: "sentence within a line, closing quote kept", words: prose, breaks: BreakLine, want: "mr . smith slept till noon ! ”", reason: Stopped},
		{
			name: "two sentences within a line", words: prose, breaks: BreakLine,
			change: func(s *Setup) { s.Params.MaxSentences = 2 },
			want:   "mr . smith slept till noon ! ” / then he woke up ?", reason: Stopped,
		},
		{name: "a tokeniser that knows sentences", words: prose, breaks: BreakSentence, want: "mr . smith slept till noon ! ” then he woke up ?", reason: Stopped},
		{
			name: "verse goes on in the next line", words: []string{"o", "rose", ",", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.MaxTokens = 7 },
			want:   "o rose , o rose ,", reason: LengthReached,
		},
		{
			name: "a heading does not end a reply", words: []string{"part", "one", "</s>"}, breaks: BreakSentence,
			change: func(s *Setup) { s.Params.MaxTokens = 6 },
			want:   "part one / part one", reason: LengthReached,
		},
		{name: "without sentence marks every line ends", words: []string{"part", "one", "</s>"}, breaks: BreakAlways, want: "part one", reason: Stopped},
		{
			name: "a sentence that is complete at the limit", words: []string{"it", "rains", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.MaxTokens = 3 },
			want:   "it rains .", reason: Stopped,
		},
		{
			name: "cut", words: []string{"it", "rains", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.MaxTokens = 2 },
			want:   "it rains", reason: LengthReached,
		},
		{
			name: "no limit of sentences", words: []string{"it", "rains", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.MaxSentences, s.Params.MaxTokens = 0, 7 },
			want:   "it rains . / it rains .", reason: LengthReached,
		},
		{
			name: "stop sequence across tokens", words: []string{"it", "rains", "a", "lot", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.Stop = []string{"never", "s a l"} },
			want:   "it rain", reason: StopSequence,
		},
		{
			name: "held back text that was no stop sequence", words: []string{"it", "rains", "a", "lot", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.Stop = []string{"lot . x"} },
			want:   "it rains a lot .", reason: Stopped,
		},
		{
			name: "continued prompt", words: []string{"it", "rains", "a", "lot", ".", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Prompt = []uint32{3, 4} },
			want:   " a lot .", reason: Stopped,
		},
		{
			name: "prompt that ends a sentence within a line", words: prose, breaks: BreakLine,
			change: func(s *Setup) { s.Prompt = []uint32{5, 6, 7, 8, 9, 10} },
			want:   " / then he woke up ?", reason: Stopped,
		},
		{
			name: "a quote is closed that the model left open", words: []string{"“", "go", ".", "he", "</s>"}, breaks: BreakLine,
			change: func(s *Setup) { s.Params.BalanceMarks = true },
			want:   "“ go . ”", reason: Stopped,
		},
		{
			name: "abbreviation glued to its full stop", words: []string{"Dr.", "May", "left.", "Bye.", "</s>"}, breaks: BreakLine,
			want: "Dr. May left.", reason: Stopped,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			model := chainModel(t, test.words...)
			text, reason, _ := model.run(t, model.setup(test.breaks, test.change))
			if text != test.want || reason != test.reason {
				t.Errorf("got %q and reason %d, want %q and %d", text, reason, test.want, test.reason)
			}
		})
	}
}

func TestMarksAreBalanced(t *testing.T) {
	model := chainModel(t, "go", "”", "“", "(", "then", ")", "</s>")
	for seed := range uint64(200) {
		text, _, _ := model.run(t, model.setup(BreakAlways, func(s *Setup) {
			s.Params.BalanceMarks, s.Params.Temperature, s.Params.Seed = true, 2, seed
		}))
		open := ""
		for _, token := range strings.Fields(text) {
			switch token {
			case "“", "(":
				if strings.Contains(open, token) {
					t.Fatalf("%q opens what is open", text)
				}
				open += token
			case "”", ")":
				if !strings.HasSuffix(open, map[string]string{"”": "“", ")": "("}[token]) {
					t.Fatalf("%q closes what is not open", text)
				}
				_, size := utf8.DecodeLastRuneInString(open)
				open = open[:len(open)-size]
			}
		}
		if open != "" {
			t.Fatalf("%q leaves %q open", text, open)
		}
	}
}

func TestStraightQuotesCloseWhatTheyOpened(t *testing.T) {
	var s sentence
	for _, token := range []string{"he", "said", `"`, "go", "."} {
		s.add(token)
	}
	if !s.complete() || !s.continues(`"`) || s.continues("'") || s.continues("then") {
		t.Errorf("a complete sentence in an open straight quote: %+v", s)
	}
	s.add(`"`)
	if !s.complete() || s.continues(`"`) {
		t.Errorf("after the closing quote: %+v", s)
	}
}

func TestFirstTokenIsNeverAnEnd(t *testing.T) {
	model := chainModel(t, "</s>")
	masses := map[uint32]float64{lookup.Unknown: 0.1, lookup.End: 0.8, 3: 0.1}
	model.words = append(model.words, "word")
	unigrams, err := lookup.NewUnigrams(newContext(masses, 1), ranks(model.words))
	if err != nil {
		t.Fatal(err)
	}
	model.unigrams = unigrams
	text, reason, _ := model.run(t, model.setup(BreakAlways, nil))
	if text != "word" || reason != Stopped {
		t.Errorf("got %q and reason %d", text, reason)
	}
}

func TestNoWordsToSay(t *testing.T) {
	model := chainModel(t, "</s>")
	text, reason, chosen := model.run(t, model.setup(BreakAlways, nil))
	if text != "" || reason != Stopped || len(chosen) != 0 {
		t.Errorf("got %q, reason %d and %d tokens from a model without words", text, reason, len(chosen))
	}
}

func TestSteering(t *testing.T) {
	model := chainModel(t, "go", "on", "and", "stop", ".", "</s>")
	id := map[string]uint32{}
	for i, word := range model.words {
		id[word] = uint32(i)
	}
	for _, test := range []struct {
		name   string
		change func(*Setup)
		check  func(text string) bool
	}{
		{
			"banned word", func(s *Setup) { s.Sequences = []Sequence{{Tokens: []uint32{id["and"]}, Ban: true}} },
			func(text string) bool { return !strings.Contains(text, "and") },
		},
		{
			"banned sequence", func(s *Setup) { s.Sequences = []Sequence{{Tokens: []uint32{id["on"], id["and"]}, Ban: true}} },
			func(text string) bool { return strings.HasPrefix(text, "go on") && !strings.Contains(text, "on and") },
		},
		{
			"sequence that does not match", func(s *Setup) { s.Sequences = []Sequence{{Tokens: []uint32{id["go"], id["and"]}, Ban: true}} },
			func(text string) bool { return text == "go on and stop ." },
		},
		{
			"strong suppression", func(s *Setup) { s.Sequences = []Sequence{{Tokens: []uint32{id["on"]}, Strength: -20}} },
			func(text string) bool { return !strings.Contains(text, "on") },
		},
		{
			"preferred sequence", func(s *Setup) { s.Sequences = []Sequence{{Tokens: []uint32{id["stop"], id["and"]}, Strength: 10}} },
			func(text string) bool { return strings.HasPrefix(text, "stop and") },
		},
		{
			"presence penalty", func(s *Setup) { s.Params.PresencePenalty, s.ReplySoFar = 20, []uint32{id["go"]} },
			func(text string) bool { return !strings.Contains(text, "go") },
		},
		{
			"frequency penalty", func(s *Setup) { s.Params.FrequencyPenalty, s.ReplySoFar = 5, []uint32{id["go"], id["go"]} },
			func(text string) bool { return !strings.HasPrefix(text, "go") },
		},
		{"sums stay finite", func(s *Setup) {
			for range 64 {
				s.Sequences = append(s.Sequences, Sequence{Tokens: []uint32{id["stop"]}, Strength: 20})
			}
		}, func(text string) bool { return strings.HasPrefix(text, "stop") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, _, _ := model.run(t, model.setup(BreakLine, test.change))
			if !test.check(text) {
				t.Errorf("the reply is %q", text)
			}
		})
	}
}

func TestNoNGramIsRepeated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		n := rapid.IntRange(1, 4).Draw(t, "n")
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = Params{Temperature: 1, TopP: 1, TypicalP: 1, MaxBackoff: AllOrders, RepetitionPenalty: 1, NoRepeatNGram: n, MaxTokens: 60, Seed: rapid.Uint64().Draw(t, "seed")}
		})
		_, _, chosen := model.run(t, setup)
		seen := map[string]bool{}
		for end := n; end <= len(chosen); end++ {
			var gram []uint32
			for _, c := range chosen[end-n : end] {
				gram = append(gram, c.Token)
			}
			if gram[n-1] == lookup.End {
				continue
			}
			if seen[key(gram)] {
				t.Fatalf("%v came twice in %v", gram, chosen)
			}
			seen[key(gram)] = true
		}
	})
}

// The tokens that a reply is made of never include <unk> and <s>, and every record is consistent.
func TestRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawToy(t)
		setup := model.setup(BreakAlways, func(s *Setup) {
			s.Params = DefaultParams()
			s.Params.Seed = rapid.Uint64().Draw(t, "seed")
			s.Params.MaxSentences = rapid.IntRange(0, 3).Draw(t, "sentences")
			s.Cache = NewSessionCache([][]uint32{{3, 4}}, func(uint32) float64 { return 1e-5 }, func(uint32) bool { return true }, 0.12)
		})
		text, reason, chosen := model.run(t, setup)
		if text == "" || reason == Unfinished {
			t.Fatalf("reply %q with reason %d", text, reason)
		}
		for _, c := range chosen {
			if c.Token == lookup.Unknown || c.Token == lookup.Start || c.Drawn > 0 || c.Log10 > 0 || c.Candidates < 1 ||
				c.Matched < 1 || c.Matched > model.order {
				t.Fatalf("record %+v", c)
			}
		}
		if text2, reason2, _ := model.run(t, setup); text2 != text || reason2 != reason {
			t.Fatalf("the same request gave %q and then %q", text, text2)
		}
	})
}
