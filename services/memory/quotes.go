package memory

import (
	"strings"
	"time"

	"dbslm/pkg/text"
	"dbslm/services/memory/folding"
)

// Gone are words that no document has any more, folded. A text quotes them when it holds one as a whole word.
type Gone []string

// NewGone folds words, which may be texts of several.
func NewGone(words []string) (g Gone) {
	for _, w := range words {
		if folded := folding.Text(w); folded != "" {
			g = append(g, folded)
		}
	}
	return g
}

// In reports whether a text quotes one of the words.
func (g Gone) In(s string) bool {
	folded := folding.Text(s)
	for _, w := range g {
		if folding.Contains(folded, w) {
			return true
		}
	}
	return false
}

// InBytes reports whether encoded bytes hold one of the words, also inside of another: there is no telling where a text begins.
func (g Gone) InBytes(b []byte) bool {
	folded := folding.Text(strings.ToValidUTF8(string(b), " "))
	for _, w := range g {
		if folding.Contains(folded, w) || len(w) >= 5 && strings.Contains(folded, strings.TrimSpace(w)) {
			return true
		}
	}
	return false
}

// removedMark stands for what was taken out of a text, as it does in replies.
const removedMark = "[…]"

// TakeOut returns a text with a mark in the place of the sentences that quote the words.
func (g Gone) TakeOut(s string) string {
	if !g.In(s) {
		return s
	}
	var kept []string
	for _, sentence := range text.SentenceTexts(s) {
		if g.In(sentence) {
			sentence = removedMark
		}
		if n := len(kept); n == 0 || sentence != removedMark || kept[n-1] != removedMark {
			kept = append(kept, sentence)
		}
	}
	if rest := strings.Join(kept, " "); !g.In(rest) {
		return rest
	}
	return removedMark
}

// Removed is what stands for a whole text, which must not get longer by it.
func Removed(s string) string {
	if len(s) < len(removedMark) {
		return "-"
	}
	return removedMark
}

// ReasonForgotten is why a correction ended of which too little was left.
const ReasonForgotten = "what it quoted was forgotten with a document"

// Without returns the correction without its quotes of the words, and whether there were any. The question before the reply
// (its cue) is a person's and stays. A correction that lost its value, or everything that it could be looked for by, is revoked.
func (c Correction) Without(g Gone, now time.Time) (Correction, bool) {
	before := c
	c.ErrorContext = g.TakeOut(c.ErrorContext)
	for _, field := range []*string{&c.Fact.Entity, &c.Fact.Attribute, &c.Fact.Extra} {
		if g.In(*field) {
			*field = ""
		}
	}
	if g.In(c.Fact.Value) {
		c.Fact.Value = removedMark
	}
	if g.In(c.Subject) { // it stays apart from every other one
		c.Subject = removedMark + " " + c.ID
	}
	if c == before {
		return c, false
	}
	c.Version++
	if c.Active() && (c.Fact.Value == removedMark || len(c.Key().Terms()) == 0) {
		c.Revoked, c.RevokeReason = now, ReasonForgotten
	}
	return c, true
}
