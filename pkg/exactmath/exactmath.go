// Package exactmath computes exponentials and logarithms that have the same bits on every CPU.
//
// The functions of the standard library do not: math.Exp and math.Log are assembly on some
// architectures, and a compiler may fuse x*y + z into one instruction where the CPU has it. A chosen
// token hangs on the last bit of a sum, so everything between a stored value and a token uses this
// package, writes float64(x*y) + z, which the language defines as rounded before the addition, and
// adds in a fixed order.
//
// The algorithms are those of FreeBSD's libm (e_exp.c, e_log.c, e_log10.c), whose error stays below
// one unit in the last place. testdata/vectors.txt pins their bits.
package exactmath

import "math"

// ====================================================
// The reductions, polynomials and constants below come from FreeBSD's libm, with this notice:
//
// Copyright (C) 2004 by Sun Microsystems, Inc. All rights reserved.
//
// Permission to use, copy, modify, and distribute this
// software is freely granted, provided that this notice
// is preserved.
// ====================================================

const (
	ln2Hi = 6.93147180369123816490e-01 // 3fe62e42 fee00000
	ln2Lo = 1.90821492927058770002e-10 // 3dea39ef 35793c76
	log2e = 1.44269504088896338700e+00

	log102Hi = 3.01029995663611771306e-01 // 3fd34413 509f6000
	log102Lo = 3.69423907715893078616e-13 // 3d59fef3 11f12b36
	invLn10H = 4.34294481878168880939e-01 // 3fdbcb7b 15200000
	invLn10L = 2.50829467116452752298e-11 // 3dbb9438 ca9aadd5
	log2of10 = 3.32192809488736218171e+00 // log2(10)

	ln10   = 2.30258509299404568402e+00
	ln10Hi = 2.302585065364837646484375 // ln 10 to 26 bits, so that its product with 26 bits is exact
	ln10Lo = 2.7629208037533617e-08     // ln 10 - ln10Hi
)

// Exp returns e**x, with an error below one unit in the last place. It overflows to +Inf above
// 709.78, underflows to 0 below -745.13, and Exp(NaN) is NaN.
func Exp(x float64) float64 {
	const (
		overflow  = 7.09782712893383973096e+02
		underflow = -7.45133219101941108420e+02
		nearZero  = 1.0 / (1 << 28)
	)
	switch {
	case x != x:
		return x
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	case -nearZero < x && x < nearZero:
		return 1 + x
	}
	k := nearest(float64(log2e * x))
	hi := x - float64(float64(k)*ln2Hi)
	lo := float64(float64(k) * ln2Lo)
	return expReduced(hi, lo, k)
}

// Pow10 returns 10**x, with an error below one unit in the last place. It overflows to +Inf above
// 308.2547, underflows to 0 below -323.6, and Pow10(NaN) is NaN.
func Pow10(x float64) float64 {
	const (
		overflow  = 308.25471555991674
		underflow = -323.60724533877976
	)
	switch {
	case x != x:
		return x
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	case x == 0:
		return 1
	}
	k := nearest(float64(log2of10 * x))
	// x = k*log10(2) + (rh - rl); the first product is exact because log102Hi ends in 13 zero bits.
	rh := x - float64(float64(k)*log102Hi)
	rl := float64(float64(k) * log102Lo)
	// (rh - rl)*ln 10 as hi - lo: 26 bits times 26 bits is exact, the rest goes into lo.
	top := math.Float64frombits(math.Float64bits(rh) &^ (1<<27 - 1))
	rest := rh - top
	hi := float64(top * ln10Hi)
	lo := float64(rl*ln10) - (float64(top*ln10Lo) + float64(rest*ln10))
	return expReduced(hi, lo, k)
}

// nearest rounds half away from zero.
func nearest(x float64) int {
	if x < 0 {
		return int(x - 0.5)
	}
	return int(x + 0.5)
}

