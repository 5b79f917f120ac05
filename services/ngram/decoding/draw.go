package decoding

import "math/bits"

// golden is 2^64 divided by the golden ratio, the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// Source yields 64 random bits a call. It is SplitMix64 (Steele, Lea and Flood 2014), written out because the chosen
// tokens depend on every bit of it.
type Source struct{ state uint64 }

// NewSource returns the random numbers of one step of a reply. Steps are independent of each other, so any token of a
// reply can be drawn again by itself.
func NewSource(seed uint64, step int) Source {
	return Source{state: mix(mix(seed+golden) + uint64(step+1)*golden)}
}

// Uint64 returns the next 64 bits.
func (s *Source) Uint64() uint64 {
	s.state += golden
	return mix(s.state)
}

// Below returns a whole number in [0, n), every one equally likely (Lemire 2019, with rejection); 0 when n is 0.
func (s *Source) Below(n uint64) uint64 {
	high, low := bits.Mul64(s.Uint64(), n)
	if low < n {
		for threshold := -n % max(n, 1); low < threshold; {
			high, low = bits.Mul64(s.Uint64(), n)
		}
	}
	return high
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
