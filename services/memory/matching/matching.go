// Package matching decides which corrections bear on a text. It is literal: no character of a text or of a correction is a
// wildcard, no model is asked, and equal inputs give equal answers.
//
// A correction bears on a text
//   - literally, when the folded text holds its phrase (see package folding) — score 1; or
//   - by its words, when the text holds the content words of what the correction is about — entity and attribute —, of its
//     error context, or of the question whose answer it corrects, in any order and inflection of English and of the languages
//     that correction or text are in.
//
// Words weigh by how few corrections of the scope hold them (inverse document frequency, in bits); a missing word weighs like
// one that no other correction holds. A text that holds all words of a source matches. One that holds words of three fifths
// of the weight, and as much of entity and of attribute each, matches if it asks for nothing else: all its own content words
// are among the source's. With c the part of the weight that n words cover, the score is c·n/(n+1).
package matching

import (
	"math/bits"
	"slices"
	"strings"

	"dbslm/services/memory/folding"
)

const (
	// maxWords bounds the words that a match reports, maxTerms those that a source is looked for by.
	maxWords = 64
	maxTerms = 32
	// Three fifths of the weight must be there.
	coverNumerator, coverDenominator = 3, 5
)

// Key is what a correction is looked for by.
type Key struct {
	phrase  string // folded; empty when there is no word to look for
	langs   []string
	sources []source
}

// source is one of the texts that a correction is about; each of its parts must be met.
type source [][]contentWord

// NewKey makes the key of a correction from its texts, any of which may be empty; cue is the question that was answered
// wrongly. The phrase is the error context, or entity and attribute in that order where there is none.
func NewKey(errorContext, entity, attribute, cue string) Key {
	k := Key{phrase: folding.Text(errorContext), langs: languagesOf(strings.Join([]string{errorContext, entity, attribute, cue}, ". "))}
	if k.phrase == "" {
		k.phrase = folding.Text(entity + " " + attribute)
	}
	for _, parts := range [][]string{{entity, attribute}, {errorContext}, {cue}} {
		var s source
		for _, part := range parts {
			if words := contentWords(part, k.langs, maxTerms+1); len(words) > 0 && len(words) <= maxTerms {
				s = append(s, words)
			}
		}
		if s != nil {
			k.sources = append(k.sources, s)
		}
	}
	return k
}

// SameQuestion reports whether two keys are about the same words of content, politeness aside: one of the sources of each.
func (k Key) SameQuestion(other Key) bool {
	if len(k.sources) == 0 || len(other.sources) == 0 {
		return k.phrase != "" && k.phrase == other.phrase
	}
	for _, a := range k.sources {
		for _, b := range other.sources {
			if wa, wb := a.asked(k.langs), b.asked(other.langs); len(wa) > 0 && allAmong(wa, wb) && allAmong(wb, wa) {
				return true
			}
		}
	}
	return false
}

// asked are the words of the source without politeness.
func (s source) asked(langs []string) []contentWord {
	return slices.DeleteFunc(slices.Concat(s...), func(w contentWord) bool { return w.filler(langs) })
}

func allAmong(words, among []contentWord) bool {
	return !slices.ContainsFunc(words, func(w contentWord) bool {
		return !slices.ContainsFunc(among, func(other contentWord) bool { return shareTerm(w.terms, other.terms) })
	})
}

// Phrase is what a folded text must hold to match literally; empty when nothing can match.
func (k Key) Phrase() string { return k.phrase }

// Terms are what an index files the correction under, sorted: every text that matches holds one of them. A phrase without
// content, or with more of it than is worth filing, is filed under its own longest words.
func (k Key) Terms() []string {
	var terms []string
	for _, s := range k.sources {
		for _, part := range s {
			for _, word := range part {
				terms = append(terms, word.terms...)
			}
		}
	}
	if phrase := folding.Words(k.phrase); !slices.ContainsFunc(phrase, func(w string) bool { return slices.Contains(terms, Term(w)) }) {
		slices.SortStableFunc(phrase, func(a, b string) int { return len(b) - len(a) })
		for _, w := range phrase[:min(len(phrase), 4)] {
			terms = append(terms, Term(w))
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// Frequencies say how many corrections of a scope an index holds under a term; "" stands for all of them.
type Frequencies map[string]int64

// Weight is the term's in bits: log2 of how many corrections of the scope there are per one that holds it, at least 2.
func (f Frequencies) Weight(term string) int64 {
	return int64(bits.Len64(uint64(4 * (max(f[""], 1) / max(f[term], 1)))))
}

// Match is how a key bears on a text.
type Match struct {
	Words []string // folded words or terms of the text that matched, at most 64, in the key's order
	Score float64  // in (0, 1]; 1 is literal
}

// Match reports whether the key bears on a text.
func (k Key) Match(t Text, f Frequencies) (Match, bool) {
	if folding.Contains(t.folded, k.phrase) {
		return Match{Words: distinct(folding.Words(k.phrase)), Score: 1}, true
	}
	var best Match
	for _, s := range k.sources {
		if words, cover, ok := s.match(k.langs, t, f); ok {
			n := float64(len(words))
			if score := float64(cover*n) / (n + 1); score > best.Score {
				best = Match{Words: distinct(words), Score: score}
			}
		}
	}
	return best, best.Score > 0
}

// match returns the terms of the source that the text holds and the part of the weight that they cover. At least one of them is
// what an index of the source's languages files it under.
func (s source) match(langs []string, t Text, f Frequencies) (found []string, cover float64, ok bool) {
	missing := f.Weight("\x00") // is in no index
	var have, total int64
	filed := false
	more := both(langs, t.langs)
	if len(more) == len(langs) {
		more = nil
	}
	for _, part := range s {
		var partHave, partAll int64
		for _, word := range part {
			terms := word.terms
			if more != nil {
				terms = stems(word.folded, more)
			}
			term, ok := t.holds(terms)
			if !ok {
				partAll += missing
				continue
			}
			filed = filed || slices.Contains(word.terms, term)
			found = append(found, term)
			partHave += f.Weight(term)
			partAll += f.Weight(term)
		}
		if coverDenominator*partHave < coverNumerator*partAll {
			return nil, 0, false
		}
		have, total = have+partHave, total+partAll
	}
	return found, float64(have) / float64(total), filed && (have == total || s.holds(t, more))
}

// holds returns the first of the terms that the text holds.
func (t Text) holds(terms []string) (string, bool) {
	for _, term := range terms {
		if t.terms[term] {
			return term, true
		}
	}
	return "", false
}

// holds reports whether all words of content of a text are among the source's, also in more languages than its own if any are
// given, and there are any.
func (s source) holds(t Text, more []string) bool {
	for _, said := range t.content {
		among := slices.ContainsFunc(s, func(part []contentWord) bool {
			return slices.ContainsFunc(part, func(own contentWord) bool {
				return shareTerm(said.terms, own.terms) || more != nil && shareTerm(said.terms, stems(own.folded, more))
			})
		})
		if !among {
			return false
		}
	}
	return len(t.content) > 0
}

func shareTerm(a, b []string) bool {
	return slices.ContainsFunc(a, func(term string) bool { return slices.Contains(b, term) })
}

func distinct(list []string) []string {
	var words []string
	for _, w := range list {
		if !slices.Contains(words, w) && len(words) < maxWords {
			words = append(words, w)
		}
	}
	return words
}
