package text

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// TestClasses compares the table with the Unicode tables it is made of, for every character.
func TestClasses(t *testing.T) {
	table := classes()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		c := classOf(table, r)
		switch kind := c & classMask; {
		case r == '_' || unicode.IsNumber(r) || unicode.IsLetter(r):
			if kind != classWord && kind != classUnspaced {
				t.Errorf("%U is a letter or number of class %d", r, kind)
			}
		case unicode.IsMark(r):
			if kind != classMark {
				t.Errorf("%U is a mark of class %d", r, kind)
			}
		case unicode.IsSpace(r) || unicode.IsControl(r):
			if kind != classSpace {
				t.Errorf("%U is space of class %d", r, kind)
			}
		case kind == classWord || kind == classUnspaced:
			t.Errorf("%U is no letter but of class %d", r, kind)
		}
		if upper := c&flagUpper != 0; upper != (unicode.ToLower(r) != r) && c&classMask != classOther {
			t.Errorf("%U: upper is %v", r, upper)
		}
		if (c&flagNumber != 0) != unicode.IsNumber(r) {
			t.Errorf("%U: number is %v", r, c&flagNumber != 0)
		}
	}
}

// TestWordsAgreeWithTheRegularExpression: where no rule of its own applies, the tokeniser gives the
// matches of the expression that defines a token.
func TestWordsAgreeWithTheRegularExpression(t *testing.T) {
	expression := regexp.MustCompile(`[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]`)
	tokenizer := mustTokenizer(t, Words, "", NFC)
	for _, s := range []string{
		"speak , marcius ; we are ( all ) resolved : to die",
		"file_2 naïve ÜBER straße x2y 3rd a/b a=b {c} [d] e|f",
		"Один два, три; ÉTÉ ñandú œuvre",
	} {
		want := []string{strings.Join(expression.FindAllString(strings.ToLower(s), -1), " ")}
		if diff := cmp.Diff(want, shown(mustSplit(t, tokenizer, s))); diff != "" {
			t.Errorf("%q: %s", s, diff)
		}
	}
}
