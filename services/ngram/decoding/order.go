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
	late int // how many of the late contexts take part
	// bound is the greatest weight of a late token that is not in the heap; below 0 there is none.
	bound float64
	from  int // the late context that has it
}

// descending begins a walk over the tokens found by n-grams of at least the given length, and those that are wanted in
// any case. The buffer is used for the heap.
func (d *Distribution) descending(shortest int, buffer []Candidate) descending {
	walk := descending{d: d, heap: buffer[:0]}
	for walk.late < len(d.late) && d.late[walk.late].matched >= shortest {
		walk.late++
	}
	walk.look()
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
	w.fill()
	for sorted := w.d.unigrams.Sorted(); w.next < len(sorted); w.next++ {
		token := sorted[w.next]
		if w.d.slot[token] != 0 {
			continue
		}
		tail := Candidate{Token: token, Matched: 1, Weight: float64(w.d.tail * w.d.unigrams.Mass(token))}
		if tail.Weight == 0 || len(w.heap) > 0 && w.before(w.heap[0], tail) {
			break
		}
		if w.d.lateBefore(len(w.d.late), token) {
			continue // its weight is smaller and it comes later
		}
		w.next++
		return tail, true
	}
	if len(w.heap) == 0 {
		return Candidate{}, false
	}
	top := w.heap[0]
	last := len(w.heap) - 1
	w.heap[0] = w.heap[last]
	w.heap = w.heap[:last]
	w.sink(0)
	return top, true
}

// look finds the late context whose next tokens are the likeliest.
func (w *descending) look() {
	w.bound = -1
	for i := range w.d.late[:w.late] {
		if l := &w.d.late[i]; l.context != nil && l.weight > w.bound {
			w.bound, w.from = l.weight, i
		}
	}
}

// fill moves the groups of late contexts to the heap whose tokens may be next.
func (w *descending) fill() {
	for w.bound >= 0 && (len(w.heap) == 0 || w.bound >= w.heap[0].Weight) {
		at := len(w.d.explicit)
		w.d.expand(w.from)
		for ; at < len(w.d.explicit); at++ {
			if candidate := w.d.explicit[at]; candidate.Weight > 0 {
				w.heap = append(w.heap, candidate)
				w.rise(len(w.heap) - 1)
			}
		}
		w.look()
	}
}

func (w *descending) before(a, b Candidate) bool {
	if a.Weight != b.Weight {
		return a.Weight > b.Weight
	}
	return w.d.unigrams.Rank(a.Token) < w.d.unigrams.Rank(b.Token)
}

func (w *descending) rise(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !w.before(w.heap[i], w.heap[parent]) {
			return
		}
		w.heap[i], w.heap[parent] = w.heap[parent], w.heap[i]
		i = parent
	}
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
