// Package matching decides which corrections bear on a text. It is literal: no character of a text or of a correction is a
// wildcard, no model is asked, and equal inputs give equal answers.
//
// A correction bears on a text
//   - literally, when the folded text holds its phrase (see package folding) — score 1; or
//   - by its words, when the text holds, anywhere and in any order, all content words of what it is about — entity and
//     attribute — or of its error context. More words say more, so n words score n/(n+1).
package matching

import (
	"slices"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"
)

// maxWords bounds the words that a match reports.
const maxWords = 64

// Key is what a correction is looked for by.
type Key struct {
	phrase string     // folded; empty when there is no word to look for
	sets   [][]string // folded phrases of one content word each; all of a set must be there
}

// NewKey makes the key of a correction from its three texts, any of which may be empty. The phrase is the error context, or
// entity and attribute in that order where there is none.
func NewKey(errorContext, entity, attribute string) Key {
	k := Key{phrase: folding.Text(errorContext)}
	if k.phrase == "" {
		k.phrase = folding.Text(entity + " " + attribute)
	}
	for _, source := range []string{entity + " " + attribute, errorContext} {
		if set := contentWords(source); len(set) > 0 {
			k.sets = append(k.sets, set)
		}
	}
	return k
}

// Phrase is what a folded text must hold to match literally; empty when nothing can match.
func (k Key) Phrase() string { return k.phrase }

// Anchors returns index words, sorted, of which every text that matches holds at least one.
func (k Key) Anchors() []string {
	var anchors []string
	if k.phrase != "" {
		anchors = append(anchors, folding.Anchor(k.phrase))
	}
	for _, set := range k.sets {
		longest := ""
		for _, word := range set {
			if a := folding.Anchor(word); len(a) > len(longest) || len(a) == len(longest) && a < longest {
				longest = a
			}
		}
		anchors = append(anchors, longest)
	}
	slices.Sort(anchors)
	return slices.Compact(anchors)
}

// Match is how a key bears on a text.
type Match struct {
	Words []string // folded words of the text that matched, at most 64, in the key's order
	Score float64  // in (0, 1]; 1 is literal
}

// Match reports whether the key bears on a folded text.
func (k Key) Match(folded string) (Match, bool) {
	if folding.Contains(folded, k.phrase) {
		return Match{Words: distinct(k.phrase), Score: 1}, true
	}
	var best []string
	for _, set := range k.sets {
		if len(set) > len(best) && containsAll(folded, set) {
			best = set
		}
	}
	if best == nil {
		return Match{}, false
	}
	n := float64(len(best))
	return Match{Words: distinct(best...), Score: n / (n + 1)}, true
}

func containsAll(folded string, set []string) bool {
	for _, word := range set {
		if !folding.Contains(folded, word) {
			return false
		}
	}
	return true
}

// contentWords folds each content word of s by itself: a word may fold to several ("well-known"), or to none.
func contentWords(s string) []string {
	var set []string
	for _, word := range text.ContentWords(s, "en") {
		if phrase := folding.Text(word); phrase != "" && !slices.Contains(set, phrase) {
			set = append(set, phrase)
		}
	}
	return set
}

func distinct(phrases ...string) []string {
	var words []string
	for _, phrase := range phrases {
		for _, w := range folding.Words(phrase) {
			if !slices.Contains(words, w) && len(words) < maxWords {
				words = append(words, w)
			}
		}
	}
	return words
}
