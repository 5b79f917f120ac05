package decoding

import (
	"strings"
	"unicode/utf8"

	"dbslm/pkg/text"
)

const (
	closers  = "”’»›)]}」』）］"
	straight = "\"'" // close what the same mark opened
)

// abbreviations are lower-case words after which a full stop does not end a sentence. They matter for models whose
// tokeniser does not know sentences; those of pkg/text cut text themselves.
var abbreviations = map[string]bool{
	"mr": true, "mrs": true, "ms": true, "dr": true, "st": true, "prof": true, "capt": true, "col": true,
	"gen": true, "lt": true, "sgt": true, "rev": true, "hon": true, "messrs": true, "mme": true, "mlle": true,
	"vol": true, "vs": true, "e.g": true, "i.e": true,
}

// sentence follows the tokens of the current sentence, so that a reply can end where a reader sees an end. Some
// tokenisers cut text into sentences, others into lines that hold several; and a line may end where no sentence does.
type sentence struct {
	before string   // the token before last
	last   string   // the last token, closing marks aside
	open   []string // straight quotes that the same mark will close
}

func (s *sentence) add(token string) {
	if token == `"` || token == "'" {
		if s.closes(token) {
			s.open = s.open[:len(s.open)-1]
		} else {
			s.open = append(s.open, token)
		}
	}
	if body := strings.TrimRight(token, closers+straight); body != "" {
		s.before, s.last = s.last, body
	}
}

// closes reports whether a straight quote closes the one opened last.
func (s *sentence) closes(quote string) bool {
	at := len(s.open) - 1
	return at >= 0 && s.open[at] == quote
}

// complete reports whether the sentence ends with a sentence mark, closing quotes and brackets aside. The mark may be
// a token or the end of one.
func (s *sentence) complete() bool {
	r, size := utf8.DecodeLastRuneInString(s.last)
	if size == 0 || !text.IsSentenceEnd(string(r)) {
		return false
	}
	if r != '.' {
		return true
	}
	word := s.last[:len(s.last)-size]
	if word == "" {
		word = s.before
	}
	return !abbreviated(strings.ToLower(word))
}

// continues reports whether the token still belongs to a complete sentence: another sentence mark, a closing mark.
func (s *sentence) continues(token string) bool {
	return text.IsSentenceEnd(token) || strings.Trim(token, closers) == "" || s.closes(token)
}

// abbreviated knows initials too: "j . smith".
func abbreviated(word string) bool {
	return abbreviations[word] || len(word) == 1 && word != "i" && word >= "a" && word <= "z"
}
