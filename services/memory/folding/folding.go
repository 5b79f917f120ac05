// Package folding brings text into the form in which corrections and biases are looked for: words without case, accents and
// punctuation, with one space before, between and after them.
//
// The spaces at both ends make substring search a search for whole words, also in SQL: " cat " is in " the cat sat " and not
// in " concatenate ". Han, Hiragana, Katakana and the other scripts written without spaces give one word per character, so
// there substring search finds what a reader finds. Symbols are words of their own ("c++" is "c + +"), punctuation is nothing,
// and apostrophes and hyphens separate ("France's" holds "france").
package folding

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dbslm/pkg/text"
)

// Text returns s folded, or "" if it holds no word. Folding what was folded changes nothing.
func Text(s string) string {
	s = text.FoldKey(s)
	var b strings.Builder
	b.Grow(len(s) + 2)
	previous := gap
	for _, r := range s {
		c := class(r)
		switch c {
		case letter:
			if previous != letter {
				b.WriteByte(' ')
			}
			b.WriteRune(r)
		case single:
			b.WriteByte(' ')
			b.WriteRune(r)
		case mark: // belongs to what stands directly before it
			if previous == gap {
				continue
			}
			b.WriteRune(r)
			c = previous
		}
		previous = c
	}
	if b.Len() == 0 {
		return ""
	}
	b.WriteByte(' ')
	return b.String()
}

// Words returns the words of a folded text, in order.
func Words(folded string) []string { return strings.Fields(folded) }

// Contains reports whether a folded text holds a folded phrase. The empty phrase is in no text.
func Contains(folded, phrase string) bool {
	return phrase != "" && strings.Contains(folded, phrase)
}

// LikePattern escapes a folded phrase for "text LIKE CONCAT('%', pattern, '%') ESCAPE '!'", so that no character of it is a
// wildcard.
func LikePattern(phrase string) string { return likeEscapes.Replace(phrase) }

var likeEscapes = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// maxIndexBytes bounds a word in an index. Longer words with a common beginning share an entry: an index only proposes.
const maxIndexBytes = 64

// IndexWord is the form of a folded word under which an index holds it.
func IndexWord(word string) string {
	if len(word) <= maxIndexBytes {
		return word
	}
	end := maxIndexBytes
	for !utf8.RuneStart(word[end]) {
		end--
	}
	return word[:end]
}

// IndexWords returns the distinct index words of a folded text, sorted.
func IndexWords(folded string) []string {
	words := Words(folded)
	for i, w := range words {
		words[i] = IndexWord(w)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Anchor returns the index word under which a folded phrase is filed: its longest word, since long words are rare, the first
// in byte order among equals. Every text that holds the phrase holds its anchor. It is "" for the empty phrase.
func Anchor(phrase string) string {
	best := ""
	for _, w := range Words(phrase) {
		if len(w) > len(best) || len(w) == len(best) && w < best {
			best = w
		}
	}
	return IndexWord(best)
}

type runeClass uint8

const (
	gap    runeClass = iota
	letter           // continues a word
	single           // is a word
	mark             // extends what is before it
)

// unspaced are the scripts whose words are not set apart.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tibetan,
}

func class(r rune) runeClass {
	switch {
	case r == '_' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		return letter
	case unicode.Is(unicode.Variation_Selector, r):
		return gap
	case unicode.IsMark(r):
		return mark
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		if unicode.In(r, unspaced...) {
			return single
		}
		return letter
	case unicode.In(r, unicode.Sm, unicode.Sc, unicode.So), strings.ContainsRune("#%&@", r):
		return single
	}
	return gap
}
