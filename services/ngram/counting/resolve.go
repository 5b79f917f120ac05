package counting

import (
	"math"
	"slices"

	"dbslm/pkg/errors"
)

// MaxCount is the greatest count of an n-gram and the greatest sum over the followers of a context (INT in the tables).
const MaxCount = math.MaxInt32

// SetContext tells the delta that a context is stored, with its identity and sums. An unknown hash is ignored; another
// identity is a *Collision.
func (d *Delta) SetContext(hash, parent int64, oldest uint32, sums Sums) error {
	i, found := slices.BinarySearchFunc(d.Contexts, hash, func(c Context, hash int64) int { return compareInt(c.Hash, hash) })
	if !found {
		return nil
	}
	context := &d.Contexts[i]
	if d.N > 1 && (context.Parent != parent || context.Oldest != oldest) {
		return &Collision{N: d.N, Hash: hash, Context: d.tokensOf(context)}
	}
	context.known, context.sums = true, sums
	return nil
}

// Known returns the indexes of the contexts that are stored.
func (d *Delta) Known() []int {
	var known []int
	for i := range d.Contexts {
		if d.Contexts[i].known {
			known = append(known, i)
		}
	}
	return known
}

// Stored returns the number of stored followers of a context, 0 for one that is not stored.
func (c *Context) Stored() int64 {
	return int64(c.sums.Followers[0]) + int64(c.sums.Followers[1]) + int64(c.sums.Followers[2])
}

