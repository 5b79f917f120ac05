package decoding

import (
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/pkg/text"
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

// Joiner turns tokens into text as they come.
type Joiner = text.Joiner

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
	// Sequences to prefer, suppress, ban or replace.
	Sequences []Sequence
	// Required sequences are said, in any order, before the reply ends; together they have at most MaxTokens tokens.
	Required [][]uint32
	// Extension describes the last tokens of Unigrams, those that the build does not know.
	Extension []Extension
	// Cache may be nil.
	Cache *SessionCache
	// Text that was trained, for the bound on copying; nil bounds by the counts.
	Copies Copies
	// Prompt is the sentence to continue, without <s>; empty begins a new one.
	Prompt []uint32
	// ReplySoFar is what the reply says already; it counts for penalties and repeats.
	ReplySoFar []uint32
	// Earlier are the replies that were given before, a </s> behind each; a Panel ranks those lower that say the same again
	// (Params.EchoPenalty).
	Earlier []uint32
	// PenaltyHistory is what else counts as said for the penalties.
	PenaltyHistory []uint32
	// Stages is how many of the likeliest tokens of every step are recorded stage by stage, besides the chosen one; 0
	// records nothing.
	Stages int
}

// Extension is a token that the build does not know.
type Extension struct {
	// Like is the token that the model sees where this one was said: lookup.Unknown, or one that the build knows.
	Like uint32
	// Free is true for a token that may be drawn with its share of the mass of <unk>. Others are only said where a sequence
	// asks for them.
	Free bool
}

// Generator produces one reply. It is not safe for concurrent use.
type Generator struct {
	setup    Setup
	dist     *Distribution
	writer   writer
	cache    *SessionCache
	chooser  *chooser
	steering *steering
	required *required
	copied   copied
	balance  *balance
	stopper  stopper
	tokens   []uint32 // since the last <s>, which is the first
	given    int      // how many of them the request gave: <s> and the prompt
	before   []uint32 // what a reader sees before them in the sentence: lines that ended where no sentence did
	sighted  []uint32 // of sight, until it is asked again
	seen     []uint32 // the same as the model sees them
	sentence sentence
	ended    int // sentences
	seams    seams
	joined   int // lines without a sentence mark that were followed by another sentence
	chosen   int // tokens
	reason   Reason
	text     []byte
	room     []Chosen // for those that are chosen next
	atOnce   int      // how many of them room is made for
}

// Event is the outcome of one step.
type Event struct {
	// Chosen is the token that was chosen; nil when the step only ended the reply.
	Chosen *Chosen
	// Text may be sent now.
	Text string
	// Replaced is set when another sequence is written in the place of the last tokens, this one included.
	Replaced *Replaced
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
	// Stages are recorded on request, the likeliest token first; the chosen one is always there.
	Stages []Staged
	// Context is what the model saw before the token, oldest first, recorded with the stages.
	Context []uint32
}

// NewGenerator begins a reply.
func NewGenerator(setup Setup) *Generator {
	return newGenerator(setup, NewDistribution(setup.Unigrams))
}

func newGenerator(setup Setup, dist *Distribution) *Generator {
	g := &Generator{
		setup:    setup,
		dist:     dist,
		cache:    setup.Cache.clone(),
		chooser:  &chooser{},
		steering: newSteering(setup),
		required: newRequired(setup),
		copied:   newCopied(setup),
		seams:    newSeams(setup),
		balance:  &balance{},
		stopper:  stopper{stops: setup.Params.Stop},
		atOnce:   chosenAtOnce,
	}
	g.writer = writer{joiner: setup.Joiner(), spell: setup.Text, steered: g.steering}
	g.begin()
	for _, token := range setup.Prompt {
		g.append(token)
	}
	g.given = len(g.tokens)
	if setup.Params.BalanceMarks {
		g.balance = newBalance(setup.Find)
	}
	for _, token := range setup.Prompt {
		g.balance.add(token)
		spelled := setup.Text(token)
		g.writer.joiner.Add(spelled)
		g.sentence.add(spelled)
	}
	if setup.Breaks == BreakLine && g.sentence.complete() {
		g.sentence = sentence{}
		g.writer.joiner.EndSentence()
	}
	for _, token := range setup.ReplySoFar {
		g.cache.used(token)
	}
	return g
}

// begin forgets the tokens of the sentence.
func (g *Generator) begin() {
	g.tokens = append(g.tokens[:0], lookup.Start)
	g.seen = append(g.seen[:0], lookup.Start)
	g.given = 1
}

func (g *Generator) append(token uint32) {
	g.tokens = append(g.tokens, token)
	if own := g.own(); int(token) >= own {
		token = g.setup.Extension[int(token)-own].Like
	}
	g.seen = append(g.seen, token)
}

// own is the number of token ids of the build; those of an extension follow.
func (g *Generator) own() int { return g.setup.Unigrams.Bound() - len(g.setup.Extension) }

// Context returns the context of the next token, at most Order-1 tokens, oldest first. Step wants what the build
// stores about it and about each of its ends, longest first; the empty one is not asked for.
func (g *Generator) Context() []uint32 {
	return scoring.ContextAt(g.seen, len(g.seen), g.setup.Order)
}

// Text is the reply so far, without what is still held back.
func (g *Generator) Text() string { return string(g.text) }

// Tokens is the number of tokens chosen.
func (g *Generator) Tokens() int { return g.chosen }

// Step chooses the next token. It must not be called after an event with a reason.
func (g *Generator) Step(contexts []*lookup.Context) Event {
	choice := g.distribution(contexts)
	if choice.Total() == 0 {
		return g.finish(Event{}, Stopped)
	}
	source := NewSource(g.setup.Params.Seed, g.chosen)
	return g.take(contexts, choice, choice.Draw(&source))
}

