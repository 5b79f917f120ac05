// Package packed is the codec of tbl_l1_ng_topk_n.packed: the followers of one context with their stored
// probabilities, likeliest first, in a few bytes each.
//
// A blob is a sequence of groups, one for each distinct probability, in strictly descending order of it:
//
//	code    1, 2 or 8 bytes, big endian (see Width)
//	first   uvarint: twice the first token id, plus 1 if there are more
//	count   uvarint, only if there are more: how many tokens after the second
//	rest    uvarints, only if there are more: each token id less the one before, less 1
//
// Most contexts have one follower, which takes three or four bytes.
//
// Codes are unsigned and compare as the probabilities do. Blobs of equal content are equal bytes: there is one
// encoding of a list and Decode refuses any other.
package packed

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ChunkSize is the greatest number of followers in one blob; a context with more has several.
const ChunkSize = 4096

// Width is the number of bytes of a code: 1 for 8 bits, 2 for 12 and 16 bits, 8 for exact storage.
type Width int

// Widths of the three storages.
const (
	Width8     Width = 1
	Width16    Width = 2
	WidthExact Width = 8
)

// Follower is one follower of a context.
type Follower struct {
	// Code stands for the probability: an index into the codebook of the build, or Code(log10 p).
	Code uint64
	// Token is the id of the following token.
	Token uint32
}

// Before orders followers as a blob does: likeliest first, then by token id.
func Before(a, b Follower) int {
	switch {
	case a.Code > b.Code:
		return -1
	case a.Code < b.Code:
		return 1
	case a.Token < b.Token:
		return -1
	case a.Token > b.Token:
		return 1
	}
	return 0
}

const signBit = 1 << 63

// Code maps a float to an unsigned integer that compares as the float does. NaN has no place in that order.
func Code(f float64) uint64 {
	bits := math.Float64bits(f + 0) // -0 becomes 0
	if bits&signBit != 0 {
		return ^bits
	}
	return bits | signBit
}

// Float is the inverse of Code.
func Float(code uint64) float64 {
	if code&signBit != 0 {
		return math.Float64frombits(code &^ signBit)
	}
	return math.Float64frombits(^code)
}

// Append appends the blob of the followers to dst. They must be in the order of Before, without a token twice among
// equal codes, and every code must fit the width; else the blob could not be read back, and Append says so.
func Append(dst []byte, width Width, followers []Follower) ([]byte, error) {
	for begin := 0; begin < len(followers); {
		code := followers[begin].Code
		end := begin + 1
		for end < len(followers) && followers[end].Code == code {
			end++
		}
		if begin > 0 && followers[begin-1].Code < code {
			return nil, fmt.Errorf("packed: code %d after code %d: followers are not in descending order", code, followers[begin-1].Code)
		}
		switch width {
		case Width8:
			if code > math.MaxUint8 {
				return nil, fmt.Errorf("packed: code %d does not fit 8 bits", code)
			}
			dst = append(dst, byte(code))
		case Width16:
			if code > math.MaxUint16 {
				return nil, fmt.Errorf("packed: code %d does not fit 16 bits", code)
			}
			dst = binary.BigEndian.AppendUint16(dst, uint16(code))
		case WidthExact:
			dst = binary.BigEndian.AppendUint64(dst, code)
		default:
			return nil, fmt.Errorf("packed: no codes of %d bytes", width)
		}
		if first := uint64(followers[begin].Token) << 1; end-begin == 1 {
			dst = binary.AppendUvarint(dst, first)
		} else {
			dst = binary.AppendUvarint(dst, first|1)
			dst = binary.AppendUvarint(dst, uint64(end-begin-2))
		}
		for i := begin + 1; i < end; i++ {
			if followers[i].Token <= followers[i-1].Token {
				return nil, fmt.Errorf("packed: token %d after token %d: ids of a group must ascend", followers[i].Token, followers[i-1].Token)
			}
			dst = binary.AppendUvarint(dst, uint64(followers[i].Token-followers[i-1].Token-1))
		}
		begin = end
	}
	return dst, nil
}

// Decode calls visit for every group of the blob, likeliest first. tokens is valid until visit returns. An error of
// visit ends the walk and is returned; a blob that Append cannot have made is an error.
func Decode(blob []byte, width Width, visit func(code uint64, tokens []uint32) error) error {
	if width != Width8 && width != Width16 && width != WidthExact {
		return fmt.Errorf("packed: no codes of %d bytes", width)
	}
	var tokens []uint32
	last, begun, total := uint64(0), false, 0
	for len(blob) > 0 {
		if len(blob) < int(width) {
			return errTruncated
		}
		var code uint64
		switch width {
		case Width8:
			code = uint64(blob[0])
		case Width16:
			code = uint64(binary.BigEndian.Uint16(blob))
		default:
			code = binary.BigEndian.Uint64(blob)
		}
		blob = blob[width:]
		if begun && code >= last {
			return fmt.Errorf("packed: code %d after code %d", code, last)
		}
		last, begun = code, true

		first, more, err := uint64(0), uint64(0), error(nil)
		if first, blob, err = uvarint(blob); err != nil {
			return err
		}
		if first&1 == 1 {
			if more, blob, err = uvarint(blob); err != nil {
				return err
			}
			more = min(more, ChunkSize) + 1
		}
		if total += int(more) + 1; total > ChunkSize {
			return fmt.Errorf("packed: more than %d followers in a blob", ChunkSize)
		}
		token := first >> 1
		tokens = append(tokens[:0], uint32(token))
		for range more {
			var distance uint64
			if len(blob) > 0 && blob[0] < 0x80 {
				distance, blob = uint64(blob[0]), blob[1:]
			} else if distance, blob, err = uvarint(blob); err != nil {
				return err
			}
			token += min(distance, math.MaxUint32) + 1
			tokens = append(tokens, uint32(token))
			if token > math.MaxUint32 {
				break
			}
		}
		if token > math.MaxUint32 {
			return fmt.Errorf("packed: a token id of more than 32 bits")
		}
		if err := visit(code, tokens); err != nil {
			return err
		}
	}
	return nil
}

var errTruncated = fmt.Errorf("packed: the blob ends inside a group")

// uvarint reads one varint in its shortest form.
func uvarint(blob []byte) (uint64, []byte, error) {
	value, size := binary.Uvarint(blob)
	if size <= 0 {
		return 0, nil, errTruncated
	}
	if size > 1 && blob[size-1] == 0 {
		return 0, nil, fmt.Errorf("packed: a number is not in its shortest form")
	}
	return value, blob[size:], nil
}
