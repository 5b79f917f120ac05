package decoding

import "dbslm/services/ngram/lookup"

// copied bounds how many consecutive tokens of the training text a reply may say.
//
// Where the text can be looked into, it bans what would make one token too many of it: exactly those replies are refused that
// copy more than the limit. Elsewhere it bounds them by the counts. They know n-grams up to the order of the model and not
// where they stood, so it keeps an upper bound, the run: while every n-gram of full length was seen in training, the run grows
// by one; when the longest n-gram found is shorter, the tokens before it cannot have stood there, and the run is its length.
// Whoever copies L tokens has a run of at least L, so that no reply ever copies more than the limit; text that is new although
// all its n-grams are known is refused as well.
//
// The end of a sentence is none of the text, here and there.
type copied struct {
	limit int // 0: none
	order int // of the model
	run   int
	text  Copies   // nil: the run decides
	tail  []uint32 // the newest tokens that were said, with those of the prompt and of the reply before; at least limit of them
}

// Copies finds tokens in the text that a build was made of.
type Copies interface {
	// Following calls each for every token that comes after those tokens somewhere in the text, in any order and as often as it
	// likes. Ends of sentences are passed over.
	Following(tokens []uint32, each func(token uint32))
}

func newCopied(setup Setup) copied {
	c := copied{limit: setup.Params.MaxCopied, order: setup.Order, run: min(len(setup.Prompt), setup.Order-1), text: setup.Copies}
	for _, tokens := range [][]uint32{setup.ReplySoFar, setup.Prompt} {
		for _, token := range tokens {
			c.remember(token)
		}
	}
	return c
}

// whole reports whether an n-gram of that length reaches back as far as the model sees: to the order, or to the beginning
// of the sentence.
func whole(matched int, contexts []*lookup.Context) bool { return matched == len(contexts)+1 }

// apply bans the tokens that would copy too much.
func (c *copied) apply(d *Distribution, contexts []*lookup.Context) {
	switch {
	case c.limit == 0:
	case c.text == nil:
		c.bound(d, contexts)
	case len(c.tail) >= c.limit:
		c.text.Following(c.tail[len(c.tail)-c.limit:], func(token uint32) { d.Ban(token) })
	}
}

// bound bans the tokens that would make the run too long.
func (c *copied) bound(d *Distribution, contexts []*lookup.Context) {
	if c.order == 1 && c.run == c.limit { // every word may be the next one of the text
		for _, token := range d.unigrams.Sorted() {
			if token != lookup.End {
				d.Ban(token)
			}
		}
	}
	for i, context := range contexts {
		run := len(contexts) - i + 1
		if whole(run, contexts) {
			run = c.run + 1
		}
		if run <= c.limit {
			continue
		}
		context.Each(func(_ lookup.Group, tokens []uint32) {
			for _, token := range tokens {
				if token != lookup.End {
					d.Ban(token)
				}
			}
		})
	}
}

// said records a token and the length of the n-gram that was found for it.
func (c *copied) said(token uint32, matched int, contexts []*lookup.Context) {
	c.remember(token)
	switch {
	case whole(matched, contexts) && token != lookup.End:
		c.run++
	case whole(matched, contexts):
	case token == lookup.End:
		c.run = matched - 1
	default:
		c.run = matched
	}
}

func (c *copied) remember(token uint32) {
	if c.limit > 0 && c.text != nil && token != lookup.End {
		c.tail = append(c.tail, token)
	}
}
