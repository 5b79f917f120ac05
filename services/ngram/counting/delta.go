package counting

import (
	"cmp"
	"math/bits"
	"slices"

	"dbslm/services/ngram"
)

// Deltas makes the deltas of a batch, from the highest order down.
type Deltas struct {
	batch   *Batch
	n       int      // order of the next delta
	last    *Delta   // the one made before, resolved
	entryOf []uint32 // by position: index of the entry of order n that ends there
	windows []window
	sorted  []window
}

// window is one occurrence of an n-gram.
type window struct {
	hash     int64
	token    uint32
	position uint32
}

// Deltas begins with the highest order. The batch must not change any more.
func (b *Batch) Deltas() *Deltas { return &Deltas{batch: b, n: b.order} }

// Context is a context that occurs in the batch.
type Context struct {
	Hash   int64
	Parent int64  // hash of the context without its oldest token; 0 for the empty context, which has no parent
	Oldest uint32 // its oldest token; 0 for the empty context
	First  int32  // its followers are Delta.Entries[First:End]
	End    int32

	known   bool
	sums    Sums // as stored
	changed Sums // sums to be stored
}

// Sums are the sums over the followers of a context.
type Sums struct {
	Adjusted  int64    // A, the sum of adjusted counts
	Followers [3]int32 // followers with adjusted count 1, 2, and 3 or more
}

// Entry is an n-gram that occurs in the batch: its last token and what is to be added.
type Entry struct {
	Token    uint32
	position uint32 // of one of its occurrences
	raw      int64  // to be added to c, then c itself
	adjusted int32  // to be added to a, then a itself
	oldRaw   uint32
	oldAdj   uint32
	known    bool
}

// Delta is what a batch adds to the n-grams of one order. Contexts ascend by hash, the entries of a context by token.
type Delta struct {
	N        int
	Contexts []Context
	Entries  []Entry

	top   bool // the highest order of the model
	batch *Batch
}

// Next makes the delta of the next lower order, nil after order 1. The delta before must have been resolved. The error
// is a *Collision.
func (d *Deltas) Next() (*Delta, error) {
	if d.n == 0 {
		return nil, nil
	}
	n := d.n
	d.n--
	d.collect(n)
	delta := &Delta{N: n, top: n == d.batch.order, batch: d.batch}
	if err := d.group(delta); err != nil {
		return nil, err
	}
	if d.last != nil {
		for i := range d.last.Entries {
			switch entry := &d.last.Entries[i]; entry.fate() {
			case New:
				delta.Entries[d.entryOf[entry.position]].adjusted++
			case Gone:
				delta.Entries[d.entryOf[entry.position]].adjusted--
			}
		}
	}
	d.last = delta
	return delta, nil
}

// collect lists every window of length n, sorted by context hash and token.
func (d *Deltas) collect(n int) {
	b := d.batch
	d.windows = slices.Grow(d.windows[:0], len(b.tokens))
	empty := b.hash(nil)
	for i, start := range b.starts {
		end := len(b.tokens)
		if i+1 < len(b.starts) {
			end = int(b.starts[i+1])
		}
		for position := int(start) + max(1, n-1); position < end; position++ {
			hash := empty
			if n > 1 {
				hash = b.hash(b.tokens[position-n+1 : position])
			}
			d.windows = append(d.windows, window{hash, b.tokens[position], uint32(position)})
		}
	}
	d.sorted = slices.Grow(d.sorted[:0], len(d.windows))[:len(d.windows)]
	key := func(w window) uint64 { return uint64(w.hash) ^ 1<<63 }
	if n == 1 {
		key = func(w window) uint64 { return uint64(w.token) << 32 }
	}
	sortWindows(d.sorted, d.windows, key)
}

// sortWindows sorts from into to. Hashes are spread evenly, so one pass over their leading bits leaves a few windows to
// a bucket; only the followers of frequent contexts need more.
func sortWindows(to, from []window, key func(window) uint64) {
	lead := min(bits.Len(uint(len(from)))-3, 18)
	if lead < 1 {
		copy(to, from)
		slices.SortFunc(to, compareWindows)
		return
	}
	greatest := uint64(0)
	for _, w := range from {
		greatest = max(greatest, key(w))
	}
	shift := max(0, bits.Len64(greatest)-lead)
	ends := make([]uint32, 1<<lead)
	for _, w := range from {
		ends[key(w)>>shift]++
	}
	sum := uint32(0)
	for i, count := range ends {
		ends[i] = sum
		sum += count
	}
	for _, w := range from {
		bucket := key(w) >> shift
		to[ends[bucket]] = w
		ends[bucket]++
	}
	begin := uint32(0)
	for _, end := range ends {
		if end-begin > 1 {
			slices.SortFunc(to[begin:end], compareWindows)
		}
		begin = end
	}
}

func compareWindows(a, b window) int {
	if a.hash != b.hash {
		return cmp.Compare(a.hash, b.hash)
	}
	return cmp.Compare(a.token, b.token)
}

// group turns the sorted windows into contexts and entries, and remembers which entry ends where.
func (d *Deltas) group(delta *Delta) error {
	b, n := d.batch, delta.N
	entries, contexts := 0, 0
	for i, w := range d.sorted {
		if i == 0 || w.hash != d.sorted[i-1].hash {
			contexts++
			entries++
		} else if w.token != d.sorted[i-1].token {
			entries++
		}
	}
	delta.Contexts = make([]Context, 0, contexts)
	delta.Entries = make([]Entry, 0, entries)
	if d.last != nil && d.entryOf == nil {
		d.entryOf = make([]uint32, len(b.tokens))
	}
	var first []uint32 // tokens of the context at hand
	for i, w := range d.sorted {
		context := b.tokens[int(w.position)-n+1 : w.position]
		if i == 0 || w.hash != d.sorted[i-1].hash {
			first = context
			made := Context{Hash: w.hash, First: int32(len(delta.Entries))}
			if n > 1 {
				made.Parent, made.Oldest = b.hash(context[1:]), context[0]
			}
			delta.Contexts = append(delta.Contexts, made)
			delta.Entries = append(delta.Entries, Entry{Token: w.token, position: w.position})
		} else {
			if !slices.Equal(first, context) {
				return &Collision{N: n, Hash: w.hash, Context: slices.Clone(context), Other: slices.Clone(first)}
			}
			if w.token != d.sorted[i-1].token {
				delta.Entries = append(delta.Entries, Entry{Token: w.token, position: w.position})
			}
		}
		at := len(delta.Entries) - 1
		delta.Contexts[len(delta.Contexts)-1].End = int32(at + 1)
		delta.Entries[at].raw += b.weightAt(w.position)
		if d.entryOf != nil {
			d.entryOf[w.position] = uint32(at)
		}
	}
	return nil
}

// tokensOf spells out a context of the delta.
func (d *Delta) tokensOf(context *Context) []uint32 {
	end := int(d.Entries[context.First].position)
	return slices.Clone(d.batch.tokens[end-d.N+1 : end])
}

// rawIsAdjusted says whether a is c for the followers of the context.
func (d *Delta) rawIsAdjusted(context *Context) bool {
	return d.top || context.Oldest == ngram.SentenceStart
}
