package decoding

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"dbslm/pkg/exactmath"
)

// Choice is what is left of a distribution after temperature and truncation: the kept tokens, likeliest first, with
// whole-number shares. Draws compare integers only.
type Choice struct {
	// Kept holds the tokens from which the next one is drawn.
	Kept []Candidate
	// cumulative[i] is the sum of the shares up to and including token i.
	cumulative []uint64
}

// chooser carries the buffers from step to step.
type chooser struct {
	walk       descending
	kept       []Candidate
	shares     []uint64
	cumulative []uint64
	// information of the tokens, for typical.
	information []float64
}

// choose applies temperature, the bound on back-off, top-k, typical, top-p and min-p in this order. The Choice is valid until the next call. It is
// empty when every token is banned.
func (c *chooser) choose(d *Distribution, p Params) Choice {
	limit := p.TopK
	if p.Temperature == 0 {
		limit = 1
	}
	c.kept = c.kept[:0]
	shortest := 1
	if p.MaxBackoff < AllOrders {
		shortest = d.longest() - p.MaxBackoff
	}
	if limit == 0 {
		limit = math.MaxInt
	}
	c.walk.begin(d, shortest, limit)
	for len(c.kept) < limit {
		candidate, ok := c.walk.pop()
		if !ok {
			break
		}
		c.kept = append(c.kept, candidate)
	}
	if len(c.kept) == 0 {
		return Choice{}
	}
	c.share(p.Temperature)
	if p.TypicalP < 1 {
		c.typical(p.TypicalP)
	}
	n := min(nucleus(c.cumulative, p.TopP), c.floor(p.MinP))
	return Choice{Kept: c.kept[:n], cumulative: c.cumulative[:n]}
}

// only is the choice of one token that must come. The Choice is valid until the next call.
func (c *chooser) only(candidate Candidate) Choice {
	c.kept = append(c.kept[:0], candidate)
	c.cumulative = append(c.cumulative[:0], 1)
	return Choice{Kept: c.kept, cumulative: c.cumulative}
}

// typical keeps the tokens whose information, -log10 of their share of the whole, is nearest to its expectation, the
// entropy, until they hold the share p of the whole; of two at the same distance the likelier one first. They stand side
// by side, because the tokens are sorted.
func (c *chooser) typical(p float64) {
	whole := c.cumulative[len(c.cumulative)-1]
	informed := sort.Search(len(c.shares), func(i int) bool { return c.shares[i] == 0 })
	c.information = c.information[:0]
	entropy := 0.0
	for i, share := range c.shares[:informed] {
		information := 0.0
		if i > 0 && share == c.shares[i-1] {
			information = c.information[i-1]
		} else {
			information = -exactmath.Log10(float64(share) / float64(whole))
		}
		c.information = append(c.information, information)
		entropy += float64(float64(float64(share)/float64(whole)) * information)
	}
	// The least informative token that tells at least the entropy parts those on either side.
	high := sort.Search(informed, func(i int) bool { return c.information[i] >= entropy })
	low := high
	wanted := uint64(math.Ceil(float64(p * float64(whole))))
	for sum := uint64(0); sum < wanted && (low > 0 || high < informed); {
		if high == informed || low > 0 && entropy-c.information[low-1] <= c.information[high]-entropy {
			low--
			sum += c.shares[low]
		} else {
			sum += c.shares[high]
			high++
		}
	}
	c.kept = append(c.kept[:0], c.kept[low:high]...)
	c.shares = append(c.shares[:0], c.shares[low:high]...)
	c.cumulative = c.cumulative[:0]
	sum := uint64(0)
	for _, share := range c.shares {
		sum += share
		c.cumulative = append(c.cumulative, sum)
	}
}

// share turns the weights into whole numbers whose sum fits into 63 bits, the likeliest token having the largest one.
// A token whose share rounds to nothing is less likely than 2^-40 of the likeliest, and is never drawn.
func (c *chooser) share(temperature float64) {
	c.shares, c.cumulative = slices.Grow(c.shares[:0], len(c.kept)), slices.Grow(c.cumulative[:0], len(c.kept))
	unit := math.Ldexp(1, min(52, 63-bits.Len(uint(len(c.kept)))))
	best := c.kept[0].Weight
	bestLog := 0.0
	if temperature != 1 {
		bestLog = exactmath.Log10(best)
	}
	last, relative := best, 1.0
	sum := uint64(0)
	for i := range c.kept {
		if weight := c.kept[i].Weight; weight != last {
			last = weight
			if temperature == 1 {
				relative = last / best
			} else {
				relative = min(1, exactmath.Pow10((exactmath.Log10(last)-bestLog)/temperature))
			}
		}
		share := uint64(float64(relative * unit))
		sum += share
		c.shares = append(c.shares, share)
		c.cumulative = append(c.cumulative, sum)
	}
}

// nucleus returns the length of the shortest prefix that holds at least the share p of the whole.
func nucleus(cumulative []uint64, p float64) int {
	whole := cumulative[len(cumulative)-1]
	if p >= 1 {
		return len(cumulative)
	}
	wanted := uint64(math.Ceil(float64(p * float64(whole))))
	return min(len(cumulative), 1+sort.Search(len(cumulative), func(i int) bool { return cumulative[i] >= wanted }))
}

// floor returns the length of the prefix of tokens that have at least the share p of the likeliest one.
func (c *chooser) floor(p float64) int {
	wanted := uint64(math.Ceil(float64(p * float64(c.shares[0]))))
	return max(1, sort.Search(len(c.shares), func(i int) bool { return c.shares[i] < wanted }))
}

// Total is the sum of all shares.
func (c Choice) Total() uint64 {
	if len(c.cumulative) == 0 {
		return 0
	}
	return c.cumulative[len(c.cumulative)-1]
}

// Share is the whole-number share of the kept token i.
func (c Choice) Share(i int) uint64 {
	if i == 0 {
		return c.cumulative[0]
	}
	return c.cumulative[i] - c.cumulative[i-1]
}

// Probability is the probability with which the kept token i is drawn.
func (c Choice) Probability(i int) float64 { return float64(c.Share(i)) / float64(c.Total()) }

// Draw returns the index of a kept token, token i with probability Share(i)/Total(). The choice must not be empty.
func (c Choice) Draw(source *Source) int {
	point := source.Below(c.Total())
	return sort.Search(len(c.cumulative), func(i int) bool { return c.cumulative[i] > point })
}
