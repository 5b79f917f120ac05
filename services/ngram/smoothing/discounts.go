// Package smoothing estimates interpolated modified Kneser-Ney probabilities (Chen and Goodman 1998) from adjusted counts,
// and rounds them to codes so that every context still sums to 1.
//
// With D1, D2, D3 the discounts of an order, h a context, h' the context without its oldest token, A(h) the sum of the
// adjusted counts a(h w) over its followers and Nk(h) the number of followers with a = k (N3: at least 3):
//
//	p(w|h)   = (a(h w) - D(a(h w))) / A(h) + gamma(h) p(w|h')      p(w|empty): uniform 1/|V| in place of p(w|h')
//	gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3(h)) / A(h)
//
// |V| counts the words, <unk> and </s>; <unk> has a = 0. A token that is no follower of h has gamma(h) p(w|h'), which is
// what a reader computes by backing off.
package smoothing

import "dbslm/services/ngram"

// Discounts computes the discounts of one order from its counts of counts t1 … t4:
//
//	Y = t1 / (t1 + 2 t2),  Dk = k - (k+1) Y t(k+1) / tk
//
// If t1, t2 or t3 is 0, or a Dk is below 0 or above k, there is no closed form: the result is 0.5, 1, 1.5 with Fallback
// set. t4 may be 0.
func Discounts(order int, counts [4]int64) ngram.Discounts {
	d := ngram.Discounts{Order: order, CountsOfCounts: counts}
	var t [4]float64
	for k, count := range counts {
		t[k] = float64(count)
	}
	if counts[0] > 0 && counts[1] > 0 && counts[2] > 0 {
		y := t[0] / (t[0] + float64(2*t[1]))
		closed := true
		for k, target := range []*float64{&d.D1, &d.D2, &d.D3} {
			n := float64(k + 1)
			*target = n - float64(float64(float64((n+1)*y)*t[k+1])/t[k])
			closed = closed && *target >= 0 && *target <= n
		}
		if closed {
			return d
		}
	}
	d.D1, d.D2, d.D3, d.Fallback = 0.5, 1, 1.5, true
	return d
}

func discount(d ngram.Discounts, adjusted int64) float64 {
	switch adjusted {
	case 0:
		return 0
	case 1:
		return d.D1
	case 2:
		return d.D2
	}
	return d.D3
}
