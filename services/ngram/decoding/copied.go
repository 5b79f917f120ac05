package decoding

import "dbslm/services/ngram/lookup"

// copied bounds how many consecutive tokens of the training text a reply may say. The counts know n-grams up to the order
// of the model and not where they stood, so it keeps an upper bound, the run: while every n-gram of full length was seen in
// training, the run grows by one; when the longest n-gram found is shorter, the tokens before it cannot have stood there,
// and the run is its length. Whoever copies L tokens has a run of at least L, so that no reply ever copies more than the
// limit; text that is new although all its n-grams are known is refused as well.
type copied struct {
	limit int // 0: none
	run   int
}

// whole reports whether an n-gram of that length reaches back as far as the model sees: to the order, or to the beginning
// of the sentence.
func whole(matched int, contexts []*lookup.Context) bool { return matched == len(contexts)+1 }

// apply bans the tokens that would make the run too long. The end of a sentence is none of the text.
func (c *copied) apply(d *Distribution, contexts []*lookup.Context) {
	if c.limit == 0 {
		return
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
