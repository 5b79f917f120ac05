package text

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"dbslm/pkg/errors"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		n        Normalization
		in, want string
	}{
		{"", "cafe\u0301", "café"},
		{NFC, "plain", "plain"},
		{NFC, "", ""},
		{NFC, "\ufeffx\ufeff", "x\ufeff"},
		{NFC, "ﬁ Ａ\u00a0…", "ﬁ Ａ\u00a0…"},
		{NFC, "\u212b", "\u00c5"},
		{NFC, "\u1100\u1161", "가"},
		{NFKC, "ﬁ Ａ\u00a0…", "fi A ..."},
		{None, "cafe\u0301", "cafe\u0301"},
		{None, "\ufeffx", "x"},
		{NFC, "a\x00b", "a\x00b"},
	} {
		got, err := Normalize(c.n, []byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q: got %q, %v; want %q", c.n, c.in, got, err, c.want)
		}
		streamed, err := io.ReadAll(iotest.OneByteReader(NewReader(c.n, iotest.OneByteReader(strings.NewReader(c.in)))))
		if err != nil || string(streamed) != c.want {
			t.Errorf("%s %q streamed: got %q, %v; want %q", c.n, c.in, streamed, err, c.want)
		}
	}
}

func TestNormalizeRefusesBadUTF8(t *testing.T) {
	for _, c := range []struct {
		name, in string
		offset   int64
	}{
		{"continuation byte alone", "ab\x80", 2},
		{"never valid", "é\xff", 2},
		{"overlong slash", "abc\xc0\xaf", 3},
		{"overlong three bytes", "\xe0\x80\x80", 0},
		{"surrogate", "a\xed\xa0\x80b", 1},
		{"above U+10FFFF", "\xf4\x90\x80\x80", 0},
		{"cut off", "abc\xe2\x82", 3},
		{"after a byte order mark", "\xef\xbb\xbfa\xff", 4},
		{"late", strings.Repeat("é", 100_000) + "\xfe", 200_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []Normalization{NFC, NFKC, None} {
				_, err := Normalize(n, []byte(c.in))
				checkEncodingError(t, err, c.offset)
				read, err := io.ReadAll(NewReader(n, strings.NewReader(c.in)))
				checkEncodingError(t, err, c.offset)
				if want := strings.TrimPrefix(c.in[:c.offset], "\ufeff"); string(read) != want {
					t.Errorf("%s delivered %d bytes before the error, want %d", n, len(read), len(want))
				}
				_, err = io.ReadAll(NewReader(n, iotest.OneByteReader(strings.NewReader(c.in))))
				checkEncodingError(t, err, c.offset)
				for _, kind := range []string{Words, Whitespace, Bytes} {
					_, err := mustTokenizer(t, kind, "", n).Split(c.in)
					checkEncodingError(t, err, c.offset)
				}
			}
		})
	}
}

func checkEncodingError(t *testing.T, err error, offset int64) {
	t.Helper()
	bad, ok := errors.AsType[*EncodingError](err)
	if !ok || bad.Offset != offset || bad.Encoding != "utf-8" || errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != "INVALID_ENCODING" {
		t.Errorf("got %v, want an encoding error at %d", err, offset)
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	_, err := io.ReadAll(NewReader(NFC, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrClosedPipe))))
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if _, err := io.ReadAll(NewReader(NFC, stuck{})); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without progress: got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestReaderIsNormalize: streaming in any pieces gives what normalising at once gives.
func TestReaderIsNormalize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := unicodeText().Draw(t, "text")
		n := rapid.SampledFrom([]Normalization{NFC, NFKC, None}).Draw(t, "normalization")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 7), 1, 5).Draw(t, "sizes")
		want, err := Normalize(n, []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(NewReader(n, &pieces{data: s, sizes: sizes}))
		if err != nil || string(got) != string(want) {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		if n == NFC && !norm.NFC.IsNormal(got) {
			t.Fatalf("%q is not normal", got)
		}
	})
}

// TestReaderManyMarks: text that is all combining marks is still a function of the whole text only.
func TestReaderManyMarks(t *testing.T) {
	s := "e" + strings.Repeat("\u0323\u0301", 40_000) + "x"
	want, err := Normalize(NFC, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(NewReader(NFC, &pieces{data: s, sizes: []int{1000, 3, 70_000}}))
	if err != nil || string(got) != string(want) {
		t.Fatalf("streamed %d bytes, %v; want %d", len(got), err, len(want))
	}
}
