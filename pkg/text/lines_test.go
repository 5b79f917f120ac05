package text

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/errors"
)

func TestWhitespace(t *testing.T) {
	tokenizer := mustTokenizer(t, Whitespace, "", NFC)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{}},
		{"one empty line", "\n", []string{""}},
		{"lines", "the cat sat\nThe  DOG\n", []string{"the cat sat", "The DOG"}},
		{"empty line is an empty sentence", "a\n\nb\n", []string{"a", "", "b"}},
		{"no final line end", "a\nb c", []string{"a", "b c"}},
		{"separators", "  the   cat\tran  \r\n\x00a\x00b\n", []string{"the cat ran", "a b"}},
		{"nothing but separators", " \t\r", []string{""}},
		{"lone cr is a separator", "a\rb\n", []string{"a b"}},
		{"control words are literal", "<s> a </s> <unk>\n", []string{"<s> a </s> <unk>"}},
		{"other white space belongs to the token", "a\u00a0b c\u2028d e\vf\n", []string{"a\u00a0b c\u2028d e\vf"}},
		{"byte order mark", "\ufeffa b\n", []string{"a b"}},
		{"decomposed", "cafe\u0301\n", []string{"café"}},
		{"chinese", "你好 世界\n", []string{"你好 世界"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, shown(mustSplit(t, tokenizer, c.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	tokenizer := mustTokenizer(t, Bytes, "", NFC)
	for in, want := range map[string][]string{
		"":          {},
		"a b\r\n\n": {"a   b \r", ""},
		"ab":        {"a b"},
		"e\u0301":   {"\xc3 \xa9"},
		"\ufeffx":   {"x"},
		"\x00":      {"\x00"},
	} {
		if diff := cmp.Diff(want, shown(mustSplit(t, tokenizer, in))); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestByteJoinerWritesValidText(t *testing.T) {
	tokenizer := mustTokenizer(t, Bytes, "", NFC)
	for in, want := range map[string]string{
		"héllo 👍":    "héllo 👍",
		"a\xff\xc3":  "a\ufffd\ufffd",
		"\xc3\x28":   "\ufffd(",
		"\xed\xa0b":  "\ufffd\ufffdb",
		"\xf0\x9f":   "\ufffd",
		"\xc3\xa9\n": "é\n",
	} {
		var tokens []string
		for i := range len(in) {
			tokens = append(tokens, in[i:i+1])
		}
		if got := tokenizer.Detokenize(tokens, nil); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestWhitespaceDetokenize(t *testing.T) {
	tokenizer := mustTokenizer(t, Whitespace, "", NFC)
	tokens := []string{"the", "CAT", ",", "sat"}
	if got := tokenizer.Detokenize(tokens, nil); got != "the CAT , sat" {
		t.Errorf("got %q", got)
	}
	form := func(token string, initial bool) string {
		switch {
		case initial:
			return "The"
		case token == "sat":
			return "SAT"
		}
		return ""
	}
	if got := tokenizer.Detokenize(tokens, form); got != "The CAT , SAT" {
		t.Errorf("got %q", got)
	}
}

// TestLongLines: a line is never broken silently, and never takes unbounded memory.
func TestLongLines(t *testing.T) {
	token := strings.Repeat("x", 1<<20)
	for _, kind := range []string{Whitespace, Bytes} {
		tokenizer := mustTokenizer(t, kind, "", NFC)
		n := 0
		err := tokenizer.Sentences(strings.NewReader("a\n"+token+"\nb"), func(s Sentence) error {
			n++
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("%s: %d sentences, %v", kind, n, err)
		}
		err = tokenizer.Sentences(strings.NewReader("a\n"+strings.Repeat("y ", maxLine)), func(Sentence) error { return nil })
		if errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != "LINE_TOO_LONG" ||
			!strings.Contains(errors.Public(err), "byte offset 2 is longer than 16777216 bytes") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	got := mustSplit(t, mustTokenizer(t, Whitespace, "", NFC), token)
	if len(got) != 1 || len(got[0].Tokens) != 1 || string(got[0].Tokens[0].Text) != token {
		t.Error("a 1 MiB token did not come back whole")
	}
}
