package text

import (
	"io"

	"dbslm/pkg/errors"
)

// window is a sliding view of a stream: the bytes from the start of the current sentence to the end of
// what has been read. Positions are indexes into data and stay valid while it grows; drop invalidates them.
type window struct {
	src    io.Reader
	data   []byte
	offset int64 // of data[0] in the stream
	eof    bool
}

func newWindow(src io.Reader) *window {
	return &window{src: src, data: make([]byte, 0, 2*readerBlock)}
}

// wholeWindow is a window of a text that is in memory already.
func wholeWindow(text []byte) *window { return &window{data: text, eof: true} }

// more reads another piece of the stream; at its end it sets eof.
func (w *window) more() error {
	if len(w.data) == cap(w.data) {
		grown := make([]byte, len(w.data), 2*cap(w.data))
		copy(grown, w.data)
		w.data = grown
	}
	n, err := readAtLeast(w.src, w.data[len(w.data):cap(w.data)], 1)
	w.data = w.data[:len(w.data)+n]
	if isEnd(err) {
		w.eof = true
		return nil
	}
	return err
}

// drop forgets the first n bytes.
func (w *window) drop(n int) {
	if w.eof {
		w.data = w.data[n:] // nothing will be added behind it
	} else {
		w.data = w.data[:copy(w.data, w.data[n:])]
	}
	w.offset += int64(n)
}

// tooLong is the error for a line that no sentence may be as long as.
func tooLong(offset int64, limit int) error {
	return errors.New(errors.InvalidArgument, "LINE_TOO_LONG",
		"the line that starts at byte offset %d is longer than %d bytes; break it into lines, or use the words tokeniser, which finds sentences itself",
		offset, limit)
}
