// Package counting turns sentences into changes of n-gram counts.
//
//	sentences → Batch → Delta of order N → … → Delta of order 1
//
// A Batch holds as many sentences as one transaction counts. Its deltas are made from the highest order down, because
// the adjusted count of a shorter n-gram grows by one for every longer n-gram that is new and ends in it: a Delta is
// first told what is stored (the caller's job), then resolved into new and changed rows, and only then is the next one
// made. An empty model is the case in which nothing is stored.
//
// With c(g) the occurrences of n-gram g and N the order of the model, the adjusted count a(g) is c(g) where |g| = N or g
// begins with <s>, and else the number of distinct tokens seen before g. Every sentence w1 … wm is read as
// <s> w1 … wm </s>; n-grams end at w1 … wm or </s> and reach back to <s> at most.
//
// Sentences may also be taken out again: an n-gram that occurs no more is gone, and the adjusted count of its suffix falls
// by one. What is left is what was never taken out.
//
// Nothing here depends on the order in which batches cut a text: any split gives the same counts.
package counting

import (
	"fmt"
	"sort"

	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
)

// Batch collects the sentences that are counted together. It takes about 20 bytes a token, and 60 more per token while
// a delta is made.
type Batch struct {
	order  int
	hash   contexthash.Func
	tokens []uint32 // sentence after sentence, each with its marks
	starts []uint32 // where sentences begin
	runs   []run    // weights, ascending by position
	total  Totals
}

// run is a stretch of tokens that has one weight.
type run struct {
	from   uint32
	weight int64
}

// Totals are sums over a batch.
type Totals struct {
	Sentences int64 // weights applied
	Tokens    int64 // weights applied, without ends of sentences
}

// NewBatch returns an empty batch for a model of the given order, 1 to contexthash.MaxOrder.
func NewBatch(order int, hash contexthash.Func) *Batch {
	return &Batch{order: order, hash: hash}
}

// Add appends a sentence, given without its marks, whose counts apply weight times; a weight below 0 takes a sentence out
// that was counted. An empty sentence counts the event </s> after <s>.
func (b *Batch) Add(sentence []uint32, weight int64) {
	from := uint32(len(b.tokens))
	if len(b.runs) == 0 || b.runs[len(b.runs)-1].weight != weight {
		b.runs = append(b.runs, run{from, weight})
	}
	b.starts = append(b.starts, from)
	b.tokens = append(b.tokens, ngram.SentenceStart)
	b.tokens = append(b.tokens, sentence...)
	b.tokens = append(b.tokens, ngram.SentenceEnd)
	b.total.Sentences += weight
	b.total.Tokens += weight * int64(len(sentence))
}

// Len is the number of tokens held, the marks included. A batch must stay below 2^32.
func (b *Batch) Len() int { return len(b.tokens) }

// Totals returns the sums over the batch.
func (b *Batch) Totals() Totals { return b.total }

// Events is the number of n-grams of the orders 1 to order in a sentence of the given length: one of every order ends at
// each of its length+1 events, as far as <s> does not cut it short.
func Events(order, length int) int64 {
	total := int64(0)
	for event := 1; event <= length+1; event++ {
		if event+1 >= order {
			return total + int64(length+2-event)*int64(order)
		}
		total += int64(event + 1)
	}
	return total
}

// weightAt is the weight of the token at a position.
func (b *Batch) weightAt(position uint32) int64 {
	if len(b.runs) == 1 {
		return b.runs[0].weight
	}
	i := sort.Search(len(b.runs), func(i int) bool { return b.runs[i].from > position })
	return b.runs[i-1].weight
}

// Collision says that two different contexts have one hash. Nothing of the batch may be counted.
type Collision struct {
	N       int      // order of the n-grams
	Hash    int64    // the common hash
	Context []uint32 // a context of the batch, oldest token first
	Other   []uint32 // the other one where it is in the batch too; nil where it is a stored one
}

// Error implements error, in token ids; the store names the tokens.
func (c *Collision) Error() string {
	return fmt.Sprintf("the contexts %v and %v (nil: a stored one) of order %d have the same hash %d", c.Context, c.Other, c.N, c.Hash)
}
