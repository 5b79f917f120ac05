// Package lookup holds what a build stores about one context, in the form in which scoring and decoding read it: the
// backoff weight and every follower with its probability, likeliest first.
//
// The store reads and unpacks the rows; scoring and decoding only see these values. Both the base-ten logarithm and
// the mass of a follower come from the build (a codebook, or the stored double), so neither is computed twice and the
// two never drift apart.
package lookup

import "slices"

// Token ids with a fixed meaning in every model.
const (
	Unknown  uint32 = 0 // <unk>: any word that the build does not know
	Start    uint32 = 1 // <s>: only ever context
	End      uint32 = 2 // </s>: predicted at the end of a sentence
	Specials uint32 = 3 // the first id of an ordinary token
)

// Group is a run of followers of a context that share one stored probability.
type Group struct {
	// Mass is the probability of each token of the group, in [0, 1].
	Mass float64
	// Log10 is the base-ten logarithm of Mass as stored, at most 0.
	Log10 float64
	// End is where the group ends in Context.Tokens; it begins where the group before it ends.
	End uint32
}

// Context is one stored context: at most N-1 tokens for a model of order N, the empty context included. A context that
// is not in the model is the nil *Context; it has no followers and a backoff weight of 1.
type Context struct {
	// Backoff is the weight gamma of the shorter context, at least 0.
	Backoff float64
	// LogBackoff is log10 of Backoff as stored; 0 for a context without a stored weight.
	LogBackoff float64
	// Groups are in descending order of Mass.
	Groups []Group
	// Tokens holds the followers, group after group, ascending inside a group.
	Tokens []uint32
}

// Find returns the group that holds the token, and whether one does.
func (c *Context) Find(token uint32) (Group, bool) {
	if c == nil {
		return Group{}, false
	}
	begin := uint32(0)
	for _, group := range c.Groups {
		if _, found := slices.BinarySearch(c.Tokens[begin:group.End], token); found {
			return group, true
		}
		begin = group.End
	}
	return Group{}, false
}

// Each calls visit for every group with its tokens, likeliest group first.
func (c *Context) Each(visit func(group Group, tokens []uint32)) {
	if c == nil {
		return
	}
	begin := uint32(0)
	for _, group := range c.Groups {
		visit(group, c.Tokens[begin:group.End])
		begin = group.End
	}
}

// Size is the approximate number of bytes that the context takes in memory.
func (c *Context) Size() int {
	const header, group, token = 80, 24, 4
	if c == nil {
		return header
	}
	return header + group*len(c.Groups) + token*len(c.Tokens)
}
