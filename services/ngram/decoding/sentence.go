package decoding

import (
	"strings"
	"unicode/utf8"
)

const (
	terminals = ".!?…‼⁇⁈⁉。！？｡।؟"
	closers   = "”’»›)]}」』）］"
	ambiguous = "\"'" // close what they opened before
)

// abbreviations are words after which a full stop does not end a sentence, as lower-case tokens of their own.
var abbreviations = map[string]bool{
	"mr": true, "mrs": true, "ms": true, "dr": true, "st": true, "prof": true, "capt": true, "col": true,
	"gen": true, "lt": true, "sgt": true, "rev": true, "hon": true, "messrs": true, "mme": true, "mlle": true,
	"vol": true, "vs": true, "e.g": true, "i.e": true,
}

// sentence follows the tokens of the current sentence, so that a reply can end where a reader sees an end. Some
// tokenisers cut text into sentences, others into lines that hold several; and a line may end where no sentence does.
type sentence struct {
	before string   // the token before the last
	last   string   // the last token that is not a closing mark
	open   []string // quotes that may be closed by the same mark
}

func (s *sentence) add(token string) {
	if strings.Contains(ambiguous, token) {
		if at := len(s.open) - 1; at >= 0 && s.open[at] == token {
			s.open = s.open[:at]
		} else {
			s.open = append(s.open, token)
		}
	}
	if !onlyOf(token, closers+ambiguous) {
		s.before, s.last = s.last, token
	}
}

// complete reports whether the sentence ends with a sentence mark, closing quotes and brackets aside.
func (s *sentence) complete() bool {
	return onlyOf(s.last, terminals) && !(s.last == "." && s.abbreviated())
}

func (s *sentence) abbreviated() bool {
	word := strings.ToLower(s.before)
	return abbreviations[word] || utf8.RuneCountInString(word) == 1 && word != "i" && word >= "a" && word <= "z"
}

// continues reports whether the token still belongs to a complete sentence: another sentence mark, a closing mark.
func (s *sentence) continues(token string) bool {
	if onlyOf(token, terminals+closers) {
		return true
	}
	at := len(s.open) - 1
	return at >= 0 && s.open[at] == token
}

func onlyOf(token, set string) bool {
	for _, r := range token {
		if !strings.ContainsRune(set, r) {
			return false
		}
	}
	return token != ""
}
