package text

import (
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	readerBlock = 64 << 10
	// maxSegment bounds how many bytes of combining marks without a base the reader collects before it
	// normalises them as they are. Real text has a handful.
	maxSegment = 1 << 20
)

// NewReader returns a reader of r's text in normal form n, without a leading byte order mark, in bounded
// memory and independent of how r hands out its bytes. Reading fails with an *EncodingError, whose
// offset counts the bytes of r, where r stops being valid UTF-8; everything before that place is
// delivered first.
func NewReader(n Normalization, r io.Reader) io.Reader {
	form, changes := n.form()
	return &normalizingReader{src: r, form: form, changes: changes, raw: make([]byte, 0, readerBlock)}
}

type normalizingReader struct {
	src     io.Reader
	form    norm.Form
	changes bool

	raw     []byte // bytes of src; raw[:taken] have been handed out
	taken   int
	offset  int64 // of raw[0] in src
	started bool

	out    []byte // normalised text that is not handed out yet
	buffer []byte // backs out where normalising changed something
	err    error  // reported once out is empty
}

func (r *normalizingReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		r.advance()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// advance reads another block and normalises as much of it as later bytes cannot change.
func (r *normalizingReader) advance() {
	rest := copy(r.raw, r.raw[r.taken:])
	r.offset += int64(r.taken)
	r.raw, r.taken = r.raw[:rest], 0
	if rest == cap(r.raw) {
		r.raw = append(make([]byte, 0, 2*cap(r.raw)), r.raw...)
	}
	// As much again as is held back, so that text without a boundary costs time linear in its length.
	n, err := readAtLeast(r.src, r.raw[len(r.raw):cap(r.raw)], rest)
	r.raw = r.raw[:len(r.raw)+n]
	r.err = err

	block := r.raw
	if !utf8.Valid(block) {
		block = block[:firstInvalid(block)]
		if bad := r.raw[len(block):]; err != nil || utf8.FullRune(bad) {
			if err == nil || isEnd(err) {
				r.err = &EncodingError{Encoding: "utf-8", Offset: r.offset + int64(len(block))}
			}
		}
	}
	if !r.started && (len(block) >= len(byteOrderMark) || r.err != nil) {
		r.started = true
		if bytes.HasPrefix(block, byteOrderMark) {
			r.offset += int64(len(byteOrderMark))
			block, r.raw = block[len(byteOrderMark):], r.raw[len(byteOrderMark):]
		}
	}
	if !r.started {
		return
	}
	if r.changes && r.err == nil {
		if cut := lastBoundary(r.form, block); cut > 0 || len(block) < maxSegment {
			block = block[:cut]
		}
	}
	r.taken = len(block)
	r.out = block
	if r.changes && r.form.QuickSpan(block) < len(block) {
		r.buffer = r.form.Append(r.buffer[:0], block...)
		r.out = r.buffer
	}
}

// lastBoundary returns the start of the last rune of b that never combines with what stands before it,
// or 0. Unlike norm.Form.LastBoundary it does not give up after 30 marks, so that the result of
// normalising a stream never depends on where its blocks end.
func lastBoundary(form norm.Form, b []byte) int {
	for i := len(b); i > 0; {
		_, size := utf8.DecodeLastRune(b[:i])
		i -= size
		if form.Properties(b[i:]).BoundaryBefore() {
			return i
		}
	}
	return 0
}

// readAtLeast reads at least one byte and at least as many as asked for that fit, unless it returns an
// error. A reader that keeps returning neither is reported as io.ErrNoProgress rather than waited for.
func readAtLeast(r io.Reader, p []byte, least int) (n int, err error) {
	least = max(1, min(least, len(p)))
	for idle := 0; n < least && err == nil; idle++ {
		var more int
		more, err = r.Read(p[n:])
		n += more
		if more > 0 {
			idle = 0
		}
		if idle == 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// isEnd reports whether a reader has come to its end. A wrapped io.EOF is a failure like any other: taking
// it for the end would lose text silently.
func isEnd(err error) bool {
	return err == io.EOF
}
