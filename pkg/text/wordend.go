package text

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordEnd returns where the word at start ends, the flags of all its characters, and whether the model
// token differs from it by more than case. A word is a run of letters, numbers, "_" and marks, and what
// joins two of them: an apostrophe ("don't"), a point in a number or short form ("3.14", "e.g"), "@", "&".
func (s *wordScanner) wordEnd(start int) (end int, flags class, changed bool) {
	limit := min(len(s.data), start+maxWordBytes)
	i := start
	if r, size := s.rune(i); isApostrophe(r) || r == '‘' {
		changed = r != apostrophe
		i += size
	}
	for i < limit {
		c := s.data[i]
		if c < utf8.RuneSelf {
			if k := s.classes[c]; k&classMask == classWord {
				flags |= k
				i++
				continue
			}
			if c == ' ' {
				break
			}
			if c == ':' && bytes.HasPrefix(s.data[i:limit], []byte("://")) || c == '.' && isWWW(s.data[start:i]) {
				return s.addressEnd(i, limit), flags | flagUpper | flagAddress, changed
			}
			if !s.joins(start, i, rune(c), 1) || (c == apostrophe && s.isClitic(i+1)) {
				break
			}
			i++
			if c == apostrophe && s.elides(start, i-1, i) {
				break
			}
			continue
		}
		r, size := utf8.DecodeRune(s.data[i:])
		if i+size > limit {
			break
		}
		k := classOf(s.classes, r)
		switch k & classMask {
		case classWord:
			flags |= k
			changed = changed || r == letterApostrophe
		case classMark:
		case classInvisible:
			changed = true
		default:
			if r != curlyApostrophe || !s.joins(start, i, r, size) || s.isClitic(i+size) {
				return i, flags, changed
			}
			changed = true
			if s.elides(start, i, i+size) {
				return i + size, flags, changed
			}
		}
		i += size
	}
	return i, flags, changed
}

func isApostrophe(r rune) bool { return r == apostrophe || r == curlyApostrophe }

// joins reports whether the character r at i stands inside a word that began at start.
func (s *wordScanner) joins(start, i int, r rune, size int) bool {
	if i == start {
		return false
	}
	next := s.classAt(i + size)
	if next&classMask != classWord {
		return false
	}
	before, _ := utf8.DecodeLastRune(s.data[start:i])
	previous := classOf(s.classes, before)
	numbers := previous&flagNumber != 0 && next&flagNumber != 0
	letters := previous&flagNumber == 0 && next&flagNumber == 0
	switch r {
	case apostrophe, curlyApostrophe, '@':
		return true
	case ',', ':':
		return numbers
	case '&':
		return letters
	case '.':
		if numbers || !letters {
			return numbers
		}
		segment := s.data[start:i]
		segment = segment[bytes.LastIndexByte(segment, '.')+1:]
		return utf8.RuneCount(segment) == 1 || (previous|next)&flagUpper == 0
	}
	return false
}

// elides reports whether the apostrophe at i, with next after it, ends a word like "l'" that leans on
// the next one. Only a vowel or h that begins a longer word can have taken the lost letter's place.
func (s *wordScanner) elides(start, i, next int) bool {
	const longest = 8
	if i-start > longest || s.classAt(next+1)&classMask != classWord {
		return false
	}
	r, _ := s.rune(next)
	if r < utf8.RuneSelf && !strings.ContainsRune("aeiouhAEIOUH", r) {
		return false
	}
	return elisions[string(s.lowered(start, i))]
}

// isClitic reports whether the letters at i, after an apostrophe, are a clitic like the s of "Anna's".
func (s *wordScanner) isClitic(i int) bool {
	end := i
	for end < len(s.data) && end-i <= maxClitic && s.classAt(end)&classMask == classWord {
		end++
	}
	return end > i && end-i <= maxClitic && clitics[string(s.lowered(i, end))]
}

// lowered returns a piece of the window in lower case, for looking it up in a table; the next call
// overwrites it.
func (s *wordScanner) lowered(start, end int) []byte {
	s.scratch = s.scratch[:0]
	for i := start; i < end; {
		r, size := s.rune(i)
		s.scratch = utf8.AppendRune(s.scratch, unicode.ToLower(r))
		i += size
	}
	return s.scratch
}

func isWWW(b []byte) bool { return len(b) == 3 && strings.EqualFold(string(b), "www") }

// addressEnd returns the end of a web address: everything up to white space or a quote, without the
// punctuation of the sentence around it.
func (s *wordScanner) addressEnd(i, limit int) int {
	for i < limit {
		r, size := s.rune(i)
		if i+size > limit || classOf(s.classes, r)&classMask == classSpace || strings.ContainsRune(`"<>“”«»`, r) {
			break
		}
		i += size
	}
	for strings.IndexByte(`.,;:!?)]}'`, s.data[i-1]) >= 0 {
		i--
	}
	return i
}

// openEnded are words written with an apostrophe for their lost end.
var openEnded = map[string]bool{"o": true, "th": true, "wi": true, "an": true, "ol": true, "i": true}

// trailing extends a word by an apostrophe or full stop that belongs to it.
func (s *wordScanner) trailing(start, i int, changed bool) (int, bool) {
	if i >= len(s.data) || i-start >= maxWordBytes {
		return i, changed
	}
	if r, size := s.rune(i); isApostrophe(r) && s.sentence.openSingle == 0 && s.classAt(i+size)&classMask != classWord {
		last := s.data[i-1]
		clipped := r == curlyApostrophe || (i-start > 3 && last == 'n' && s.data[i-2] == 'i') || (i-start < 3 && openEnded[string(s.lowered(start, i))])
		if clipped && last != 's' && last != 'S' { // "soldiers'" is "soldiers" and a possessive
			return i + size, changed || r != apostrophe
		}
		return i, changed
	}
	if s.data[i] == '.' && s.stopBelongs(start, i) {
		return i + 1, changed
	}
	return i, changed
}

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
