package text

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"dbslm/pkg/errors"
)

// boms are the byte order marks, the longer of two with a common beginning first. A byte order mark
// says more surely than any name how a file is encoded, so it wins.
var boms = []struct{ mark, encoding string }{
	{"\xef\xbb\xbf", "utf-8"},
	{"\xff\xfe\x00\x00", "utf-32le"},
	{"\x00\x00\xfe\xff", "utf-32be"},
	{"\xff\xfe", "utf-16le"},
	{"\xfe\xff", "utf-16be"},
}

// Decode returns a reader of r's text as UTF-8. Encoding is a name as IANA, the HTML standard or Python
// spell it, in any case; "" means utf-8. A byte order mark at the start is honoured before the name, and
// removed. Reading fails with an *EncodingError that names the text and the offset in r of the first bad
// byte; what stands before it is delivered. A name that is not known is an InvalidArgument error.
//
// "latin1" is ISO-8859-1 as it is defined, not windows-1252. Plain "utf-16" and "utf-32" need a byte
// order mark: without one the order would be a guess.
func Decode(r io.Reader, encoding, name string) (io.Reader, error) {
	asked, err := lookupEncoding(encoding)
	if err != nil {
		return nil, err
	}
	return &decodingReader{src: r, name: name, enc: asked}, nil
}

// namedEncoding is an encoding with the name people know. A nil charset is UTF-8; needsMark asks for a
// byte order mark.
type namedEncoding struct {
	name      string
	charset   encoding.Encoding
	needsMark bool
}

func lookupEncoding(name string) (namedEncoding, error) {
	typed := strings.ToLower(strings.TrimSpace(name))
	key := strings.ReplaceAll(typed, "_", "-")
	switch key {
	case "", "utf-8", "utf8", "utf-8-sig", "utf8-sig", "utf-8-bom":
		return namedEncoding{name: "utf-8"}, nil
	case "ascii", "us-ascii", "646":
		return namedEncoding{name: "us-ascii", charset: ascii{}}, nil
	case "utf-16", "utf16":
		return namedEncoding{name: "utf-16", needsMark: true}, nil
	case "utf-32", "utf32":
		return namedEncoding{name: "utf-32", needsMark: true}, nil
	case "utf-16le", "utf16le", "utf-16-le":
		return namedEncoding{name: "utf-16le", charset: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}, nil
	case "utf-16be", "utf16be", "utf-16-be":
		return namedEncoding{name: "utf-16be", charset: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}, nil
	case "utf-32le", "utf32le", "utf-32-le":
		return namedEncoding{name: "utf-32le", charset: utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)}, nil
	case "utf-32be", "utf32be", "utf-32-be":
		return namedEncoding{name: "utf-32be", charset: utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)}, nil
	case "latin1", "latin-1", "l1", "iso-8859-1", "iso8859-1", "iso88591", "iso-8859-1:1987", "iso-ir-100", "csisolatin1", "cp819", "ibm819":
		return namedEncoding{name: "iso-8859-1", charset: charmap.ISO8859_1}, nil
	}
	for _, candidate := range []string{
		key, strings.ReplaceAll(key, "-", "_"), strings.Replace(key, "iso8859", "iso-8859", 1),
		strings.Replace(key, "cp", "ibm", 1), pythonNames[key],
	} {
		if found := byIndex(candidate); found != nil {
			return namedEncoding{name: typed, charset: found}, nil
		}
	}
	return namedEncoding{}, errors.New(errors.InvalidArgument, "UNKNOWN_ENCODING",
		"there is no encoding %q here; examples: utf-8, utf-16, latin1, cp1252, iso-8859-15, koi8-r, shift_jis, euc-jp, euc-kr, gb18030, big5", name)
}

// pythonNames are names that neither index has.
var pythonNames = map[string]string{
	"cp932": "shift_jis", "cp936": "gbk", "cp949": "euc-kr", "cp950": "big5", "latin9": "iso-8859-15", "latin-9": "iso-8859-15", "mac-roman": "macintosh",
}

// byIndex looks a name up where its meaning is the expected one. The HTML index knows the names of daily
// use but takes ISO-8859-1, -9 and -11 for their windows relatives; IANA's has nil for what x/text lacks.
func byIndex(name string) encoding.Encoding {
	if strings.HasPrefix(name, "iso-8859-") {
		if found, err := ianaindex.IANA.Encoding(name); err == nil && found != nil {
			return found
		}
	}
	if found, err := htmlindex.Get(name); err == nil && found != encoding.Replacement {
		return found
	}
	if found, err := ianaindex.IANA.Encoding(name); err == nil {
		return found
	}
	return nil
}

// decodingReader looks at the start of the text once, chooses a decoder, and is that decoder from then on.
type decodingReader struct {
	src     io.Reader
	name    string
	enc     namedEncoding
	decoder io.Reader
	err     error
}

func (r *decodingReader) Read(p []byte) (int, error) {
	if r.decoder == nil && r.err == nil {
		r.err = r.open()
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.decoder.Read(p)
}

func (r *decodingReader) open() error {
	head := make([]byte, 4)
	n, err := io.ReadFull(r.src, head)
	if err != nil && !isEnd(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	head = head[:n]
	enc, skip := r.enc, 0
	for _, bom := range boms {
		if bytes.HasPrefix(head, []byte(bom.mark)) {
			if enc, err = lookupEncoding(bom.encoding); err != nil {
				return err
			}
			skip = len(bom.mark)
			break
		}
	}
	if enc.needsMark && skip == 0 && n > 0 {
		return errors.New(errors.InvalidArgument, "NO_BYTE_ORDER_MARK",
			"%s does not begin with a byte order mark, so %s could be read in two ways; name %sle or %sbe",
			r.label(), enc.name, enc.name, enc.name)
	}
	rest := io.MultiReader(bytes.NewReader(head[skip:]), r.src)
	if enc.charset == nil {
		r.decoder = &utf8Reader{NewReader(None, rest), r.name, int64(skip)}
		return nil
	}
	r.decoder = newCharsetReader(rest, enc, r.name, int64(skip))
	return nil
}

func (r *decodingReader) label() string {
	if r.name == "" {
		return "the text"
	}
	return r.name
}

// utf8Reader adds the name of the text, and the bytes already taken from its start, to encoding errors.
type utf8Reader struct {
	io.Reader
	name string
	skip int64
}

func (r *utf8Reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if bad, ok := errors.AsType[*EncodingError](err); ok {
		err = &EncodingError{Name: r.name, Encoding: bad.Encoding, Offset: bad.Offset + r.skip}
	}
	return n, err
}
