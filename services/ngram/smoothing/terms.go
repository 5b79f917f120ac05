package smoothing

import "dbslm/services/ngram"

// Term is what a context gives one token under modified Kneser-Ney, from the counts of the context: the share of the token's
// own counts, (a - D(a)) / A, and the weight gamma of the shorter context. The probability is own + gamma p(w|h'). adjusted
// is 0 for a token that never followed; total must be above 0.
func Term(d ngram.Discounts, total int64, classes [3]int64, adjusted int64) (own, gamma float64) {
	mass := float64(d.D1*float64(classes[0])) + float64(d.D2*float64(classes[1])) + float64(d.D3*float64(classes[2]))
	return (float64(adjusted) - Discount(d, adjusted)) / float64(total), mass / float64(total)
}

// Discount is D(a): what the estimator takes off an adjusted count.
func Discount(d ngram.Discounts, adjusted int64) float64 { return discount(d, adjusted) }
