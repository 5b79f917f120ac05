package text

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

func mustTokenizer(t testing.TB, kind, parameters string, n Normalization) Tokenizer {
	t.Helper()
	tokenizer, err := NewTokenizer(kind, parameters, n)
	if err != nil {
		t.Fatal(err)
	}
	return tokenizer
}

func mustSplit(t testing.TB, tokenizer Tokenizer, s string) []Sentence {
	t.Helper()
	sentences, err := tokenizer.Split(s)
	if err != nil {
		t.Fatal(err)
	}
	return sentences
}

// lines shows sentences as text: tokens joined by a space.
func shown(sentences []Sentence) []string {
	out := []string{}
	for _, s := range sentences {
		out = append(out, strings.Join(s.Texts(), " "))
	}
	return out
}

// asWritten writes a sentence with the surfaces it was read with.
func asWritten(tokenizer Tokenizer, s Sentence) string {
	var b strings.Builder
	var written string
	j := tokenizer.Joiner(func(string, bool) string { return written })
	for _, token := range s.Tokens {
		written = string(token.Written())
		b.WriteString(j.Add(string(token.Text)))
	}
	b.WriteString(j.EndSentence())
	return b.String()
}

func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// solid returns s without what the words tokeniser treats as space or drops.
func solid(s string) string {
	table := classes()
	return strings.Map(func(r rune) rune {
		c := classOf(table, r) & classMask
		if c == classSpace || c == classInvisible || r == zeroWidthJoiner || r == zeroWidthNonJoin || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pieces hands out a text in pieces of the given sizes, again and again.
type pieces struct {
	data  string
	sizes []int
	next  int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.data == "" {
		return 0, io.EOF
	}
	n := len(b)
	if len(p.sizes) > 0 {
		n = min(n, p.sizes[p.next%len(p.sizes)])
		p.next++
	}
	n = copy(b[:n], p.data)
	p.data = p.data[n:]
	return n, nil
}
