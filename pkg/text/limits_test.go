package text

import (
	"io"
	"strings"
	"testing"

	"dbslm/pkg/errors"
)

// TestHugeWords: running text without spaces is cut to tokens that fit and sentences that end.
func TestHugeWords(t *testing.T) {
	tokenizer := mustTokenizer(t, Words, "", NFC)
	for _, c := range []struct {
		name, piece string
		size        int
	}{
		{"1 MB of one letter", "x", 1 << 20},
		{"1 MB of capitals that grow", "Ⱥ", 1 << 20},
		{"10 MB of Chinese", "你好", 10 << 20},
		{"1 MB of combining marks", "\u0301", 1 << 20},
		{"1 MB of exclamation marks", "!", 1 << 20},
		{"1 MB of dots", ".", 1 << 20},
		{"1 MB of opening quotes", "“", 1 << 20},
		{"1 MB of apostrophes", "a'", 1 << 20},
		{"1 MB of full stops between letters", "a.", 1 << 20},
		{"1 MB of joined emoji", "👩\u200d", 1 << 20},
		{"1 MB of hyphens", "-", 1 << 20},
		{"1 MB of spaces", " ", 1 << 20},
		{"1 MB of invisible characters", "\u00ad", 1 << 20},
		{"1 MB of words", "word ", 1 << 20},
		{"1 MB of abbreviations", "e.g. ", 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := strings.Repeat(c.piece, c.size/len(c.piece))
			end, tokens := int64(0), 0
			err := tokenizer.Sentences(strings.NewReader(s), func(sentence Sentence) error {
				if sentence.End-sentence.Start > 2*maxSentenceBytes || len(sentence.Tokens) > maxSentenceTokens {
					t.Fatalf("a sentence of %d bytes and %d tokens", sentence.End-sentence.Start, len(sentence.Tokens))
				}
				for _, token := range sentence.Tokens {
					if len(token.Text) > 1024 || len(token.Surface) > 1024 {
						t.Fatalf("a token of %d bytes", len(token.Text))
					}
				}
				tokens += len(sentence.Tokens)
				end = sentence.End
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(c.piece) != "" && c.piece != "\u00ad" && (tokens == 0 || end < int64(len(s))-8) {
				t.Errorf("%d tokens, the last ends at %d of %d", tokens, end, len(s))
			}
		})
	}
}

// endless repeats a piece for ever.
type endless struct {
	piece string
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.piece[e.at%len(e.piece)]
		e.at++
	}
	return len(p), nil
}

// TestBoundedMemory: the scanner's window does not grow with the text.
func TestBoundedMemory(t *testing.T) {
	for _, piece := range []string{"x", "word ", "你", "a.b ", "! ", "\n", "\u0301"} {
		w := newWindow(NewReader(NFC, io.LimitReader(&endless{piece: piece}, int64(1<<20/len(piece)*len(piece)))))
		tokenizer, err := newWords(wordsParameters{Lines: linesWrapped}, NFC)
		if err != nil {
			t.Fatal(err)
		}
		if err := tokenizer.scan(w, func(Sentence) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if cap(w.data) > 4*readerBlock {
			t.Errorf("%q: the window grew to %d bytes", piece, cap(w.data))
		}
	}
}

func TestYieldErrorEndsTheWork(t *testing.T) {
	for _, kind := range []string{Words, Whitespace, Bytes} {
		n := 0
		err := mustTokenizer(t, kind, "", NFC).Sentences(strings.NewReader("One.\n\nTwo.\n\nThree."), func(Sentence) error {
			n++
			return io.ErrClosedPipe
		})
		if !errors.Is(err, io.ErrClosedPipe) || n != 1 {
			t.Errorf("%s: %d sentences, %v", kind, n, err)
		}
	}
}
