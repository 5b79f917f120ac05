// Package evidence puts the rows together that gave a token its probability: which order of the back-off chain did what,
// what the stored values add up to, and what the counts give exactly.
//
//	rows of each order (store) → Resolve → roles, path, log10 p as stored, log10 p as the counts have it (server)
//
// It takes rows that somebody else has read. The formulas are those of packages scoring and smoothing.
package evidence

import (
	"fmt"
	"strings"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
	"dbslm/services/ngram/smoothing"
)

// Role says what an order did for the probability.
type Role uint8

// The roles. A chain is any number of Absent and BackedOff, one Matched, and Interpolated below it.
const (
	Matched      Role = iota + 1 // the n-gram is stored: its value ends the chain
	BackedOff                    // the context is stored, the n-gram is not: the backoff weight counts
	Absent                       // the context is not stored: nothing counts
	Interpolated                 // below the match: only the exact value needs it
)

var roleNames = map[Role]string{Matched: "matched", BackedOff: "backed off", Absent: "absent", Interpolated: "interpolated"}

// String is the role in words.
func (r Role) String() string { return roleNames[r] }

// Step is one step of a path in words, as "3 backed off".
func Step(n int, r Role) string { return fmt.Sprintf("%d %s", n, r) }

// Stored is a stored logarithm.
type Stored struct {
	Code  *int64 // in the build's codebook; nil for a value that is stored exactly
	Log10 float64
	Since ngram.BuildID // the first build that sees the row
}

// Count is a row of counts.
type Count struct{ Raw, Adjusted int64 }

// Context is a row of the registry of contexts.
type Context struct {
	Parent    *int64 // nil for the empty context
	Total     int64  // of adjusted counts
	RawTotal  int64  // of raw counts; 0 where the estimator does not need it
	Followers [3]int64
}

// Order is what the tables hold about a token at one order; nil where there is no row.
type Order struct {
	N           int
	Tokens      []uint32 // of the context, oldest first
	Hash        int64
	Probability *Stored
	Backoff     *Stored // of the context; for N = 1 the normaliser of the unigrams
	Count       *Count
	Context     *Context

	// Set by Resolve.
	Role  Role
	Exact *Exact // nil without counts of the context
}

// Exact is what the counts of one order give.
type Exact struct {
	Discount   *float64 // taken off the adjusted count; nil where none is
	Own, Gamma float64  // the token's own share, and the weight of the shorter context
	Log10      float64  // of Own + Gamma p, p being the probability after the shorter context
}

// Chain is a resolved chain.
type Chain struct {
	Orders  []Order // longest first
	Matched int     // the order that was found; 0 if none is stored
	Log10   float64 // the backoff weights of the orders backed off from, and the value matched
	Exact   *float64
	Path    string
}

// Resolve gives every order its role and adds the chain up. The orders come longest first, down to 1.
func Resolve(orders []Order, build smoothing.Params) Chain {
	c := Chain{Orders: orders}
	var path []string
	backoff := 0.0
	for i := range orders {
		o := &orders[i]
		switch {
		case c.Matched > 0:
			o.Role = Interpolated
		case o.Probability != nil:
			o.Role, c.Matched = Matched, o.N
			value := o.Probability.Log10
			if o.N == 1 && o.Backoff != nil {
				value += o.Backoff.Log10
			}
			c.Log10 = backoff + value
		case o.Backoff != nil:
			o.Role = BackedOff
			backoff += o.Backoff.Log10
		default:
			o.Role = Absent
		}
		if o.Role != Interpolated {
			path = append(path, Step(o.N, o.Role))
		}
	}
	c.Path = strings.Join(path, ", ")
	c.Exact = interpolate(orders, build)
	return c
}

// interpolate computes the exact values from order 1 up; nil if the counts of the empty context are not there.
func interpolate(orders []Order, build smoothing.Params) *float64 {
	last := len(orders) - 1
	if Formula(build.Smoothing) == "" || last < 0 || orders[last].Context == nil || build.VocabularySize < 1 {
		return nil
	}
	discounted := build.Smoothing == ngram.ModifiedKneserNey
	if discounted && len(build.Discounts) < len(orders) {
		return nil
	}
	p := 1 / float64(build.VocabularySize)
	for i := last; i >= 0; i-- {
		o := &orders[i]
		if o.Context == nil || o.Context.Total < 1 {
			continue // p(w|h) = p(w|h')
		}
		if !discounted && o.Context.RawTotal < 1 {
			return nil
		}
		counts := smoothing.Counts{N: o.N, RawTotal: o.Context.RawTotal, AdjustedTotal: o.Context.Total, Followers: o.Context.Followers}
		if o.Count != nil {
			counts.Raw, counts.Adjusted = o.Count.Raw, o.Count.Adjusted
		}
		e := &Exact{}
		if discounted {
			discount := smoothing.Discount(build.Discounts[o.N-1], counts.Adjusted)
			e.Discount = &discount
		}
		e.Own, e.Gamma = smoothing.Term(build, counts)
		p = e.Own + below(e.Gamma, p, o.N, build.VocabularySize)
		e.Log10 = log10(p)
		o.Exact = e
	}
	exact := log10(p)
	return &exact
}

// below is gamma times the probability after the shorter context, rounded as an estimator rounds it.
func below(gamma, p float64, n int, vocabulary int64) float64 {
	if n == 1 {
		return float64(gamma / float64(vocabulary))
	}
	return float64(gamma * p)
}

func log10(p float64) float64 {
	if p <= 0 {
		return smoothing.Zero
	}
	return min(0, exactmath.Log10(p))
}

// Formula is the formula of an estimator, for people. h' is the context h without its oldest token.
func Formula(s ngram.Smoothing) string {
	switch s {
	case ngram.ModifiedKneserNey:
		return "p(w|h) = (a(hw) - D(a(hw))) / A(h) + gamma(h) p(w|h'); gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3(h)) / A(h); " +
			"p(w|h') is 1/|V| behind the empty context; a: adjusted counts, A: their sum, Nk: followers with a = k (N3: 3 or more)"
	case ngram.WittenBell:
		return "p(w|h) = c(hw) / (C(h) + T(h)) + T(h) / (C(h) + T(h)) p(w|h'); p(w|h') is 1/|V| behind the empty context; " +
			"c: raw counts, C: their sum over the followers, T: the number of followers"
	case ngram.JelinekMercer:
		return "p(w|h) = L c(hw) / C(h) + (1 - L) p(w|h'); L is the weight of the class of the context: by C(h) / T(h), in half octaves; " +
			"p(w|h') is 1/|V| behind the empty context; c: raw counts, C: their sum over the followers, T: the number of followers"
	}
	return ""
}
