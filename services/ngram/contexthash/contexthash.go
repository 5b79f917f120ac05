// Package contexthash names a context of an n-gram by 64 bits.
//
// The context of an n-gram of order n is its first n-1 tokens. Its hash is XXH64 with seed 0 over
//
//	n          1 byte
//	token ids  4 bytes each, little endian, oldest token first
//
// read as a signed integer, which is how it is stored (BIGINT) and ordered. The empty context (n = 1) has a hash like
// any other. The vectors of the test pin it: a stored hash must never change.
//
// Two contexts of one order may have one hash. The registry of contexts stores the hash of the parent (the context
// without its oldest token) and the oldest token of every context, so that a collision is found and never counted.
package contexthash

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// MaxOrder is the greatest order of an n-gram whose context can be hashed.
const MaxOrder = 255

// Func hashes the context of an n-gram of order len(context)+1, which must be at most MaxOrder.
type Func func(context []uint32) int64

// Sum is the hash of a context, oldest token first.
func Sum(context []uint32) int64 {
	var buffer [1 + 4*7]byte
	input := buffer[:0]
	if len(context) > 7 {
		input = make([]byte, 0, 1+4*len(context))
	}
	input = append(input, byte(len(context)+1))
	for _, token := range context {
		input = binary.LittleEndian.AppendUint32(input, token)
	}
	return int64(xxhash.Sum64(input))
}

// Narrow returns a hash of only the given number of bits, at most 64: with it, tests and dry runs meet collisions.
func Narrow(bits uint) Func {
	return func(context []uint32) int64 {
		return Sum(context) >> (64 - bits)
	}
}
