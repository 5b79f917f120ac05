package smoothing

import (
	"cmp"
	"math/bits"
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/spill"
)

// level is what the next order needs of one order. It is visited in the order of other hashes, so that what is needed together
// lies together: every place costs the processor a wait.
type level struct {
	contexts []levelContext
	grams    []levelGram
	factor   float64  // on the masses of codes
	dense    []int32  // for order 1: index by token, -1 for none
	leading  []uint32 // once the level is complete: by the leading bits of a hash, where its contexts begin
	free     []func()
	sum      int64 // of what was touched, so that it is
}

// reserve makes room for a level of that size.
func (l *level) reserve(space *spill.Space, size LevelSize) error {
	var free func()
	var err error
	if l.contexts, free, err = spill.Make[levelContext](space, size.Contexts); err != nil {
		return err
	}
	l.free = append(l.free, free)
	if l.grams, free, err = spill.Make[levelGram](space, size.NGrams); err != nil {
		return err
	}
	l.free = append(l.free, free)
	return nil
}

func (l *level) close() {
	for _, free := range l.free {
		free()
	}
	*l = level{}
}

type levelContext struct {
	hash  int64
	mass  float64 // as stored; 0 for exact storage
	start uint32  // of its followers
}

type levelGram struct {
	probability float64
	token       uint32
	code        uint16 // 0 for exact storage
}

// begin begins a context, whose followers come next.
func (l *level) begin(hash int64, mass float64) {
	l.contexts = append(l.contexts, levelContext{hash, mass, uint32(len(l.grams))})
}

func (l *level) add(hash int64, r *Result, probabilities []float64, coded bool) {
	l.factor = 1
	mass := 0.0
	if coded {
		mass = r.Mass
		if r.BackoffCode < 0 {
			l.factor = exactmath.Pow10(r.Backoff)
		}
	}
	l.begin(hash, mass)
	for i, token := range r.Tokens {
		gram := levelGram{probability: probabilities[i], token: token}
		if coded {
			gram.code = uint16(r.Codes[i])
		}
		l.grams = append(l.grams, gram)
	}
}

// at finds a context by its hash. Hashes are spread evenly, so that their leading bits lead to a few.
func (l *level) at(hash int64) (int, bool) {
	width := max(bits.Len(uint(len(l.contexts)))-2, 0)
	bucket := func(hash int64) uint64 { return (uint64(hash) ^ 1<<63) >> (64 - width) }
	if l.leading == nil {
		l.leading = make([]uint32, 1<<width+1)
		for i := range l.contexts {
			l.leading[bucket(l.contexts[i].hash)+1]++
		}
		for i := range 1 << width {
			l.leading[i+1] += l.leading[i]
		}
	}
	begin, end := l.leading[bucket(hash)], l.leading[bucket(hash)+1]
	i, found := slices.BinarySearchFunc(l.contexts[begin:end], hash, func(c levelContext, hash int64) int { return cmp.Compare(c.hash, hash) })
	return int(begin) + i, found
}

// touched is a context that will be asked for soon.
type touched struct {
	hash  int64
	place int
	found bool
}

// touch finds contexts that will be asked for soon. What the processor waits for at one of them it fetches meanwhile for the
// others: nothing here depends on what was read for the one before.
func (l *level) touch(list []touched, hashes []int64) []touched {
	sum := int64(0)
	width := max(bits.Len(uint(len(l.contexts)))-2, 0)
	for _, hash := range hashes {
		if begin := int(l.leading[(uint64(hash)^1<<63)>>(64-width)]); begin < len(l.contexts) {
			sum += l.contexts[begin].hash
		}
	}
	for _, hash := range hashes {
		place, found := l.at(hash)
		list = append(list, touched{hash, place, found})
	}
	for _, t := range list {
		if t.found {
			sum += int64(l.grams[l.contexts[t.place].start].token)
		}
	}
	l.sum = sum
	return list
}

// find returns the parent of a context and, for each of the tokens that follow it, its index in the parent.
func (l *level) find(c Context, tokens []uint32, indexes []int) (parent int, _ []int, err error) {
	parent, found := l.at(c.Parent)
	return l.findIn(parent, found, c, tokens, indexes)
}

// findIn is find for a parent that was looked for.
func (l *level) findIn(parent int, found bool, c Context, tokens []uint32, indexes []int) (_ int, _ []int, err error) {
	if !found {
		return 0, nil, inconsistent(c, "its parent %d has no followers", c.Parent)
	}
	if c.N == 2 && l.dense == nil {
		l.dense = make([]int32, l.grams[len(l.grams)-1].token+1)
		for i := range l.dense {
			l.dense[i] = -1
		}
		for i := range l.grams {
			l.dense[l.grams[i].token] = int32(i)
		}
	}
	begin, end := int(l.contexts[parent].start), len(l.grams)
	if parent+1 < len(l.contexts) {
		end = int(l.contexts[parent+1].start)
	}
	for _, token := range tokens {
		if l.dense != nil {
			if int(token) >= len(l.dense) || l.dense[token] < 0 {
				return 0, nil, inconsistent(c, "its follower %d is no unigram", token)
			}
			indexes = append(indexes, int(l.dense[token]))
			continue
		}
		at := l.follower(begin, end, token)
		if at == end || l.grams[at].token != token {
			return 0, nil, inconsistent(c, "its follower %d does not follow its parent", token)
		}
		begin = at
		indexes = append(indexes, at)
	}
	return parent, indexes, nil
}

// follower is the first place from begin to end whose token is not below the one given.
func (l *level) follower(begin, end int, token uint32) int {
	for begin < end {
		middle := int(uint(begin+end) / 2)
		if l.grams[middle].token < token {
			begin = middle + 1
		} else {
			end = middle
		}
	}
	return begin
}
