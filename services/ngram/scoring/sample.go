package scoring

import (
	"cmp"
	"container/heap"
	"slices"
)

// Sampler keeps a uniform sample without replacement of the distinct keys that it is offered, in one pass and in
// memory for the sample alone: those with the smallest values of a hash that the seed chooses. The sample depends on
// the seed and on the set of keys, not on their order. Two keys with equal hash count as one.
type Sampler[T any] struct {
	seed  uint64
	limit int
	kept  drawn[T]
	known map[uint64]struct{}
}

// NewSampler returns a sampler that keeps at most limit values.
func NewSampler[T any](seed uint64, limit int) *Sampler[T] {
	return &Sampler[T]{seed: seed, limit: limit, known: map[uint64]struct{}{}}
}

// Offer considers the key; value is called only when the key enters the sample.
func (s *Sampler[T]) Offer(key uint64, value func() T) {
	if s.limit == 0 {
		return
	}
	priority := scramble(key + scramble(s.seed))
	if len(s.kept) == s.limit && priority >= s.kept[0].priority {
		return
	}
	if _, known := s.known[priority]; known {
		return
	}
	if len(s.kept) == s.limit {
		delete(s.known, heap.Pop(&s.kept).(draw[T]).priority)
	}
	s.known[priority] = struct{}{}
	heap.Push(&s.kept, draw[T]{priority, value()})
}

// Values returns the sample in the order of the hash.
func (s *Sampler[T]) Values() []T {
	ordered := slices.SortedFunc(slices.Values(s.kept), func(a, b draw[T]) int { return cmp.Compare(a.priority, b.priority) })
	values := make([]T, len(ordered))
	for i, d := range ordered {
		values[i] = d.value
	}
	return values
}

type draw[T any] struct {
	priority uint64
	value    T
}

// drawn is a heap with the largest priority on top.
type drawn[T any] []draw[T]

func (d drawn[T]) Len() int           { return len(d) }
func (d drawn[T]) Less(i, j int) bool { return d[i].priority > d[j].priority }
func (d drawn[T]) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *drawn[T]) Push(x any)        { *d = append(*d, x.(draw[T])) }
func (d *drawn[T]) Pop() any {
	old := *d
	last := old[len(old)-1]
	*d = old[:len(old)-1]
	return last
}

// scramble is the finaliser of SplitMix64 after one increment: a bijection on 64 bits.
func scramble(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
