// Package copies finds tokens in the text of documents: which ones follow a sequence somewhere, exactly, whatever its length.
//
//	Builder ─▶ Add every token, EndDocument ─▶ Build ─▶ Index ─▶ Following
//
// An index is a suffix array (Manber and Myers 1990; that of the standard library) over the tokens, spelt in bytes such that no
// token begins in the middle of another: about 12 bytes of memory a token.
package copies

import (
	"index/suffixarray"
	"math"
)

// Builder collects the text of an index.
type Builder struct {
	data   []byte
	tokens int64
}

// MaxToken is the largest token that can be added.
const MaxToken = 1<<26 - 1

// Add appends a token of the document at hand. It must not be above MaxToken.
func (b *Builder) Add(token uint32) {
	b.data = appendToken(b.data, token)
	b.tokens++
}

// EndDocument ends a document: nothing is found across it.
func (b *Builder) EndDocument() { b.data = append(b.data, documentEnd) }

// Size is about the memory of an index of what was added so far, in bytes.
func (b *Builder) Size() int64 { return bytesEach * int64(len(b.data)) }

// Tokens is how many were added.
func (b *Builder) Tokens() int64 { return b.tokens }

// Build makes the index. The builder must not be used after it.
func (b *Builder) Build() *Index {
	return &Index{text: b.data, array: suffixarray.New(b.data)}
}

// Index finds tokens. It is safe for concurrent use.
type Index struct {
	text  []byte
	array *suffixarray.Index
}

// bytesEach is the memory of a byte of text: itself, and its place in the suffix array, which has 4 bytes below 2 GiB.
const bytesEach = 5

// Size is the memory of the index in bytes.
func (x *Index) Size() int64 { return bytesEach * int64(len(x.text)) }

// Following calls each for the token after every occurrence of the tokens, in no order; after no tokens, for every token. It
// costs the occurrences.
func (x *Index) Following(tokens []uint32, each func(token uint32)) {
	if len(tokens) == 0 {
		for at := 0; at < len(x.text); {
			if x.text[at] == documentEnd {
				at++
				continue
			}
			token, size := tokenAt(x.text[at:])
			each(token)
			at += size
		}
		return
	}
	pattern := make([]byte, 0, 4*len(tokens))
	for _, token := range tokens {
		if token > MaxToken {
			return
		}
		pattern = appendToken(pattern, token)
	}
	for _, at := range x.array.Lookup(pattern, math.MaxInt) {
		if rest := x.text[at+len(pattern):]; len(rest) > 0 && rest[0] != documentEnd {
			token, _ := tokenAt(rest)
			each(token)
		}
	}
}

// A token is spelt as UTF-8 spells numbers, carried on to five bytes: the first byte tells how many there are, and no other byte
// looks like a first one. documentEnd is neither.
const documentEnd = 0xff

func appendToken(data []byte, token uint32) []byte {
	rest := func(shift uint) byte { return 0x80 | byte(token>>shift)&0x3f }
	switch {
	case token < 1<<7:
		return append(data, byte(token))
	case token < 1<<11:
		return append(data, 0xc0|byte(token>>6), rest(0))
	case token < 1<<16:
		return append(data, 0xe0|byte(token>>12), rest(6), rest(0))
	case token < 1<<21:
		return append(data, 0xf0|byte(token>>18), rest(12), rest(6), rest(0))
	}
	return append(data, 0xf8|byte(token>>24), rest(18), rest(12), rest(6), rest(0))
}

// tokenAt reads the token that the data begins with.
func tokenAt(data []byte) (token uint32, size int) {
	first := data[0]
	switch {
	case first < 0x80:
		return uint32(first), 1
	case first < 0xe0:
		token, size = uint32(first&0x1f), 2
	case first < 0xf0:
		token, size = uint32(first&0x0f), 3
	case first < 0xf8:
		token, size = uint32(first&0x07), 4
	default:
		token, size = uint32(first&0x03), 5
	}
	for _, next := range data[1:size] {
		token = token<<6 | uint32(next&0x3f)
	}
	return token, size
}
