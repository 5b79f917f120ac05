package rehearsal

import (
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/smoothing"
)

// pieces are the packed contexts of an order. They are never moved.
type pieces []piece

type piece struct {
	packed []byte
	hashes []int64
}

const (
	pieceBytes = 256 << 10
	almostFull = pieceBytes - 4<<10 // a longer context than what is left moves the piece, once
	together   = 32                 // contexts that are looked up together
)

// add appends a context and returns its bytes.
func (p *pieces) add(hash int64, counts *packed.Counts) int64 {
	if last := len(*p) - 1; last < 0 || len((*p)[last].packed) > almostFull {
		*p = append(*p, piece{packed: make([]byte, 0, pieceBytes)})
	}
	last := &(*p)[len(*p)-1]
	before := len(last.packed)
	last.packed, last.hashes = packed.AppendCounts(last.packed, counts), append(last.hashes, hash)
	return int64(len(last.packed)-before) + hashBytes
}

const hashBytes = 8

func (p pieces) size() (bytes int64) {
	for _, piece := range p {
		bytes += int64(len(piece.packed))
	}
	return bytes
}

// each calls yield for all contexts of order n, some at a time, with their parents. They are only valid during the call.
func (p pieces) each(n int, yield func(contexts []smoothing.Context, parents []int64) error) error {
	var counts packed.Counts
	var contexts []smoothing.Context
	var parents []int64
	var tokens []uint32
	var adjusted []int64
	flush := func() error {
		at := 0
		for i := range contexts {
			c := &contexts[i]
			end := at + len(c.Tokens)
			c.Tokens, c.Adjusted = tokens[at:end:end], adjusted[at:end:end] // where they were before may have moved
			at = end
		}
		err := yield(contexts, parents)
		contexts, parents, tokens, adjusted = contexts[:0], parents[:0], tokens[:0], adjusted[:0]
		return err
	}
	for _, piece := range p {
		hashes := piece.hashes
		err := packed.EachCounts(piece.packed, n-1, &counts, func(c *packed.Counts) error {
			context := smoothing.Context{N: n, Hash: hashes[0], Tokens: c.Tokens}
			hashes = hashes[1:]
			if n > 1 {
				context.Parent = contexthash.Sum(c.Context[1:])
				parents = append(parents, context.Parent)
			}
			contexts, tokens, adjusted = append(contexts, context), append(tokens, c.Tokens...), append(adjusted, c.Adjusted...)
			if len(contexts) < together {
				return nil
			}
			return flush()
		})
		if err != nil {
			return err
		}
	}
	return flush()
}
