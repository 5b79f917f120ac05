package decoding

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"dbslm/services/ngram/lookup"
)

// Panel draws several replies to one request side by side and tells which is the best. Their steps go in lockstep, so
// that one read serves all of them.
//
// Best is the reply with the highest merit, the first one among equals: a reply that ended as a sentence before one
// that was cut; then the information of the cached words it says, less something for a heading that runs into a
// sentence, for a question, for every word missing from five, for every token beyond 25, for seams and for what an
// earlier reply said as well. Where that is equal, the reply whose tokens are likelier on average. A panel of one is a
// Generator.
type Panel struct {
	members  []*member
	cache    *SessionCache
	earlier  []uint32
	contexts [][]uint32
}

type member struct {
	generator *Generator
	events    []Event
	done      bool
}

const (
	cutPenalty      = 100
	longReply       = 25   // tokens
	longPenalty     = 0.05 // for each token beyond
	joinPenalty     = 3
	forcedPenalty   = 10 // for each required sequence that was said because the reply ended
	questionPenalty = 1
	shortReply      = 5 // words
	freeEcho        = 3 // tokens that a reply may have in a row with an earlier one
	// fluencyShare makes the mean log10 of the tokens, at most a few units, decide between equals only.
	fluencyShare = 1e-3
)

// NewPanel begins setup.Params.BestOf replies. The first has the seed of the request, the others seeds derived
// from it.
func NewPanel(setup Setup) *Panel {
	p := &Panel{cache: setup.Cache.without(setup.ReplySoFar), earlier: setup.Earlier}
	dist := NewDistribution(setup.Unigrams)
	seed := setup.Params.Seed
	for i := range max(1, setup.Params.BestOf) {
		setup.Params.Seed = seed
		if i > 0 {
			setup.Params.Seed = mix(seed + uint64(i)*golden)
		}
		p.members = append(p.members, &member{generator: newGenerator(setup, dist)})
	}
	return p
}

// Contexts lists the contexts of the next step of every reply that is not finished; none when all are. Step wants an
// answer for each, in the same order. They are valid until then.
func (p *Panel) Contexts() [][]uint32 {
	p.contexts = p.contexts[:0]
	for _, m := range p.members {
		if !m.done {
			p.contexts = append(p.contexts, m.generator.Context())
		}
	}
	return p.contexts
}

// Step advances every unfinished reply by one token. chains holds, for each of Contexts, what the build stores about
// it and its ends, longest first, the empty one left out.
func (p *Panel) Step(chains [][]*lookup.Context) {
	for _, m := range p.members {
		if m.done {
			continue
		}
		event := m.generator.Step(chains[0])
		chains = chains[1:]
		m.events = append(m.events, event)
		m.done = event.Reason != Unfinished
	}
}

// Reply is one finished reply of a panel.
type Reply struct {
	// Index counts the replies of the panel from 0.
	Index int
	// Seed draws this reply alone.
	Seed uint64
	// Score is what the replies are ranked by.
	Score float64
	// Log10 is the sum of the scores of its tokens in the model alone.
	Log10 float64
	// Text, Tokens and Reason are how it reads, how many tokens were chosen, and why it ended.
	Text   string
	Tokens int
	Reason Reason
	// Events that made it.
	Events []Event
}

// Ranked returns the replies, best first, the earlier one of equals. All must be finished.
func (p *Panel) Ranked() []Reply {
	replies := make([]Reply, len(p.members))
	for i, m := range p.members {
		replies[i] = Reply{
			Index: i, Seed: m.generator.setup.Params.Seed, Score: p.merit(m),
			Text: m.generator.Text(), Tokens: m.generator.Tokens(), Reason: m.generator.reason, Events: m.events,
		}
		for _, event := range m.events {
			if event.Chosen != nil {
				replies[i].Log10 += event.Chosen.Log10
			}
		}
	}
	slices.SortStableFunc(replies, func(a, b Reply) int { return cmp.Compare(b.Score, a.Score) })
	return replies
}

// Best returns the number of the best reply, counted from 0, and its events. All replies must be finished.
func (p *Panel) Best() (int, []Event) {
	best := p.Ranked()[0]
	return best.Index, best.Events
}

// Latest returns the event that the last step brought for the first reply.
func (p *Panel) Latest() Event {
	events := p.members[0].events
	return events[len(events)-1]
}

func (p *Panel) merit(m *member) float64 {
	var tokens []uint32
	words, fluency := 0, 0.0
	for _, event := range m.events {
		if event.Chosen == nil {
			continue
		}
		tokens = append(tokens, event.Chosen.Token)
		fluency += event.Chosen.Log10
		if isWord(m.generator.setup.Text(event.Chosen.Token)) && event.Chosen.Token != lookup.End {
			words++
		}
	}
	merit := p.cache.relevance(tokens)
	merit -= float64(longPenalty * float64(max(0, len(tokens)-longReply)))
	params := m.generator.setup.Params
	merit -= float64(params.ShortPenalty * float64(max(0, shortReply-words)))
	merit -= float64(params.SeamPenalty * float64(m.generator.seams.orders))
	merit -= float64(params.EchoPenalty * float64(max(0, p.echo(tokens)-freeEcho)))
	merit -= float64(joinPenalty * float64(m.generator.joined))
	merit -= float64(forcedPenalty * float64(m.generator.required.forced))
	merit += float64(fluencyShare * (fluency / float64(max(1, len(tokens)))))
	if m.generator.reason == LengthReached || m.generator.Text() == "" {
		merit -= cutPenalty
	}
	if strings.HasSuffix(strings.TrimRight(m.generator.Text(), closers+straight), "?") {
		merit -= questionPenalty
	}
	return merit
}

// echo is the length of the longest run of tokens that an earlier reply has as well.
func (p *Panel) echo(tokens []uint32) int {
	longest := 0
	runs := make([]int, len(tokens)+1) // runs[i] ends with the i-th token and the one at hand of the earlier replies
	for _, earlier := range p.earlier {
		for i := len(tokens); i > 0; i-- {
			runs[i] = runs[i-1] + 1
			if tokens[i-1] != earlier {
				runs[i] = 0
			}
			longest = max(longest, runs[i])
		}
	}
	return longest
}

// isWord tells words and numbers from marks.
func isWord(token string) bool {
	return strings.ContainsFunc(token, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
}
