package matching

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"

	"github.com/kljensen/snowball/english"
)

// Terms are what inverted indexes hold: folded words without their inflection. The stemmers are Snowball's. English always is one
// of them, since a text of names alone tells no language.

// Term is the English term of one folded word.
func Term(word string) string { return folding.IndexWord(english.Stem(word, true)) }

// ContentTerms returns the distinct English terms of the words of s that carry content, in order: no stop words, no single
// letters, but numbers of one digit, which tell things apart.
func ContentTerms(s string) []string { return ContentTermsOf(s, math.MaxInt) }

// ContentTermsOf returns the first of them, at most limit.
func ContentTermsOf(s string, limit int) []string {
	var terms []string
	for _, w := range contentWords(s, nil, limit) {
		terms = append(terms, w.terms[0])
	}
	return terms
}

// MessageTerms returns under what a message is found, sorted: its ContentTermsOf, and their terms in the languages that the message is
// in, marked with these: "rates" and "rat" share a stem in German only.
func MessageTerms(s string, limit int) []string {
	terms := ContentTermsOf(s, limit)
	if langs := languagesOf(s); len(langs) > 0 {
		for _, w := range contentWords(s, langs, limit) {
			terms = append(terms, w.marked(langs)[1:]...)
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// QueryTerms returns for each word of content of a query the terms of which a message must have one. A query that does not tell its
// language may be in any: it is looked up in all, without what is a stop word somewhere and no English word.
func QueryTerms(s string) [][]string {
	own := languagesOf(s)
	langs := own
	if len(langs) == 0 {
		langs = slices.Sorted(maps.Keys(stemmers))
	}
	all := contentWords(s, own, math.MaxInt)
	words := slices.DeleteFunc(slices.Clone(all), func(w contentWord) bool {
		elided := len(w.folded) == 1 && unicode.IsLetter(rune(w.folded[0])) // "l'école"
		return elided || len(own) == 0 && len(text.Languages(w.folded)) > 0
	})
	if len(words) == 0 {
		words = all
	}
	var terms [][]string
	for _, w := range words {
		terms = append(terms, w.marked(langs))
	}
	return terms
}

// marked returns the word's English term, then those of other languages with their marks, which come out of no folding.
func (w contentWord) marked(langs []string) []string {
	terms := []string{w.terms[0]}
	for _, lang := range langs {
		if stem := stemIn(lang, w.folded); stem != "" {
			terms = append(terms, folding.IndexWord(lang+":"+stem))
		}
	}
	return terms
}

// contentWord is a folded word with its terms: the English one, then those of other languages.
type contentWord struct {
	folded string
	terms  []string
}

// contentWords returns the first words of s, each with another English term, that carry content in English and all of the
// languages.
func contentWords(s string, langs []string, limit int) []contentWord {
	var words []contentWord
	seen := make(map[string]bool)
	add := func(word string) {
		if terms := stems(word, langs); terms[0] != "" && !seen[terms[0]] && len(words) < limit {
			seen[terms[0]] = true
			words = append(words, contentWord{word, terms})
		}
	}
	said := make(map[string]bool) // a long text says most words often
	for _, word := range text.ContentWordsOf(s, append([]string{"en"}, langs...)...) {
		if len(words) == limit {
			return words
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
	return words
}

// Unordered returns the words of s, sorted, without case and punctuation: what it is found by, without what it says. A
// key made of them has the terms and languages of one made of s, but for Hiragana between other characters.
func Unordered(s string) string {
	apart := func(r rune) bool {
		return r != '\'' && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r)
	}
	var words []string
	for _, word := range strings.FieldsFunc(strings.ReplaceAll(strings.ToLower(s), "’", "'"), apart) {
		if single := folding.Words(folding.Text(word)); len(single) > 1 && !strings.Contains(word, "'") { // of a script without spaces
			words = append(words, single...)
			continue
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// maxTextBytes bounds the texts whose every word is asked about: a longer one is no question.
const maxTextBytes = 4 << 10

// Text is a text that corrections are looked for in.
type Text struct {
	folded  string
	langs   []string        // that it is in beside English
	terms   map[string]bool // in English and these
	content []contentWord   // except fillers; nil for long texts
}

// NewText folds and stems a text once for all comparisons.
func NewText(s string) Text {
	t := Text{folded: folding.Text(s), langs: languagesOf(s), terms: make(map[string]bool)}
	said := make(map[string]bool)
	for _, w := range folding.Words(t.folded) {
		if !said[w] {
			said[w] = true
			for _, term := range stems(w, t.langs) {
				t.terms[term] = true
			}
		}
	}
	if len(s) <= maxTextBytes {
		for _, word := range contentWords(s, t.langs, math.MaxInt) {
			if !word.filler(t.langs) {
				t.content = append(t.content, word)
			}
		}
	}
	return t
}

// AsksOnly reports whether all words of content of the text, politeness aside, are among those of others, and there are any.
func (t Text) AsksOnly(about ...string) bool {
	var among []contentWord
	for _, s := range about {
		among = append(among, contentWords(s, t.langs, math.MaxInt)...)
	}
	return len(t.content) > 0 && allAmong(t.content, among)
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
