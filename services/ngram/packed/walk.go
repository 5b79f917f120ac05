package packed

import (
	"encoding/binary"
	"math"
)

// Check reports what Decode would: whether Append can have made the blob. Blobs of several chunks are checked one by one.
func Check(blob []byte, width Width) error {
	if well(blob, width) {
		return nil
	}
	return Decode(blob, width, func(uint64, []uint32) error { return nil })
}

// well is Check without the reason, and fast: no token is looked at for longer than its bytes take. It may doubt a blob of
// ids near the greatest one that is well.
func well(blob []byte, width Width) bool {
	if width != Width8 && width != Width16 && width != WidthExact {
		return false
	}
	total, last, begun := 0, uint64(0), false
	for len(blob) > 0 {
		if len(blob) <= int(width) {
			return false
		}
		var code uint64
		if code, blob = takeCode(blob, width); begun && code >= last {
			return false
		}
		last, begun = code, true
		first, size := number(blob)
		if size == 0 {
			return false
		}
		blob = blob[size:]
		total++
		token := first >> 1
		if first&1 == 1 {
			more, size := number(blob)
			if size == 0 || more > ChunkSize {
				return false
			}
			total += int(more) + 1
			token += more + 1 // each is at least one above the one before
			for range more + 1 {
				blob = blob[size:]
				switch {
				case len(blob) > 0 && blob[0] < 0x80:
					token, size = token+uint64(blob[0]), 1
				case len(blob) > 1 && blob[1]-1 < 0x7f: // neither 0 nor more to come
					token, size = token+uint64(blob[0]&0x7f)+uint64(blob[1])<<7, 2
				default:
					distance, n := number(blob)
					if n == 0 {
						return false
					}
					token, size = token+distance, n
				}
			}
			blob = blob[size:]
		}
		if token > math.MaxUint32 || total > ChunkSize {
			return false
		}
	}
	return true
}

// number reads a number below 2^35 in its shortest form, of which size bytes are taken; 0 where there is none.
func number(blob []byte) (value uint64, size int) {
	for i, b := range blob[:min(len(blob), 5)] {
		value |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				return 0, 0
			}
			return value, i + 1
		}
	}
	return 0, 0
}

// Greatest is the greatest code of a checked blob; false for one without followers.
func Greatest(blob []byte, width Width) (code uint64, some bool) {
	if len(blob) == 0 {
		return 0, false
	}
	code, _ = takeCode(blob, width)
	return code, true
}

// Walk goes through the groups of one checked blob, or of several put together, likeliest first. The zero value is at its end.
type Walk struct {
	rest  []byte
	width Width
}

// NewWalk begins a walk.
func NewWalk(blob []byte, width Width) Walk { return Walk{blob, width} }

// Next returns the next group, its tokens appended to dst, and false at the end. Only chunks that were put together have
// two groups of one code, one behind the other.
func (w *Walk) Next(dst []uint32) (code uint64, tokens []uint32, ok bool) {
	rest := w.rest
	if len(rest) == 0 {
		return 0, dst, false
	}
	code, rest = takeCode(rest, w.width)
	first, rest := take(rest)
	token := uint32(first >> 1)
	dst = append(dst, token)
	if first&1 == 1 {
		dst, rest = following(dst, rest, token)
	}
	w.rest = rest
	return code, dst, true
}

// Group is a group of Ahead.
type Group struct {
	Code uint64
	End  int // of its tokens
}

// Ahead reads the next groups, until there are as many tokens as wanted or the end is there. It appends the groups to dst,
// and their tokens to tokens; nothing is appended at the end.
func (w *Walk) Ahead(dst []Group, tokens []uint32, wanted int) ([]Group, []uint32) {
	rest := w.rest
	for wanted += len(tokens); len(rest) > 0 && len(tokens) < wanted; {
		var code, first uint64
		code, rest = takeCode(rest, w.width)
		if b := rest[0]; b < 0x80 {
			first, rest = uint64(b), rest[1:]
		} else {
			first, rest = take(rest)
		}
		token := uint32(first >> 1)
		tokens = append(tokens, token)
		if first&1 == 1 {
			tokens, rest = following(tokens, rest, token)
		}
		dst = append(dst, Group{code, len(tokens)})
	}
	w.rest = rest
	return dst, tokens
}

// following reads the tokens of a group behind its first.
func following(dst []uint32, rest []byte, token uint32) ([]uint32, []byte) {
	more, rest := take(rest)
	for range more + 1 {
		var distance uint64
		if rest[0] < 0x80 {
			distance, rest = uint64(rest[0]), rest[1:]
		} else {
			distance, rest = take(rest)
		}
		token += uint32(distance) + 1
		dst = append(dst, token)
	}
	return dst, rest
}

// Peek returns the code of the next group without moving, and false at the end.
func (w *Walk) Peek() (code uint64, ok bool) {
	if len(w.rest) == 0 {
		return 0, false
	}
	code, _ = takeCode(w.rest, w.width)
	return code, true
}

// Find returns the code of the token in a checked blob, and whether it is there. It reads the blob from its beginning.
func Find(blob []byte, width Width, token uint32) (code uint64, found bool) {
	for len(blob) > 0 {
		var first uint64
		code, blob = takeCode(blob, width)
		first, blob = take(blob)
		at := uint32(first >> 1)
		if at == token {
			return code, true
		}
		if first&1 == 0 {
			continue
		}
		var more uint64
		more, blob = take(blob)
		left := more + 1
		for ; left > 0 && at < token; left-- {
			var distance uint64
			if blob[0] < 0x80 {
				distance, blob = uint64(blob[0]), blob[1:]
			} else {
				distance, blob = take(blob)
			}
			at += uint32(distance) + 1
		}
		if at == token {
			return code, true
		}
		for left > 0 { // the rest of the group is beyond the token
			if blob[0] < 0x80 {
				left--
			}
			blob = blob[1:]
		}
	}
	return 0, false
}

// Count is the number of followers in a checked blob.
func Count(blob []byte, width Width) int {
	count := 0
	for len(blob) > 0 {
		var first, more uint64
		blob = blob[width:]
		first, blob = take(blob)
		count++
		if first&1 == 0 {
			continue
		}
		more, blob = take(blob)
		count += int(more) + 1
		for left := more + 1; left > 0; blob = blob[1:] {
			if blob[0] < 0x80 {
				left--
			}
		}
	}
	return count
}

func takeCode(blob []byte, width Width) (uint64, []byte) {
	switch width {
	case Width8:
		return uint64(blob[0]), blob[1:]
	case Width16:
		return uint64(binary.BigEndian.Uint16(blob)), blob[2:]
	}
	return binary.BigEndian.Uint64(blob), blob[8:]
}

func take(blob []byte) (uint64, []byte) {
	if b := blob[0]; b < 0x80 {
		return uint64(b), blob[1:]
	}
	if len(blob) > 1 && blob[1] < 0x80 {
		return uint64(blob[0]&0x7f) | uint64(blob[1])<<7, blob[2:]
	}
	value, size := binary.Uvarint(blob)
	return min(value, math.MaxUint32<<1|1), blob[size:]
}
