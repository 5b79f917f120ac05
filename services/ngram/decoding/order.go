package decoding

// descending walks a distribution from the likeliest token on, ties in byte order of the tokens. It merges a heap of
// the explicit candidates with the resident unigrams, which are sorted already: the first k tokens cost the explicit
// candidates once and k steps, whatever the size of the vocabulary.
//
// Two tokens of the tail whose products with the tail factor round to the same double keep the order of their
// unigram probabilities; that order is a function of the words too.
type descending struct {
	d    *Distribution
	heap []Candidate
	next int // into the sorted unigrams
}

// descending begins a walk over the tokens found by n-grams of at least the given length, and those that are wanted in
// any case. The buffer is used for the heap.
func (d *Distribution) descending(shortest int, buffer []Candidate) descending {
	walk := descending{d: d, heap: buffer[:0]}
	for _, candidate := range d.explicit {
		if candidate.Weight > 0 && (candidate.Matched >= shortest || candidate.Wanted) {
			walk.heap = append(walk.heap, candidate)
		}
	}
	if shortest > 1 {
		walk.next = len(d.unigrams.Sorted())
	}
	for i := len(walk.heap)/2 - 1; i >= 0; i-- {
		walk.sink(i)
	}
	return walk
}

// pop returns the next token with a weight above zero.
func (w *descending) pop() (Candidate, bool) {
	sorted := w.d.unigrams.Sorted()
	for w.next < len(sorted) && w.d.slot[sorted[w.next]] != 0 {
		w.next++
	}
	var tail Candidate
	if w.next < len(sorted) {
		token := sorted[w.next]
		tail = Candidate{Token: token, Matched: 1, Weight: float64(w.d.tail * w.d.unigrams.Mass(token))}
	}
	if len(w.heap) > 0 && (tail.Weight == 0 || w.before(w.heap[0], tail)) {
		top := w.heap[0]
		last := len(w.heap) - 1
		w.heap[0] = w.heap[last]
		w.heap = w.heap[:last]
		w.sink(0)
		return top, top.Weight > 0
	}
	w.next++
	return tail, tail.Weight > 0
}

func (w *descending) before(a, b Candidate) bool {
	if a.Weight != b.Weight {
		return a.Weight > b.Weight
	}
	return w.d.unigrams.Rank(a.Token) < w.d.unigrams.Rank(b.Token)
}

func (w *descending) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			return
		}
		if right := child + 1; right < len(w.heap) && w.before(w.heap[right], w.heap[child]) {
			child = right
		}
		if !w.before(w.heap[child], w.heap[i]) {
			return
		}
		w.heap[i], w.heap[child] = w.heap[child], w.heap[i]
		i = child
	}
}

// Top returns the k likeliest tokens, likeliest first, ties in byte order; fewer when no more have a weight.
func (d *Distribution) Top(k int) []Candidate {
	walk := d.descending(1, nil)
	top := make([]Candidate, 0, min(k, d.unigrams.Bound()))
	for len(top) < k {
		candidate, ok := walk.pop()
		if !ok {
			break
		}
		top = append(top, candidate)
	}
	return top
}
