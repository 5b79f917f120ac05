package matching

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/spanish"
)

// stemmers take the inflection off folded words, by language; English is Term.
var stemmers = map[string]func(*snowballstem.Env) bool{
	"de": german.Stem,
	"es": spanish.Stem,
	"fr": french.Stem,
	"pt": portuguese.Stem,
}

// stems returns the distinct terms of a folded word: the English one, then those of other languages.
func stems(word string, langs []string) []string {
	terms := []string{Term(word)}
	for _, lang := range langs {
		if stem := stemIn(lang, word); stem != "" && !slices.Contains(terms, stem) {
			terms = append(terms, stem)
		}
	}
	return terms
}

// stemIn returns the term of a folded word in a language other than English.
func stemIn(lang, word string) string {
	env := snowballstem.NewEnv(word)
	stemmers[lang](env)
	return folding.IndexWord(env.Current())
}

// languagesOf returns the languages other than English that a text is in as far as its stop words tell, by its beginning.
func languagesOf(s string) []string { return text.Languages(text.Truncate(s, maxTextBytes)) }

// both joins two sorted lists of languages.
func both(a, b []string) []string {
	if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	joined := slices.Concat(a, b)
	slices.Sort(joined)
	return slices.Compact(joined)
}

//go:embed words/fillers.txt
var fillerFile string

// fillers are words with which people dress up a question, by language: English ones as terms, others as folded words. They
// carry content elsewhere, so they are terms; but a text that has them beside what it asks for asks for nothing else.
var fillers = sync.OnceValue(func() map[string]map[string]bool {
	sets := make(map[string]map[string]bool)
	for line := range strings.Lines(fillerFile) {
		lang, words, _ := strings.Cut(line, " ")
		if sets[lang] == nil {
			sets[lang] = make(map[string]bool)
		}
		for word := range strings.FieldsSeq(words) {
			folded := strings.TrimSpace(folding.Text(word))
			if lang == "en" {
				folded = Term(folded)
			}
			sets[lang][folded] = true
		}
	}
	return sets
})

// filler reports whether a word is one in English or any of the languages.
func (w contentWord) filler(langs []string) bool {
	return fillers()["en"][w.terms[0]] || slices.ContainsFunc(langs, func(lang string) bool { return fillers()[lang][w.folded] })
}
