package decoding

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Prose makes the words joiner of pkg/text fit tokens that were cut elsewhere: it turns straight quotes into opening
// and closing ones, and puts contractions together again whose apostrophe is a token of its own ("don ' t").
type Prose struct {
	Joiner
	double, single bool   // a quote is open
	word           bool   // the last token ended in a letter
	plural         bool   // that letter was an s
	held           string // an apostrophe whose meaning the next token tells
}

// NewProse returns a joiner that writes to the given one.
func NewProse(words Joiner) *Prose { return &Prose{Joiner: words} }

// afterApostrophe are the ends of contractions, clipped the words that begin with an apostrophe.
var (
	afterApostrophe = map[string]bool{"s": true, "t": true, "d": true, "m": true, "ll": true, "re": true, "ve": true, "em": true, "n": true}
	clipped         = map[string]bool{"tis": true, "twas": true, "twere": true, "twill": true, "em": true, "gainst": true, "scape": true, "mongst": true}
)

// Add implements Joiner.
func (p *Prose) Add(token string) string {
	text := ""
	if p.held != "" {
		held := p.held
		p.held = ""
		lower := strings.ToLower(token)
		switch {
		case p.word && afterApostrophe[lower]:
			return "'" + token // to the joiner the word has not ended
		case !p.word && clipped[lower]:
			p.word = true
			return p.Joiner.Add("'" + token)
		default:
			text = p.quote(held)
		}
	}
	switch token {
	case "'", "’":
		p.held = token
		return text
	case `"`:
		p.double = !p.double
		p.word = false
		if p.double {
			return text + p.Joiner.Add("“")
		}
		return text + p.Joiner.Add("”")
	}
	last, _ := utf8.DecodeLastRuneInString(token)
	p.word, p.plural = unicode.IsLetter(last), last == 's'
	return text + p.Joiner.Add(token)
}

// quote writes an apostrophe that turned out to be a quotation mark, or the end of a word.
func (p *Prose) quote(held string) string {
	opens := held == "'" && !p.single && !(p.word && p.plural)
	p.single = opens
	if opens {
		return p.Joiner.Add("‘")
	}
	return p.Joiner.Add("’")
}

// Clone implements Joiner.
func (p *Prose) Clone() Joiner {
	clone := *p
	clone.Joiner = p.Joiner.Clone()
	return &clone
}

// EndSentence implements Joiner.
func (p *Prose) EndSentence() string {
	text := ""
	if p.held != "" {
		p.held = ""
		text = p.Joiner.Add("’")
	}
	p.double, p.single, p.word, p.plural = false, false, false, false
	return text + p.Joiner.EndSentence()
}
