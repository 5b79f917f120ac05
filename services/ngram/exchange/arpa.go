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

// Entry is an n-gram of an ARPA file.
type Entry struct {
	Words      [][]byte // valid until the next entry
	Log10      float64  // base-ten logarithm of the probability, at most 0
	Backoff    float64  // base-ten logarithm of the weight of the n-gram as a context
	HasBackoff bool     // the file gives it
	At         Position // of the first word
	columns    []int
}

// WordAt is the place of a word.
func (e *Entry) WordAt(i int) Position { return Position{e.At.Line, e.columns[i]} }

// ARPAReader reads an ARPA file, n-gram by n-gram.
type ARPAReader struct {
	lines  *lines
	counts []int64
	n      int   // order of the section at hand
	left   int64 // n-grams of it still to come
	done   bool
	fields []field
	entry  Entry
}

// NewARPAReader reads the header, up to the first n-gram. Errors of the file are those of Malformed.
func NewARPAReader(r io.Reader) (*ARPAReader, error) {
	a := &ARPAReader{lines: newLines(r), n: 1}
	if err := a.preamble(); err != nil {
		return nil, err
	}
	for {
		expected := fmt.Sprintf("\"ngram %d=\" and a count", len(a.counts)+1)
		if len(a.counts) > 0 {
			expected += `, or \1-grams:`
		}
		if err := a.lines.nextFull(); err != nil {
			return nil, a.lines.ended(err, expected)
		}
		if a.lines.text[0] == '\\' && len(a.counts) > 0 {
			break
		}
		count, err := a.count(expected)
		if err != nil {
			return nil, err
		}
		a.counts = append(a.counts, count)
	}
	return a, a.begin()
}

// maxPreamble bounds the lines before the header.
const maxPreamble = 1000

