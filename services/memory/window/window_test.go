package window

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// said makes messages from texts; those beginning with ">" are the assistant's.
func said(texts ...string) []memory.Message {
	var out []memory.Message
	for i, s := range texts {
		m := memory.Message{Seq: int64(i) + 1, Sender: memory.SenderUser, Content: s}
		if strings.HasPrefix(s, ">") {
			m.Sender, m.Content = memory.SenderAssistant, s[1:]
		}
		out = append(out, m)
	}
	return out
}

func contents(w Window) []string {
	var out []string
	for _, m := range w.Messages {
		out = append(out, m.Content)
	}
	return out
}

func TestChoose(t *testing.T) {
	words := func(n int) string { return strings.TrimSpace(strings.Repeat("word ", n)) }
	for _, c := range []struct {
		name          string
		turns, tokens uint32
		tokenizer     string
		messages      []memory.Message
		want          []string
		omitted       int64
		cut           bool
	}{
		{"nothing said", 0, 0, "", nil, nil, 0, false},
		{"all fits", 0, 0, "", said("one", ">two", "three"), []string{"one", "two", "three"}, 0, false},
		{"turns bound", 2, 0, "", said("a", ">b", "c", ">d", "e", ">f"), []string{"c", "d", "e", "f"}, 2, false},
		{"failed turns count", 2, 0, "", said("a", ">b", "c", "d"), []string{"c", "d"}, 2, false},
		{"many replies in a row", 1, 0, "", said("a", ">b", ">c", ">d"), []string{"c", "d"}, 2, false},
		{"tokens bound, whole messages", 0, 5, "", said("one two three", ">four five", "six"), []string{"four five", "six"}, 1, false},
		{"newest alone is too long", 0, 5, "", said("a b c d e f g"), []string{"… d e f g"}, 0, true},
		{"cut while half is unused", 0, 6, "", said(words(9), ">x y"), []string{"… word word word", "x y"}, 0, true},
		{"left out when most is used", 0, 6, "", said(words(9), ">x y z z"), []string{"x y z z"}, 1, false},
		{"no room for the mark", 0, 1, "", said("a b"), nil, 1, false},
		{"whitespace", 0, 4, "whitespace", said("a, b, c, d, e,"), []string{"… c, d, e,"}, 0, true},
		{"bytes cut at characters", 0, 9, "bytes", said("ääääää"), []string{"… ää"}, 0, true},
		{"a token of a megabyte", 0, 10, "", said(strings.Repeat("x", 1<<20)), []string{"… " + strings.Repeat("x", 640)}, 0, true},
		{"byte order mark", 0, 3, "", said("\ufeffa b c d"), []string{"… c d"}, 0, true},
		{"empty reply", 0, 0, "", said("a", ">"), []string{"a", ""}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := NewBounds(c.turns, c.tokens, c.tokenizer, "")
			if err != nil {
				t.Fatal(err)
			}
			w := b.Choose(c.messages, int64(len(c.messages)))
			if diff := cmp.Diff(c.want, contents(w)); diff != "" {
				t.Error(diff)
			}
			if w.Omitted != c.omitted || w.FirstCut != c.cut {
				t.Errorf("omitted %d, cut %v; want %d, %v", w.Omitted, w.FirstCut, c.omitted, c.cut)
			}
		})
	}
}

func TestChooseProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{"word", "Dr. No", "…", "don't", "首都", "é", "3.14", "\n\n", "  ", "🙂", "\ufeff", "e.g.", "“Yes.”"})
	rapid.Check(t, func(t *rapid.T) {
		turns, tokens := rapid.Uint32Range(1, 4).Draw(t, "turns"), rapid.Uint32Range(1, 40).Draw(t, "tokens")
		kind := rapid.SampledFrom([]string{text.Words, text.Whitespace, text.Bytes}).Draw(t, "tokenizer")
		b, err := NewBounds(turns, tokens, kind, "")
		if err != nil {
			t.Fatal(err)
		}
		var messages []memory.Message
		for i := range rapid.IntRange(0, 12).Draw(t, "messages") {
			m := memory.Message{Seq: int64(i) + 1, Sender: memory.SenderUser}
			if rapid.Bool().Draw(t, "assistant") {
				m.Sender = memory.SenderAssistant
			}
			m.Content = strings.Join(rapid.SliceOfN(piece, 1, 30).Draw(t, "pieces"), rapid.SampledFrom([]string{" ", ""}).Draw(t, "glue"))
			messages = append(messages, m)
		}
		w := b.Choose(messages, int64(len(messages)))
		sum, users := 0, 0
		for i, m := range w.Messages {
			sum += len(b.offsets(m.Content))
			if m.Sender == memory.SenderUser {
				users++
			}
			original := messages[m.Seq-1].Content
			switch {
			case m.Seq != int64(len(messages)-len(w.Messages)+i+1):
				t.Fatalf("message %d stands at place %d of %d", m.Seq, i, len(w.Messages))
			case i == 0 && w.FirstCut:
				if !strings.HasPrefix(m.Content, Mark) || !strings.HasSuffix(original, m.Content[len(Mark):]) || !utf8.ValidString(m.Content) {
					t.Fatalf("cut %q from %q", m.Content, original)
				}
			case m.Content != original:
				t.Fatalf("message %d was changed from %q to %q", m.Seq, original, m.Content)
			}
		}
		if sum != w.Tokens || sum > int(tokens) || users > int(turns) || int64(len(w.Messages))+w.Omitted != int64(len(messages)) {
			t.Fatalf("%d tokens (said %d, allowed %d), %d turns (allowed %d), %d messages and %d omitted of %d",
				sum, w.Tokens, tokens, users, turns, len(w.Messages), w.Omitted, len(messages))
		}
	})
}

func TestNewBoundsRefuses(t *testing.T) {
	for _, c := range []struct {
		turns, tokens         uint32
		tokenizer, parameters string
	}{
		{65, 0, "", ""}, {0, 1_000_001, "", ""}, {0, 0, "bpe", ""}, {0, 0, "words", "[1]"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			if _, err := NewBounds(c.turns, c.tokens, c.tokenizer, c.parameters); errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("got %v", err)
			}
		})
	}
}
