package matching

import (
	"slices"
	"strings"
	"testing"

	"dbslm/services/memory/folding"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name                      string
		context, entity, attribut string
		cue, text                 string
		want                      Match
		ok                        bool
	}{
		{"literal context", "capital of France", "", "", "", "What is the Capital of France?", Match{[]string{"capital", "of", "france"}, 1}, true},
		{"context over several punctuations", "capital, of France!", "", "", "", "the capital of “France”", Match{[]string{"capital", "of", "france"}, 1}, true},
		{"not inside a word", "cat", "", "", "", "concatenate", Match{}, false},
		{"entity and attribute in another order", "", "France", "capital", "", "what's the capital of France?", Match{[]string{"franc", "capit"}, 2. / 3}, true},
		{"entity and attribute in order", "", "France", "capital", "", "France: capital?", Match{[]string{"france", "capital"}, 1}, true},
		{"one of two words is not enough", "", "France", "capital", "", "France is nice", Match{}, false},
		{"subject although the context differs", "The capital of Australia is Sydney", "Australia", "capital", "", "capital of Australia?", Match{[]string{"australia", "capit"}, 2. / 3}, true},
		{"words of the context in another order", "open on Sunday", "", "", "", "On Sunday, is the loft open?", Match{[]string{"open", "sunday"}, 2. / 3}, true},
		{"possessive", "", "France", "capital", "", "France's capital city", Match{[]string{"franc", "capit"}, 2. / 3}, true},
		{"accents and case", "", "Café Noir", "", "", "CAFE NOIR", Match{[]string{"cafe", "noir"}, 1}, true},
		{"wildcards are characters", "100%", "", "", "", "1000 things", Match{}, false},
		{"percent", "100%", "", "", "", "100 % sure", Match{[]string{"100", "%"}, 1}, true},
		{"underscore", "a_b", "", "", "", "axb", Match{}, false},
		{"only stop words match literally", "to be or not", "", "", "", "to be or not to be", Match{[]string{"to", "be", "or", "not"}, 1}, true},
		{"only stop words do not match by words", "to be or not", "", "", "", "not to be", Match{}, false},
		{"Chinese", "法国的首都", "", "", "", "请问法国的首都是哪里", Match{[]string{"法", "国", "的", "首", "都"}, 1}, true},
		{"plural and case", "", "harbours", "opening hour", "", "Opening hours of the HARBOUR, please", Match{[]string{"harbour", "open", "hour"}, 3. / 4}, true},
		{"fillers", "", "Australia", "capital", "", "Hi, I was wondering, what is Australia's capital again?", Match{[]string{"australia", "capit"}, 2. / 3}, true},
		{"two of three words and nothing else", "The capital of Australia is Sydney", "", "", "", "And what's the capital of Australia?", Match{[]string{"capit", "australia"}, float64(2./3*2) / 3}, true},
		{"two of three words and something else", "The capital of Australia is Sydney", "", "", "", "Is the capital of Australia a nice town?", Match{}, false},
		{"another day", "", "", "", "When does the loft open on Sunday?", "When does the loft open on Monday?", Match{}, false},
		{"another number", "", "", "", "Which door is room 7?", "Which door is room 8?", Match{}, false},
		{"the question again", "Sydney", "", "", "What is the capital of Australia?", "Tell me the capital of Australia.", Match{[]string{"capit", "australia"}, 2. / 3}, true},
		{"another attribute", "", "", "", "What is the capital of Australia?", "What is the population of Australia?", Match{}, false},
		{"another entity", "", "Australia", "capital", "", "the capital of Austria", Match{}, false},
		{"German plurals", "", "", "", "Welcher Zug geht nach Wien?", "Und welche Züge gehen nach Wien?", Match{[]string{"zug", "wien"}, 2. / 3}, true},
		{"French plurals", "l'heure d'ouverture du marché", "", "", "", "les heures d'ouverture des marchés", Match{[]string{"heur", "ouvertur", "march"}, 3. / 4}, true},
		{"Spanish plurals", "", "", "", "¿Cuál es el horario de la biblioteca?", "los horarios de las bibliotecas", Match{[]string{"horario", "biblioteca"}, 2. / 3}, true},
		{"Portuguese plurals", "", "", "", "Qual é a altura da torre velha?", "a altura das torres velhas", Match{[]string{"altura", "torr", "velha"}, 3. / 4}, true},
		{"a German text and a fact without stop words", "", "Bäckerei", "Öffnungszeiten", "", "Was ist die Öffnungszeit der Bäckerei?", Match{[]string{"backerei", "offnungszeit"}, 2. / 3}, true},
		{"German stop words ask for nothing", "", "", "", "Wie heißt der Wärter?", "Kannst du mir bitte noch einmal sagen, wie der Wärter heißt?", Match{[]string{"heisst", "warter"}, 2. / 3}, true},
		{"another German town", "", "", "", "Wann fährt der Zug nach Wien?", "Wann fährt der Zug nach Graz?", Match{}, false},
		{"English words that are German stop words", "", "", "", "When did the war end?", "When did the fog end?", Match{}, false},
		{"empty text", "capital", "", "", "", "", Match{}, false},
		{"nothing to look for", "?!", "", "", "", "anything?!", Match{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := NewKey(c.context, c.entity, c.attribut, c.cue)
			got, ok := key.Match(NewText(c.text), Frequencies{"": 1})
			if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
				t.Errorf("matched %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestEveryMatchIsFoundByATerm(t *testing.T) {
	word := rapid.SampledFrom([]string{"der", "die", "Züge", "Zug", "de", "la", "horarios", "horario", "the", "of", "capital", "capitals", "France", "首都", "well-known", "C++", "opens", "é", "100%", "Noir", "a_b"})
	phrase := func(label string, t *rapid.T, maximum int) string {
		return strings.Join(rapid.SliceOfN(word, 0, maximum).Draw(t, label), " ")
	}
	rapid.Check(t, func(t *rapid.T) {
		key := NewKey(phrase("context", t, 3), phrase("entity", t, 2), phrase("attribute", t, 2), phrase("cue", t, 4))
		said := phrase("text", t, 20)
		text, folded := NewText(said), folding.Text(said)
		m, ok := key.Match(text, Frequencies{"": rapid.Int64Range(0, 9).Draw(t, "all"), "capit": rapid.Int64Range(0, 9).Draw(t, "some")})
		if !ok {
			return
		}
		if m.Score <= 0 || m.Score > 1 || (m.Score == 1) != folding.Contains(folded, key.Phrase()) || len(m.Words) == 0 {
			t.Fatalf("match %+v of %+v", m, key)
		}
		index := text.Lookup(100)
		if !slices.ContainsFunc(key.Terms(), func(a string) bool { return slices.Contains(index, a) }) {
			t.Fatalf("%+v matches %q but none of its terms %q is looked up for it", key, folded, key.Terms())
		}
	})
}

// TestUnorderedWordsMatchAlike compares a key of a question with one of its words alone.
func TestUnorderedWordsMatchAlike(t *testing.T) {
	word := rapid.SampledFrom([]string{"Wo", "ist", "der", "die", "Schlüssel", "Bäckerei", "où", "est", "l'école", "hôtel", "the", "What's", "France’s", "capital", "capitals", "首都", "日本", "7", "C++", "50%", "well-known", "?", "Ärger!"})
	rapid.Check(t, func(t *rapid.T) {
		question := strings.Join(rapid.SliceOfN(word, 0, 12).Draw(t, "question"), " ")
		said := NewText(strings.Join(rapid.SliceOfN(word, 0, 12).Draw(t, "text"), " "))
		whole, words := NewKey("wrong", "", "", question), NewKey("wrong", "", "", Unordered(question))
		if diff := cmp.Diff(whole.Terms(), words.Terms()); diff != "" {
			t.Fatal(question, diff)
		}
		_, a := whole.Match(said, Frequencies{"": 3})
		if _, b := words.Match(said, Frequencies{"": 3}); a != b {
			t.Fatalf("%q matches %v, its words %q match %v", question, a, Unordered(question), b)
		}
		if again := Unordered(Unordered(question)); again != Unordered(question) {
			t.Fatalf("%q becomes %q", Unordered(question), again)
		}
	})
}
