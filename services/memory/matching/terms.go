package matching

import (
	_ "embed"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"

	"github.com/kljensen/snowball/english"
)

// Terms are what inverted indexes hold: folded words without their inflection. The stemmer is Porter's second for English
// (Snowball); of other languages it takes off little, and the same on both sides.

//go:embed words/fillers.txt
var fillerFile string

// fillers are words with which people dress up a question. They carry content elsewhere, so they are terms; but a text
// that has them beside what it asks for asks for nothing else.
var fillers = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(fillerFile) {
		set[Term(word)] = true
	}
	return set
})

// Term is the term of one folded word.
func Term(word string) string { return folding.IndexWord(english.Stem(word, true)) }

// ContentTerms returns the distinct terms of the words of s that carry content, in order: no stop words, no single letters,
// but numbers of one digit, which tell things apart.
func ContentTerms(s string) []string { return ContentTermsOf(s, math.MaxInt) }

// ContentTermsOf returns the first of them, at most limit.
func ContentTermsOf(s string, limit int) []string {
	var terms []string
	seen := make(map[string]bool)
	add := func(word string) {
		if t := Term(word); t != "" && !seen[t] && len(terms) < limit {
			seen[t] = true
			terms = append(terms, t)
		}
	}
	said := make(map[string]bool) // a long text says most words often
	for _, word := range text.ContentWords(s, "en") {
		if len(terms) == limit {
			return terms
		}
		if said[word] {
			continue
		}
		said[word] = true
		for _, w := range folding.Words(folding.Text(word)) {
			add(w)
		}
	}
	for _, w := range folding.Words(folding.Text(s)) {
		if r, size := utf8.DecodeRuneInString(w); size == len(w) && unicode.IsDigit(r) {
			add(w)
		}
	}
	return terms
}

// maxTextBytes bounds the texts whose every word is asked about: a longer one is no question.
const maxTextBytes = 4 << 10

// Text is a text that corrections are looked for in.
type Text struct {
	folded  string
	terms   map[string]bool
	content []string // terms of content except fillers; nil for long texts
}

// NewText folds and stems a text once for all comparisons.
func NewText(s string) Text {
	t := Text{folded: folding.Text(s), terms: make(map[string]bool)}
	said := make(map[string]bool)
	for _, w := range folding.Words(t.folded) {
		if !said[w] {
			said[w] = true
			t.terms[Term(w)] = true
		}
	}
	if len(s) <= maxTextBytes {
		for _, term := range ContentTerms(s) {
			if !fillers()[term] {
				t.content = append(t.content, term)
			}
		}
	}
	return t
}

// Lookup returns the words under which indexes may hold what bears on the text, sorted, at most limit.
func (t Text) Lookup(limit int) []string {
	words := folding.IndexWords(t.folded) // indexes of earlier versions hold words as they are
	for term := range t.terms {
		words = append(words, term)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), limit)]
}
