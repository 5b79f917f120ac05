package predict

import "math"

// scaled is a positive number with an exponent of its own, so that the product of hundreds of small
// probabilities neither underflows nor needs a logarithm.
type scaled struct {
	fraction float64 // in [0.5, 1), or 0
	exponent int
}

func newScaled(x float64) scaled {
	f, e := math.Frexp(x)
	return scaled{f, e}
}

func (s *scaled) times(x float64) {
	f, e := math.Frexp(s.fraction * x)
	s.fraction, s.exponent = f, s.exponent+e
}

func (s scaled) plus(o scaled) scaled {
	if s.exponent < o.exponent {
		s, o = o, s
	}
	f, e := math.Frexp(s.fraction + math.Ldexp(o.fraction, o.exponent-s.exponent))
	return scaled{f, s.exponent + e}
}

func (s scaled) over(o scaled) float64 {
	return math.Ldexp(s.fraction/o.fraction, s.exponent-o.exponent)
}
