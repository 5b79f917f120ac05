package dialogue

import (
	"encoding/csv"
	"io"
	"strconv"

	"dbslm/pkg/errors"
)

// csvRecords are rows; the first names the columns, or they are named "1", "2", …
type csvRecords struct {
	reader  *csv.Reader
	tracker *tracker
	names   []string
	first   []string // a row that was read for its length
}

func newCSV(from io.Reader, format Format, mapping *Mapping) (*csvRecords, error) {
	r := &csvRecords{tracker: newTracker(from)}
	r.reader = csv.NewReader(r.tracker)
	r.reader.FieldsPerRecord = -1
	switch {
	case mapping.Delimiter != 0:
		r.reader.Comma = mapping.Delimiter
	case format == TSV:
		r.reader.Comma = '\t'
	}
	row, err := r.row()
	if err == io.EOF {
		if mapping.NoHeader {
			return r, nil
		}
		return r, &fault{1, 1, "a row with the names of the columns", endOfFile}
	}
	if err != nil {
		return r, err
	}
	if mapping.NoHeader {
		for i := range row {
			r.names = append(r.names, strconv.Itoa(i+1))
		}
		r.first = row
	} else {
		r.names = row
	}
	return r, r.checkNames(mapping)
}

// checkNames refuses a row of names that lacks one of the mapping's or has one twice.
func (r *csvRecords) checkNames(mapping *Mapping) error {
	known := map[string]bool{}
	for i, name := range r.names {
		if known[name] {
			line, column := r.reader.FieldPos(i)
			return &fault{line, column, "every column's name once", quote(name) + " again"}
		}
		known[name] = true
	}
	line, column := r.reader.FieldPos(0)
	for _, name := range mapping.required() {
		if !known[name] {
			return &fault{line, column, "a column " + quote(name) + ", as the mapping says", "the columns " + list(r.names)}
		}
	}
	return nil
}

func (r *csvRecords) row() ([]string, error) {
	r.tracker.begin(r.reader.InputOffset())
	row, err := r.reader.Read()
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		expected, found := "a row of fields", wrong.Err.Error()
		switch {
		case errors.Is(wrong.Err, csv.ErrQuote) && wrong.StartLine != wrong.Line:
			expected, found = "the quotation mark that ends the field begun in line "+strconv.Itoa(wrong.StartLine), "none, or one inside a field"
		case errors.Is(wrong.Err, csv.ErrQuote):
			expected, found = "a delimiter or the end of the line behind a closing quotation mark", "other text, or no closing mark"
		case errors.Is(wrong.Err, csv.ErrBareQuote):
			expected, found = "quotation marks only around a whole field, and doubled inside", "one in a field"
		}
		return nil, &fault{wrong.Line, wrong.Column, expected, found}
	}
	return row, err
}

// nextRecord implements records.
func (r *csvRecords) nextRecord() (record, error) {
	row := r.first
	if r.first = nil; row == nil {
		var err error
		if row, err = r.row(); err != nil {
			return record{}, err
		}
	}
	line, column := r.reader.FieldPos(0)
	if len(row) != len(r.names) {
		return record{}, &fault{line, column, "a row of " + strconv.Itoa(len(r.names)) + " fields", strconv.Itoa(len(row))}
	}
	o := object{names: r.names, values: make(map[string]any, len(row))}
	for i, field := range row {
		o.values[r.names[i]] = field
	}
	return record{o, line, column}, nil
}
