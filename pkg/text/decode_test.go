package text

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"pgregory.net/rapid"

	"dbslm/pkg/errors"
)

func decode(in, encoding, name string) (string, error) {
	r, err := Decode(iotest.HalfReader(strings.NewReader(in)), encoding, name)
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(r)
	return string(out), err
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"", "héllo", "héllo"},
		{"utf-8", "", ""},
		{"UTF8", "a", "a"},
		{"utf-8", "\xef\xbb\xbfa", "a"},
		{"utf-8-sig", "\xef\xbb\xbfa", "a"},
		{"utf-8-sig", "a", "a"},
		{"utf-8", "\ufffd", "\ufffd"},
		{"utf-16", "\xff\xfeh\x00\xe9\x00", "hé"},
		{"utf-16", "\xfe\xff\x00h\x00\xe9", "hé"},
		{"utf-16", "", ""},
		{"utf-16le", "h\x00\x3d\xd8\x4d\xdc", "h👍"},
		{"utf-16-be", "\x00h\xff\xfd", "h\ufffd"},
		{"UTF_16LE", "\xff\xfeh\x00", "h"},
		{"utf-32", "\xff\xfe\x00\x00h\x00\x00\x00", "h"},
		{"utf-32be", "\x00\x00\x00h", "h"},
		{"utf-8", "\xff\xfeh\x00", "h"},           // the mark wins over the name
		{"latin1", "\xef\xbb\xbfh\xc3\xa9", "hé"}, // here too
		{"latin1", "\xe9\x80\x93", "é\u0080\u0093"},
		{"latin-1", "\xe9", "é"},
		{"ISO_8859-1", "\x92", "\u0092"},
		{"iso8859-15", "\xa4", "€"},
		{"iso-8859-9", "\x80\xfd", "\u0080ı"},
		{"latin2", "\xb3", "ł"},
		{"cp1252", "\x93h\xe9\x94\x80", "“hé”€"},
		{"windows-1252", "\x85", "…"},
		{"ascii", "abc", "abc"},
		{"koi8-r", "\xf0\xd2\xc9", "При"},
		{"KOI8_R", "\xf0", "П"},
		{"cp1251", "\xcf\xf0", "Пр"},
		{"cp437", "\x82", "é"},
		{"ibm866", "\x8f", "П"},
		{"mac-roman", "\x8e", "é"},
		{"shift_jis", "\x93\xfa\x96\x7b", "日本"},
		{"sjis", "\x93\xfa", "日"},
		{"cp932", "\x93\xfa", "日"},
		{"euc-jp", "\xc6\xfc\xcb\xdc", "日本"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(Ba", "日本a"},
		{"gb18030", "\xc4\xe3\x81\x30\x84\x36", "你¥"},
		{"gb18030", "\x84\x31\xa4\x37", "\ufffd"},
		{"hz-gb-2312", "a~{VPND~}b", "a中文b"},
		{"gbk", "\xc4\xe3", "你"},
		{"gb2312", "\xc4\xe3", "你"},
		{"big5", "\xa7\x41", "你"},
		{"euc-kr", "\xc7\xd1", "한"},
		{"cp949", "\xc7\xd1", "한"},
	} {
		got, err := decode(c.in, c.encoding, "f.txt")
		if err != nil || got != c.want {
			t.Errorf("%s %q: got %q, %v; want %q", c.encoding, c.in, got, err, c.want)
		}
	}
}

func TestDecodeNamesTheBadByte(t *testing.T) {
	for _, c := range []struct {
		encoding, in, named string
		offset              int64
	}{
		{"utf-8", "caf\xe9 noir", "utf-8", 3},
		{"utf-8", "\xef\xbb\xbfab\xff", "utf-8", 5},
		{"ascii", "abc\xc3\xa9", "us-ascii", 3},
		{"utf-16le", "a\x00\x00\xd8b\x00", "utf-16le", 2},
		{"utf-16", "\xff\xfea\x00\x00\xdc", "utf-16le", 4},
		{"utf-16be", "\x00a\x00", "utf-16be", 2},
		{"utf-32le", "a\x00\x00\x00\x00\x00\x11\x00", "utf-32le", 4},
		{"shift_jis", "ab\x93\xfa\x81", "shift_jis", 4},
		{"shift_jis", "a\xff\x93\xfa", "shift_jis", 1},
		{"euc-kr", "a\xc7\xd1\xff", "euc-kr", 3},
		{"gb18030", "\xc4\xe3\xff", "gb18030", 2},
		{"iso-8859-3", "ab\xa5", "iso-8859-3", 2},
		{"koi8-r", "", "", -1},
		{"iso-2022-jp", "ab\x80", "iso-2022-jp", 2},
		{"shift_jis", strings.Repeat("\x93\xfa", 50_000) + "\xa0", "shift_jis", 100_000},
	} {
		_, err := decode(c.in, c.encoding, "notes.txt")
		if c.offset < 0 {
			if err != nil {
				t.Errorf("%s: %v", c.encoding, err)
			}
			continue
		}
		bad, ok := errors.AsType[*EncodingError](err)
		if !ok || bad.Offset != c.offset || bad.Name != "notes.txt" || bad.Encoding != c.named || errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s %.20q: got %#v, want %s at %d", c.encoding, c.in, err, c.named, c.offset)
		}
	}
	_, err := decode("caf\xe9", "utf-8", "notes.txt")
	const want = "notes.txt is not valid utf-8 at byte offset 3; name the encoding it is really in (for example latin1, cp1252, utf-16) or repair it"
	if errors.Public(err) != want {
		t.Errorf("got %q", errors.Public(err))
	}
	_, err = decode("abc", "utf-16", "notes.txt")
	if got := errors.Public(err); got != "notes.txt does not begin with a byte order mark, so utf-16 could be read in two ways; name utf-16le or utf-16be" {
		t.Errorf("got %q", got)
	}
}

func TestDecodeUnknownEncoding(t *testing.T) {
	for _, name := range []string{"klingon", "utf-7", "x-user", "base64", "-"} {
		_, err := Decode(strings.NewReader(""), name, "f")
		if errors.KindOf(err) != errors.InvalidArgument || !strings.Contains(errors.Public(err), "examples: utf-8, utf-16, latin1, cp1252") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDecodeUndoesEncode: what an encoding can write comes back, in whatever pieces it arrives.
func TestDecodeUndoesEncode(t *testing.T) {
	for name, charset := range map[string]encoding.Encoding{
		"cp1252": charmap.Windows1252, "koi8-u": charmap.KOI8U, "shift_jis": japanese.ShiftJIS, "euc-jp": japanese.EUCJP,
		"iso-2022-jp": japanese.ISO2022JP, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5, "euc-kr": korean.EUCKR,
		"utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf-32be": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				in := rapid.StringOf(rapid.SampledFrom([]rune("ab \n€é“яюж日本語カナ你好한국\ufffd👍"))).Draw(t, "text")
				encoded, err := charset.NewEncoder().String(in)
				if err != nil {
					return // not in this encoding
				}
				decoded, err := charset.NewDecoder().String(encoded)
				if err != nil || decoded != in {
					return // not reversible
				}
				sizes := rapid.SliceOfN(rapid.IntRange(1, 5), 1, 4).Draw(t, "sizes")
				r, err := Decode(&pieces{data: encoded, sizes: sizes}, name, "f")
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || string(got) != in {
					t.Fatalf("got %q, %v; want %q", got, err, in)
				}
			})
		})
	}
}