// SetEntry tells the delta that an n-gram is stored with raw count c and adjusted count a. An n-gram that is not in the
// delta is ignored.
func (d *Delta) SetEntry(hash int64, token uint32, raw, adjusted int64) {
	i, found := slices.BinarySearchFunc(d.Contexts, hash, func(c Context, hash int64) int { return compareInt(c.Hash, hash) })
	if !found {
		return
	}
	entries := d.Entries[d.Contexts[i].First:d.Contexts[i].End]
	j, found := slices.BinarySearchFunc(entries, token, func(e Entry, token uint32) int { return compareInt(int64(e.Token), int64(token)) })
	if !found {
		return
	}
	entries[j].known, entries[j].oldRaw, entries[j].oldAdj = true, uint32(raw), uint32(adjusted)
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Change is how the totals of one order change.
type Change struct {
	NGrams         int64    // new n-grams
	Contexts       int64    // new contexts
	Raw            int64    // added to the sum of c
	Adjusted       int64    // added to the sum of a
	CountsOfCounts [4]int64 // added to the numbers of n-grams with a = 1, 2, 3, 4
}

// Fate says what becomes of a row when a batch is counted.
type Fate uint8

// The fates.
const (
	Same    Fate = iota // it is neither stored nor to be stored, or stays as it is
	New                 // it is to be inserted
	Changed             // it is stored, with other numbers
	Gone                // it is stored and occurs no more
)

// fate of an entry that is resolved.
func (e *Entry) fate() Fate {
	switch {
	case !e.known && e.raw > 0:
		return New
	case e.known && e.raw == 0:
		return Gone
	case e.known && (e.raw != int64(e.oldRaw) || e.adjusted != int32(e.oldAdj)):
		return Changed
	}
	return Same
}

// fate of a context that is resolved.
func (c *Context) fate() Fate {
	empty := c.changed.Adjusted == 0
	switch {
	case !c.known && !empty:
		return New
	case c.known && empty:
		return Gone
	case c.known && c.sums != c.changed:
		return Changed
	}
	return Same
}

// Resolve computes the counts and sums to be stored, now that the delta knows what is stored. A count above MaxCount is
// OutOfRange, one below 0 FailedPrecondition: what is subtracted was never counted. Nothing of the batch may be counted then.
func (d *Delta) Resolve() (Change, error) {
	var change Change
	for i := range d.Contexts {
		context := &d.Contexts[i]
		sums := context.sums
		same := d.rawIsAdjusted(context)
		for j := context.First; j < context.End; j++ {
			entry := &d.Entries[j]
			change.Raw += entry.raw
			raw := int64(entry.oldRaw) + entry.raw
			adjusted := raw
			if !same {
				adjusted = int64(entry.oldAdj) + int64(entry.adjusted)
			}
			if raw > MaxCount {
				return Change{}, tooGreat(d.N)
			}
			if raw < 0 || adjusted < 0 || (raw == 0) != (adjusted == 0) {
				return Change{}, neverCounted(d.N)
			}
			if entry.known {
				sums.move(int64(entry.oldAdj), -1)
				change.tally(int64(entry.oldAdj), -1)
			}
			sums.move(adjusted, 1)
			change.tally(adjusted, 1)
			entry.raw, entry.adjusted = raw, int32(adjusted)
			switch entry.fate() {
			case New:
				change.NGrams++
			case Gone:
				change.NGrams--
			}
		}
		if sums.Adjusted > MaxCount {
			return Change{}, tooGreat(d.N)
		}
		change.Adjusted += sums.Adjusted - context.sums.Adjusted
		context.changed = sums
		switch context.fate() {
		case New:
			change.Contexts++
		case Gone:
			change.Contexts--
		}
	}
	return change, nil
}

func tooGreat(n int) error {
	return errors.New(errors.OutOfRange, "COUNT_TOO_GREAT",
		"an n-gram of order %d, or the followers of its context together, would be counted more than %d times; use a smaller weight or less text", n, MaxCount)
}

func neverCounted(n int) error {
	return errors.New(errors.FailedPrecondition, "NEVER_COUNTED",
		"an n-gram of order %d occurs more often in the text to be taken out than the model counted it: this text was not counted, or not in this way", n)
}

func (s *Sums) move(adjusted, by int64) {
	if adjusted > 0 {
		s.Adjusted += by * adjusted
		s.Followers[min(adjusted, 3)-1] += int32(by)
	}
}

func (c *Change) tally(adjusted, by int64) {
	if adjusted >= 1 && adjusted <= 4 {
		c.CountsOfCounts[adjusted-1] += by
	}
}

// Row is an n-gram as it is to be stored; a Gone one has the counts 0.
type Row struct {
	Hash     int64
	Token    uint32
	Raw      int64
	Adjusted int64
}

// Rows calls yield for every n-gram of that fate, in key order.
func (d *Delta) Rows(fate Fate, yield func(Row) error) error {
	for i := range d.Contexts {
		context := &d.Contexts[i]
		for j := context.First; j < context.End; j++ {
			if entry := &d.Entries[j]; entry.fate() == fate {
				if err := yield(Row{context.Hash, entry.Token, entry.raw, int64(entry.adjusted)}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// RegistryRow is a context as it is to be stored; a Gone one has the sums 0.
type RegistryRow struct {
	Hash   int64
	Parent int64
	Oldest uint32
	Sums
}

// Registry calls yield for every context of that fate, in key order.
func (d *Delta) Registry(fate Fate, yield func(RegistryRow) error) error {
	for i := range d.Contexts {
		context := &d.Contexts[i]
		if context.fate() != fate {
			continue
		}
		if err := yield(RegistryRow{context.Hash, context.Parent, context.Oldest, context.changed}); err != nil {
			return err
		}
	}
	return nil
}

// Losses calls yield for every context that loses followers, with the tokens that are gone, and whether all followers are.
// tokens is only valid during the call.
func (d *Delta) Losses(yield func(c *Context, tokens []uint32, all bool) error) error {
	var tokens []uint32
	for i := range d.Contexts {
		context := &d.Contexts[i]
		tokens = tokens[:0]
		for j := context.First; j < context.End; j++ {
			if d.Entries[j].fate() == Gone {
				tokens = append(tokens, d.Entries[j].Token)
			}
		}
		if len(tokens) == 0 {
			continue
		}
		if err := yield(context, tokens, context.fate() == Gone); err != nil {
			return err
		}
	}
	return nil
}