// expReduced returns e**(hi-lo) * 2**k for |hi-lo| <= ln(2)/2.
func expReduced(hi, lo float64, k int) float64 {
	const (
		p1 = 1.66666666666666657415e-01  // 3fc55555 55555555
		p2 = -2.77777777770155933842e-03 // bf66c16c 16bebd93
		p3 = 6.61375632143793436117e-05  // 3f11566a af25de2c
		p4 = -1.65339022054652515390e-06 // bebbbd41 c5d26bf1
		p5 = 4.13813679705723846039e-08  // 3e663769 72bea4d0
	)
	r := hi - lo
	t := float64(r * r)
	c := float64(t * p5)
	c = float64(t * (p4 + c))
	c = float64(t * (p3 + c))
	c = float64(t * (p2 + c))
	c = r - float64(t*(p1+c))
	y := 1 - ((lo - float64(float64(r*c)/(2-c))) - hi)
	return scale(y, k)
}

// scale returns y * 2**k for a normal y near 1, rounding once where the result is subnormal.
func scale(y float64, k int) float64 {
	const bias, mantissa = 1023, 52
	switch {
	case k > 1023:
		y = float64(y * 2)
		k--
	case k < -1022:
		return float64(float64(y*math.Float64frombits(uint64(k+64+bias)<<mantissa)) * 0x1p-64)
	}
	return float64(y * math.Float64frombits(uint64(k+bias)<<mantissa))
}

// Log returns the natural logarithm of x, with an error below one unit in the last place. Log(0) is
// -Inf, Log of a negative number or NaN is NaN.
func Log(x float64) float64 {
	if special, done := logSpecial(x); done {
		return special
	}
	f, k := splitLog(x)
	hfsq, s, r := logSeries(f)
	return float64(k*ln2Hi) - ((hfsq - (float64(s*(hfsq+r)) + float64(k*ln2Lo))) - f)
}

// Log10 returns the decimal logarithm of x, with an error below one unit in the last place. Log10(0)
// is -Inf, Log10 of a negative number or NaN is NaN.
func Log10(x float64) float64 {
	if special, done := logSpecial(x); done {
		return special
	}
	f, k := splitLog(x)
	hfsq, s, r := logSeries(f)
	r = float64(s * (hfsq + r))
	hi := f - hfsq
	hi = math.Float64frombits(math.Float64bits(hi) &^ (1<<32 - 1))
	lo := (f - hi) - hfsq + r
	valueHi := float64(hi * invLn10H)
	power := float64(k * log102Hi)
	valueLo := float64(k*log102Lo) + float64((lo+hi)*invLn10L) + float64(lo*invLn10H)
	sum := power + valueHi
	valueLo += (power - sum) + valueHi
	return valueLo + sum
}

func logSpecial(x float64) (value float64, done bool) {
	switch {
	case x != x || x > math.MaxFloat64:
		return x, true
	case x < 0:
		return math.NaN(), true
	case x == 0:
		return math.Inf(-1), true
	case x == 1:
		return 0, true
	}
	return 0, false
}

// splitLog writes x as 2**k * (1+f) with sqrt(2)/2 <= 1+f < sqrt(2).
func splitLog(x float64) (f, k float64) {
	exp := 0
	if x < 0x1p-1022 {
		x = float64(x * 0x1p54)
		exp = -54
	}
	bits := math.Float64bits(x)
	high := uint32(bits>>32) & 0xfffff
	exp += int(bits>>52) - 1023
	step := (high + 0x95f64) & 0x100000
	bits = bits&(1<<32-1) | uint64(high|(step^0x3ff00000))<<32
	exp += int(step >> 20)
	return math.Float64frombits(bits) - 1, float64(exp)
}

func logSeries(f float64) (hfsq, s, r float64) {
	const (
		l1 = 6.666666666666735130e-01 // 3fe55555 55555593
		l2 = 3.999999999940941908e-01 // 3fd99999 9997fa04
		l3 = 2.857142874366239149e-01 // 3fd24924 94229359
		l4 = 2.222219843214978396e-01 // 3fcc71c5 1d8e78af
		l5 = 1.818357216161805012e-01 // 3fc74664 96cb03de
		l6 = 1.531383769920937332e-01 // 3fc39a09 d078c69f
		l7 = 1.479819860511658591e-01 // 3fc2f112 df3e5244
	)
	s = float64(f / (2 + f))
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t1 := float64(s4 * l7)
	t1 = float64(s4 * (l5 + t1))
	t1 = float64(s4 * (l3 + t1))
	t1 = float64(s2 * (l1 + t1))
	t2 := float64(s4 * l6)
	t2 = float64(s4 * (l4 + t2))
	t2 = float64(s4 * (l2 + t2))
	return float64(float64(0.5*f) * f), s, t1 + t2
}
