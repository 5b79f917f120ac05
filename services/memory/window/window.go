// Package window chooses the part of a conversation that a reply may see: the latest turns, whole messages as long as they
// fit. It bounds turns, tokens and, through the tokens, bytes, so a window costs the same at turn 5 and at turn 5000, and a
// reply never contains one.
package window

import (
	"slices"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/memory"
)

// Defaults and limits of windows.
const (
	DefaultTurns  = 6
	DefaultTokens = 1024
	MaxTurns      = 64
	MaxTokens     = 1_000_000

	// MaxBytes bounds the content of a window whatever its tokens.
	MaxBytes = 1 << 20
	// tokenBytes bounds the content that one token of the budget may stand for: without it a few tokens of a megabyte each
	// would be a window.
	tokenBytes = 64
)

// Mark stands where the beginning of a message was cut off.
const Mark = "… "

// Bounds bound a window. Make them with NewBounds.
type Bounds struct {
	turns     int
	tokens    int
	through   int64 // 0 means the newest message
	tokenizer text.Tokenizer
}

// NewBounds returns bounds of at most that many turns and tokens, 0 meaning the defaults, counted by the tokeniser of that
// kind and parameters, "" meaning words.
func NewBounds(turns, tokens uint32, tokenizer, parameters string) (Bounds, error) {
	if turns > MaxTurns {
		return Bounds{}, memory.Invalid("max_turns", "must be at most %d", MaxTurns)
	}
	if tokens > MaxTokens {
		return Bounds{}, memory.Invalid("max_tokens", "must be at most %d", MaxTokens)
	}
	if turns == 0 {
		turns = DefaultTurns
	}
	if tokens == 0 {
		tokens = DefaultTokens
	}
	if tokenizer == "" {
		tokenizer = text.Words
	}
	t, err := text.NewTokenizer(tokenizer, parameters, text.None)
	if err != nil {
		return Bounds{}, memory.Invalid("tokenizer", "%s", errors.Public(err))
	}
	return Bounds{turns: int(turns), tokens: int(tokens), tokenizer: t}, nil
}

// Through returns the bounds of a window that ends with the message of that seq, or with an earlier one; 0 means the newest.
func (b Bounds) Through(seq int64) Bounds {
	b.through = seq
	return b
}

// End is the seq with which a window of a conversation of that many messages ends.
func (b Bounds) End(messages int64) int64 {
	if b.through > 0 {
		return min(b.through, messages)
	}
	return messages
}

// Messages is how many of the latest messages may be needed.
func (b Bounds) Messages() int64 { return 2 * int64(b.turns) }

// Bytes is how much of the latest content may be needed.
func (b Bounds) Bytes() int64 { return min(MaxBytes, int64(b.tokens)*tokenBytes) }

// Window is the part of a conversation that a reply may see.
type Window struct {
	Messages []memory.Message // oldest first
	Tokens   int
	Omitted  int64 // messages left out because they are older
	FirstCut bool  // the first message begins with Mark instead of its own beginning
}

// Within returns those of the latest messages of a conversation that Messages() and Bytes() say may be needed.
func (b Bounds) Within(latest []memory.Message, messages, contentBytes int64) []memory.Message {
	for len(latest) > 0 && (latest[0].Seq <= messages-b.Messages() || latest[0].End <= contentBytes-b.Bytes()) {
		latest = latest[1:]
	}
	return latest
}

// Choose makes the window of a conversation of total messages. latest holds the last of them in order, at least Messages()
// messages or Bytes() bytes of them if there are so many. A message that does not fit is cut if half of the budget would
// stay unused without it, else left out.
func (b Bounds) Choose(latest []memory.Message, total int64) Window {
	var w Window
	users := 0
	for _, m := range slices.Backward(latest) {
		if users == b.turns || len(w.Messages) == int(b.Messages()) {
			break
		}
		remaining := b.tokens - w.Tokens
		content, tokens, fits := b.fit(m.Content, remaining)
		if !fits && (content == "" || 2*remaining < b.tokens) {
			break
		}
		m.Content = content
		w.Messages = append(w.Messages, m)
		w.Tokens += tokens
		if w.FirstCut = !fits; w.FirstCut {
			break
		}
		if m.Sender == memory.SenderUser {
			users++
		}
	}
	slices.Reverse(w.Messages)
	w.Omitted = total - int64(len(w.Messages))
	return w
}

// fit returns the content and its tokens if it has at most budget of them, else Mark with as much of its end as the budget
// allows, which may be nothing at all.
func (b Bounds) fit(content string, budget int) (string, int, bool) {
	rest, whole := content, true
	if len(rest) > budget*tokenBytes {
		rest, whole = tail(rest, budget*tokenBytes), false
	}
	offsets := b.offsets(rest)
	if whole && len(offsets) <= budget {
		return content, len(offsets), true
	}
	keep := budget - len(b.offsets(Mark))
	for from := max(len(offsets)-keep, 0); keep > 0 && from < len(offsets); from++ {
		if !utf8.RuneStart(rest[offsets[from]]) { // the bytes tokeniser may begin within a character
			continue
		}
		cut := Mark + rest[offsets[from]:]
		// Cut text may be read differently at its beginning, so it is counted again.
		if n := len(b.offsets(cut)); n <= budget {
			return cut, n, false
		}
	}
	return "", 0, false
}

// offsets returns where the tokens of s begin.
func (b Bounds) offsets(s string) []int {
	plain := strings.TrimPrefix(s, byteOrderMark) // as readers of text do
	sentences, err := b.tokenizer.Split(plain)
	if err != nil { // stored content is valid and shorter than any line limit
		return nil
	}
	var offsets []int
	for _, sentence := range sentences {
		for _, token := range sentence.Tokens {
			offsets = append(offsets, int(token.Offset)+len(s)-len(plain))
		}
	}
	return offsets
}

const byteOrderMark = "\ufeff"

// tail returns at most n bytes from the end of s, beginning with a whole character.
func tail(s string, n int) string {
	s = s[len(s)-n:]
	for s != "" && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}
