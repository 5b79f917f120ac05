package decoding

import (
	"cmp"
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

// Beam searches for the likeliest replies instead of drawing them: of all ways to go on from the replies at hand by one token it
// keeps the Params.BeamWidth likeliest, and so step by step. A token counts with the probability with which it would be drawn,
// after steering, temperature and truncation; no seed takes part. Between equals the reply that came first goes on, and of its
// tokens the likelier one, ties in byte order.
//
// A reply that has ended leaves its place to others; twice as many ways as places are looked at. The search ends when as many
// replies as places have ended and nothing that goes on can still be ranked before one of them: ending early changes nothing.
// Replies are ranked by log10 p / tokens^LengthPenalty; of those that read the same only the best is kept.
type Beam struct {
	width    int
	power    float64 // LengthPenalty
	longest  float64 // what the log10 of the longest reply is divided by
	live     []*hypothesis
	ended    []*hypothesis // the best so far, ranked
	contexts [][]uint32
	choosers []chooser // by place, and one for what is forced
}

// hypothesis is a reply of a beam.
type hypothesis struct {
	generator *Generator
	last      *link
	log10     float64 // of the probability to draw it
	score     float64 // once it has ended
}

// link is an event and those before it, which replies share.
type link struct {
	event  Event
	before *link
}

// way is one way to go on from a reply.
type way struct {
	place  int
	choice Choice
	at     int  // of the kept tokens
	unsaid bool // the token ends the reply without being said
	log10  float64
}

// NewBeam begins a search.
func NewBeam(setup Setup) *Beam {
	p := setup.Params
	b := &Beam{width: p.BeamWidth, power: p.LengthPenalty, choosers: make([]chooser, p.BeamWidth+1)}
	b.longest = b.divisor(p.MaxTokens)
	first := NewGenerator(setup)
	first.atOnce = 1
	b.live = []*hypothesis{{generator: first}}
	return b
}

// divisor is what the log10 of a reply of so many tokens is divided by.
func (b *Beam) divisor(tokens int) float64 {
	return exactmath.Pow10(float64(b.power * exactmath.Log10(float64(max(1, tokens)))))
}

// Contexts lists the contexts of the next step of every reply that goes on; none when the search is over. Step wants an answer
// for each, in the same order. They are valid until then.
func (b *Beam) Contexts() [][]uint32 {
	b.contexts = b.contexts[:0]
	for _, h := range b.live {
		b.contexts = append(b.contexts, h.generator.Context())
	}
	return b.contexts
}

// Step goes on by one token. chains holds, for each of Contexts, what the build stores about it and its ends, longest first,
// the empty one left out.
func (b *Beam) Step(chains [][]*lookup.Context) {
	var ways []way
	for place, h := range b.live {
		h.generator.chooser = &b.choosers[place]
		ways = b.from(ways, place, chains[place])
	}
	slices.SortStableFunc(ways, func(a, c way) int { return cmp.Compare(c.log10, a.log10) })
	ways = ways[:min(len(ways), 2*b.width)]
	var next []*hypothesis
	for _, w := range ways {
		if len(next) == b.width {
			break
		}
		if then, ended := b.take(w, chains[w.place]); ended {
			b.end(then)
		} else {
			next = append(next, then)
		}
	}
	b.live = slices.DeleteFunc(next, b.hopeless)
}

// from adds the likeliest ways to go on from the reply at a place, likeliest first. The tokens that would begin a sentence too
// many are one way together: each ends the reply unsaid.
func (b *Beam) from(ways []way, place int, contexts []*lookup.Context) []way {
	h := b.live[place]
	choice := h.generator.distribution(contexts)
	if choice.Total() == 0 {
		event := h.generator.finish(Event{}, Stopped)
		b.end(&hypothesis{generator: h.generator, last: &link{event, h.last}, log10: h.log10})
		return ways
	}
	said, unsaid := 0, way{place: place, choice: choice, unsaid: true}
	share := uint64(0)
	for at, candidate := range choice.Kept {
		switch {
		case h.generator.beginsUnwanted(candidate.Token):
			if share == 0 {
				unsaid.at = at
			}
			share += choice.Share(at)
		case said < 2*b.width && choice.Share(at) > 0:
			said++
			ways = append(ways, way{place: place, choice: choice, at: at, log10: h.log10 + exactmath.Log10(choice.Probability(at))})
		}
	}
	if share > 0 {
		unsaid.log10 = h.log10 + exactmath.Log10(float64(share)/float64(choice.Total()))
		ways = append(ways, unsaid)
	}
	return ways
}

// take goes one way, with a copy of the reply it goes on from.
func (b *Beam) take(w way, contexts []*lookup.Context) (then *hypothesis, ended bool) {
	h := b.live[w.place]
	generator := h.generator.clone()
	generator.chooser = &b.choosers[b.width] // other ways need what was chosen from
	if generator.setup.Stages > 0 || w.unsaid && !generator.required.done() {
		generator.stage(contexts) // of this reply, and not of the last one
	}
	event := generator.take(contexts, w.choice, w.at)
	return &hypothesis{generator: generator, last: &link{event, h.last}, log10: w.log10}, event.Reason != Unfinished
}

// end ranks a reply that has ended among the others.
func (b *Beam) end(h *hypothesis) {
	h.score = h.log10 / b.divisor(h.generator.Tokens())
	text := h.generator.Text()
	if at := slices.IndexFunc(b.ended, func(other *hypothesis) bool { return other.generator.Text() == text }); at >= 0 {
		if b.ended[at].score >= h.score {
			return
		}
		b.ended = slices.Delete(b.ended, at, at+1)
	}
	at := len(b.ended)
	for at > 0 && b.ended[at-1].score < h.score {
		at--
	}
	b.ended = slices.Insert(b.ended, at, h)
	b.ended = b.ended[:min(len(b.ended), b.width)]
}

// hopeless reports whether a reply cannot be ranked among the best any more, however it goes on: its log10 only falls.
func (b *Beam) hopeless(h *hypothesis) bool {
	if len(b.ended) < b.width {
		return false
	}
	return h.log10/b.longest <= b.ended[b.width-1].score
}

// Ranked returns the replies, best first. The search must be over.
func (b *Beam) Ranked() []Reply {
	replies := make([]Reply, len(b.ended))
	for i, h := range b.ended {
		g := h.generator
		replies[i] = Reply{Index: i, Seed: g.setup.Params.Seed, Score: h.score, Text: g.Text(), Tokens: g.Tokens(), Reason: g.reason}
		for l := h.last; l != nil; l = l.before {
			replies[i].Events = append(replies[i].Events, l.event)
		}
		slices.Reverse(replies[i].Events)
		for _, event := range replies[i].Events {
			if event.Chosen != nil {
				replies[i].Log10 += event.Chosen.Log10
			}
		}
	}
	return replies
}

// clone returns a reply that goes on from here by itself. They share the room for the distribution of a step.
func (g *Generator) clone() *Generator {
	c := *g
	c.cache, c.steering, c.required, c.balance = g.cache.clone(), g.steering.clone(), g.required.clone(), g.balance.clone()
	c.writer = writer{joiner: g.writer.joiner.Clone(), spell: g.writer.spell, steered: c.steering, pending: slices.Clone(g.writer.pending)}
	c.copied.tail = slices.Clone(g.copied.tail)
	c.tokens, c.before, c.seen, c.text, c.room = slices.Clone(g.tokens), slices.Clone(g.before), slices.Clone(g.seen), slices.Clone(g.text), nil
	c.sentence.open = slices.Clone(g.sentence.open)
	return &c
}
