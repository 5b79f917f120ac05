package decoding

import (
	"cmp"
	"slices"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// descending walks a distribution from the likeliest token on, ties in byte order of the tokens. It merges three kinds of
// tokens: a heap of the explicit ones; the followers of the late contexts, which are sorted by probability and are read
// only as far as the walk comes; and the resident unigrams, which are sorted already. The first k tokens cost the explicit
// ones once, the groups of the contexts down to the k-th token, and k steps, whatever the size of the vocabulary.
//
// Two tokens of the tail whose products with the tail factor round to the same double keep the order of their
// unigram probabilities; that order is a function of the words too.
type descending struct {
	d    *Distribution
	left int // tokens that are wanted at most
	heap []explicitToken
	runs []run
	// level holds the followers of the late contexts that have the weight at hand, ascending in byte order, at most as many
	// as are wanted; those before at are gone.
	level  []levelToken
	at     int
	weight float64
	// The next of the sorted unigrams that is not explicit, and its weight, 0 at their end.
	next       int
	token      uint32
	tailWeight float64
	walked     uint32 // marks the tokens that were read from late contexts
}

// explicitToken is a place in the heap.
type explicitToken struct {
	weight float64
	rank   uint32
	index  uint32 // into the explicit tokens
}

// levelToken is a token of the level.
type levelToken struct {
	rank, token uint32
	matched     int
}

// run is a walk over a late context that takes part. It reads some groups ahead.
type run struct {
	walk   lookup.Walk
	groups []packed.Group
	tokens []uint32
	group  int     // the next one
	begin  int     // of its tokens
	weight float64 // of each of them; 0 at the end
	ended  bool    // all tokens are marked
	late   int
}

// readAhead is how many tokens a run reads at once.
const readAhead = 16

// begin starts over: a walk over at most so many tokens, of those found by n-grams of at least the given length and those
// that are wanted in any case. The distribution must not change meanwhile.
func (w *descending) begin(d *Distribution, shortest, limit int) {
	w.d, w.left, w.walked = d, limit, d.mark()
	w.heap, w.level, w.at = w.heap[:0], w.level[:0], 0
	taking := 0
	for taking < len(d.late) && d.late[taking].matched >= shortest {
		taking++
	}
	w.runs = slices.Grow(w.runs[:0], taking)[:taking]
	for i := range w.runs {
		r := &w.runs[i]
		*r = run{walk: d.late[i].context.Walk(), groups: r.groups[:0], tokens: r.tokens[:0], late: i}
		w.look(r)
	}
	for i := range d.explicit {
		candidate := &d.explicit[i]
		if candidate.Weight > 0 && (candidate.Matched >= shortest || candidate.Wanted) {
			w.heap = append(w.heap, explicitToken{candidate.Weight, d.unigrams.Rank(candidate.Token), uint32(i)})
		}
	}
	for i := len(w.heap)/2 - 1; i >= 0; i-- {
		w.sink(i)
	}
	w.next = 0
	if shortest > 1 {
		w.next = len(d.unigrams.Sorted())
	}
	w.tail()
}

// pop returns the next token with a weight above zero.
func (w *descending) pop() (Candidate, bool) {
	for {
		if w.at == len(w.level) {
			w.fill()
		}
		switch {
		case w.tailWeight > 0 && !w.levelBefore(w.tailWeight, w.token) && !w.heapBefore(w.tailWeight, w.token):
			token, weight := w.token, w.tailWeight
			w.next++
			w.tail()
			if w.longer(len(w.d.late), token) {
				continue // its weight is smaller, and it came before or comes later
			}
			w.left--
			return Candidate{Token: token, Matched: 1, Weight: weight}, true
		case w.at < len(w.level) && !w.heapBefore(w.weight, w.level[w.at].token):
			next := w.level[w.at]
			w.at++
			w.left--
			return Candidate{Token: next.token, Matched: next.matched, Weight: w.weight}, true
		case len(w.heap) == 0:
			return Candidate{}, false
		}
		top := w.d.explicit[w.heap[0].index]
		last := len(w.heap) - 1
		w.heap[0] = w.heap[last]
		w.heap = w.heap[:last]
		w.sink(0)
		w.left--
		return top, true
	}
}

// tail finds the next unigram that is not explicit.
func (w *descending) tail() {
	for sorted := w.d.unigrams.Sorted(); w.next < len(sorted); w.next++ {
		if w.token = sorted[w.next]; w.d.places[w.token].slot == 0 {
			w.tailWeight = float64(w.d.tail * w.d.unigrams.Mass(w.token))
			return
		}
	}
	w.tailWeight = 0
}

// levelBefore and heapBefore report whether the next token of the level, and of the heap, comes before one of that weight.
func (w *descending) levelBefore(weight float64, token uint32) bool {
	if w.at == len(w.level) || w.weight < weight {
		return false
	}
	return w.weight > weight || w.d.unigrams.Rank(w.level[w.at].token) < w.d.unigrams.Rank(token)
}

func (w *descending) heapBefore(weight float64, token uint32) bool {
	if len(w.heap) == 0 || w.heap[0].weight < weight {
		return false
	}
	return w.heap[0].weight > weight || w.heap[0].rank < w.d.unigrams.Rank(token)
}

// look finds the weight of the next group of a run.
func (w *descending) look(r *run) {
	if r.group == len(r.groups) {
		r.group, r.begin = 0, 0
		if r.groups, r.tokens = r.walk.Ahead(r.groups[:0], r.tokens[:0], readAhead); len(r.groups) == 0 {
			r.weight, r.ended = 0, true
			return
		}
	}
	r.weight = w.d.scaled(&w.d.late[r.late], r.walk.Mass(r.groups[r.group]))
}

// longer reports whether one of the first i late contexts has the token.
func (w *descending) longer(i int, token uint32) bool {
	if w.d.places[token].walked == w.walked {
		return true
	}
	for j := range w.d.late[:i] {
		if (j >= len(w.runs) || !w.runs[j].ended) && w.d.has(j, token) {
			return true
		}
	}
	return false
}

// fill reads the next level if it may hold the next token.
func (w *descending) fill() {
	for w.at == len(w.level) {
		weight, from := 0.0, 0
		for i := range w.runs {
			if w.runs[i].weight > weight {
				weight, from = w.runs[i].weight, i
			}
		}
		if weight == 0 || weight < w.tailWeight || len(w.heap) > 0 && weight < w.heap[0].weight {
			return
		}
		w.level, w.at, w.weight = w.level[:0], 0, weight
		for i := from; i < len(w.runs); i++ {
			for r := &w.runs[i]; r.weight == weight; w.look(r) {
				w.read(r)
			}
		}
		if len(w.level) > 1 {
			slices.SortFunc(w.level, func(a, b levelToken) int { return cmp.Compare(a.rank, b.rank) })
		}
	}
}

// read takes the next group of a run into the level, without explicit tokens and those of longer contexts. When as many
// are there as are wanted, the level is a heap with the last one in byte order at its top, which gives way to earlier ones.
func (w *descending) read(r *run) {
	group := r.tokens[r.begin:r.groups[r.group].End]
	r.begin += len(group)
	r.group++
	matched := w.d.late[r.late].matched
	for _, token := range group {
		if int(token) >= len(w.d.places) || w.d.places[token].slot != 0 {
			continue
		}
		full := len(w.level) >= w.left
		rank := w.d.unigrams.Rank(token)
		if full && rank > w.level[0].rank {
			continue // the walk ends before it would come to the token
		}
		if w.longer(r.late, token) {
			continue
		}
		w.d.places[token].walked = w.walked
		if full {
			w.level[0] = levelToken{rank, token, matched}
			sinkLevel(w.level, 0)
			continue
		}
		w.level = append(w.level, levelToken{rank, token, matched})
		if len(w.level) == w.left {
			for i := len(w.level)/2 - 1; i >= 0; i-- {
				sinkLevel(w.level, i)
			}
		}
	}
}

func sinkLevel(level []levelToken, i int) {
	for {
		child := 2*i + 1
		if child >= len(level) {
			return
		}
		if right := child + 1; right < len(level) && level[right].rank > level[child].rank {
			child = right
		}
		if level[i].rank >= level[child].rank {
			return
		}
		level[i], level[child] = level[child], level[i]
		i = child
	}
}

func (w *descending) sink(i int) {
	before := func(a, b explicitToken) bool { return a.weight > b.weight || a.weight == b.weight && a.rank < b.rank }
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			return
		}
		if right := child + 1; right < len(w.heap) && before(w.heap[right], w.heap[child]) {
			child = right
		}
		if !before(w.heap[child], w.heap[i]) {
			return
		}
		w.heap[i], w.heap[child] = w.heap[child], w.heap[i]
		i = child
	}
}

// Top returns the k likeliest tokens, likeliest first, ties in byte order; fewer when no more have a weight.
func (d *Distribution) Top(k int) []Candidate {
	var walk descending
	walk.begin(d, 1, k)
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
