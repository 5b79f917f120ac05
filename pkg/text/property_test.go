package text

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// unicodeText draws text made of what has been difficult: quotes, marks, line ends, scripts without
// spaces, emoji, invisible characters, abbreviations.
func unicodeText() *rapid.Generator[string] {
	pool := []string{
		"a", "B", "word", "The", "don't", "don’t", "Mr", "e.g", "U.S", "3.14", "10:30", "1", "é", "e\u0301", "ÄÖ", "ß", "İ", "ſ",
		" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\r", "\t", "\f", "\v", "\u00a0", "\u202f", "\u2028", "\u2029", "\u200b", "\x00", "\x1b",
		".", ".", "..", "...", "…", "?", "!", ",", ";", ":", "-", "--", "—", "–", "(", ")", "[", "]", "\"", "'", "“", "”", "‘", "’", "„", "«", "»", "‹",
		"'s", "’ll", "'tis", "s'", "l'a", "&", "@", "/", "//", "://", "http://x.y", "www.", "_", "#", "* ", "- ", "1. ", "Ann: ", "$", "%", "+",
		"你", "好", "。", "！", "、", "「", "」", "の", "ー", "カ", "ไ", "ท", "ย", "วั", "한", "\u1100", "\u1161", "न", "म", "स्", "।", "م", "؟",
		"👍", "🏽", "👩", "\u200d", "\u200c", "\ufe0f", "🇩", "🇪", "\u20e3", "\u0301", "\u0323", "\u00ad", "\ufeff", "\u200e", "\U000e0067", "\ufffd", "𝔘", "𠀀",
		"ﬁ", "Ａ", "①", "\u2126", "\u037e", "\u1fef", "\u0340", "\u0f73", "<s>", "</s>", "<unk>", strings.Repeat("x", 600), strings.Repeat("é", 300),
	}
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pool), rapid.StringN(0, 3, -1)), 0, 40).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

// checkWords verifies what is promised about every text.
func checkWords(t interface{ Fatalf(string, ...any) }, tokenizer Tokenizer, s string) {
	normal, err := Normalize(NFC, []byte(s))
	if err != nil {
		t.Fatalf("normalise: %v", err)
	}
	sentences, err := tokenizer.Split(s)
	if err != nil {
		t.Fatalf("split: %v", err)
	}
	var written strings.Builder
	end := int64(0)
	for _, sentence := range sentences {
		if len(sentence.Tokens) == 0 || len(sentence.Tokens) > maxSentenceTokens {
			t.Fatalf("%q: a sentence of %d tokens", s, len(sentence.Tokens))
		}
		if sentence.Start < end || sentence.End <= sentence.Start || sentence.End > int64(len(normal)) {
			t.Fatalf("%q: sentence from %d to %d after one that ends at %d", s, sentence.Start, sentence.End, end)
		}
		last := sentence.Start
		end = sentence.End
		for _, token := range sentence.Tokens {
			if len(token.Text) == 0 || len(token.Text) > 1024 || len(token.Surface) > 1024 || !utf8.Valid(token.Text) || !utf8.Valid(token.Written()) {
				t.Fatalf("%q: token %q written %q", s, token.Text, token.Surface)
			}
			if solid(string(token.Text)) != string(token.Text) && !strings.ContainsAny(string(token.Text), "\u200c\u200d") {
				t.Fatalf("%q: token %q has space in it", s, token.Text)
			}
			if token.Surface != nil && bytes.Equal(token.Surface, token.Text) {
				t.Fatalf("%q: token %q has a surface that says nothing", s, token.Text)
			}
			if token.Offset < last || token.Offset >= end {
				t.Fatalf("%q: token %q at %d in a sentence from %d to %d", s, token.Text, token.Offset, sentence.Start, end)
			}
			last = token.Offset
			written.Write(token.Written())
		}
	}
	if got, want := solid(written.String()), solid(string(normal)); got != want {
		t.Fatalf("%q: the surfaces spell\n%q, want\n%q", s, got, want)
	}
}

func TestWordsProperties(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	rapid.Check(t, func(t *rapid.T) { checkWords(t, tokenizer, unicodeText().Draw(t, "text")) })
}

// TestStreaming: a text gives the same sentences in whatever pieces it arrives, and from any sentence's
// end on the rest of them.
func TestStreaming(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{Words, Words, Words, Whitespace, Bytes}).Draw(t, "kind")
		tokenizer, err := NewTokenizer(kind, "", NFC)
		if err != nil {
			t.Fatal(err)
		}
		s := unicodeText().Draw(t, "text")
		if rapid.IntRange(0, 20).Draw(t, "long") == 0 {
			s = strings.Repeat(s, 100_000/(len(s)+1))
		}
		want, err := tokenizer.Split(s)
		if err != nil {
			t.Fatal(err)
		}
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(1000, 100_000)), 1, 5).Draw(t, "sizes")
		var got []Sentence
		err = tokenizer.Sentences(&pieces{data: s, sizes: sizes}, func(view Sentence) error {
			got = append(got, own(view))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, got) { // cmp.Diff alone takes a minute here
			t.Fatalf("%q in pieces %v: %s", s, sizes, cmp.Diff(want, got))
		}
		if len(want) == 0 {
			return
		}
		normal, err := Normalize(NFC, []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, len(want)-1).Draw(t, "resume after")
		if bytes.HasPrefix(normal[want[i].End:], byteOrderMark) {
			return // at the start of a text it is a byte order mark, elsewhere a character
		}
		rest, err := tokenizer.Split(string(normal[want[i].End:]))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := shown(want[i+1:]), shown(rest); !slices.Equal(a, b) {
			t.Fatalf("%q resumed at %d: %s", s, want[i].End, cmp.Diff(a, b))
		}
		for k, sentence := range rest {
			if sentence.Start+want[i].End != want[i+1+k].Start || sentence.End+want[i].End != want[i+1+k].End {
				t.Fatalf("%q resumed at %d: sentence %d has other offsets", s, want[i].End, k)
			}
		}
	})
}

// TestDetokenizeProperties: whatever the tokens, a reply is valid text with single spaces between its
// tokens, and adding them one by one is the same as all at once.
func TestDetokenizeProperties(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	rapid.Check(t, func(t *rapid.T) {
		var tokens []string
		for _, s := range mustSplitRapid(t, tokenizer, unicodeText().Draw(t, "text")) {
			tokens = append(tokens, s.Texts()...)
		}
		got := tokenizer.Detokenize(tokens, nil)
		if !utf8.ValidString(got) || strings.Contains(got, "  ") || strings.TrimSpace(got) != got {
			t.Fatalf("%q gives %q", tokens, got)
		}
		if a, b := strings.ToUpper(solid(got)), strings.ToUpper(solid(strings.Join(tokens, ""))); a != b {
			t.Fatalf("%q spells %q, want %q", tokens, a, b)
		}
	})
}

func mustSplitRapid(t *rapid.T, tokenizer Tokenizer, s string) []Sentence {
	sentences, err := tokenizer.Split(s)
	if err != nil {
		t.Fatal(err)
	}
	return sentences
}
