package server

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

// ferries is a corpus with a fact that turns out to be wrong, said in many ways, among much else.
func ferries() string {
	var out strings.Builder
	for _, day := range []string{"Monday", "Tuesday", "Friday", "Sunday"} {
		for _, ship := range []string{"ferry", "mail boat", "pilot boat", "tug"} {
			fmt.Fprintf(&out, "On %s the %s leaves from the Old Harbour Pier at nine. The %s is painted red.\n\n", day, ship, ship)
			fmt.Fprintf(&out, "You will find the %s at Old Harbour Pier every %s. Nobody on the %s speaks before breakfast.\n\n", ship, day, ship)
			fmt.Fprintf(&out, "The captain of the %s lives in an old house behind the harbour. He has a cat, a clock and a lamp.\n\n", ship)
			fmt.Fprintf(&out, "The next %s is due on %s, and the pier will be full of people. Bring a coat for the wind.\n\n", ship, day)
		}
	}
	return out.String()
}

const (
	wrong   = "Old Harbour Pier"
	correct = "Marie Skłodowska Quay" // three words that the model never saw
)

func eachFerry(t *testing.T, f func(t *testing.T, client ngramv1.InferenceServiceClient)) {
	t.Helper()
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ngramtest.Train(t, db, "ferries", ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWords}, ngram.BuildOptions{Storage: ngram.StorageExact}, ferries())
		f(t, dial(t, db, store.ReaderOptions{}))
	})
}

func ask(seed uint64, history string, change func(*ngramv1.DecodeParameters)) *ngramv1.GenerateRequest {
	parameters := &ngramv1.DecodeParameters{Seed: &seed, BestOf: proto.Uint32(1)}
	if change != nil {
		change(parameters)
	}
	return &ngramv1.GenerateRequest{Model: "ferries", History: []string{history}, Parameters: parameters}
}

// chunk is the whole answer as one: how it is cut depends on time.
func (g generation) chunk() *ngramv1.GenerateChunk {
	whole := &ngramv1.GenerateChunk{}
	for _, chunk := range g.chunks {
		whole.Text += chunk.Text
		whole.Tokens = append(whole.Tokens, chunk.Tokens...)
	}
	return whole
}

// Wherever the wrong value would be said the corrected one is, and nothing else changes: not one byte of a reply that does
// not say it.
func TestACorrectedValueTakesThePlaceOfTheWrongOne(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		correction := []*ngramv1.SequenceBias{{Text: correct, InsteadOf: wrong, Source: "correction 17"}}
		corrected, unrelated := 0, 0
		for seed := range uint64(200) {
			question := []string{"Where does the ferry leave from?", "Tell me about the captain.", "Who speaks before breakfast?"}[seed%3]
			before := generate(t, client, ask(seed, question, nil))
			after := generate(t, client, ask(seed, question, func(p *ngramv1.DecodeParameters) { p.Biases = correction }))
			if want := strings.ReplaceAll(before.Text, wrong, correct); after.Text != want {
				t.Errorf("seed %d: %q became %q", seed, before.Text, after.Text)
			}
			told := 0
			for _, token := range after.chunk().Tokens {
				if replaced := token.GetReplaced(); replaced != nil {
					told++
					if replaced.Text != correct || replaced.Source != "correction 17" || replaced.Tokens != 3 || replaced.Bias != 0 {
						t.Errorf("seed %d: told %v", seed, replaced)
					}
				}
			}
			if said := strings.Count(before.Text, wrong); said > 0 {
				corrected++
				if told != said {
					t.Errorf("seed %d: %d places were replaced, %d are told", seed, said, told)
				}
			} else {
				unrelated++
				if !proto.Equal(before.finish, after.finish) || !proto.Equal(before.chunk(), after.chunk()) {
					t.Errorf("seed %d: an unrelated reply changed from %v to %v", seed, before.chunk(), after.chunk())
				}
			}
		}
		if corrected < 10 || unrelated < 10 {
			t.Errorf("%d replies said the wrong value, %d did not", corrected, unrelated)
		}
	})
}

