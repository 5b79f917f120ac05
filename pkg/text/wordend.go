package text

import (
	"bytes"
	"strings"
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
