// Package lookup holds what a build stores about one context, in the form in which scoring and decoding read it: the
// backoff weight and every follower with its probability, likeliest first.
//
// The store reads the rows; scoring and decoding only see these values, and read the followers from the packed bytes as
// far as they need them. Both the base-ten logarithm and the mass of a follower come from the build (a codebook, or the
// stored double), so the two never drift apart, and all paths to a build give the same bits.
package lookup

import (
	"cmp"
	"runtime"
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram/packed"
)

// Token ids with a fixed meaning in every model.
const (
	Unknown  uint32 = 0 // <unk>: any word that the build does not know
	Start    uint32 = 1 // <s>: only ever context
	End      uint32 = 2 // </s>: predicted at the end of a sentence
	Specials uint32 = 3 // the first id of an ordinary token
)

// IndexFrom is the number of bytes of packed followers from which on an index pays.
const IndexFrom = 64

// Book turns the codes of packed followers into probabilities.
type Book struct {
	Width packed.Width
	// Log10 and Mass by code; empty for exact storage, where the code is the logarithm itself.
	Log10, Mass []float64
}

// Value is the base-ten logarithm that a code stands for.
func (b *Book) Value(code uint64) float64 {
	if b.Width == packed.WidthExact {
		return packed.Float(code)
	}
	return b.Log10[code]
}

func (b *Book) mass(code uint64) float64 {
	if b.Width == packed.WidthExact {
		return exactmath.Pow10(packed.Float(code))
	}
	return b.Mass[code]
}

// Holds reports whether the code stands for a probability.
func (b *Book) Holds(code uint64) bool {
	return b.Width == packed.WidthExact || code < uint64(len(b.Log10))
}

// Weight is a backoff weight as stored: a code, a logarithm, or none.
type Weight struct {
	Kind  WeightKind
	Code  uint16  // of a CodedWeight
	Log10 float64 // of an ExactWeight
}

// WeightKind says how a backoff weight is stored.
type WeightKind uint8

// The kinds.
const (
	NoWeight    WeightKind = iota // stands for the weight 1
	CodedWeight                   // a code of the codebook of backoff weights
	ExactWeight                   // log10 itself
)

// Values returns the weight and its base-ten logarithm; ok is false for a code that is not in the book.
func (w Weight) Values(book *Book) (mass, log10 float64, ok bool) {
	switch w.Kind {
	case CodedWeight:
		if int(w.Code) >= len(book.Log10) {
			return 0, 0, false
		}
		return book.Mass[w.Code], book.Log10[w.Code], true
	case ExactWeight:
		return exactmath.Pow10(w.Log10), w.Log10, true
	}
	return 1, 0, true
}

// Group is a run of followers of a context that share one stored probability.
type Group struct {
	// Mass is the probability of each token of the group, in [0, 1].
	Mass float64
	// Log10 is the base-ten logarithm of Mass as stored, at most 0.
	Log10 float64
}

// Context is one stored context: at most N-1 tokens for a model of order N, the empty context included. A context that
// is not in the model is the nil *Context; it has no followers and a backoff weight of 1.
type Context struct {
	// Backoff is the weight gamma of the shorter context, at least 0.
	Backoff float64
	// LogBackoff is log10 of Backoff as stored; 0 for a context without a stored weight.
	LogBackoff float64

	blob, index []byte
	book        *Book
	owner       any // keeps the memory behind blob and index
}

// New returns a context over packed followers that packed.Check accepts and whose codes the book holds. index is that of
// packed.AppendIndex, or nil. owner, if not nil, keeps the memory of both alive: it is not collected before the context.
func New(backoff, logBackoff float64, book *Book, blob, index []byte, owner any) Context {
	return Context{Backoff: backoff, LogBackoff: logBackoff, blob: blob, index: index, book: book, owner: owner}
}

// Many reports whether the context has so many followers that an index pays for whom it is read again and again.
func (c *Context) Many() bool { return len(c.blob) >= IndexFrom }

// Index gives the context an index if it has none.
func (c *Context) Index() {
	if c.index == nil {
		c.index = packed.AppendIndex(nil, c.blob, c.book.Width)
	}
}

