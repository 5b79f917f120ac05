package text

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// stopBelongs reports whether the full stop at i is part of the word before it, which an abbreviation's
// is unless it also ends the sentence: then it is a token like every sentence's.
func (s *wordScanner) stopBelongs(start, i int) bool {
	if i+1 < len(s.data) && s.data[i+1] == '.' {
		return false
	}
	word := s.data[start:i]
	kind := noAbbreviation
	number := s.classAt(start)&flagNumber != 0
	switch {
	case number:
		if len(bytes.TrimLeft(word, "0123456789")) > 0 {
			return false
		}
	case utf8.RuneCount(word) == 1:
		kind = beforeName
		if word[0] == 'I' || s.classAt(start)&flagUpper == 0 {
			kind = mayEnd
		}
	case bytes.IndexByte(word, '.') > 0:
		kind = mayEnd
		for part := range bytes.SplitSeq(word, []byte{'.'}) {
			if utf8.RuneCount(part) > 2 { // a domain or file, not "p.m" or "Ph.D"
				return false
			}
		}
	case len(word) <= 8:
		kind = abbreviations[string(s.lowered(start, i))]
	}
	if kind == noAbbreviation && !number {
		return false
	}
	next := s.following(i + 1)
	if next.hard {
		return false
	}
	switch {
	case number: // "1. Introduction", "am 3. Oktober", but not "in 1805. The"
		return next.lower || (len(s.spans) == 0 && len(word) <= 2)
	case kind == beforeName:
		return true
	case kind == beforeNumber:
		return next.number
	case word[0] == 'I' && len(word) == 1:
		return false
	}
	return !next.upper || !sentenceStarters[string(s.lowered(next.start, next.end))]
}

// following is what comes after a possible sentence end.
type following struct {
	hard                 bool // the text, paragraph or line item ends
	upper, lower, number bool // how the next word begins
	start, end           int  // the next word, if upper
}

// following looks over closing marks, white space and opening marks from i on.
func (s *wordScanner) following(i int) following {
	const most = 8
	for n := 0; n < most && i < len(s.data); n++ {
		r, size := s.rune(i)
		if !isClosing(r) {
			break
		}
		i += size
	}
	if i >= len(s.data) {
		return following{hard: true}
	}
	gap := s.gap(i)
	if gap.paragraph || gap.end >= len(s.data) || (gap.newline && (s.separate || s.startsUnit(gap.end))) {
		return following{hard: true}
	}
	i = gap.end
	for n := 0; n < most && i < len(s.data); n++ {
		r, size := s.rune(i)
		if !isOpening(r) {
			break
		}
		i = s.gap(i + size).end
	}
	if i >= len(s.data) {
		return following{hard: true}
	}
	r, _ := s.rune(i)
	c := classOf(s.classes, r)
	f := following{number: c&flagNumber != 0, lower: unicode.IsLower(r), upper: c&flagUpper != 0}
	if f.upper {
		for f.start, f.end = i, i; f.end < len(s.data) && f.end-i < maxWordBytes && s.classes[s.data[f.end]]&classMask == classWord; {
			f.end++
		}
	}
	return f
}

func isClosing(r rune) bool {
	switch r {
	case '"', '\'', '”', '’', '»', '›', ')', ']', '}':
		return true
	}
	return false
}

func isOpening(r rune) bool {
	switch r {
	case '"', '\'', '“', '‘', '„', '‚', '«', '‹', '(', '[', '{', '¿', '¡', '—', '–', '-', '*', '†':
		return true
	}
	return false
}
