package dialogue

import (
	"io"
	"strconv"
)

// tracker knows the lines of what passes through it and ends a record that is too long.
type tracker struct {
	from   io.Reader
	passed int64   // bytes
	begun  int64   // where the record at hand begins
	line   int     // the number of the line that holds begun
	start  int64   // where that line begins
	later  []int64 // where lines behind it begin
}

func newTracker(from io.Reader) *tracker { return &tracker{from: from, line: 1} }

// Read implements io.Reader.
func (t *tracker) Read(p []byte) (int, error) {
	if t.passed-t.begun > MaxRecord {
		line, column := t.place(t.begun)
		return 0, &fault{line, column, "a record of at most " + strconv.Itoa(MaxRecord) + " bytes", "a longer one"}
	}
	n, err := t.from.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			t.later = append(t.later, t.passed+int64(i)+1)
		}
	}
	t.passed += int64(n)
	return n, err
}

// begin begins a record.
func (t *tracker) begin(offset int64) {
	t.begun = offset
	passed := 0
	for passed < len(t.later) && t.later[passed] <= offset {
		t.line, t.start = t.line+1, t.later[passed]
		passed++
	}
	t.later = append(t.later[:0], t.later[passed:]...)
}

// place is the line and column, in bytes, of an offset in the record at hand or behind it.
func (t *tracker) place(offset int64) (line, column int) {
	line, start := t.line, t.start
	for _, later := range t.later {
		if later > offset {
			break
		}
		line, start = line+1, later
	}
	return line, int(offset-start) + 1
}
