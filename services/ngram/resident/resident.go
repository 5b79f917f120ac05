// Package resident is the compact read-only form of a build in memory: all contexts with their followers, found by hash
// without reading a row. It holds what the packed rows of the build hold and answers the same, bit for bit.
//
//	magic, then per order N contexts in buckets by the first bits of their hashes:
//	  bucket     count of contexts (uvarint), rest of each hash, record of each context
//	    record   tag: kind of backoff weight, size of the followers
//	             backoff weight: a code, a logarithm, or nothing
//	             followers as in tbl_l1_ng_topk_n.packed; behind many of them their index (package packed)
//	  directory  where each bucket begins (4 bytes)
//	foot         width of codes, the orders, the identity of what the table was made from
//	             length of the foot, XXH64 of all bytes before
//
// Numbers are little endian, whatever the machine. Most contexts of long n-grams have one follower and take 12 bytes in all:
// 5 or 6 of hash, 1 of directory, 1 of tag, 1 of weight, 3 to 4 of follower. The whole hash is compared: a context that is
// not in the build is not found here either.
package resident

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"

	"github.com/cespare/xxhash/v2"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// Table is an open table. It is safe for concurrent use.
type Table struct {
	data      []byte
	followers *lookup.Book
	weights   *lookup.Book
	weight    int // bytes of the code of a weight
	owner     any
	orders    [256]shelf // by order
	contexts  int64
}

// shelf is an open part.
type shelf struct {
	buckets   []byte // nil: the build has no contexts of this order
	directory []byte
	shift     uint   // of a hash, to its bucket
	mask      uint64 // what the directory does not tell of a hash
	restMask  uint64 // of the bytes in which that stands
	rest      int
}

const footTail = 4 + 8

// Open opens the table in data, which must not change. It fails if the bytes are not those that a Writer wrote with the same
// identity. The books are those of the build: of followers, and of backoff weights. owner, if not nil, keeps data alive.
func Open(data []byte, identity string, followers, weights *lookup.Book, owner any) (*Table, error) {
	if len(data) < len(magic)+footTail+8 || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("resident: this is not a table of this version")
	}
	end := len(data) - 8
	if binary.LittleEndian.Uint64(data[end:]) != xxhash.Sum64(data[:end]) {
		return nil, fmt.Errorf("resident: the checksum is wrong")
	}
	length := int(binary.LittleEndian.Uint32(data[end-4:]))
	if length < 8 || length > end-4-len(magic) {
		return nil, fmt.Errorf("resident: the foot is damaged")
	}
	foot := data[end-4-length : end-4]
	width, parts := packed.Width(binary.LittleEndian.Uint32(foot)), int(binary.LittleEndian.Uint32(foot[4:]))
	if width != followers.Width || parts > 255 || len(foot) < 8+48*parts || string(foot[8+48*parts:]) != identity {
		return nil, fmt.Errorf("resident: the table was made from something else")
	}
	t := &Table{data: data, followers: followers, weights: weights, weight: 2, owner: owner}
	if width == packed.Width8 {
		t.weight = 1
	}
	for i := range parts {
		var v [6]int64
		for j := range v {
			v[j] = int64(binary.LittleEndian.Uint64(foot[8+48*i+8*j:]))
		}
		order, bits, rest, begin, directory := v[0], v[1], v[2], v[4], v[5]
		if order < 1 || order > 255 || bits < 1 || bits > 32 || rest != (64-bits+7)/8 || begin < 0 || directory < begin ||
			directory > int64(len(data)) || int64(len(data))-directory < 4*(1<<bits+1) {
			return nil, fmt.Errorf("resident: the foot is damaged")
		}
		t.orders[order] = shelf{
			buckets: data[begin:directory], directory: data[directory : directory+4*(1<<bits+1)],
			shift: uint(64 - bits), mask: math.MaxUint64 >> bits, restMask: math.MaxUint64 >> (64 - 8*rest), rest: int(rest),
		}
		t.contexts += v[3]
	}
	return t, nil
}

// Size is the number of bytes of the table.
func (t *Table) Size() int64 { return int64(len(t.data)) }

// Contexts is the number of contexts.
func (t *Table) Contexts() int64 { return t.contexts }

// Place is where a context stands if the build has it.
type Place struct {
	rest       uint64
	begin, end uint32 // of the bucket
	order      uint8
}

