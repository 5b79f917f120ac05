package decoding

import (
	"strings"

	"dbslm/services/ngram/exactmath"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

// Reason says why a reply ended.
type Reason int

// The reasons of a Generator. A reply that its reader cancelled has none: nobody asks for the next step.
const (
	// Unfinished is the reason of a reply that goes on.
	Unfinished Reason = iota
	// Stopped means that the wanted number of sentences is there, or that nothing is left that may be said.
	Stopped
	// LengthReached means that MaxTokens were chosen.
	LengthReached
	// StopSequence means that one of the stop texts was met.
	StopSequence
)

// Joiner turns tokens into text as they come; text.Joiner is one.
type Joiner interface {
	// Add returns the text to append for the token, "" when it comes with a later call.
	Add(token string) string
	// EndSentence ends a sentence and returns what was held back.
	EndSentence() string
}

// Breaks says what the mark </s> stands for in a model.
type Breaks int

// The kinds of breaks.
const (
	// BreakSentence: the tokeniser splits sentences; a line without a sentence mark is a heading or the like.
	BreakSentence Breaks = iota
	// BreakLine: the tokeniser splits lines. A line may hold several sentences, and a sentence several lines.
	BreakLine
	// BreakAlways: every </s> ends what counts as a sentence, with or without a sentence mark.
	BreakAlways
)

// Setup is all that a reply depends on, besides the contexts.
type Setup struct {
	// Order is that of the model, at least 1.
	Order int
	// Unigrams of the build.
	Unigrams *lookup.Unigrams
	// Text spells a token of the build.
	Text func(token uint32) string
	// Find returns the id of a token by its text, lookup.Unknown when the build does not know it.
	Find func(token string) uint32
	// Joiner returns a new joiner.
	Joiner func() Joiner
	// Breaks is the meaning of </s>.
	Breaks Breaks
	// Params must be valid.
	Params Params
	// Sequences to prefer, suppress or ban.
	Sequences []Sequence
	// Cache may be nil.
	Cache *SessionCache
	// Prompt is the sentence to continue, without <s>; empty begins a new one.
	Prompt []uint32
	// ReplySoFar is what the reply says already; it counts for penalties and repeats.
	ReplySoFar []uint32
}

// Generator produces one reply. It is not safe for concurrent use.
type Generator struct {
	setup    Setup
	dist     *Distribution
	joiner   Joiner
	cache    *SessionCache
	chooser  chooser
	steering *steering
	balance  *balance
	stopper  stopper
	tokens   []uint32 // since the last <s>, which is the first
	sentence sentence
	ended    int // sentences
	joined   int // lines without a sentence mark that were followed by another sentence
	chosen   int // tokens
	reason   Reason
	text     strings.Builder
}

// Event is the outcome of one step.
type Event struct {
	// Chosen is the token that was chosen; nil when the step only ended the reply.
	Chosen *Chosen
	// Text may be sent now.
	Text string
	// Reason is set on the last event.
	Reason Reason
}

// Chosen is one chosen token.
type Chosen struct {
	Token uint32
	// Log10 is the score of the token in the model alone, Drawn the log10 of the probability it was drawn with.
	Log10, Drawn float64
	// Matched is the length of the n-gram that was found.
	Matched int
	// Candidates is the number of tokens left after truncation.
	Candidates int
}

// NewGenerator begins a reply.
func NewGenerator(setup Setup) *Generator {
	return newGenerator(setup, NewDistribution(setup.Unigrams))
}

func newGenerator(setup Setup, dist *Distribution) *Generator {
	g := &Generator{
		setup:    setup,
		dist:     dist,
		joiner:   setup.Joiner(),
		cache:    setup.Cache.clone(),
		steering: newSteering(setup.Params, setup.Sequences, setup.ReplySoFar),
		balance:  &balance{},
		stopper:  stopper{stops: setup.Params.Stop},
		tokens:   append([]uint32{lookup.Start}, setup.Prompt...),
	}
	if setup.Params.BalanceMarks {
		g.balance = newBalance(setup.Find)
	}
	for _, token := range setup.Prompt {
		g.balance.add(token)
		spelled := setup.Text(token)
		g.joiner.Add(spelled)
		g.sentence.add(spelled)
	}
	if setup.Breaks == BreakLine && g.sentence.complete() {
		g.sentence = sentence{}
		g.joiner.EndSentence()
	}
	for _, token := range setup.ReplySoFar {
		g.cache.used(token)
	}
	return g
}

// Context returns the context of the next token, at most Order-1 tokens, oldest first. Step wants what the build
// stores about it and about each of its ends, longest first; the empty one is not asked for.
func (g *Generator) Context() []uint32 {
	return scoring.ContextAt(g.tokens, len(g.tokens), g.setup.Order)
}

// Text is the reply so far, without what is still held back.
func (g *Generator) Text() string { return g.text.String() }

// Tokens is the number of tokens chosen.
func (g *Generator) Tokens() int { return g.chosen }

// Step chooses the next token. It must not be called after an event with a reason.
func (g *Generator) Step(contexts []*lookup.Context) Event {
	choice := g.distribution(contexts)
	if choice.Total() == 0 {
		return g.finish(Event{}, Stopped)
	}
	source := NewSource(g.setup.Params.Seed, g.chosen)
	at := choice.Draw(&source)
	token := choice.Kept[at].Token
	if g.beginsUnwanted(token) {
		return g.finish(Event{}, Stopped)
	}
	event := Event{Chosen: &Chosen{
		Token:      token,
		Log10:      scoring.Score(g.setup.Unigrams, contexts, token).Log10,
		Drawn:      exactmath.Log10(choice.Probability(at)),
		Matched:    choice.Kept[at].Matched,
		Candidates: len(choice.Kept),
	}}
	g.chosen++
	return g.accept(event, token)
}

// distribution returns what the next token is drawn from.
func (g *Generator) distribution(contexts []*lookup.Context) Choice {
	g.dist.Base(contexts)
	g.dist.Mix(g.cache)
	g.dist.Ban(lookup.Unknown)
	g.dist.Ban(lookup.Start)
	if g.chosen == 0 || len(g.tokens) == 1 {
		g.dist.Ban(lookup.End) // no reply and no line is empty
	}
	g.balance.apply(g.dist)
	g.steering.apply(g.dist, g.tokens)
	return g.chooser.choose(g.dist, g.setup.Params)
}

// beginsUnwanted reports whether the token would begin a sentence within a line beyond the wanted number. The token
// itself is not said: only by drawing it is it known that the sentence is over.
func (g *Generator) beginsUnwanted(token uint32) bool {
	return g.beginsInLine(token) && g.ended+1 == g.setup.Params.MaxSentences
}

func (g *Generator) beginsInLine(token uint32) bool {
	return g.setup.Breaks == BreakLine && token != lookup.End && g.chosen > 0 &&
		g.sentence.complete() && !g.sentence.continues(g.setup.Text(token))
}

func (g *Generator) accept(event Event, token uint32) Event {
	g.steering.said(token)
	g.cache.used(token)
	piece := ""
	if token == lookup.End {
		piece = g.endLine()
		g.tokens = append(g.tokens[:0], lookup.Start)
	} else {
		if g.beginsInLine(token) {
			piece = g.endSentence()
		}
		spelled := g.setup.Text(token)
		piece += g.joiner.Add(spelled)
		g.sentence.add(spelled)
		g.balance.add(token)
		g.tokens = append(g.tokens, token)
	}
	stopped := false
	if event.Text, stopped = g.stopper.push(piece); stopped {
		g.text.WriteString(event.Text)
		g.reason, event.Reason = StopSequence, StopSequence
		return event
	}
	g.text.WriteString(event.Text)
	switch {
	case g.setup.Params.MaxSentences > 0 && g.ended >= g.setup.Params.MaxSentences:
		return g.finish(event, Stopped)
	case g.chosen >= g.setup.Params.MaxTokens && g.ended+1 == g.setup.Params.MaxSentences && g.sentence.complete():
		return g.finish(event, Stopped)
	case g.chosen >= g.setup.Params.MaxTokens:
		return g.finish(event, LengthReached)
	}
	return event
}

// endLine handles </s>. Where sentence marks are in use, a line that ends without one is not a sentence: verse goes on
// in the next line, and a heading is followed by a sentence.
func (g *Generator) endLine() string {
	if g.setup.Breaks == BreakAlways || g.sentence.complete() {
		return g.endSentence()
	}
	if g.setup.Breaks == BreakSentence {
		g.joined++
		g.sentence = sentence{}
		return g.joiner.EndSentence()
	}
	return ""
}

func (g *Generator) endSentence() string {
	g.ended++
	g.sentence = sentence{}
	if g.ended == g.setup.Params.MaxSentences {
		return "" // finish ends it, after the marks that are still open
	}
	return g.joiner.EndSentence()
}

func (g *Generator) finish(event Event, reason Reason) Event {
	rest := ""
	for _, mark := range g.balance.missing() {
		rest += g.joiner.Add(mark)
	}
	text, stopped := g.stopper.push(rest + g.joiner.EndSentence())
	if stopped {
		reason = StopSequence
	} else {
		text += g.stopper.flush()
	}
	event.Text += text
	g.text.WriteString(text)
	g.reason, event.Reason = reason, reason
	return event
}
