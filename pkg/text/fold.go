package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"golang.org/x/text/unicode/norm"
)

// FoldKey returns the form under which names and subjects are compared: without differences of case,
// accents (of Latin, Greek and Cyrillic letters), width, quotes and white space. "  Café\tNOIR " and
// "cafe noir" have one key. It is for comparing, not for showing.
func FoldKey(s string) string {
	s = norm.NFKD.String(strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	b.Grow(len(s))
	table := classes()
	space, folds := false, false
	for _, r := range s {
		switch c := classOf(table, r); c & classMask {
		case classSpace:
			space = b.Len() > 0
			continue
		case classInvisible:
			continue
		case classMark:
			if folds && unicode.Is(unicode.Mn, r) {
				continue
			}
		default:
			folds = unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic)
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if plain, ok := plainLetters[r]; ok {
			b.WriteString(plain)
			continue
		}
		b.WriteRune(unicode.ToLower(unicode.ToUpper(r))) // twice: "ς", "σ" and "Σ" are one letter
	}
	return norm.NFC.String(b.String())
}

// plainLetters are letters and marks that Unicode does not decompose but people type without their stroke.
var plainLetters = map[rune]string{
	'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l", 'đ': "d", 'Đ': "d", 'ħ': "h", 'Ħ': "h", 'ı': "i",
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe",
	'’': "'", '‘': "'", '‚': "'", '“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`,
	'–': "-", '—': "-", '‐': "-", '‑': "-",
}

// Truncate returns the longest beginning of s that has at most maxBytes bytes and does not cut through
// what people see as one character (a letter with its accents, an emoji sequence). If not even the first
// such character fits, it cuts between runes.
func Truncate(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return s
	}
	if maxBytes <= 0 {
		return ""
	}
	end := 0
	// A cut needs the characters up to it and a little of the next.
	const margin = 256
	clusters := graphemes.FromString(s[:min(len(s), maxBytes+margin)])
	for clusters.Next() {
		if clusters.End() > maxBytes {
			break
		}
		end = clusters.End()
	}
	if end == 0 {
		for end = maxBytes; end > 0 && !utf8.RuneStart(s[end]); end-- {
		}
	}
	return s[:end]
}

// FoldedWords are the runs of letters, marks and digits of a text, each as FoldKey folds it.
func FoldedWords(s string) []string {
	return strings.FieldsFunc(FoldKey(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) })
}