// Seek returns the place of a context of n-grams of the order, at most 255. It reads the directory only: who seeks and touches
// some places before finding in the first waits once for memory instead of every time.
func (t *Table) Seek(order int, hash int64) (place Place) {
	s := &t.orders[uint8(order)]
	if s.buckets == nil {
		return place
	}
	key := unsigned(hash)
	entry := s.directory[key>>s.shift*4:][:8]
	place = Place{key & s.mask, binary.LittleEndian.Uint32(entry), binary.LittleEndian.Uint32(entry[4:]), uint8(order)}
	runtime.KeepAlive(t.owner)
	return place
}

// Touch reads the beginning of a place, to have it near.
func (t *Table) Touch(place Place) (sum byte) {
	if buckets := t.orders[place.order].buckets; place.begin < place.end {
		sum = buckets[place.begin]
		if far := place.begin + 64; far < place.end {
			sum += buckets[far]
		}
	}
	runtime.KeepAlive(t.owner)
	return sum
}

// record returns the record at a place and what follows it; nil if the build has no such context.
func (t *Table) record(place Place) []byte {
	if place.begin == place.end {
		return nil
	}
	s := &t.orders[place.order]
	bucket := s.buckets[place.begin:]
	count := int(bucket[0])
	if count < 0x80 {
		bucket = bucket[1:]
	} else {
		wide, size := binary.Uvarint(bucket)
		count, bucket = int(wide), bucket[size:]
	}
	for i, at := 0, 0; i < count; i, at = i+1, at+s.rest {
		if binary.LittleEndian.Uint64(bucket[at:])&s.restMask == place.rest {
			record := bucket[count*s.rest:]
			for range i {
				record = t.skip(record)
			}
			return record
		}
	}
	return nil
}

// weightSize is the number of bytes of the weight of a record.
func (t *Table) weightSize(tag byte) int {
	switch lookup.WeightKind(tag & weightMask) {
	case lookup.CodedWeight:
		return t.weight
	case lookup.ExactWeight:
		return 8
	}
	return 0
}

func (t *Table) skip(record []byte) []byte {
	tag := record[0]
	record = record[1+t.weightSize(tag):]
	if size := int(tag >> weightBits); size <= inlineBytes {
		return record[size:]
	}
	blob, n := binary.Uvarint(record)
	index, m := binary.Uvarint(record[n:])
	return record[n+m+int(blob)+int(index):]
}

// open takes a record apart.
func (t *Table) open(record []byte) (weight lookup.Weight, blob, index []byte) {
	tag := record[0]
	weight.Kind = lookup.WeightKind(tag & weightMask)
	switch weight.Kind {
	case lookup.CodedWeight:
		weight.Code = uint16(record[1])
		if t.weight == 2 {
			weight.Code = binary.LittleEndian.Uint16(record[1:])
		}
	case lookup.ExactWeight:
		weight.Log10 = packed.Float(binary.LittleEndian.Uint64(record[1:]))
	}
	record = record[1+t.weightSize(tag):]
	if size := int(tag >> weightBits); size <= inlineBytes {
		return weight, record[:size:size], nil
	}
	size, n := binary.Uvarint(record)
	indexed, m := binary.Uvarint(record[n:])
	record = record[n+m:]
	return weight, record[:size:size], record[size : size+indexed : size+indexed]
}

// Context returns the context at a place, and whether the build has it.
func (t *Table) Context(place Place) (context lookup.Context, known bool) {
	if record := t.record(place); record != nil {
		weight, blob, index := t.open(record)
		mass, log10, _ := weight.Values(t.weights)
		context, known = lookup.New(mass, log10, t.followers, blob, index, t.owner), true
	}
	runtime.KeepAlive(t.owner)
	return context, known
}

// Log10 returns log10 of the probability of the token after the context at a place; where the context does not have that
// follower, its backoff weight as log10: 0 for a context that the build does not have.
func (t *Table) Log10(place Place, token uint32) (log10 float64, found bool) {
	if record := t.record(place); record != nil {
		weight, blob, index := t.open(record)
		var code uint64
		if index != nil {
			code, found = packed.FindIndexed(index, t.followers.Width, token)
		} else {
			code, found = packed.Find(blob, t.followers.Width, token)
		}
		switch {
		case found:
			log10 = t.followers.Value(code)
		case weight.Kind == lookup.CodedWeight:
			log10 = t.weights.Log10[weight.Code]
		default:
			log10 = weight.Log10
		}
	}
	runtime.KeepAlive(t.owner)
	return log10, found
}
