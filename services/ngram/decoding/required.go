package decoding

import (
	"slices"

	"dbslm/pkg/exactmath"
)

// requiredStrength makes the first token of a sequence that must be said likelier until it has been said, in log10 units.
const requiredStrength = 2

// required sees to it that sequences are said. Where the first token of one is drawn, which is made likelier, the rest of it
// follows. What was not said when the reply would end, or when the tokens that are left are just enough, is said then.
type required struct {
	unsaid [][]uint32 // in the order of the request
	forced int        // sequences that were begun because the reply would have ended
	ending bool       // nothing but what is required is said any more
}

func newRequired(sequences [][]uint32, said []uint32) *required {
	r := &required{}
	for _, sequence := range sequences {
		if !holds(said, sequence) {
			r.unsaid = append(r.unsaid, sequence)
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

// next returns the token that must come next after the context, when room tokens are left; ok is false when it is free.
func (r *required) next(context []uint32, room int) (token uint32, ok bool) {
	longest, need := 0, 0
	for _, sequence := range r.unsaid {
		if n := begun(context, sequence); n > longest {
			longest, token = n, sequence[n]
		}
		need += len(sequence)
	}
	switch {
	case longest > 0:
		return token, true
	case !r.done() && (r.ending || room <= need):
		r.forced++
		return r.unsaid[0][0], true
	}
	return 0, false
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
