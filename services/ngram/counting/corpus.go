package counting

import (
	"math/bits"
	"slices"

	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
)

// Corpus counts a text at once, where nothing was counted before. It gives what batches give, in less time and memory: 4 bytes
// a token and 2 bits for each, and 32 bytes for each window of a bounded number. For that it walks the text once for each
// range of hashes of each order.
//
// Orders are counted from the highest down. Of every n-gram one occurrence is marked; the adjusted count of a shorter n-gram is
// the number of marks among its own occurrences, since every longer n-gram that ends in it was marked once.
type Corpus struct {
	*Batch
	limit int // windows in memory

	marks, next []uint64 // by position, of the order above and of the one at hand
	windows     []window
	sorted      []window
	touched     uint32 // of what was touched, so that it is
}

// NewCorpus returns an empty corpus for a model of the given order; its counting keeps about so many windows in memory.
func NewCorpus(order int, hash contexthash.Func, windows int) *Corpus {
	return &Corpus{Batch: NewBatch(order, hash), limit: max(windows, 1)}
}

// Counted is a context with its followers. Its slices are only valid until the next one.
type Counted struct {
	Hash      int64
	Tokens    []uint32 // the context, oldest token first
	Followers []uint32 // ascending
	Raw       []int64
	Adjusted  []int64
}

// Count calls yield for every context of every order, from the highest down, and within an order by ascending hash. The error
// is that of yield, a *Collision, or OutOfRange for a count above MaxCount.
func (c *Corpus) Count(yield func(n int, counted *Counted) error) error {
	words := (len(c.tokens) + 63) / 64
	c.marks, c.next = make([]uint64, words), make([]uint64, words)
	for n := c.order; n > 1; n-- {
		cut := bits.Len(uint(len(c.tokens) / c.limit))
		for part := range uint64(1) << cut {
			c.collect(n, part, cut)
			if err := c.group(n, yield); err != nil {
				return err
			}
		}
		c.marks, c.next = c.next, c.marks
		clear(c.next)
	}
	c.windows, c.sorted = nil, nil
	return c.unigrams(yield)
}

// collect lists the windows of order n whose hashes begin with the bits of the part.
func (c *Corpus) collect(n int, part uint64, cut int) {
	c.windows = c.windows[:0]
	c.each(n, func(position int) {
		hash := c.hash(c.tokens[position-n+1 : position])
		if (uint64(hash)^1<<63)>>(64-cut) == part {
			c.windows = append(c.windows, window{hash, c.tokens[position], uint32(position)})
		}
	})
	c.sorted = slices.Grow(c.sorted[:0], len(c.windows))[:len(c.windows)]
	sortWindows(c.sorted, c.windows, func(w window) uint64 { return (uint64(w.hash) ^ 1<<63) << cut })
}

// each calls f for every position at which a window of order n ends.
func (c *Corpus) each(n int, f func(position int)) {
	for i, start := range c.starts {
		end := len(c.tokens)
		if i+1 < len(c.starts) {
			end = int(c.starts[i+1])
		}
		for position := int(start) + max(1, n-1); position < end; position++ {
			f(position)
		}
	}
}

func (c *Corpus) group(n int, yield func(int, *Counted) error) error {
	var counted Counted
	total := int64(0)
	flush := func() error {
		if len(counted.Followers) == 0 {
			return nil
		}
		if total > MaxCount {
			return tooGreat(n)
		}
		return yield(n, &counted)
	}
	whole := false // adjusted counts are raw ones
	for i, w := range c.sorted {
		if i%together == 0 {
			c.touch(c.sorted[i:min(i+together, len(c.sorted))], n)
		}
		context := c.tokens[int(w.position)-n+1 : w.position]
		fresh := i == 0 || w.hash != c.sorted[i-1].hash
		if fresh {
			if err := flush(); err != nil {
				return err
			}
			counted = Counted{w.hash, context, counted.Followers[:0], counted.Raw[:0], counted.Adjusted[:0]}
			whole, total = n == c.order || context[0] == ngram.SentenceStart, 0
		} else if !slices.Equal(counted.Tokens, context) {
			return &Collision{N: n, Hash: w.hash, Context: slices.Clone(context), Other: slices.Clone(counted.Tokens)}
		}
		if fresh || w.token != c.sorted[i-1].token {
			counted.Followers, counted.Raw, counted.Adjusted = append(counted.Followers, w.token), append(counted.Raw, 0), append(counted.Adjusted, 0)
			c.next[w.position/64] |= 1 << (w.position % 64)
		}
		last, weight := len(counted.Raw)-1, c.weightAt(w.position)
		counted.Raw[last] += weight
		by := weight
		if !whole {
			by = int64(c.marks[w.position/64] >> (w.position % 64) & 1)
		}
		counted.Adjusted[last] += by
		total += by
		if counted.Raw[last] > MaxCount {
			return tooGreat(n)
		}
	}
	return flush()
}

// together is how many windows are fetched together.
const together = 32

// touch reads a token of each window. Sorted by hash they lie anywhere in the text: what the processor waits for at one it
// fetches meanwhile for the others.
func (c *Corpus) touch(windows []window, n int) {
	sum := uint32(0)
	for _, w := range windows {
		sum += c.tokens[int(w.position)-n+1]
	}
	c.touched = sum
}

// unigrams counts order 1: its one context is empty.
func (c *Corpus) unigrams(yield func(int, *Counted) error) error {
	if len(c.tokens) == 0 {
		return nil
	}
	top := slices.Max(c.tokens)
	raw, adjusted := make([]int64, top+1), make([]int64, top+1)
	c.each(1, func(position int) {
		weight := c.weightAt(uint32(position))
		raw[c.tokens[position]] += weight
		if c.order > 1 {
			weight = int64(c.marks[position/64] >> (position % 64) & 1)
		}
		adjusted[c.tokens[position]] += weight
	})
	counted, total := Counted{Hash: c.hash(nil)}, int64(0)
	for token, count := range raw {
		if count == 0 {
			continue
		}
		if total += adjusted[token]; count > MaxCount || total > MaxCount {
			return tooGreat(1)
		}
		counted.Followers = append(counted.Followers, uint32(token))
		counted.Raw, counted.Adjusted = append(counted.Raw, count), append(counted.Adjusted, adjusted[token])
	}
	return yield(1, &counted)
}
