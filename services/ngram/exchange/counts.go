package exchange

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"

	"dbslm/services/ngram"
)

// Counted is an n-gram of a table of counts.
type Counted struct {
	Words   [][]byte // valid until the next one
	Count   int64    // 1 to math.MaxInt32
	At      Position // of the first word
	columns []int
}

// WordAt is the place of a word.
func (c *Counted) WordAt(i int) Position { return Position{c.At.Line, c.columns[i]} }

// CountsReader reads a table of counts: in each line the words of an n-gram between spaces, a tab, and how often it occurs.
// N-grams of all orders stand in any order.
type CountsReader struct {
	lines  *lines
	fields []field
	gram   Counted
}

// NewCountsReader begins at the first line.
func NewCountsReader(r io.Reader) *CountsReader { return &CountsReader{lines: newLines(r)} }

// Next returns the next n-gram, or io.EOF. Errors of the file are those of Malformed.
func (c *CountsReader) Next() (*Counted, error) {
	l := c.lines
	if err := l.nextFull(); err != nil {
		return nil, err
	}
	if l.number == 1 {
		l.text = bytes.TrimPrefix(l.text, []byte("\xef\xbb\xbf"))
	}
	tab := bytes.LastIndexByte(l.text, '\t')
	if tab < 0 {
		return nil, Malformed(Position{l.number, len(l.text) + 1}, "a tab and a count", "the end of the line")
	}
	number := l.text[tab+1:]
	count, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || count < 1 || count > math.MaxInt32 {
		return nil, l.malformed(tab+2, fmt.Sprintf("a count from 1 to %d", math.MaxInt32), number)
	}
	c.fields = fields(l.text[:tab], c.fields)
	if n := len(c.fields); n < 1 || n > ngram.MaxOrder {
		return nil, Malformed(Position{l.number, 1}, fmt.Sprintf("1 to %d words", ngram.MaxOrder), strconv.Itoa(n))
	}
	g := &c.gram
	*g = Counted{Words: g.Words[:0], columns: g.columns[:0], Count: count, At: Position{l.number, c.fields[0].column}}
	for _, f := range c.fields {
		if err := l.word(f); err != nil {
			return nil, err
		}
		g.Words, g.columns = append(g.Words, f.text), append(g.columns, f.column)
	}
	return g, nil
}

// CountsWriter writes a table of counts.
type CountsWriter struct {
	to      *bufio.Writer
	scratch []byte
}

// NewCountsWriter begins a table.
func NewCountsWriter(w io.Writer) *CountsWriter {
	return &CountsWriter{to: bufio.NewWriterSize(w, 256<<10)}
}

// Write writes an n-gram.
func (c *CountsWriter) Write(words [][]byte, count int64) error {
	if err := checkWords(words); err != nil {
		return err
	}
	line := append(c.scratch[:0], bytes.Join(words, []byte(" "))...)
	line = append(line, '\t')
	line = strconv.AppendInt(line, count, 10)
	c.scratch = append(line, '\n')
	_, err := c.to.Write(c.scratch)
	return err
}

// Close writes what is left; the writer below stays open.
func (c *CountsWriter) Close() error { return c.to.Flush() }
