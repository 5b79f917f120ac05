package concept

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"dbslm/pkg/text"
	"dbslm/services/concept/template"
)

// Tongues tells which of a bot's languages a person writes, by the words of its templates and the stop words of the languages.
// The zero value knows the default language only.
type Tongues struct {
	words map[string]map[string]bool // folded, by language code of templates; "" is the default language
	lists map[string]string          // the stop words that go with it, as a code of two letters
}

// NewTongues collects the words of templates.
func NewTongues(templates []Template) Tongues {
	said := map[string]*strings.Builder{"": {}}
	for _, t := range templates {
		if said[t.Language] == nil {
			said[t.Language] = &strings.Builder{}
		}
		if parsed, err := template.Parse(t.Text, t.Language); err == nil {
			said[t.Language].WriteString(parsed.Literal())
		}
	}
	v := Tongues{map[string]map[string]bool{}, map[string]string{}}
	for code, b := range said {
		v.words[code] = map[string]bool{}
		for _, word := range text.FoldedWords(b.String()) {
			v.words[code][word] = true
		}
		v.lists[code], _, _ = strings.Cut(strings.ToLower(code), "-")
		if code == "" {
			v.lists[code] = "en"
			if other := text.Languages(b.String()); len(other) > 0 {
				v.lists[code] = other[0]
			}
		}
	}
	return v
}

// maxVoice is how much of a text its language is told by, in bytes.
const maxVoice = 2048

// Of returns the code of the language that a text is in, as templates have it, and whether the text tells it: the language that
// knows most of its words. It does not where several know as many; variants of one language are not several.
func (v Tongues) Of(said string) (code string, told bool) {
	if len(v.words) < 2 {
		return "", false
	}
	words := strings.FieldsFunc(strings.ToLower(text.Truncate(said, maxVoice)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r)
	})
	most := 0
	for _, other := range slices.Sorted(maps.Keys(v.words)) { // "" is the first
		switch n := v.known(other, words); {
		case n > most:
			code, most, told = other, n, true
		case n == most:
			told = told && v.lists[other] == v.lists[code]
		}
	}
	if !told {
		return "", false
	}
	return code, true
}

// known is how many of the words the bot says in a language, or the language's list of stop words holds.
func (v Tongues) known(code string, words []string) (n int) {
	for _, word := range words {
		if v.words[code][text.FoldKey(word)] || text.IsStopWord(word, v.lists[code]) {
			n++
		}
	}
	return n
}
