package text

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are one example of everything that has a rule of its own.
var seeds = []string{
	"", " ", "\n\n", "\ufeffa", "a\r\nb\rc", "a\x00b", "a\u2028b\u2029c", "e\u0301", "👩\u200d👩\u200d👧🏽", "\u200d", "\u0301",
	"Mr. Smith doesn't know. “Is it?” he—asked... 3.14, e.g. $5 (5%).", "\"a\" 'b' ‘c’ „d“ »e« «f»", "'tis the dogs' o' l'homme's",
	"Ann: hi\n- one\n1. two\n— Oui !", "https://a.b/c?d. www.x.y a@b.c", "我用Go语言。「行く？」สวัสดี 한국어", "न्म। م؟", "İſǅ", "a\xffb", "\xed\xa0\x80", "\xc0\xaf",
	strings.Repeat("x", 2000), strings.Repeat("!", 3000), "<s> </s> <unk>", "\ufeff\ufeff", "a" + strings.Repeat(" ", 2000) + "b", "..", ".", "a.b.c.", "I. I... I",
}

func FuzzWords(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, size int) {
		tokenizer := mustTokenizer(t, Words, "", NFC)
		sentences, err := tokenizer.Split(s)
		if !utf8.ValidString(s) {
			if err == nil {
				t.Fatalf("%q was accepted", s)
			}
			return
		}
		checkWords(t, tokenizer, s)
		var streamed []Sentence
		size = max(1, size&0xffff)
		if err := tokenizer.Sentences(&pieces{data: s, sizes: []int{size}}, func(view Sentence) error {
			streamed = append(streamed, own(view))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(sentences, streamed) {
			t.Fatalf("%q in pieces of %d: %q, at once %q", s, size, shown(streamed), shown(sentences))
		}
		for _, sentence := range sentences {
			if written := asWritten(tokenizer, sentence); !utf8.ValidString(written) {
				t.Fatalf("%q is written %q", s, written)
			}
		}
		ContentWords(s, "")
		SentenceTexts(s)
	})
}

func FuzzLines(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, bytewise bool) {
		kind := Whitespace
		if bytewise {
			kind = Bytes
		}
		tokenizer := mustTokenizer(t, kind, "", None)
		sentences, err := tokenizer.Split(s)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, sentence := range sentences {
			again.WriteString(tokenizer.Detokenize(sentence.Texts(), nil))
			again.WriteByte('\n')
		}
		want := strings.TrimPrefix(s, "\ufeff")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		got := again.String()
		if kind == Whitespace {
			separators := func(r rune) bool { return strings.ContainsRune(" \t\r\x00\n", r) }
			got, want = strings.Join(strings.FieldsFunc(got, separators), " "), strings.Join(strings.FieldsFunc(want, separators), " ")
		}
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	names := []string{"utf-8", "utf-16", "utf-16le", "utf-32be", "ascii", "latin1", "cp1252", "shift_jis", "iso-2022-jp", "gb18030", "euc-kr", "big5", "hz-gb-2312"}
	for i := range names {
		for _, s := range seeds {
			f.Add(s, i)
		}
	}
	f.Fuzz(func(t *testing.T, s string, which int) {
		name := names[uint(which)%uint(len(names))]
		r, err := Decode(strings.NewReader(s), name, "f")
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(r)
		if !utf8.Valid(whole) {
			t.Fatalf("%s %q gives %q", name, s, whole)
		}
		r, _ = Decode(&pieces{data: s, sizes: []int{1, 2}}, name, "f")
		pieced, err2 := io.ReadAll(r)
		if string(pieced) != string(whole) || (err == nil) != (err2 == nil) || (err != nil && err.Error() != err2.Error()) {
			t.Fatalf("%s %q: at once %q, %v; in pieces %q, %v", name, s, whole, err, pieced, err2)
		}
	})
}

func FuzzJoiner(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		tokens := strings.Fields(s)
		for _, kind := range []string{Words, Whitespace, Bytes} {
			if got := mustTokenizer(t, kind, "", NFC).Detokenize(tokens, nil); !utf8.ValidString(got) {
				t.Fatalf("%s: %q gives %q", kind, tokens, got)
			}
		}
		FoldKey(s)
		Truncate(s, len(s)/2)
	})
}
