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

import (
	"math/big"

	"dbslm/services/ngram"
)

// Discounts computes the discounts of one order from its counts of counts t1 … t4:
//
//	Y = t1 / (t1 + 2 t2),  Dk = k - (k+1) Y t(k+1) / tk
//
// If t1, t2 or t3 is 0, or a Dk is below 0, there is no closed form: the result is 0.5, 1, 1.5 with Fallback set. (No Dk
// is above k.) Whether there is one is decided in integers, because counts of counts can give a Dk of exactly 0. t4 may be 0.
func Discounts(order int, counts [4]int64) ngram.Discounts {
	d := ngram.Discounts{Order: order, CountsOfCounts: counts}
	if !closedForm(counts) {
		d.D1, d.D2, d.D3, d.Fallback = 0.5, 1, 1.5, true
		return d
	}
	var t [4]float64
	for k, count := range counts {
		t[k] = float64(count)
	}
	y := t[0] / (t[0] + float64(2*t[1]))
	for k, target := range []*float64{&d.D1, &d.D2, &d.D3} {
		n := float64(k + 1)
		*target = max(0, n-float64(float64(float64((n+1)*y)*t[k+1])/t[k]))
	}
	return d
}

// closedForm tells whether every Dk >= 0: k (t1 + 2 t2) tk >= (k+1) t1 t(k+1).
func closedForm(t [4]int64) bool {
	product := func(factors ...int64) *big.Int {
		p := big.NewInt(1)
		for _, f := range factors {
			p.Mul(p, big.NewInt(f))
		}
		return p
	}
	for k := int64(1); k <= 3; k++ {
		if t[k-1] == 0 || product(k, t[0]+2*t[1], t[k-1]).Cmp(product(k+1, t[0], t[k])) < 0 {
			return false
		}
	}
	return true
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
