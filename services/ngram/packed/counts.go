package packed

import (
	"encoding/binary"
	"errors"
)

// Counts is a context with the integers that a build reads of it.
type Counts struct {
	Context  []uint32 // its tokens, oldest first
	Tokens   []uint32 // followers, ascending
	Adjusted []int64  // their adjusted counts, at least 1
}

// AppendCounts appends a context to a segment of tbl_l1_count_segments, all as uvarints:
//
//	context    its tokens, from which its hash and that of its parent are computed
//	header     twice the number of followers, plus 1 if every adjusted count is 1
//	followers  each the distance from the token after the one before (the first from 0); unless every count is 1, twice that,
//	           plus 1 if its count is above 1, and then the count less 2
//
// Most n-grams occur once and take two bytes; the context takes two for each token.
func AppendCounts(dst []byte, c *Counts) []byte {
	for _, token := range c.Context {
		dst = binary.AppendUvarint(dst, uint64(token))
	}
	ones := uint64(1)
	for _, adjusted := range c.Adjusted {
		if adjusted != 1 {
			ones = 0
			break
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Tokens))<<1|ones)
	next := uint32(0)
	for i, token := range c.Tokens {
		step := uint64(token - next)
		next = token + 1
		switch {
		case ones == 1:
			dst = binary.AppendUvarint(dst, step)
		case c.Adjusted[i] == 1:
			dst = binary.AppendUvarint(dst, step<<1)
		default:
			dst = binary.AppendUvarint(dst, step<<1|1)
			dst = binary.AppendUvarint(dst, uint64(c.Adjusted[i]-2))
		}
	}
	return dst
}

var errCounts = errors.New("the segment is damaged")

// EachCounts calls yield for every context of a segment, all of which have length tokens. The context is only valid during the
// call, which may use its slices; c lends their memory.
func EachCounts(segment []byte, length int, c *Counts, yield func(*Counts) error) error {
	for len(segment) > 0 {
		c.Context, c.Tokens, c.Adjusted = c.Context[:0], c.Tokens[:0], c.Adjusted[:0]
		for range length {
			token, ok := takeUvarint(&segment)
			if !ok || token > 1<<31 {
				return errCounts
			}
			c.Context = append(c.Context, uint32(token))
		}
		header, ok := takeUvarint(&segment)
		if followers := header >> 1; !ok || followers == 0 || followers > uint64(len(segment)) || !c.followers(&segment, int(followers), header&1 == 1) {
			return errCounts
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

// followers takes the followers of a context off a segment; false if it is damaged.
func (c *Counts) followers(segment *[]byte, count int, ones bool) bool {
	next := uint64(0)
	for range count {
		step, ok := takeUvarint(segment)
		adjusted := uint64(1)
		if ok && !ones {
			if step&1 == 1 {
				adjusted, ok = takeUvarint(segment)
				adjusted += 2
			}
			step >>= 1
		}
		if !ok || step > 1<<31 || adjusted > 1<<31 {
			return false
		}
		if next += step; next > 1<<31 {
			return false
		}
		c.Tokens, c.Adjusted = append(c.Tokens, uint32(next)), append(c.Adjusted, int64(adjusted))
		next++
	}
	return true
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
