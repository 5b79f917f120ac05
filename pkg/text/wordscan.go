package text

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// span is a token of the current sentence: places instead of slices, because the window and the arena
// may still move.
type span struct {
	start, end         int // as written, in the window
	text, textEnd      int // the model token in the arena, if it differs from what is written
	written, writtenTo int // how it was written in the arena, if that differs from the window
	initial            bool
}

// wordScanner reads one text. It goes from left to right once; everything it decides depends only on the
// current sentence and at most lookahead bytes after the current place, which is what makes memory
// bounded and Sentence.End a place to resume from.
type wordScanner struct {
	classes  *[basicPlane]class
	separate bool
	window   *window
	yield    func(Sentence) error

	data  []byte // window.data
	at    int    // next byte to look at
	first int    // where the current sentence's part of the window begins

	spans     []span
	arena     []byte
	tokens    []Token
	scratch   []byte // for looking words up in lower case
	placement placement
	sentence  sentenceState
}

// sentenceState is what the scanner remembers about the current sentence.
type sentenceState struct {
	space       bool // white space before the next token
	newline     bool // that space has a line end in it
	ended       bool // an end mark was seen, only end marks and closers since
	closed      bool // a closing mark followed it
	wide        bool // the end mark needs no space after it
	trailing    bool // the end mark was an ellipsis
	letters     bool // a letter was seen,
	lower       bool // and the first was lower case: the writer may not use capitals at all
	openDouble  int
	openSingle  int
	afterWord   bool // the last token is a word
	afterOpener bool // the last token attaches to what follows
}

func (s *wordScanner) begin(at int) {
	s.at, s.first = at, at
	s.spans, s.arena = s.spans[:0], s.arena[:0]
	s.placement = newPlacement()
	s.sentence = sentenceState{space: true}
}

func (s *wordScanner) run() error {
	for {
		s.data = s.window.data
		if !s.window.eof && len(s.data)-s.at < lookahead {
			if len(s.spans) == 0 && s.at > 0 {
				s.window.drop(s.at)
				s.begin(0)
			}
			if err := s.window.more(); err != nil {
				return err
			}
			continue
		}
		if s.at >= len(s.data) {
			return s.end()
		}
		if len(s.spans) >= maxSentenceTokens || s.at-s.first >= maxSentenceBytes {
			if err := s.end(); err != nil {
				return err
			}
			continue
		}
		if err := s.step(); err != nil {
			return err
		}
	}
}

// step handles one run of white space or one token.
func (s *wordScanner) step() error {
	if s.data[s.at] == ' ' && s.plainSpace() {
		return nil
	}
	r, size := s.rune(s.at)
	c := classOf(s.classes, r)
	if c&classMask == classSpace {
		gap := s.gap(s.at)
		s.at = gap.end
		if gap.paragraph || (gap.newline && (s.separate || s.startsUnit(s.at))) {
			return s.end()
		}
		s.sentence.space, s.sentence.newline = true, gap.newline
		if s.sentence.ended && s.endsHere(s.at, true) {
			return s.end()
		}
		return nil
	}
	if s.sentence.ended && !s.sentence.space && s.endsHere(s.at, false) {
		return s.end()
	}
	switch c & classMask {
	case classWord:
		s.word(s.at)
	case classUnspaced:
		s.unspaced(s.at, size)
	case classInvisible:
		s.at += size
		return nil
	default:
		s.punctuation(r, size)
	}
	s.sentence.space, s.sentence.newline = false, false
	return nil
}

// plainSpace takes the one space between two words, the most frequent case by far.
func (s *wordScanner) plainSpace() bool {
	if s.sentence.ended || s.at+1 >= len(s.data) {
		return false
	}
	if next := s.data[s.at+1]; next >= utf8.RuneSelf || s.classes[next]&classMask != classWord {
		return false
	}
	s.at++
	s.sentence.space, s.sentence.newline = true, false
	return true
}

func (s *wordScanner) rune(i int) (rune, int) {
	if c := s.data[i]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRune(s.data[i:])
}

// classAt returns the class of the character at i; classSpace at the end of the text.
func (s *wordScanner) classAt(i int) class {
	if i >= len(s.data) {
		return classSpace
	}
	r, _ := s.rune(i)
	return classOf(s.classes, r)
}

// end hands out the current sentence, if it has tokens, and begins the next one.
func (s *wordScanner) end() error {
	if len(s.spans) == 0 {
		s.begin(s.at)
		return nil
	}
	s.tokens = s.tokens[:0]
	offset := s.window.offset
	for i := range s.spans {
		sp := &s.spans[i]
		t := Token{Text: s.data[sp.start:sp.end:sp.end], Initial: sp.initial, Offset: offset + int64(sp.start)}
		if sp.writtenTo > sp.written {
			t.Surface = s.arena[sp.written:sp.writtenTo:sp.writtenTo]
		}
		if sp.textEnd > sp.text {
			if t.Surface == nil {
				t.Surface = t.Text
			}
			t.Text = s.arena[sp.text:sp.textEnd:sp.textEnd]
			if bytes.Equal(t.Text, t.Surface) {
				t.Surface = nil
			}
		}
		s.tokens = append(s.tokens, t)
	}
	last := s.spans[len(s.spans)-1].end
	sentence := Sentence{Tokens: s.tokens, Start: s.tokens[0].Offset, End: offset + int64(last)}
	if err := s.yield(sentence); err != nil {
		return err
	}
	if last > readerBlock {
		s.window.drop(last)
		s.data = s.window.data
		last = 0
	}
	s.begin(last)
	return nil
}

// word scans a word that starts at start and notes it.
func (s *wordScanner) word(start int) {
	i, flags, changed := s.wordEnd(start)
	if flags&flagAddress == 0 {
		i, changed = s.trailing(start, i, changed)
	}
	sp := span{start: start, end: i}
	first, _ := s.rune(start)
	if isApostrophe(first) || first == '‘' {
		first, _ = s.rune(start + utf8.RuneLen(first))
	}
	c := classOf(s.classes, first)
	if flags&flagUpper != 0 || changed {
		s.lowerInto(&sp)
	}
	if !s.sentence.letters && c&flagNumber == 0 {
		s.sentence.letters = true
		s.sentence.lower = unicode.IsLower(first)
	}
	sp.initial = s.placement.word(c&(flagUpper|flagNumber) != 0)
	// A line of verse begins with a capital, whatever its first word is.
	sp.initial = sp.initial || s.sentence.newline
	s.push(sp)
}

// unspaced notes one character, with its marks, of a script without spaces.
func (s *wordScanner) unspaced(start, size int) {
	sp := span{start: start, end: s.marksAfter(start + size)}
	sp.initial = s.placement.word(true)
	s.sentence.letters = true
	s.push(sp)
}

// push adds a token that is a word.
func (s *wordScanner) push(sp span) {
	s.spans = append(s.spans, sp)
	s.at = sp.end
	s.sentence.ended, s.sentence.closed, s.sentence.wide, s.sentence.trailing = false, false, false, false
	s.sentence.afterWord, s.sentence.afterOpener = true, false
}

// marksAfter returns the end of the marks at i. A run longer than any token may be is cut.
func (s *wordScanner) marksAfter(i int) int {
	for limit := i + maxWordBytes; i < len(s.data) && i < limit; {
		r, size := s.rune(i)
		if classOf(s.classes, r)&classMask != classMark {
			break
		}
		i += size
	}
	return i
}