// take says the kept token at that index.
func (g *Generator) take(contexts []*lookup.Context, choice Choice, at int) Event {
	if g.beginsUnwanted(choice.Kept[at].Token) {
		if choice, at = g.force(), 0; choice.Total() == 0 {
			return g.finish(Event{}, Stopped)
		}
	}
	candidate := choice.Kept[at]
	event := Event{Chosen: g.newChosen()}
	*event.Chosen = Chosen{
		Token:      candidate.Token,
		Log10:      scoring.At(g.setup.Unigrams, contexts, candidate.Token, candidate.Matched).Log10,
		Drawn:      exactmath.Log10(choice.Probability(at)),
		Matched:    candidate.Matched,
		Candidates: len(choice.Kept),
	}
	if g.setup.Stages > 0 {
		event.Chosen.Stages = g.record(contexts, choice, at)
		event.Chosen.Context = slices.Clone(g.Context())
	}
	g.chosen++
	g.copied.said(candidate.Token, candidate.Matched, contexts)
	g.seams.said(candidate.Token, len(contexts)+1-candidate.Matched)
	return g.accept(event, candidate.Token)
}

// chosenAtOnce is for how many tokens room is made together.
const chosenAtOnce = 64

func (g *Generator) newChosen() *Chosen {
	if len(g.room) == 0 {
		g.room = make([]Chosen, min(g.atOnce, max(1, g.setup.Params.MaxTokens-g.chosen)))
	}
	next := &g.room[0]
	g.room = g.room[1:]
	return next
}

// distribution returns what the next token is drawn from.
func (g *Generator) distribution(contexts []*lookup.Context) Choice {
	g.stage(contexts)
	if token, must := g.must(); must {
		return g.chooser.only(g.candidate(token))
	}
	if choice := g.chooser.choose(g.dist, g.setup.Params); choice.Total() > 0 {
		return choice
	}
	return g.force()
}

// must returns the token that has to come next, if one has to.
func (g *Generator) must() (token uint32, must bool) {
	if g.required.done() {
		return 0, false
	}
	ends := len(g.tokens) > 1 && (g.setup.Breaks != BreakLine || g.sentence.complete())
	return g.required.next(g.tokens[g.given:], g.sight(), g.setup.Params.MaxTokens-g.chosen, ends)
}

// sight is the sentence as a reader sees it: a line that ends where no sentence does is no end.
func (g *Generator) sight() []uint32 {
	if len(g.before) == 0 {
		return g.tokens
	}
	g.sighted = append(append(g.sighted[:0], g.before...), g.tokens[1:]...)
	return g.sighted
}

// stage makes the distribution of the next token, before truncation.
func (g *Generator) stage(contexts []*lookup.Context) {
	for _, stage := range stages {
		stage.apply(g, contexts)
	}
}

// force says what is required where the reply would have ended. The Choice is empty when nothing is, or nothing can be said.
func (g *Generator) force() Choice {
	g.required.ending = true
	if token, must := g.must(); must {
		return g.chooser.only(g.candidate(token))
	}
	return Choice{}
}

func (g *Generator) candidate(token uint32) Candidate {
	return Candidate{Token: token, Matched: g.dist.Matched(token), Weight: g.dist.Weight(token), Wanted: true}
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
	g.required.said(g.steering.reply)
	g.cache.used(token)
	piece := ""
	if token == lookup.End {
		piece = g.endLine()
		g.begin()
	} else {
		if g.beginsInLine(token) {
			g.ended++
			piece = g.newSentence()
		}
		written, replaced := g.writer.add(token)
		piece += written
		event.Replaced = replaced
		g.sentence.add(g.setup.Text(token))
		g.balance.add(token)
		g.append(token)
	}
	stopped := false
	if event.Text, stopped = g.stopper.push(piece); stopped {
		g.text = append(g.text, event.Text...)
		g.reason, event.Reason = StopSequence, StopSequence
		return event
	}
	g.text = append(g.text, event.Text...)
	enough := g.setup.Params.MaxSentences > 0 && g.ended >= g.setup.Params.MaxSentences
	switch full := g.chosen >= g.setup.Params.MaxTokens; {
	case enough && g.required.done():
		return g.finish(event, Stopped)
	case full && g.ended+1 == g.setup.Params.MaxSentences && g.sentence.complete():
		return g.finish(event, Stopped)
	case full:
		return g.finish(event, LengthReached)
	case enough:
		g.required.ending = true
	}
	return event
}

// endLine handles </s>. Where sentence marks are in use, a line that ends without one is not a sentence: verse goes on
// in the next line, and a heading is followed by a sentence.
func (g *Generator) endLine() string {
	switch {
	case g.setup.Breaks == BreakAlways || g.sentence.complete():
		g.ended++
	case g.setup.Breaks == BreakSentence:
		g.joined++
	default:
		g.before = append(g.before, g.tokens[1:]...)
		return ""
	}
	if g.ended == g.setup.Params.MaxSentences && g.required.done() {
		return "" // finish ends it, after the marks that are still open
	}
	return g.newSentence()
}

func (g *Generator) newSentence() string {
	g.sentence, g.before = sentence{}, nil
	return g.writer.endSentence()
}

func (g *Generator) finish(event Event, reason Reason) Event {
	rest := g.writer.release(0)
	for _, mark := range g.balance.missing() {
		rest += g.writer.joiner.Add(mark)
	}
	text, stopped := g.stopper.push(rest + g.writer.joiner.EndSentence())
	if stopped {
		reason = StopSequence
	} else {
		text += g.stopper.flush()
	}
	event.Text += text
	g.text = append(g.text, text...)
	g.reason, event.Reason = reason, reason
	return event
}
