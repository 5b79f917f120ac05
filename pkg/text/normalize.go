package text

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"dbslm/pkg/errors"
)

// Normalization is the Unicode normal form that text is brought into before it is tokenised. It is
// stored with a model: two spellings of "é" must not become two tokens in one place and one in another.
type Normalization string

// The normalisations a model may be made with.
const (
	NFC  Normalization = "nfc"  // canonical composition; the default
	NFKC Normalization = "nfkc" // compatibility composition: also folds ligatures, full-width letters, no-break spaces
	None Normalization = "none" // bytes are kept; text must still be valid UTF-8
)

// byteOrderMark is U+FEFF in UTF-8. At the very start of a text it says how the text is encoded and is
// not part of it.
var byteOrderMark = []byte("\xef\xbb\xbf")

// ParseNormalization returns the normalisation of that name; "" means NFC. Any other name is an
// InvalidArgument error that lists the choices.
func ParseNormalization(name string) (Normalization, error) {
	switch n := Normalization(name); n {
	case "":
		return NFC, nil
	case NFC, NFKC, None:
		return n, nil
	}
	return "", errors.New(errors.InvalidArgument, "UNKNOWN_NORMALIZATION",
		"there is no normalisation %q; choose nfc, nfkc or none", name)
}

// form returns the x/text form of n, and false if n leaves text as it is.
func (n Normalization) form() (norm.Form, bool) {
	switch n {
	case NFKC:
		return norm.NFKC, true
	case None:
		return norm.NFC, false
	default:
		return norm.NFC, true
	}
}

// Normalize returns b in normal form n, without a leading byte order mark. The result may share memory
// with b. Text that is not valid UTF-8 (also surrogates and overlong forms) is refused with an
// *EncodingError that carries the offset in b of the first bad byte.
func Normalize(n Normalization, b []byte) ([]byte, error) {
	n, err := ParseNormalization(string(n))
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, &EncodingError{Encoding: "utf-8", Offset: int64(firstInvalid(b))}
	}
	b = bytes.TrimPrefix(b, byteOrderMark)
	form, changes := n.form()
	if !changes || form.QuickSpan(b) == len(b) {
		return b, nil
	}
	return form.Append(nil, b...), nil
}

// firstInvalid returns the index of the first byte of b that does not begin a valid UTF-8 sequence, or len(b).
func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(b)
}
