package text

import (
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	"dbslm/pkg/errors"
)

// replacement is U+FFFD in UTF-8: what decoders of golang.org/x/text write for bytes that mean nothing.
var replacement = []byte("\uFFFD")

// charsetReader decodes a legacy encoding and finds the exact byte that cannot be decoded. Decoders do
// not report it, they write U+FFFD; so a piece that contains one is decoded again, rune by rune.
type charsetReader struct {
	src     io.Reader
	enc     namedEncoding
	name    string
	decoder transform.Transformer
	careful bool // the encoding has shift states, so no piece can be decoded twice

	raw    []byte
	offset int64 // of raw[0]
	out    []byte
	buffer []byte
	eof    bool
	err    error
}

func newCharsetReader(src io.Reader, enc namedEncoding, name string, offset int64) *charsetReader {
	return &charsetReader{
		src: src, enc: enc, name: name, offset: offset,
		decoder: enc.charset.NewDecoder(), careful: hasShiftStates(enc.charset),
		raw: make([]byte, 0, 16<<10), buffer: make([]byte, 64<<10),
	}
}

// hasShiftStates reports whether a byte may mean different things depending on what came long before.
func hasShiftStates(charset encoding.Encoding) bool {
	d := charset.NewDecoder()
	shifted, _ := d.Bytes([]byte("\x1b$B\x30\x21")) // ISO-2022-JP
	hz, _ := charset.NewDecoder().Bytes([]byte("~{VPND~}"))
	return !bytes.Contains(shifted, []byte("0!")) || string(hz) == "中文"
}

func (r *charsetReader) Read(p []byte) (int, error) {
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

func (r *charsetReader) advance() {
	if !r.eof {
		n, err := readAtLeast(r.src, r.raw[len(r.raw):cap(r.raw)], 1)
		r.raw = r.raw[:len(r.raw)+n]
		if r.eof = isEnd(err); err != nil && !r.eof {
			r.err = err
			return
		}
	}
	written, used := 0, 0
	if !r.careful {
		var err error
		written, used, err = r.decoder.Transform(r.buffer, r.raw, r.eof)
		if bytes.Contains(r.buffer[:written], replacement) || cannotDecode(err) {
			r.decoder.Reset()
			written, used = 0, 0
		}
	}
	if used == 0 {
		written, used = r.decodeCarefully()
	}
	r.out = r.buffer[:written]
	r.raw = r.raw[:copy(r.raw, r.raw[used:])]
	r.offset += int64(used)
	if r.eof && len(r.raw) == 0 && r.err == nil {
		r.err = io.EOF
	}
}

// decodeCarefully decodes raw in the smallest steps and stops with an *EncodingError at bytes that are
// no character. U+FFFD is accepted where the encoding can really write it.
func (r *charsetReader) decodeCarefully() (written, used int) {
	for used < len(r.raw) && written+utf8.UTFMax <= len(r.buffer) {
		// Three bytes hold either one U+FFFD or runes that are none.
		step, n, err := r.decoder.Transform(r.buffer[written:written+len(replacement)], r.raw[used:], r.eof)
		if step == 0 && n == 0 && errors.Is(err, transform.ErrShortDst) {
			step, n, err = r.decoder.Transform(r.buffer[written:written+utf8.UTFMax], r.raw[used:], r.eof)
		}
		if cannotDecode(err) || (bytes.Equal(r.buffer[written:written+step], replacement) && !r.meansReplacement(r.raw[used:used+n])) {
			r.err = &EncodingError{Name: r.name, Encoding: r.enc.name, Offset: r.offset + int64(used)}
			return written, used
		}
		if n == 0 && step == 0 {
			if r.eof {
				r.err = &EncodingError{Name: r.name, Encoding: r.enc.name, Offset: r.offset + int64(used)}
			}
			return written, used
		}
		written += step
		used += n
	}
	return written, used
}

// cannotDecode reports whether a decoder stopped for another reason than the size of its buffers.
func cannotDecode(err error) bool {
	return err != nil && !errors.Is(err, transform.ErrShortDst) && !errors.Is(err, transform.ErrShortSrc)
}

func (r *charsetReader) meansReplacement(raw []byte) bool {
	encoded, err := r.enc.charset.NewEncoder().Bytes(replacement)
	return err == nil && bytes.Equal(encoded, raw)
}

// ascii is US-ASCII: bytes from 0x80 on mean nothing.
type ascii struct{}

func (ascii) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: asciiDecoder{}} }

func (ascii) NewEncoder() *encoding.Encoder {
	return &encoding.Encoder{Transformer: encoding.UTF8Validator}
}

type asciiDecoder struct{ transform.NopResetter }

func (asciiDecoder) Transform(dst, src []byte, _ bool) (written, used int, err error) {
	for used < len(src) {
		piece := src[used : used+1]
		if piece[0] >= utf8.RuneSelf {
			piece = replacement
		}
		if written+len(piece) > len(dst) {
			return written, used, transform.ErrShortDst
		}
		written += copy(dst[written:], piece)
		used++
	}
	return written, used, nil
}