// HasIndex reports whether the context finds each of its followers in about the same time, however many they are.
func (c *Context) HasIndex() bool { return c.index != nil }

func (c *Context) code(token uint32) (uint64, bool) {
	if c.index != nil {
		return packed.FindIndexed(c.index, c.book.Width, token)
	}
	return packed.Find(c.blob, c.book.Width, token)
}

// Log10 returns log10 of the probability of the token, and whether the context has that follower.
func (c *Context) Log10(token uint32) (value float64, found bool) {
	if c == nil {
		return 0, false
	}
	code, found := c.code(token)
	if found {
		value = c.book.Value(code)
	}
	runtime.KeepAlive(c.owner)
	return value, found
}

// Has reports whether the token is a follower.
func (c *Context) Has(token uint32) bool {
	_, found := c.code(token)
	runtime.KeepAlive(c.owner)
	return found
}

// Find returns the group that holds the token, and whether one does.
func (c *Context) Find(token uint32) (group Group, found bool) {
	if c == nil {
		return Group{}, false
	}
	code, found := c.code(token)
	if found {
		group = Group{Mass: c.book.mass(code), Log10: c.book.Value(code)}
	}
	runtime.KeepAlive(c.owner)
	return group, found
}

// Each calls visit for every group with its tokens, likeliest group first. tokens is valid until visit returns.
func (c *Context) Each(visit func(group Group, tokens []uint32)) {
	if c == nil {
		return
	}
	walk := packed.NewWalk(c.blob, c.book.Width)
	var buffer [64]uint32
	for tokens := buffer[:0]; ; {
		code, group, ok := walk.Next(tokens[:0])
		if !ok {
			break
		}
		visit(Group{Mass: c.book.mass(code), Log10: c.book.Value(code)}, group)
		tokens = group
	}
	runtime.KeepAlive(c.owner)
}

// Size is the approximate number of bytes that the context takes in memory of its own.
func (c *Context) Size() int {
	const header = 112
	switch {
	case c == nil:
		return header
	case c.owner != nil:
		return header
	}
	return header + len(c.blob) + len(c.index)
}

// Walk goes through the groups of a context, likeliest first, as far as it is asked to. The zero value is at its end.
type Walk struct {
	walk    packed.Walk
	context *Context
}

// Walk begins at the likeliest group. The context must not be nil.
func (c *Context) Walk() Walk { return Walk{packed.NewWalk(c.blob, c.book.Width), c} }

// Ahead reads the next groups, until there are as many tokens as wanted or the end is there, and appends them to dst and
// their tokens to tokens: ascending in each group, whose End tells where it ends.
func (w *Walk) Ahead(dst []packed.Group, tokens []uint32, wanted int) ([]packed.Group, []uint32) {
	dst, tokens = w.walk.Ahead(dst, tokens, wanted)
	runtime.KeepAlive(w.context)
	return dst, tokens
}

// Mass is the mass of each token of a group.
func (w *Walk) Mass(group packed.Group) float64 { return w.context.book.mass(group.Code) }

// Follower is one follower of NewContext.
type Follower struct {
	Token       uint32
	Mass, Log10 float64
}

// NewContext makes a context that is stored nowhere, with a codebook of its own.
func NewContext(backoff, logBackoff float64, followers []Follower) (*Context, error) {
	followers = slices.Clone(followers)
	slices.SortFunc(followers, func(a, b Follower) int { return cmp.Or(cmp.Compare(a.Mass, b.Mass), cmp.Compare(a.Token, b.Token)) })
	book := &Book{Width: packed.Width16}
	coded := make([]packed.Follower, 0, len(followers))
	for _, f := range followers {
		if last := len(book.Mass) - 1; last < 0 || book.Mass[last] != f.Mass {
			book.Mass, book.Log10 = append(book.Mass, f.Mass), append(book.Log10, f.Log10)
		}
		coded = append(coded, packed.Follower{Code: uint64(len(book.Mass) - 1), Token: f.Token})
	}
	slices.SortFunc(coded, packed.Before)
	blob, err := packed.Append(nil, book.Width, coded)
	if err != nil {
		return nil, err
	}
	context := New(backoff, logBackoff, book, blob, nil, nil)
	return &context, nil
}
