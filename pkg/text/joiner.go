package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordJoiner writes the tokens of the words tokeniser as text. Spaces follow from the roles of two
// neighbours; capitals from placement.
type wordJoiner struct {
	form      Form
	classes   *[basicPlane]class
	placement placement

	any       bool // something has been written
	started   bool // in this sentence
	previous  role
	spaced    bool // the last surface asked for a space after it
	ideograph bool // the last character written is Chinese or Japanese
}

func (j *wordJoiner) Add(token string) string {
	if token == "" {
		return ""
	}
	k := j.role(token)
	isWord := k == roleWord || k == roleUnspaced || k == roleElision || k == roleClitic
	initial := isWord && j.placement.pending
	written, known := j.look(token, initial)
	if isWord {
		j.placement.word(j.mayName(token, written, initial))
	} else {
		j.placement.mark(k)
	}
	if initial {
		written = capitalize(written)
	}
	bare := strings.Trim(written, " ")
	if bare == "" {
		return ""
	}
	before, after := written[0] == ' ', written[len(written)-1] == ' '
	if k == roleNeutral && !known {
		before, after = defaultSpacing(token)
	}
	space := j.needsSpace(k, bare, before)
	j.any, j.started, j.previous, j.spaced = true, true, k, after
	last, _ := utf8.DecodeLastRuneInString(bare)
	j.ideograph = isIdeograph(last)
	if space {
		return " " + bare
	}
	return bare
}

// mayName reports whether a word may be part of a speaker's name. At the start of a sentence every word
// has a capital, so there its spelling elsewhere decides.
func (j *wordJoiner) mayName(token, written string, initial bool) bool {
	if initial {
		if j.form == nil {
			return true
		}
		written, _ = j.look(token, false)
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(written, "'’"))
	return unicode.IsUpper(first) || unicode.IsNumber(first)
}

// look asks the form for the spelling of a token.
func (j *wordJoiner) look(token string, initial bool) (written string, known bool) {
	if j.form == nil {
		return token, false
	}
	if written = j.form(token, initial); written == "" {
		return token, false
	}
	return written, true
}

func (j *wordJoiner) EndSentence() string {
	j.placement = newPlacement()
	j.started, j.spaced = false, false
	return ""
}

func (j *wordJoiner) Clone() Joiner {
	clone := *j
	return &clone
}

// role returns what a token of the model does to its neighbours.
func (j *wordJoiner) role(token string) role {
	r, size := utf8.DecodeRuneInString(token)
	if token == possessive {
		return roleClitic
	}
	if isApostrophe(r) && size < len(token) {
		if clitics[token[size:]] {
			return roleClitic
		}
		return roleWord // "'tis"
	}
	switch classOf(j.classes, r) & classMask {
	case classWord:
		if strings.HasSuffix(token, "'") && elisions[token[:len(token)-1]] {
			return roleElision
		}
		return roleWord
	case classUnspaced:
		return roleUnspaced
	case classOther:
		if r == '.' && size < len(token) {
			return roleEnd
		}
		return markRole(r)
	}
	return roleNeutral
}

// needsSpace reports whether a space stands between the last token and the next.
func (j *wordJoiner) needsSpace(k role, written string, asked bool) bool {
	if !j.any {
		return false
	}
	first, _ := utf8.DecodeRuneInString(written)
	wide := j.previous == roleWideOpen || j.previous == roleWideClose || j.previous == roleWideEnd
	if !j.started {
		return !(wide || (j.ideograph && isIdeograph(first)))
	}
	if asked {
		return true
	}
	switch k {
	case roleClitic:
		return j.spaced
	case roleCloseQuote, roleClose, roleComma, roleColon, roleEnd, roleSuffix, roleWideOpen, roleWideClose, roleWideEnd:
		return false
	}
	if j.spaced {
		return true
	}
	if wide || k == roleNeutral {
		return false
	}
	switch j.previous {
	case roleOpen, roleOpenQuote, roleElision, roleNeutral:
		return false
	case roleUnspaced:
		return k != roleUnspaced && !j.ideograph
	}
	return k != roleUnspaced || !isIdeograph(first)
}

func isIdeograph(r rune) bool {
	return r >= 0x2E80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// defaultSpacing tells where spaces stand around a symbol whose spacing in the training text is not known.
func defaultSpacing(token string) (before, after bool) {
	r, _ := utf8.DecodeRuneInString(token)
	switch {
	case strings.ContainsRune("#@", r) || unicode.Is(unicode.Sc, r):
		return true, false
	case strings.ContainsRune("&+=<>|~•", r) || unicode.Is(unicode.So, r):
		return true, true
	}
	return false, false
}

// capitalize makes the first letter a capital unless the word has its own capitals ("iPhone").
func capitalize(word string) string {
	for _, r := range word {
		if unicode.IsUpper(r) {
			return word
		}
	}
	start := 0
	if r, size := utf8.DecodeRuneInString(word); isApostrophe(r) {
		start = size
	}
	r, size := utf8.DecodeRuneInString(word[start:])
	if t := unicode.ToTitle(r); t != r {
		return word[:start] + string(t) + word[start+size:]
	}
	return word
}
