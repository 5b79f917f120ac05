package text

// placement follows a sentence token by token and tells where a word is capitalised because of its
// place. The tokeniser marks those words as Initial, so that they say nothing about spelling elsewhere;
// the detokeniser capitalises the same places. One implementation keeps the two in step.
//
// The places are: the first word of a sentence; the first word of direct speech that a colon or comma
// introduces; the first word after a speaker's name ("First Citizen: Before we …").
type placement struct {
	words    int
	capital  bool // every token so far may be part of a speaker's name
	pending  bool // the next word takes a capital
	quoted   bool // direct speech has occurred in this sentence
	previous role
}

func newPlacement() placement {
	return placement{capital: true, pending: true, previous: roleNeutral}
}

// word notes a word and reports whether its place asks for a capital. Upper says whether it may be part
// of a speaker's name: it is written with a capital, or begins with a digit.
func (p *placement) word(upper bool) bool {
	initial := p.pending
	p.pending = false
	p.words++
	p.capital = p.capital && upper
	p.previous = roleWord
	return initial
}

// maxSpeakerWords bounds the name in front of a colon.
const maxSpeakerWords = 4

// mark notes a token that is not a word.
func (p *placement) mark(k role) {
	switch k {
	case roleOpenQuote:
		if p.previous == roleColon || (p.previous == roleComma && !p.quoted) {
			p.pending = true
		}
		p.quoted = true
	case roleCloseQuote:
		p.quoted = true // also of speech that began in an earlier sentence
		p.capital = p.capital && p.words == 0
	case roleColon:
		if p.capital && p.words > 0 && p.words <= maxSpeakerWords && p.previous == roleWord {
			p.pending = true
		}
	default:
		p.capital = p.capital && p.words == 0
	}
	p.previous = k
}
