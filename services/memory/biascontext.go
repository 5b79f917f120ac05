package memory

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"dbslm/services/memory/folding"
)

// Bounds of what a bias may ask of a context. Expressions are RE2, whose time is linear in text and instructions.
const (
	MaxGap               = 64  // words
	MaxRegexBytes        = 512 // of an expression
	MaxRegexInstructions = 500
	MaxRegexText         = 8 << 10 // bytes at the end of each message that an expression is compared with
	MaxRegexBiases       = 32      // of a scope
)

// Context is what a bias asks of what was said. The zero value is met by everything.
type Context struct {
	Pattern string // text, or an expression
	Then    string // text that follows it; empty for none
	Gap     int    // words that may stand between the two
	Regex   bool   // Pattern is an expression
}

// check checks a context that is to be stored.
func (c Context) check() error {
	switch {
	case len(c.Pattern) > MaxPatternBytes:
		return Invalid("bias.pattern", "takes %d bytes; at most %d are kept", len(c.Pattern), MaxPatternBytes)
	case len(c.Then) > MaxPatternBytes:
		return Invalid("bias.then", "takes %d bytes; at most %d are kept", len(c.Then), MaxPatternBytes)
	case c.Gap < 0 || c.Gap > MaxGap:
		return Invalid("bias.gap", "must be between 0 and %d words", MaxGap)
	case c.Gap > 0 && c.Then == "":
		return Invalid("bias.then", "say what follows the pattern after the gap")
	case c.Then != "" && (c.Pattern == "" || c.Regex):
		return Invalid("bias.then", "follows a pattern of words; give one, and no regex")
	case c.Regex:
		return checkRegex(c.Pattern)
	case c.Pattern != "" && folding.Text(c.Pattern) == "":
		return Invalid("bias.pattern", "holds no word, so no context could match it; leave it empty for a bias that always applies")
	case c.Then != "" && folding.Text(c.Then) == "":
		return Invalid("bias.then", "holds no word, so no context could match it")
	}
	return nil
}

func checkRegex(pattern string) error {
	if len(pattern) > MaxRegexBytes {
		return Invalid("bias.pattern", "takes %d bytes; an expression may have %d", len(pattern), MaxRegexBytes)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return Invalid("bias.pattern", "is no RE2 expression: %v", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > MaxRegexInstructions {
		return Invalid("bias.pattern", "is an expression of more than %d instructions; repeat less", MaxRegexInstructions)
	}
	if compiled, err := regexp.Compile(pattern); err != nil || compiled.MatchString("") {
		return Invalid("bias.pattern", "matches the empty text and so everything; leave the pattern empty for a bias that always applies")
	}
	return nil
}

// Anchor is the index word that a context must hold to meet this; empty when any may.
func (c Context) Anchor() string {
	if c.Regex {
		return ""
	}
	return folding.Anchor(folding.Text(c.Pattern) + folding.Text(c.Then))
}

// Said is what contexts are compared with: the messages of a window and the one after it.
type Said struct {
	Messages []string // as they were written
	Folded   []string // each folded
}

// Met reports whether a message meets the context.
func (c Context) Met(said Said) bool {
	switch {
	case c.Pattern == "":
		return true
	case c.Regex:
		compiled, err := regexp.Compile(c.Pattern)
		if err != nil { // checked when it was stored
			return false
		}
		for _, m := range said.Messages {
			if compiled.MatchString(strings.ToValidUTF8(m[max(len(m)-MaxRegexText, 0):], "")) {
				return true
			}
		}
		return false
	}
	first, second := folding.Text(c.Pattern), folding.Text(c.Then)
	for _, folded := range said.Folded {
		if second == "" && folding.Contains(folded, first) || second != "" && follows(folded, first, second, c.Gap) {
			return true
		}
	}
	return false
}

// follows reports whether a folded text holds one phrase and after it, with at most gap words between, another. Only neighbours
// are compared, so the time is linear in the text.
func follows(folded, first, second string, gap int) bool {
	for from := 0; ; {
		i := strings.Index(folded[from:], first)
		if i < 0 {
			return false
		}
		end := from + i + len(first) - 1 // the space at the phrase's end
		j := strings.Index(folded[end:], second)
		if j < 0 {
			return false
		}
		begin := end + j
		last := strings.LastIndex(folded[:begin+1], first) // the first phrase that is nearest
		if strings.Count(folded[last+len(first)-1:begin], " ") <= gap {
			return true
		}
		from = last + 1
	}
}
