package packed

import (
	"encoding/binary"
	"errors"
)

// Counts is a context with the integers that a build reads of it.
type Counts struct {
	Hash, Parent int64    // of the context, and of the context without its oldest token
	Tokens       []uint32 // followers, ascending
	Adjusted     []int64  // their adjusted counts
}

// AppendCounts appends a context to a segment of tbl_l1_count_segments: the two hashes in 8 bytes each, then as uvarints the
// number of followers and for each the distance from the token before (the first from 0) and the adjusted count.
func AppendCounts(dst []byte, c *Counts) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Hash))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Parent))
	dst = binary.AppendUvarint(dst, uint64(len(c.Tokens)))
	last := uint32(0)
	for i, token := range c.Tokens {
		dst = binary.AppendUvarint(dst, uint64(token-last))
		dst = binary.AppendUvarint(dst, uint64(c.Adjusted[i]))
		last = token
	}
	return dst
}

var errCounts = errors.New("the segment is damaged")

// EachCounts calls yield for every context of a segment. The context is only valid during the call, which may use its
// slices; c lends their memory.
func EachCounts(segment []byte, c *Counts, yield func(*Counts) error) error {
	for len(segment) > 0 {
		if len(segment) < 17 {
			return errCounts
		}
		c.Hash, c.Parent = int64(binary.BigEndian.Uint64(segment)), int64(binary.BigEndian.Uint64(segment[8:]))
		segment = segment[16:]
		followers, ok := takeUvarint(&segment)
		if !ok || followers > uint64(len(segment))/2 {
			return errCounts
		}
		c.Tokens, c.Adjusted = c.Tokens[:0], c.Adjusted[:0]
		token := uint64(0)
		for range followers {
			step, ok := takeUvarint(&segment)
			adjusted, also := takeUvarint(&segment)
			if token += step; !ok || !also || token > 1<<31 || adjusted > 1<<31 {
				return errCounts
			}
			c.Tokens, c.Adjusted = append(c.Tokens, uint32(token)), append(c.Adjusted, int64(adjusted))
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

// takeUvarint takes a number off; most take a byte.
func takeUvarint(b *[]byte) (uint64, bool) {
	if s := *b; len(s) > 0 && s[0] < 0x80 {
		*b = s[1:]
		return uint64(s[0]), true
	}
	v, n := binary.Uvarint(*b)
	if n <= 0 {
		return 0, false
	}
	*b = (*b)[n:]
	return v, true
}