// After the words that lead to it the value is preferred at the strength of a bias that names none; a reply without them is
// the same bytes as before.
func TestAValueIsPreferredAfterItsWords(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		led, said, unrelated := 0, 0, 0
		for seed := range uint64(200) {
			before := generate(t, client, ask(seed, "Where does the ferry leave from?", nil))
			after := generate(t, client, ask(seed, "Where does the ferry leave from?", func(p *ngramv1.DecodeParameters) {
				p.Biases = []*ngramv1.SequenceBias{{Text: correct, After: "leaves from the", Source: "correction 18"}}
			}))
			if !strings.Contains(before.Text, "leaves from the") {
				unrelated++
				if after.Text != before.Text {
					t.Errorf("seed %d: an unrelated reply changed from %q to %q", seed, before.Text, after.Text)
				}
				continue
			}
			led++
			if strings.Contains(after.Text, "leaves from the "+correct) {
				said++
			}
			if len(after.header.Extension) != 3 || after.header.Extension[1].Text != "Skłodowska" || after.header.Extension[1].Source != "correction 18" {
				t.Errorf("seed %d: the extension vocabulary is told as %v", seed, after.header.Extension)
			}
		}
		if led < 5 || said*100 < led*95 || unrelated < 5 {
			t.Errorf("%d of %d replies say the value, %d are unrelated", said, led, unrelated)
		}
	})
}

// A bias with a pattern applies once the pattern was said, before the reply or in it.
func TestABiasWaitsForItsPattern(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		bias := func(pattern string) func(*ngramv1.DecodeParameters) {
			return func(p *ngramv1.DecodeParameters) {
				p.Biases = []*ngramv1.SequenceBias{{Text: "Zanzibar", StrengthLog10: 20, Pattern: pattern}}
			}
		}
		for pattern, want := range map[string]bool{"the ferry": true, "The FERRY leave": true, "ferry the": false, "Unheard of": false, "ferr": false} {
			reply := generate(t, client, ask(3, "Where does the ferry leave from?", bias(pattern)))
			if strings.Contains(reply.Text, "Zanzibar") != want {
				t.Errorf("with the pattern %q: %q", pattern, reply.Text)
			}
		}
		in := 0
		for seed := range uint64(40) {
			reply := generate(t, client, ask(seed, "", bias("captain of")))
			at, pattern := strings.Index(reply.Text, "Zanzibar"), strings.Index(reply.Text, "captain of")
			if at >= 0 {
				in++
			}
			if (at >= 0) != (pattern >= 0) || at >= 0 && at < pattern {
				t.Errorf("seed %d: %q", seed, reply.Text)
			}
		}
		if in == 0 {
			t.Error("no reply holds the pattern")
		}
	})
}

func TestExtensionAndRequired(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		for seed := range uint64(10) {
			reply := generate(t, client, ask(seed, "Where is the ferry?", func(p *ngramv1.DecodeParameters) {
				p.Required = []string{"Marie Skłodowska Quay", "the clock"}
			}))
			if !strings.Contains(reply.Text, correct) || !strings.Contains(strings.ToLower(reply.Text), "the clock") {
				t.Errorf("seed %d: not all that is required is in %q", seed, reply.Text)
			}
		}
		said := 0
		for seed := range uint64(200) {
			reply := generate(t, client, ask(seed, "", func(p *ngramv1.DecodeParameters) {
				p.Profile, p.MaxTokens, p.Temperature = plainProfile, proto.Uint32(20), proto.Float64(3)
				p.Extension = []*ngramv1.ExtensionWord{{Text: "Zanzibar", Like: "harbour", Source: "an atlas"}}
			}))
			if strings.Contains(reply.Text, "Zanzibar") {
				said++
			}
			told := reply.header.Extension
			if len(told) != 1 || told[0].Text != "Zanzibar" || told[0].Source != "an atlas" || told[0].LikeId == 0 {
				t.Fatalf("told %v", told)
			}
		}
		if said == 0 {
			t.Error("no reply said the word of the extension vocabulary")
		}
	})
}

