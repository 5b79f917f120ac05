package text

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class says what a character does in a text. The low bits are one of the constants below, the high bits
// are flags.
type class uint8

const (
	classOther     class = iota // punctuation and symbols: a token each
	classSpace                  // white space, line ends, control characters, zero-width space
	classWord                   // letters, numbers and "_" of scripts that put spaces between words
	classUnspaced               // letters of scripts that do not: a token each
	classMark                   // belongs to what stands before it: combining marks, joiners, emoji modifiers
	classInvisible              // soft hyphen, byte order mark, direction marks: dropped
)

const (
	classMask   class = 0x0f
	flagUpper   class = 0x80 // has a lower-case form
	flagNumber  class = 0x40
	flagNewline class = 0x20
	flagAddress class = 0x10 // of a word: it is a web address
)

const (
	zeroWidthSpace    = 0x200B
	zeroWidthNonJoin  = 0x200C
	zeroWidthJoiner   = 0x200D
	lineSeparator     = 0x2028
	paragraphSepar    = 0x2029
	nextLine          = 0x85
	noBreakSpace      = 0xA0
	narrowNoBreak     = 0x202F
	prolongedSound    = 0x30FC
	firstModifier     = 0x1F3FB
	lastModifier      = 0x1F3FF
	firstTag          = 0xE0020
	lastTag           = 0xE007F
	firstRegional     = 0x1F1E6
	lastRegional      = 0x1F1FF
	basicPlane        = 0x10000
	firstNonASCIIRune = utf8.RuneSelf
)

// unspacedScripts are written without spaces between words.
var unspacedScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// classes holds the class of every character of the basic plane; nearly all text needs no other.
var classes = sync.OnceValue(func() *[basicPlane]class {
	var t [basicPlane]class
	set := func(ranges *unicode.RangeTable, c class, keep class) {
		for _, r := range ranges.R16 {
			for i := int(r.Lo); i <= int(r.Hi); i += int(r.Stride) {
				t[i] = t[i]&keep | c
			}
		}
	}
	set(unicode.L, classWord, 0)
	set(unicode.N, classWord|flagNumber, 0)
	t['_'] = classWord
	for _, script := range unspacedScripts {
		for _, r := range script.R16 {
			for i := int(r.Lo); i <= int(r.Hi); i += int(r.Stride) {
				if t[i] == classWord { // their digits form numbers like any other
					t[i] = classUnspaced
				}
			}
		}
	}
	t[prolongedSound] = classUnspaced
	set(unicode.M, classMark, 0)
	set(unicode.Cf, classInvisible, 0)
	set(unicode.Cc, classSpace, 0)
	set(unicode.White_Space, classSpace, 0)
	t[zeroWidthSpace] = classSpace
	t[zeroWidthJoiner], t[zeroWidthNonJoin] = classMark, classMark
	for _, c := range []int{'\n', '\r', '\v', nextLine, lineSeparator, paragraphSepar} {
		t[c] |= flagNewline
	}
	for _, cases := range unicode.CaseRanges {
		for r := rune(cases.Lo); r <= rune(cases.Hi) && r < basicPlane; r++ {
			if unicode.ToLower(r) != r {
				t[r] |= flagUpper
			}
		}
	}
	return &t
})

// classOf is classes for every rune.
func classOf(table *[basicPlane]class, r rune) class {
	if r < basicPlane {
		return table[r]
	}
	switch {
	case r >= firstModifier && r <= lastModifier, r >= firstTag && r <= lastTag, unicode.Is(unicode.M, r):
		return classMark
	case unicode.Is(unicode.L, r):
		c := classWord
		if unicode.In(r, unspacedScripts...) {
			c = classUnspaced
		}
		if unicode.ToLower(r) != r {
			c |= flagUpper
		}
		return c
	case unicode.Is(unicode.N, r):
		return classWord | flagNumber
	case unicode.Is(unicode.Cf, r):
		return classInvisible
	}
	return classOther
}
