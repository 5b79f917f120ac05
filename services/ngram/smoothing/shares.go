package smoothing

import (
	"math"

	"dbslm/services/ngram"
)

// shares appends each follower's own share u(w|h) to the probabilities and returns the weight gamma(h) of the shorter
// context:
//
//	modified Kneser-Ney   u = (a - D(a)) / A      gamma = (D1 N1 + D2 N2 + D3 N3) / A
//	Witten-Bell           u = c / (C + T)         gamma = T / (C + T)
//	Jelinek-Mercer        u = L c / C             gamma = 1 - L
//
// with c how often the n-gram occurred, C the sum of c over the followers, T their number, and L the weight of the class of
// the context (Class).
func (e *Estimator) shares(c Context) (gamma float64, err error) {
	if len(c.Tokens) == 0 {
		return 0, inconsistent(c, "it has no followers")
	}
	if e.params.Smoothing == "" || e.params.Smoothing == ngram.ModifiedKneserNey {
		return e.discounted(c)
	}
	total := int64(0)
	for _, raw := range c.Raw {
		if raw < 1 {
			return 0, inconsistent(c, "a follower has the count %d", raw)
		}
		total += raw
	}
	if len(c.Raw) != len(c.Tokens) {
		return 0, inconsistent(c, "%d of its %d followers have counts", len(c.Raw), len(c.Tokens))
	}
	lambda, divisor := 1.0, total
	if e.params.Smoothing == ngram.WittenBell {
		divisor += int64(len(c.Raw))
		gamma = float64(len(c.Raw)) / float64(divisor)
	} else {
		lambda = e.weights.of(c.N, Class(total, int64(len(c.Raw))))
		gamma = 1 - lambda
	}
	for _, raw := range c.Raw {
		e.probabilities = append(e.probabilities, float64(lambda*float64(raw))/float64(divisor))
	}
	return gamma, nil
}

// discounted is shares of modified Kneser-Ney.
func (e *Estimator) discounted(c Context) (gamma float64, err error) {
	d := e.params.Discounts[c.N-1]
	total, classes := int64(0), [3]int64{}
	for _, a := range c.Adjusted {
		if a < 1 {
			return 0, inconsistent(c, "a follower has the adjusted count %d", a)
		}
		total += a
		classes[min(a, 3)-1]++
	}
	// In the order of the formula: the sum of three products, each rounded.
	mass := float64(d.D1*float64(classes[0])) + float64(d.D2*float64(classes[1])) + float64(d.D3*float64(classes[2]))
	for _, a := range c.Adjusted {
		e.probabilities = append(e.probabilities, (float64(a)-discount(d, a))/float64(total))
	}
	return mass / float64(total), nil
}

// Classes is the number of classes of contexts.
const Classes = 16

// Class is the class of a context whose followers occurred total times and are distinct: how often one occurred on average,
// in half octaves, which says better than the total alone how far the context can be trusted (Chen and Goodman 1998).
func Class(total, distinct int64) int {
	square, least := float64(total)*float64(total), float64(distinct)*float64(distinct)
	for class := Classes - 1; class > 0; class-- {
		if square >= math.Ldexp(least, class) {
			return class
		}
	}
	return 0
}

// weights are those of Jelinek-Mercer by order and class.
type weights [][Classes]float64

func weightsOf(list []ngram.Weight) (w weights) {
	for _, weight := range list {
		for len(w) < weight.Order {
			w = append(w, [Classes]float64{})
		}
		w[weight.Order-1][weight.Class] = weight.Lambda
	}
	return w
}

func (w weights) of(n, class int) float64 { return w[n-1][class] }
