package scoring

import "dbslm/services/ngram/lookup"

// Probe scores a text while a build is derived, context by context, without ever holding the build: with the probabilities
// as they are stored, and as they were before they were rounded. What it gives for the stored ones is what Score gives.
//
//	NewProbe ─▶ Add every sentence ─▶ for n = 1 … order: Begin(n), then Context for every context of order n ─▶ Result
type Probe struct {
	order  int
	hash   func([]uint32) int64
	events []probed
	tokens []uint32
	text   Probed
	wanted map[int64][]int32 // by hash of a context of the order at hand: the events after it
}

// probed is one event: a token after a context.
type probed struct {
	token         uint32
	begin, end    int // the context, of Probe.tokens
	stored, exact float64
}

// Probed is how a text scored.
type Probed struct {
	Sentences, Tokens, OOV int64
	Stored, Exact          float64 // sums of log10 p over all tokens, ends of sentences and unknown tokens included
}

// NewProbe returns a probe for a model of that order whose contexts are named by hash.
func NewProbe(order int, hash func([]uint32) int64) *Probe {
	return &Probe{order: order, hash: hash}
}

// Add adds a sentence, given without its marks; unknown tokens are lookup.Unknown.
func (p *Probe) Add(sentence []uint32) {
	first := len(p.tokens)
	p.tokens = append(append(append(p.tokens, lookup.Start), sentence...), lookup.End)
	whole := p.tokens[first:]
	for i := 1; i < len(whole); i++ {
		p.events = append(p.events, probed{token: whole[i], begin: first + i - len(ContextAt(whole, i, p.order)), end: first + i})
		p.text.Tokens++
		if whole[i] == lookup.Unknown {
			p.text.OOV++
		}
	}
	p.text.Sentences++
}

// Begin begins with the contexts of order n, of n-1 tokens.
func (p *Probe) Begin(n int) {
	p.wanted = map[int64][]int32{}
	for i := range p.events {
		if e := &p.events[i]; e.end-e.begin >= n-1 {
			hash := p.hash(p.tokens[e.end-(n-1) : e.end])
			p.wanted[hash] = append(p.wanted[hash], int32(i))
		}
	}
}

// Context tells the probe of a context: stored and exact are log10 p of follower i of tokens, backoff and exactBackoff the
// log10 of the weight for other tokens. Both functions are called for a few followers only.
func (p *Probe) Context(hash int64, find func(token uint32) (i int, found bool), stored, exact func(i int) float64, backoff, exactBackoff float64) {
	for _, index := range p.wanted[hash] {
		e := &p.events[index]
		if i, found := find(e.token); found {
			e.stored, e.exact = stored(i), exact(i)
			continue
		}
		e.stored, e.exact = e.stored+backoff, e.exact+exactBackoff
	}
}

// Result sums up, in the order of the text.
func (p *Probe) Result() Probed {
	result := p.text
	for i := range p.events {
		result.Stored += p.events[i].stored
		result.Exact += p.events[i].exact
	}
	return result
}
