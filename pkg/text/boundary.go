package text

import "unicode"

// gap is a run of white space.
type gap struct {
	end       int
	newline   bool
	paragraph bool // an empty line, a paragraph separator, or far too much space
}

// gap returns the white space at i; it is empty if there is none.
func (s *wordScanner) gap(i int) gap {
	start, lines := i, 0
	g := gap{end: i}
	for i < len(s.data) {
		if c := s.data[i]; c == ' ' {
			i++
			g.end = i
		} else {
			r, size := s.rune(i)
			k := classOf(s.classes, r)
			if k&classMask == classInvisible && i > start {
				i += size
				continue
			}
			if k&classMask != classSpace {
				break
			}
			if r == '\r' && i+1 < len(s.data) && s.data[i+1] == '\n' {
				size = 2
			}
			i += size
			g.end = i
			if k&flagNewline != 0 {
				lines++
			}
			g.paragraph = g.paragraph || r == paragraphSepar
		}
		if i-start >= maxSpaceBytes {
			g.paragraph = true
			break
		}
	}
	g.newline = lines > 0
	g.paragraph = g.paragraph || lines > 1
	return g
}

// endsHere decides, after an end mark and possibly closing marks, whether the sentence ends before the
// character at i. Spaced says that white space stands before it.
func (s *wordScanner) endsHere(i int, spaced bool) bool {
	if i >= len(s.data) {
		return true
	}
	r, size := s.rune(i)
	k := markRole(r)
	if k == roleEnd || k == roleWideEnd || k == roleWideClose && s.sentence.wide && isWideCloser(r) {
		return false
	}
	if !spaced {
		return s.endsUnspaced(r, i)
	}
	if isClosing(r) && s.classAt(i+size)&classMask == classSpace && (r != '"' || s.sentence.openDouble > 0) {
		return false // a closing mark that was set apart: French « … », or text that was tokenised before
	}
	if s.sentence.wide {
		return true
	}
	next := s.following(i)
	switch {
	case next.hard:
		return true
	case next.lower:
		return !s.sentence.closed && !s.sentence.trailing && s.sentence.lower
	case s.sentence.trailing && string(s.data[next.start:next.end]) == "I":
		return false // "I... I don't know"
	}
	return true
}

// endsUnspaced is endsHere for a character that follows without a space.
func (s *wordScanner) endsUnspaced(r rune, i int) bool {
	if isClosing(r) {
		return false
	}
	if s.sentence.wide {
		return true
	}
	c := classOf(s.classes, r)
	switch c & classMask {
	case classUnspaced:
		return true
	case classWord: // a forgotten space: "at the end.Then", but not "Node.JS"
		first, _ := s.rune(s.spans[0].start)
		if len(s.spans) > 1 {
			first, _ = s.rune(s.spans[len(s.spans)-2].start)
		}
		return c&flagUpper != 0 && unicode.IsLower(first) && !s.sentence.closed
	}
	return s.sentence.closed && (r == '“' || r == '«' || r == '„')
}

func isWideCloser(r rune) bool {
	switch r {
	case '、', '，', '；', '：', '・', '､', '〜':
		return false
	}
	return true
}

const (
	maxLabelBytes = 48
	maxLabelWords = 4
)

// startsUnit reports whether a line that begins at i begins something new although no empty line stands
// before it: a list item, a heading, a speaker's name, a dash that opens direct speech.
func (s *wordScanner) startsUnit(i int) bool {
	if i >= len(s.data) {
		return true
	}
	r, size := s.rune(i)
	spaced := s.classAt(i+size)&classMask == classSpace
	switch r {
	case '•', '‣', '◦', '▪', '·', '*', '+':
		return spaced
	case '-', '–', '—':
		if r != '-' && !spaced { // "—Yes" and "— Yes" open speech; "–yes" goes on with the sentence
			return s.classAt(i+size)&flagUpper != 0
		}
		next, _ := s.rune(min(s.gap(i+size).end, len(s.data)-1))
		return spaced && (r == '-' || !unicode.IsLower(next))
	case '#':
		j := i
		for j < len(s.data) && j-i < 6 && s.data[j] == '#' {
			j++
		}
		return s.classAt(j)&classMask == classSpace
	}
	if '0' <= r && r <= '9' {
		j := i + 1
		for j < len(s.data) && j-i < 2 && '0' <= s.data[j] && s.data[j] <= '9' {
			j++
		}
		return j+1 < len(s.data) && (s.data[j] == '.' || s.data[j] == ')') && s.classAt(j+1)&classMask == classSpace
	}
	return s.isSpeaker(i)
}

// isSpeaker reports whether up to four words, each with a capital, and a colon stand at i: "First Citizen:".
func (s *wordScanner) isSpeaker(i int) bool {
	words, inside := 0, false
	for start := i; i < len(s.data) && i-start < maxLabelBytes; {
		r, size := s.rune(i)
		c := classOf(s.classes, r)
		switch {
		case r == ':':
			return words > 0 && s.classAt(i+1)&classMask == classSpace
		case c&classMask == classWord:
			if !inside {
				if words++; words > maxLabelWords || c&(flagUpper|flagNumber) == 0 || (words == 1 && c&flagUpper == 0) {
					return false
				}
			}
			inside = true
		case r == ' ':
			inside = false
		case c&classMask == classMark || (inside && (r == '.' || r == '-' || isApostrophe(r))):
		default:
			return false
		}
		i += size
	}
	return false
}