// preamble reads up to the mark of the header. Some toolkits tell before it who made the file.
func (a *ARPAReader) preamble() error {
	const mark = `\data\`
	if err := a.lines.nextFull(); err != nil {
		return a.lines.ended(err, mark)
	}
	a.lines.text = bytes.TrimPrefix(a.lines.text, []byte("\xef\xbb\xbf"))
	other := a.lines.malformed(1, mark, a.lines.text)
	for string(bytes.TrimRight(a.lines.text, " \t")) != mark {
		if err := a.lines.nextFull(); err != nil && err != io.EOF {
			return err
		} else if err != nil || a.lines.number > maxPreamble {
			return other // where the file begins
		}
	}
	return nil
}

// count reads a line of the header.
func (a *ARPAReader) count(expected string) (int64, error) {
	text := a.lines.text
	rest, ok := bytes.CutPrefix(text, []byte("ngram "))
	order, number, found := bytes.Cut(rest, []byte("="))
	if n, err := strconv.Atoi(string(bytes.TrimSpace(order))); !ok || !found || err != nil || n != len(a.counts)+1 {
		return 0, a.lines.malformed(1, expected, text)
	}
	if len(a.counts) == ngram.MaxOrder {
		return 0, a.lines.malformed(1, fmt.Sprintf("at most %d orders", ngram.MaxOrder), text)
	}
	count, err := strconv.ParseInt(string(bytes.TrimSpace(number)), 10, 62)
	if err != nil || count < 0 {
		return 0, a.lines.malformed(len(text)-len(number)+1, "a count", number)
	}
	return count, nil
}

// begin checks the title of a section, which is the line at hand.
func (a *ARPAReader) begin() error {
	title := fmt.Sprintf(`\%d-grams:`, a.n)
	if string(bytes.TrimRight(a.lines.text, " \t")) != title {
		return a.lines.malformed(1, title, a.lines.text)
	}
	a.left = a.counts[a.n-1]
	return nil
}

// Counts are the numbers of n-grams by order that the header gives; element 0 is order 1.
func (a *ARPAReader) Counts() []int64 { return a.counts }

// Next returns the next n-gram, in the order of the file, orders ascending; io.EOF after the end of a complete file.
func (a *ARPAReader) Next() (*Entry, error) {
	for !a.done {
		expected := fmt.Sprintf("%d more n-grams of order %d, as the header says", a.left, a.n)
		last := a.left == 0 && a.n == len(a.counts)
		if a.left == 0 {
			expected = fmt.Sprintf(`\%d-grams:`, a.n+1)
		}
		if last {
			expected = `\end\`
		}
		if err := a.lines.nextFull(); err != nil {
			return nil, a.lines.ended(err, expected)
		}
		switch title := a.lines.text[0] == '\\' && isTitle(a.lines.text); {
		case a.left > 0 && !title:
			a.left--
			return &a.entry, a.gram()
		case a.left > 0, !title:
			return nil, a.lines.malformed(1, expected, a.lines.text)
		case !last:
			a.n++
			if err := a.begin(); err != nil {
				return nil, err
			}
		case string(bytes.TrimRight(a.lines.text, " \t")) != expected:
			return nil, a.lines.malformed(1, expected, a.lines.text)
		default:
			a.done = true
		}
	}
	if err := a.lines.nextFull(); err != nil {
		return nil, err // io.EOF: all is well
	}
	return nil, a.lines.malformed(1, "the end of the file", a.lines.text)
}

// isTitle tells a title from an n-gram, which begins with a number.
func isTitle(line []byte) bool { return !bytes.ContainsAny(bytes.TrimRight(line, " \t"), " \t") }

// gram reads the line at hand.
func (a *ARPAReader) gram() error {
	l := a.lines
	a.fields = fields(l.text, a.fields)
	e := &a.entry
	*e = Entry{Words: e.Words[:0], columns: e.columns[:0], At: Position{l.number, 1}}
	top := a.n == len(a.counts)
	for i, f := range a.fields {
		switch {
		case i == 0:
			value, err := number(f.text)
			if err != nil || value > 0 {
				return l.malformed(f.column, "a base-ten logarithm of a probability, at most 0", f.text)
			}
			e.Log10 = value
		case i <= a.n:
			if err := l.word(f); err != nil {
				return err
			}
			e.Words, e.columns = append(e.Words, f.text), append(e.columns, f.column)
		case i == a.n+1 && !top:
			value, err := number(f.text)
			if err != nil {
				return l.malformed(f.column, "a base-ten logarithm of a backoff weight", f.text)
			}
			e.Backoff, e.HasBackoff = value, true
		default:
			return l.malformed(f.column, "the end of the line", f.text)
		}
	}
	if len(e.Words) < a.n {
		return Malformed(Position{l.number, len(l.text) + 1}, fmt.Sprintf("%d words, as an n-gram of order %d has", a.n, a.n), fmt.Sprintf("%d and the end of the line", len(e.Words)))
	}
	e.At.Column = e.columns[0]
	return nil
}

// zero is how files write the logarithm of 0, if not as -inf.
const zero = -99

// number reads a finite decimal, or -inf.
func number(text []byte) (float64, error) {
	value, err := strconv.ParseFloat(string(text), 64)
	if err == nil && math.IsInf(value, -1) {
		return zero, nil
	}
	if err == nil && (math.IsNaN(value) || math.IsInf(value, 0)) {
		err = strconv.ErrRange
	}
	return value + 0, err
}

// ARPAWriter writes an ARPA file. Its numbers are the shortest decimals that give the same binary64 back.
type ARPAWriter struct {
	to      *bufio.Writer
	scratch []byte
	n       int
}

// NewARPAWriter writes the header with the numbers of n-grams by order; element 0 is order 1.
func NewARPAWriter(w io.Writer, counts []int64) (*ARPAWriter, error) {
	a := &ARPAWriter{to: bufio.NewWriterSize(w, 256<<10)}
	fmt.Fprintf(a.to, "\\data\\\n")
	for i, count := range counts {
		fmt.Fprintf(a.to, "ngram %d=%d\n", i+1, count)
	}
	return a, a.to.Flush()
}

// Section begins the n-grams of the next order.
func (a *ARPAWriter) Section() error {
	a.n++
	_, err := fmt.Fprintf(a.to, "\n\\%d-grams:\n", a.n)
	return err
}

// Write writes an n-gram of the section, with its backoff weight unless it is of the highest order.
func (a *ARPAWriter) Write(words [][]byte, log10, backoff float64, hasBackoff bool) error {
	if err := checkWords(words); err != nil {
		return err
	}
	line := strconv.AppendFloat(a.scratch[:0], log10, 'g', -1, 64)
	line = append(line, '\t')
	line = append(line, bytes.Join(words, []byte(" "))...)
	if hasBackoff {
		line = append(line, '\t')
		line = strconv.AppendFloat(line, backoff, 'g', -1, 64)
	}
	a.scratch = append(line, '\n')
	_, err := a.to.Write(a.scratch)
	return err
}

// Close ends the file; the writer below stays open.
func (a *ARPAWriter) Close() error {
	fmt.Fprintf(a.to, "\n\\end\\\n")
	return a.to.Flush()
}
