package decoding

import (
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/lookup"
)

// requiredStrength makes the first token of a sequence that must be said likelier until it has been said, in log10 units.
const requiredStrength = 2

// required sees to it that sequences are said. Where the first token of one is drawn, which is made likelier, the rest of it
// follows. What was not said when the reply would end, or when the tokens that are left are just enough, is said then.
//
// A ban comes first: what would complete a banned sequence together with the words before it is not said here, but in the next
// sentence.
type required struct {
	unsaid [][]uint32 // in the order of the request
	bans   [][]uint32
	forced int  // sequences that were begun because the reply would have ended
	ending bool // nothing but what is required is said any more
}

func newRequired(setup Setup) *required {
	r := &required{}
	for _, sequence := range setup.Required {
		if !holds(setup.ReplySoFar, sequence) {
			r.unsaid = append(r.unsaid, sequence)
		}
	}
	for _, sequence := range setup.Sequences {
		if sequence.Ban {
			r.bans = append(r.bans, sequence.Tokens)
		}
	}
	return r
}

func holds(tokens, sequence []uint32) bool {
	for end := len(sequence); end <= len(tokens); end++ {
		if endsWith(tokens[:end], sequence) {
			return true
		}
	}
	return false
}

func (r *required) done() bool { return len(r.unsaid) == 0 }

// next returns the token that must come next, when room tokens are left; ok is false when it is free. said is what the reply has
// said in this line, sentence all that a reader sees before the token in the sentence, and ends is whether </s> would end that.
func (r *required) next(said, sentence []uint32, room int, ends bool) (token uint32, ok bool) {
	longest, need := 0, 0
	for _, sequence := range r.unsaid {
		if n := begun(said, sequence); n > longest && r.allowed(sentence, sequence[n:]) {
			longest, token = n, sequence[n]
		}
		need += len(sequence) + r.apart(sequence)
	}
	switch {
	case longest > 0:
		return token, true
	case r.done() || !r.ending && room > need:
		return 0, false
	}
	for _, sequence := range r.unsaid {
		if r.allowed(sentence, sequence) {
			r.forced++
			return sequence[0], true
		}
	}
	return lookup.End, ends
}

// allowed reports whether the tokens may be said behind the sentence without completing a banned sequence.
func (r *required) allowed(sentence, tokens []uint32) bool {
	for _, ban := range r.bans {
		for n := range tokens {
			if endsWith(tokens[:n+1], ban) || len(ban) > n+1 && endsWith(tokens[:n+1], ban[len(ban)-n-1:]) && endsWith(sentence, ban[:len(ban)-n-1]) {
				return false
			}
		}
	}
	return true
}

// apart is 1 if a ban may part the sequence from what is said before it, so that an end of sentence must stand between.
func (r *required) apart(sequence []uint32) int {
	for _, ban := range r.bans {
		for n := range min(len(sequence), len(ban)-1) {
			if endsWith(ban, sequence[:n+1]) {
				return 1
			}
		}
	}
	return 0
}

// favour makes the first tokens likelier.
func (r *required) favour(d *Distribution) {
	for _, sequence := range r.unsaid {
		d.Favour(sequence[0], exactmath.Pow10(requiredStrength))
	}
}

func (r *required) wants(token uint32) bool {
	return slices.ContainsFunc(r.unsaid, func(sequence []uint32) bool { return sequence[0] == token })
}

// said looks at the reply after each token.
func (r *required) said(reply []uint32) {
	unsaid := r.unsaid[:0]
	for _, sequence := range r.unsaid {
		if !endsWith(reply, sequence) {
			unsaid = append(unsaid, sequence)
		}
	}
	r.unsaid = unsaid
}

func (r *required) clone() *required {
	c := *r
	c.unsaid = slices.Clone(r.unsaid)
	return &c
}
