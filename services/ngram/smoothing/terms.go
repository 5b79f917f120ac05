package smoothing

import "dbslm/services/ngram"

// Counts are what was counted of one token after one context.
type Counts struct {
	N             int   // order of the n-gram
	Raw, Adjusted int64 // of the n-gram; 0 for a token that never followed
	// Of the context: the sums over its followers, and how many of them have the adjusted count 1, 2, and 3 or more. RawTotal
	// is not needed for modified Kneser-Ney.
	RawTotal, AdjustedTotal int64
	Followers               [3]int64
}

// Term is what a context gives one token: the share u(w|h) of the token's own counts and the weight gamma(h) of the shorter
// context, as an Estimator has them. The probability is own + gamma p(w|h'). The totals must be above 0.
func Term(p Params, c Counts) (own, gamma float64) {
	distinct := c.Followers[0] + c.Followers[1] + c.Followers[2]
	switch p.Smoothing {
	case ngram.WittenBell:
		divisor := float64(c.RawTotal + distinct)
		return float64(c.Raw) / divisor, float64(distinct) / divisor
	case ngram.JelinekMercer:
		lambda := weightsOf(p.Weights).of(c.N, Class(c.RawTotal, distinct))
		return float64(lambda*float64(c.Raw)) / float64(c.RawTotal), 1 - lambda
	}
	d := p.Discounts[c.N-1]
	mass := float64(d.D1*float64(c.Followers[0])) + float64(d.D2*float64(c.Followers[1])) + float64(d.D3*float64(c.Followers[2]))
	return (float64(c.Adjusted) - discount(d, c.Adjusted)) / float64(c.AdjustedTotal), mass / float64(c.AdjustedTotal)
}

// Discount is D(a) of modified Kneser-Ney: what is taken off an adjusted count.
func Discount(d ngram.Discounts, adjusted int64) float64 { return discount(d, adjusted) }
