package text

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLine bounds the memory that one line may take. Lines are never broken silently: where a sentence
// ends decides what is counted.
const maxLine = 16 << 20

// lines implements the kinds for which one line is one sentence: "whitespace" (tokens are what stands
// between space, tab, CR and NUL) and "bytes" (every byte is a token). Only LF ends a line. An empty
// line is an empty sentence; a last line without LF is a sentence like any other.
type lines struct {
	kind          string
	normalization Normalization
}

func (t *lines) Kind() string       { return t.kind }
func (t *lines) Parameters() string { return "{}" }

func (t *lines) Split(s string) ([]Sentence, error) { return splitWith(t.normalization, s, t.scan) }

func (t *lines) Sentences(r io.Reader, yield func(Sentence) error) error {
	return t.scan(newWindow(NewReader(t.normalization, r)), yield)
}

func (t *lines) scan(w *window, yield func(Sentence) error) error {
	split := splitSpaces
	if t.kind == Bytes {
		split = splitBytes
	}
	var tokens []Token
	start, searched := 0, 0 // the line starts at start; no LF before searched
	for {
		end := bytes.IndexByte(w.data[searched:], '\n')
		if end < 0 && !w.eof {
			searched = len(w.data)
			if searched-start > maxLine {
				return tooLong(w.offset+int64(start), maxLine)
			}
			if start > 0 {
				w.drop(start)
				searched -= start
				start = 0
			}
			if err := w.more(); err != nil {
				return err
			}
			continue
		}
		next := len(w.data)
		if end >= 0 {
			end += searched
			next = end + 1
		} else if end = next; start == end {
			return nil
		}
		if end-start > maxLine {
			return tooLong(w.offset+int64(start), maxLine)
		}
		offset := w.offset + int64(start)
		tokens = split(tokens[:0], w.data[start:end], offset)
		if err := yield(Sentence{Tokens: tokens, Start: offset, End: w.offset + int64(next)}); err != nil {
			return err
		}
		start, searched = next, next
	}
}

func splitSpaces(tokens []Token, line []byte, offset int64) []Token {
	for i := 0; i < len(line); {
		for i < len(line) && isSeparator(line[i]) {
			i++
		}
		start := i
		for i < len(line) && !isSeparator(line[i]) {
			i++
		}
		if i > start {
			tokens = append(tokens, Token{Text: line[start:i:i], Initial: len(tokens) == 0, Offset: offset + int64(start)})
		}
	}
	return tokens
}

func isSeparator(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == 0 }

func splitBytes(tokens []Token, line []byte, offset int64) []Token {
	for i := range line {
		tokens = append(tokens, Token{Text: line[i : i+1 : i+1], Initial: i == 0, Offset: offset + int64(i)})
	}
	return tokens
}

func (t *lines) Joiner(form Form) Joiner {
	if t.kind == Bytes {
		return &byteJoiner{}
	}
	return &spaceJoiner{form: form}
}

func (t *lines) Detokenize(tokens []string, form Form) string {
	return joinWith(t.Joiner(form), tokens)
}

// spaceJoiner is the exact inverse of the whitespace tokeniser up to runs of separators.
type spaceJoiner struct {
	form  Form
	began bool
}

func (j *spaceJoiner) Add(token string) string {
	written := token
	if j.form != nil {
		if f := j.form(token, !j.began); f != "" {
			written = f
		}
	}
	if j.began {
		return " " + written
	}
	j.began = true
	return written
}

func (j *spaceJoiner) EndSentence() string {
	j.began = false
	return ""
}

func (j *spaceJoiner) Clone() Joiner {
	clone := *j
	return &clone
}

// byteJoiner hands out whole characters. Bytes that cannot become valid UTF-8 are written as U+FFFD,
// because a reply must be a valid string whatever a byte model draws.
type byteJoiner struct {
	held []byte
}

func (j *byteJoiner) Add(token string) string {
	j.held = append(j.held, token...)
	var b strings.Builder
	for len(j.held) > 0 && utf8.FullRune(j.held) {
		r, size := utf8.DecodeRune(j.held)
		b.WriteRune(r)
		j.held = j.held[size:]
	}
	return b.String()
}

func (j *byteJoiner) EndSentence() string {
	s := strings.ToValidUTF8(string(j.held), "\uFFFD")
	j.held = j.held[:0]
	return s
}

func (j *byteJoiner) Clone() Joiner { return &byteJoiner{held: slices.Clone(j.held)} }
