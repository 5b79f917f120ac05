// Package exchange reads and writes the files in which n-gram models travel between toolkits: ARPA back-off models and tables
// of counts. It knows the formats and nothing else: words are bytes, and nothing is kept of a line that was read.
package exchange

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"strconv"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// maxLine bounds a line in bytes: an n-gram of the greatest order with the longest tokens fits.
const maxLine = (ngram.MaxOrder+1)*(ngram.MaxTokenBytes+1) + 128

// Position is a place in a file, both counted from 1; columns count bytes.
type Position struct{ Line, Column int }

// Malformed is the error of everything that is wrong at one place of a file: InvalidArgument, with what was expected there.
func Malformed(at Position, expected, found string) *errors.Error {
	text := "line " + strconv.Itoa(at.Line) + ", column " + strconv.Itoa(at.Column) + ": expected " + expected + ", found " + found
	return errors.New(errors.InvalidArgument, "FILE_MALFORMED", "%s", text).
		With("line", strconv.Itoa(at.Line)).With("column", strconv.Itoa(at.Column)).With("expected", expected)
}

// quote shows what was found, cut short.
func quote(found []byte) string {
	const most = 40
	if len(found) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(found[cut]) {
			cut--
		}
		return strconv.Quote(string(found[:cut])) + "…"
	}
	return strconv.Quote(string(found))
}

// lines reads lines of bounded length without their ends.
type lines struct {
	from   *bufio.Reader
	number int
	text   []byte // of the line at hand
}

func newLines(r io.Reader) *lines { return &lines{from: bufio.NewReaderSize(r, maxLine)} }

// next reads a line; io.EOF after the last. A last line without its end is a line.
func (l *lines) next() error {
	line, err := l.from.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return Malformed(Position{l.number + 1, maxLine}, "the end of the line", "a line of more than "+strconv.Itoa(maxLine)+" bytes")
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	l.number++
	l.text = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	return nil
}

// nextFull reads the next line that is not blank.
func (l *lines) nextFull() error {
	for {
		if err := l.next(); err != nil || len(bytes.Trim(l.text, " \t")) > 0 {
			return err
		}
	}
}

// malformed is the error at a column of the line at hand.
func (l *lines) malformed(column int, expected string, found []byte) error {
	return Malformed(Position{l.number, column}, expected, quote(found))
}

// ended is the error of a file that ends too early.
func (l *lines) ended(err error, expected string) error {
	if err != io.EOF {
		return err
	}
	return Malformed(Position{l.number + 1, 1}, expected, "the end of the file")
}

// field is a piece of a line between blanks.
type field struct {
	text   []byte
	column int
}

// fields cuts a line at runs of spaces and tabs.
func fields(line []byte, into []field) []field {
	into = into[:0]
	for at := 0; at < len(line); {
		if line[at] == ' ' || line[at] == '\t' {
			at++
			continue
		}
		begin := at
		for at < len(line) && line[at] != ' ' && line[at] != '\t' {
			at++
		}
		into = append(into, field{line[begin:at], begin + 1})
	}
	return into
}

// word checks that a field can be a token.
func (l *lines) word(f field) error {
	switch {
	case len(f.text) > ngram.MaxTokenBytes:
		return l.malformed(f.column, "a word of at most "+strconv.Itoa(ngram.MaxTokenBytes)+" bytes", f.text)
	case !utf8.Valid(f.text):
		return l.malformed(f.column, "a word in UTF-8", f.text)
	case bytes.ContainsAny(f.text, blanks):
		return l.malformed(f.column, "a word without control characters", f.text)
	}
	return nil
}

// blanks end a word in one toolkit or another.
const blanks = " \t\r\n\v\f\x00"

// checkWords refuses words that no reader would read back.
func checkWords(words [][]byte) error {
	for _, word := range words {
		if len(word) == 0 || bytes.ContainsAny(word, blanks) {
			return errors.New(errors.FailedPrecondition, "WORD_NOT_WRITABLE",
				"the model has the token %q, which files with words between blanks cannot hold; copy the model instead", word)
		}
	}
	return nil
}

// Hex writes a token of a model of bytes: two hexadecimal digits for each.
func Hex(token []byte) []byte { return hex.AppendEncode(nil, token) }

// Unhex is the inverse of Hex.
func Unhex(word []byte, at Position) ([]byte, error) {
	token, err := hex.AppendDecode(nil, word)
	if err != nil {
		return nil, Malformed(at, "two hexadecimal digits for each byte of a token", quote(word))
	}
	return token, nil
}
