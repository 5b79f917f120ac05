package packed

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// An index finds a follower of a context with many of them in about two steps. It stands beside the blob, which keeps the
// order by probability:
//
//	slots   4 bytes, little endian: the number of home slots S, plus 2^31 if ids take four bytes
//	slot    3 or 4 bytes of token id, all ones in an empty slot; then the code, as wide as in the blob; little endian
//
// A token's home is slot h*S/2^32, where h is its id times an odd constant, modulo 2^32. Tokens stand in the order of h, each
// at its home or behind the token before it, so that a search ends at the first token with a greater h. The last slot is
// empty.
const (
	wideIDs  = 1 << 31
	spread   = 0x9E3779B1 // 2^32 divided by the golden ratio, odd: h is different for different ids
	idMask   = 1<<24 - 1
	slotsPer = 5 // home slots for every slotsOf followers
	slotsOf  = 4
)

// AppendIndex appends the index of a checked blob to dst.
func AppendIndex(dst, blob []byte, width Width) []byte {
	type entry struct {
		h, token uint32
		code     uint64
	}
	entries := make([]entry, 0, Count(blob, width))
	greatest := uint32(0)
	walk := NewWalk(blob, width)
	for tokens := []uint32(nil); ; {
		code, group, ok := walk.Next(tokens[:0])
		if !ok {
			break
		}
		for _, token := range group {
			entries = append(entries, entry{token * spread, token, code})
			greatest = max(greatest, token)
		}
		tokens = group
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.h, b.h) })
	slots := uint32(len(entries)*slotsPer/slotsOf + 1)
	head, ids := slots, 3
	if greatest >= idMask {
		head, ids = slots|wideIDs, 4
	}
	dst = binary.LittleEndian.AppendUint32(dst, head)
	begin, stride := len(dst), ids+int(width)
	next := 0 // the first free slot
	for _, e := range entries {
		at := max(home(e.h, slots), next)
		dst = empty(dst, begin+at*stride)
		dst = append(dst, byte(e.token), byte(e.token>>8), byte(e.token>>16))
		if ids == 4 {
			dst = append(dst, byte(e.token>>24))
		}
		switch width {
		case Width8:
			dst = append(dst, byte(e.code))
		case Width16:
			dst = binary.LittleEndian.AppendUint16(dst, uint16(e.code))
		default:
			dst = binary.LittleEndian.AppendUint64(dst, e.code)
		}
		next = at + 1
	}
	return empty(dst, begin+(max(next, int(slots))+1)*stride)
}

// empty fills dst with empty slots up to the given length.
func empty(dst []byte, length int) []byte {
	for len(dst) < length {
		dst = append(dst, 0xff)
	}
	return dst
}

func home(h, slots uint32) int { return int(uint64(h) * uint64(slots) >> 32) }

// FindIndexed is Find by an index.
func FindIndexed(index []byte, width Width, token uint32) (code uint64, found bool) {
	head := binary.LittleEndian.Uint32(index)
	index = index[4:]
	h := token * spread
	if head&wideIDs != 0 {
		stride := 4 + int(width)
		for at := home(h, head&^wideIDs) * stride; ; at += stride {
			id := binary.LittleEndian.Uint32(index[at:])
			if id == token && id != math.MaxUint32 {
				return slotCode(index[at+4:], width), true
			}
			if id == math.MaxUint32 || id*spread > h {
				return 0, false
			}
		}
	}
	stride := 3 + int(width) // at least 4
	for at := home(h, head) * stride; ; at += stride {
		id := binary.LittleEndian.Uint32(index[at:]) & idMask
		if id == token && id != idMask {
			return slotCode(index[at+3:], width), true
		}
		if id == idMask || id*spread > h {
			return 0, false
		}
	}
}

func slotCode(slot []byte, width Width) uint64 {
	switch width {
	case Width8:
		return uint64(slot[0])
	case Width16:
		return uint64(binary.LittleEndian.Uint16(slot))
	}
	return binary.LittleEndian.Uint64(slot)
}
