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
		text                      string
		want                      Match
		ok                        bool
	}{
		{"literal context", "capital of France", "", "", "What is the Capital of France?", Match{[]string{"capital", "of", "france"}, 1}, true},
		{"context over several punctuations", "capital, of France!", "", "", "the capital of “France”", Match{[]string{"capital", "of", "france"}, 1}, true},
		{"not inside a word", "cat", "", "", "concatenate", Match{}, false},
		{"entity and attribute in another order", "", "France", "capital", "what's the capital of France?", Match{[]string{"france", "capital"}, 2. / 3}, true},
		{"entity and attribute in order", "", "France", "capital", "France: capital?", Match{[]string{"france", "capital"}, 1}, true},
		{"one of two words is not enough", "", "France", "capital", "France is nice", Match{}, false},
		{"subject although the context differs", "The capital of Australia is Sydney", "Australia", "capital", "capital of Australia?", Match{[]string{"australia", "capital"}, 2. / 3}, true},
		{"words of the context in another order", "open on Sunday", "", "", "On Sunday, is the loft open?", Match{[]string{"open", "sunday"}, 2. / 3}, true},
		{"possessive", "", "France", "capital", "France's capital city", Match{[]string{"france", "capital"}, 2. / 3}, true},
		{"accents and case", "", "Café Noir", "", "CAFE NOIR", Match{[]string{"cafe", "noir"}, 1}, true},
		{"wildcards are characters", "100%", "", "", "1000 things", Match{}, false},
		{"percent", "100%", "", "", "100 % sure", Match{[]string{"100", "%"}, 1}, true},
		{"underscore", "a_b", "", "", "axb", Match{}, false},
		{"only stop words match literally", "to be or not", "", "", "to be or not to be", Match{[]string{"to", "be", "or", "not"}, 1}, true},
		{"only stop words do not match by words", "to be or not", "", "", "not to be", Match{}, false},
		{"Chinese", "法国的首都", "", "", "请问法国的首都是哪里", Match{[]string{"法", "国", "的", "首", "都"}, 1}, true},
		{"empty text", "capital", "", "", "", Match{}, false},
		{"nothing to look for", "?!", "", "", "anything?!", Match{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := NewKey(c.context, c.entity, c.attribut)
			got, ok := key.Match(folding.Text(c.text))
			if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
				t.Errorf("matched %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestEveryMatchIsFoundByAnAnchor(t *testing.T) {
	word := rapid.SampledFrom([]string{"the", "of", "capital", "France", "首都", "well-known", "C++", "opens", "é", "100%", "Noir", "a_b"})
	phrase := func(label string, t *rapid.T, maximum int) string {
		return strings.Join(rapid.SliceOfN(word, 0, maximum).Draw(t, label), " ")
	}
	rapid.Check(t, func(t *rapid.T) {
		key := NewKey(phrase("context", t, 3), phrase("entity", t, 2), phrase("attribute", t, 2))
		folded := folding.Text(phrase("text", t, 20))
		m, ok := key.Match(folded)
		if !ok {
			return
		}
		if m.Score <= 0 || m.Score > 1 || (m.Score == 1) != strings.Contains(folded, key.Phrase()) || len(m.Words) == 0 {
			t.Fatalf("match %+v of %+v", m, key)
		}
		index := folding.IndexWords(folded)
		if !slices.ContainsFunc(key.Anchors(), func(a string) bool { return slices.Contains(index, a) }) {
			t.Fatalf("%+v matches %q but none of its anchors %q is a word of it", key, folded, key.Anchors())
		}
	})
}