// The stages tell how every token came to be chosen.
func TestStagesAreTold(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		request := ask(1, "Where does the ferry leave from?", func(p *ngramv1.DecodeParameters) {
			p.RepetitionPenalty, p.PenaltyHistory, p.TypicalP = proto.Float64(1.2), proto.Uint32(64), proto.Float64(0.9)
			p.Biases = []*ngramv1.SequenceBias{{Text: "captain", StrengthLog10: 1}, {Text: correct, InsteadOf: wrong}}
		})
		without := generate(t, client, request)
		request.Stages, request.Explain = 5, &ngramv1.ExplainOptions{}
		request.Parameters.Extension = []*ngramv1.ExtensionWord{{Text: "unheard"}}
		reply := generate(t, client, request)
		if reply.Text != without.Text || len(reply.header.Stages) != 8 {
			t.Fatalf("%q became %q, stages %v", without.Text, reply.Text, reply.header.Stages)
		}
		for _, chunk := range reply.chunks {
			for _, token := range chunk.Tokens {
				found := false
				for _, candidate := range token.Stages {
					if len(candidate.Probabilities) != len(reply.header.Stages) || candidate.ContextHash == 0 {
						t.Errorf("%v", candidate)
					}
					if candidate.Token.Id == token.Token.Id {
						found = true
						drawn := candidate.Probabilities[len(candidate.Probabilities)-1]
						if math.Abs(math.Log10(drawn)-token.Log10Drawn) > 1e-9 || math.Abs(math.Log10(candidate.Probabilities[0])-token.Log10Probability) > 1e-9 {
							t.Errorf("%q has %v, told are %g and %g", token.Token.Text, candidate.Probabilities, token.Log10Probability, token.Log10Drawn)
						}
					}
				}
				if !found || len(token.Stages) < 1 || len(token.Stages) > 6 {
					t.Errorf("%q is not among its %d candidates", token.Token.Text, len(token.Stages))
				}
			}
		}
	})
}

// What makes no sense is refused by the name of its field.
func TestSteeringIsChecked(t *testing.T) {
	many := func(n int) []string { return strings.Split(strings.Repeat("x,", n-1)+"x", ",") }
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		for field, change := range map[string]func(*ngramv1.DecodeParameters){
			"temperature":        func(p *ngramv1.DecodeParameters) { p.Temperature = proto.Float64(math.NaN()) },
			"typical_p":          func(p *ngramv1.DecodeParameters) { p.TypicalP = proto.Float64(0) },
			"repetition_penalty": func(p *ngramv1.DecodeParameters) { p.RepetitionPenalty = proto.Float64(math.Inf(1)) },
			"penalty_history":    func(p *ngramv1.DecodeParameters) { p.PenaltyHistory = proto.Uint32(5000) },
			"max_copied":         func(p *ngramv1.DecodeParameters) { p.MaxCopied = proto.Uint32(1e6) },
			"stop":               func(p *ngramv1.DecodeParameters) { p.Stop = many(10_000) },
			"bans":               func(p *ngramv1.DecodeParameters) { p.Bans = many(65) },
			"bans[1]":            func(p *ngramv1.DecodeParameters) { p.Bans = []string{"a", " \t\n"} },
			"required[0]":        func(p *ngramv1.DecodeParameters) { p.Required = []string{"  "} },
			"required[1]": func(p *ngramv1.DecodeParameters) {
				p.Bans, p.Required = []string{"old clock"}, []string{"a lamp", "an Old Clock"}
			},
			"required": func(p *ngramv1.DecodeParameters) {
				p.Required, p.MaxTokens = []string{"a b c", "d e f"}, proto.Uint32(5)
			},
			"biases[0].text": func(p *ngramv1.DecodeParameters) { p.Biases = []*ngramv1.SequenceBias{{Text: " "}} },
			"biases[0].strength_log10": func(p *ngramv1.DecodeParameters) {
				p.Biases = []*ngramv1.SequenceBias{{Text: "x", StrengthLog10: math.NaN()}}
			},
			"biases[1].after": func(p *ngramv1.DecodeParameters) {
				p.Biases = []*ngramv1.SequenceBias{{Text: "x"}, {Text: "x", After: "y", InsteadOf: "z"}}
			},
			"biases[0].instead_of": func(p *ngramv1.DecodeParameters) { p.Biases = []*ngramv1.SequenceBias{{Text: "x", InsteadOf: "\n"}} },
			"biases[0].pattern":    func(p *ngramv1.DecodeParameters) { p.Biases = []*ngramv1.SequenceBias{{Text: "x", Pattern: " "}} },
			"extension[0].text":    func(p *ngramv1.DecodeParameters) { p.Extension = []*ngramv1.ExtensionWord{{Text: " "}} },
			"extension[0].like": func(p *ngramv1.DecodeParameters) {
				p.Extension = []*ngramv1.ExtensionWord{{Text: "x", Like: "unheard"}}
			},
		} {
			_, err := tryGenerate(t.Context(), client, ask(1, "", change))
			if errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%s: %v", field, err)
				continue
			}
			named := false
			known, _ := errors.AsType[*errors.Error](err)
			for _, violation := range known.Fields() {
				named = named || strings.HasSuffix(violation.Path, field)
			}
			if !named {
				t.Errorf("%s is not named by %v", field, known.Fields())
			}
		}
		// A stop sequence within what is required would end the reply before it is said.
		if _, err := tryGenerate(t.Context(), client, ask(1, "", func(p *ngramv1.DecodeParameters) {
			p.Required, p.Stop = []string{"the old clock"}, []string{"old"}
		})); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("required and stopped: %v", err)
		}
	})
}

