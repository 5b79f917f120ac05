package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/errors"
)

// Compression names what Decompress found.
type Compression string

// The compressions.
const (
	Uncompressed Compression = ""
	Gzip         Compression = "gzip"
	Zstandard    Compression = "zstd"
)

// magics are the bytes that a compressed file begins with, and no text does.
var magics = map[Compression]string{Gzip: "\x1f\x8b\x08", Zstandard: "\x28\xb5\x2f\xfd"}

// zstdWindow bounds the memory that a frame may ask for, in bytes: what zstd --long reaches.
const zstdWindow = 128 << 20

// Decompress returns what r holds: itself, or what was compressed with gzip or zstd, told by its first bytes. Several
// compressed files one after another are read as one. A damaged or cut-off one fails with InvalidArgument while it is read;
// errors of r stay what they are. Close ends the decompressing and leaves r open.
func Decompress(r io.Reader) (io.ReadCloser, Compression, error) {
	source := &source{Reader: r}
	from := bufio.NewReaderSize(source, 64<<10)
	begin, err := from.Peek(4)
	if err != nil && err != io.EOF {
		return nil, Uncompressed, err
	}
	for compression, magic := range magics {
		if !bytes.HasPrefix(begin, []byte(magic)) {
			continue
		}
		d := &decompressor{source: source, compression: compression}
		if compression == Gzip {
			var z *gzip.Reader
			if z, err = gzip.NewReader(from); err == nil {
				d.from, d.close = z, func() { _ = z.Close() }
			}
		} else {
			var z *zstd.Decoder
			if z, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow)); err == nil {
				d.from, d.close = z, z.Close
			}
		}
		if err != nil {
			return nil, compression, d.explain(err)
		}
		return d, compression, nil
	}
	return io.NopCloser(from), Uncompressed, nil
}

// source remembers the error of a reader, to tell it from errors of what was read.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type decompressor struct {
	from        io.Reader
	close       func()
	source      *source
	compression Compression
}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	if err != nil && err != io.EOF {
		err = d.explain(err)
	}
	return n, err
}

// Close implements io.Closer.
func (d *decompressor) Close() error {
	d.close()
	return nil
}

func (d *decompressor) explain(err error) error {
	if d.source.err != nil {
		return d.source.err
	}
	return errors.Wrap(err, errors.InvalidArgument, "COMPRESSION_DAMAGED", "the %s data is damaged or cut off (%v)", d.compression, err)
}
