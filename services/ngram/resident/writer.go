package resident

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

const (
	magic = "dbslm resident 1" // changes with the form of the file
	// perBucket is the least number of contexts that share an entry of the directory on average.
	perBucket = 4
	// inlineBytes is the greatest size of followers that the tag tells.
	inlineBytes = 62
	weightBits  = 2
	weightMask  = 1<<weightBits - 1
	// padding lets a reader take eight bytes at once anywhere.
	padding = 8
	maxPart = 1<<32 - 1
)

// Writer writes a table. The contexts come order by order, within an order by ascending hash.
type Writer struct {
	out      io.Writer
	sum      *xxhash.Digest
	written  int64
	width    packed.Width
	identity string
	parts    []part

	directory []byte
	bucket    uint64 // at hand
	count     int
	rests     []byte // of the bucket at hand: what the directory does not tell of a hash
	records   []byte
	last      uint64
	err       error
}

// part is the contexts of one order.
type part struct {
	order     int
	bits      int // of the hash that the directory takes
	rest      int // bytes of the hash that stand with the context
	contexts  int64
	begin     int64 // of the buckets
	directory int64
}

// NewWriter begins a table whose followers are packed with the given width. identity names what it is made from; Open asks
// for the same.
func NewWriter(out io.Writer, width packed.Width, identity string) *Writer {
	w := &Writer{out: out, sum: xxhash.New(), width: width, identity: identity}
	w.write([]byte(magic))
	return w
}

// Written is the number of bytes so far.
func (w *Writer) Written() int64 { return w.written }

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, _ = w.sum.Write(b) // never fails
		_, w.err = w.out.Write(b)
		w.written += int64(len(b))
	}
}

func (w *Writer) fail(format string, args ...any) error {
	if w.err == nil {
		w.err = fmt.Errorf("resident: "+format, args...)
	}
	return w.err
}

// Order begins the contexts of n-grams of an order. expected is about how many there are; it decides only about size and
// speed.
func (w *Writer) Order(order int, expected int64) error {
	w.endPart()
	if last := len(w.parts) - 1; last >= 0 && w.parts[last].order >= order {
		return w.fail("order %d after order %d", order, w.parts[last].order)
	}
	width := max(8, bits.Len64(uint64(max(1, expected)/perBucket))-1)
	if next := (width + 7) / 8 * 8; next-width <= 1 { // a bit more saves a byte with every context
		width = next
	}
	width = min(width, 32)
	w.parts = append(w.parts, part{order: order, bits: width, rest: (64 - width + 7) / 8, begin: w.written})
	w.directory, w.bucket, w.last = binary.LittleEndian.AppendUint32(w.directory[:0], 0), 0, 0
	return w.err
}

// Add writes a context: its hash, backoff weight and checked followers.
func (w *Writer) Add(hash int64, weight lookup.Weight, blob []byte) error {
	if w.err != nil {
		return w.err
	}
	p := &w.parts[len(w.parts)-1]
	key := unsigned(hash)
	if p.contexts > 0 && key <= w.last {
		return w.fail("hash %d of order %d is out of order", hash, p.order)
	}
	p.contexts++
	w.last = key
	if bucket := key >> (64 - p.bits); bucket != w.bucket {
		w.endBuckets(p, bucket)
	}
	w.count++
	var rest [8]byte
	binary.LittleEndian.PutUint64(rest[:], key<<p.bits>>p.bits)
	w.rests = append(w.rests, rest[:p.rest]...)
	w.record(weight, blob)
	return w.err
}

// record appends what stands behind the hashes of the bucket.
func (w *Writer) record(weight lookup.Weight, blob []byte) {
	tag := byte(weight.Kind) & weightMask
	inline := len(blob) <= inlineBytes
	if inline {
		w.records = append(w.records, tag|byte(len(blob))<<weightBits)
	} else {
		w.records = append(w.records, tag|(inlineBytes+1)<<weightBits)
	}
	switch {
	case weight.Kind == lookup.ExactWeight:
		w.records = binary.LittleEndian.AppendUint64(w.records, packed.Code(weight.Log10))
	case weight.Kind == lookup.CodedWeight && w.width == packed.Width8:
		w.records = append(w.records, byte(weight.Code))
	case weight.Kind == lookup.CodedWeight:
		w.records = binary.LittleEndian.AppendUint16(w.records, weight.Code)
	}
	if inline {
		w.records = append(w.records, blob...)
		return
	}
	index := packed.AppendIndex(nil, blob, w.width)
	w.records = binary.AppendUvarint(w.records, uint64(len(blob)))
	w.records = binary.AppendUvarint(w.records, uint64(len(index)))
	w.records = append(append(w.records, blob...), index...)
}

// endBuckets writes the bucket at hand and notes where the next one begins, empty ones between them included.
func (w *Writer) endBuckets(p *part, next uint64) {
	if w.count > 0 {
		w.write(binary.AppendUvarint(nil, uint64(w.count)))
		w.write(w.rests)
		w.write(w.records)
		w.count, w.rests, w.records = 0, w.rests[:0], w.records[:0]
	}
	at := w.written - p.begin
	if at > maxPart {
		_ = w.fail("the contexts of order %d take more than %d bytes", p.order, int64(maxPart))
	}
	for ; w.bucket < next && w.err == nil; w.bucket++ {
		w.directory = binary.LittleEndian.AppendUint32(w.directory, uint32(at))
	}
}

func (w *Writer) endPart() {
	if len(w.parts) == 0 || w.err != nil {
		return
	}
	p := &w.parts[len(w.parts)-1]
	w.endBuckets(p, 1<<p.bits)
	w.write(make([]byte, padding))
	p.directory = w.written
	w.write(w.directory)
}

// Close writes the end of the table. The Writer must not be used afterwards.
func (w *Writer) Close() error {
	w.endPart()
	foot := binary.LittleEndian.AppendUint32(nil, uint32(w.width))
	foot = binary.LittleEndian.AppendUint32(foot, uint32(len(w.parts)))
	for _, p := range w.parts {
		for _, v := range []int64{int64(p.order), int64(p.bits), int64(p.rest), p.contexts, p.begin, p.directory} {
			foot = binary.LittleEndian.AppendUint64(foot, uint64(v))
		}
	}
	foot = append(foot, w.identity...)
	w.write(foot)
	w.write(binary.LittleEndian.AppendUint32(nil, uint32(len(foot))))
	w.write(binary.LittleEndian.AppendUint64(nil, w.sum.Sum64()))
	return w.err
}

// unsigned maps a hash to an unsigned number of the same order.
func unsigned(hash int64) uint64 { return uint64(hash) ^ 1<<63 }