// A token named by its id is steered as the same token named by its text; an id that the build cannot say is refused.
func TestATokenIsSteeredByItsID(t *testing.T) {
	eachFerry(t, func(t *testing.T, client ngramv1.InferenceServiceClient) {
		cut, err := client.Tokenize(t.Context(), &ngramv1.TokenizeRequest{Model: "ferries", Text: "lamp"})
		if err != nil {
			t.Fatal(err)
		}
		lamp := cut.Sentences[0].Tokens[0].Id
		differs := 0
		for seed := range uint64(50) {
			for _, strength := range []float64{-20, 3, 20} {
				steered := func(bias *ngramv1.SequenceBias) generation {
					bias.StrengthLog10 = strength
					return generate(t, client, ask(seed, "the captain", func(p *ngramv1.DecodeParameters) { p.Biases = []*ngramv1.SequenceBias{bias} }))
				}
				byID, byText := steered(&ngramv1.SequenceBias{TokenId: &lamp}), steered(&ngramv1.SequenceBias{Text: "lamp"})
				if byID.Text != byText.Text {
					t.Errorf("seed %d, strength %g: %q by id, %q by text", seed, strength, byID.Text, byText.Text)
				}
				if strength > 0 && strings.Contains(byID.Text, "lamp") {
					differs++
				}
			}
		}
		for seed := range uint64(100) {
			banned := generate(t, client, ask(seed, "the captain", func(p *ngramv1.DecodeParameters) { p.BanTokens = []uint32{lamp} }))
			if strings.Contains(banned.Text, "lamp") || len(banned.header.GetParameters().GetBanTokens()) != 1 {
				t.Errorf("seed %d: %q, with %v in force", seed, banned.Text, banned.header.GetParameters())
			}
		}
		if plain := generate(t, client, &ngramv1.GenerateRequest{Model: "ferries"}); plain.Text == "" || plain.header.GetParameters().N != nil {
			t.Errorf("without parameters: %q, with %v in force", plain.Text, plain.header.GetParameters())
		}
		if _, err := tryGenerate(t.Context(), client, ask(1, "", func(p *ngramv1.DecodeParameters) { p.BanTokens = []uint32{1} })); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("a mark is banned: %v", err)
		}
		if differs < 50 {
			t.Errorf("a preferred token was said in %d replies only", differs)
		}
		for name, bias := range map[string]*ngramv1.SequenceBias{
			"end of sentence": {TokenId: proto.Uint32(2)}, "beyond": {TokenId: proto.Uint32(1 << 31)}, "text too": {TokenId: &lamp, Text: "lamp"},
			"after too": {TokenId: &lamp, After: "a"}, "nothing": {}, "instead": {TokenId: &lamp, InsteadOf: "a"},
		} {
			_, err := tryGenerate(t.Context(), client, ask(1, "", func(p *ngramv1.DecodeParameters) { p.Biases = []*ngramv1.SequenceBias{bias} }))
			if errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
