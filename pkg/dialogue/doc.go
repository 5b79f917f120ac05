// Package dialogue reads dialogues that are kept as records of JSON, NDJSON or CSV and writes them as text to train on.
//
//	UTF-8 ── records (json.go, csv.go) ──▶ one record ── Mapping (mapping.go) ──▶ Dialogue: text, document, weight
//
// A Mapping says which fields hold what. Every record is read alone, so that a file of any size takes the memory of its
// longest record, at most MaxRecord bytes. What is wrong is InvalidArgument with the file, the line, the column, what was expected
// there and what was found.
package dialogue

import (
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
)

// MaxRecord bounds a record in bytes.
const MaxRecord = 16 << 20

// Format is how records are written.
type Format string

// The formats.
const (
	JSON   Format = "json"   // a list of objects, or an object that holds one, or one object
	NDJSON Format = "ndjson" // an object on every line
	CSV    Format = "csv"    // fields between commas, or another delimiter
	TSV    Format = "tsv"    // fields between tabs
)

// endings tell the format of a file.
var endings = map[string]Format{".json": JSON, ".ndjson": NDJSON, ".jsonl": NDJSON, ".csv": CSV, ".tsv": TSV}

// FormatOf tells a format by the end of a file's name, that of its compression aside; "" for other names.
func FormatOf(name string) Format { return endings[strings.ToLower(path.Ext(Uncompressed(name)))] }

// Uncompressed is the name of a file without the end that its compression gave it.
func Uncompressed(name string) string {
	switch ending := path.Ext(name); strings.ToLower(ending) {
	case ".gz", ".gzip", ".zst", ".zstd":
		return strings.TrimSuffix(name, ending)
	}
	return name
}

// Layout says how the parts of a dialogue are kept apart, so that a sentence ends with each of them.
type Layout uint8

// The layouts.
const (
	Paragraphs Layout = iota // an empty line behind each part: for tokenisers that unwrap paragraphs
	Lines                    // each part on one line: for tokenisers that take a line as a sentence
)

// Dialogue is one record as text.
type Dialogue struct {
	Text     string // of all parts, ended as the layout says
	Document string // what the document field holds; "" without one
	Weight   uint32 // 1 without a weight field
	Line     int    // where the record begins
}

// Reader reads the dialogues of a file.
type Reader struct {
	name    string
	mapping *Mapping
	layout  Layout
	records records
}

// records are the records of a file, one after the other; io.EOF after the last.
type records interface {
	nextRecord() (record, error)
}

// record is one object and where it begins.
type record struct {
	object
	line, column int
}

// NewReader reads records of valid UTF-8 without a byte order mark. The name is for errors. The mapping's format wins over the one given.
func NewReader(from io.Reader, name string, format Format, mapping *Mapping, layout Layout) (*Reader, error) {
	r := &Reader{name: name, mapping: mapping, layout: layout}
	if mapping.Format != "" {
		format = mapping.Format
	}
	var err error
	switch format {
	case JSON:
		r.records, err = newJSON(from, mapping.Records)
	case NDJSON:
		r.records = newNDJSON(from)
	case CSV, TSV:
		r.records, err = newCSV(from, format, mapping)
	default:
		return nil, errors.New(errors.InvalidArgument, "FORMAT_UNKNOWN", "%s: its name does not tell its format; name it in the mapping, as \"format: ndjson\" (or json, csv, tsv)", name)
	}
	return r, r.placed(err)
}

// Next returns the next dialogue; io.EOF after the last.
func (r *Reader) Next() (Dialogue, error) {
	for {
		found, err := r.records.nextRecord()
		if err != nil {
			return Dialogue{}, r.placed(err)
		}
		d, err := r.mapping.dialogue(found.object, r.layout)
		var wrong *fault
		if errors.As(err, &wrong) {
			wrong.line, wrong.column = found.line, found.column
		}
		if err != nil {
			return Dialogue{}, r.placed(err)
		}
		if d.Text == "" {
			continue
		}
		d.Line = found.line
		return d, nil
	}
}

// placed names the file in an error.
func (r *Reader) placed(err error) error {
	var wrong *fault
	if !errors.As(err, &wrong) {
		return err
	}
	return wrong.of(r.name)
}

// fault is what is wrong at a place.
type fault struct {
	line, column    int
	expected, found string
}

// Error implements error.
func (f *fault) Error() string {
	return "line " + strconv.Itoa(f.line) + ", column " + strconv.Itoa(f.column) + ": expected " + f.expected + ", found " + f.found
}

func (f *fault) of(name string) error {
	return errors.New(errors.InvalidArgument, "DIALOGUE_MALFORMED", "%s: %s", name, f.Error()).
		With("line", strconv.Itoa(f.line)).With("column", strconv.Itoa(f.column)).With("expected", f.expected)
}

// quote shows what was found, cut short.
func quote(found string) string {
	const most = 40
	if len(found) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(found[cut]) {
			cut--
		}
		return strconv.Quote(found[:cut]) + "…"
	}
	return strconv.Quote(found)
}

// list writes names for people, the first few of many.
func list(names []string) string {
	const most = 12
	if len(names) == 0 {
		return "none"
	}
	shown := make([]string, 0, most+1)
	for i, name := range names {
		if i == most {
			shown = append(shown, "…")
			break
		}
		shown = append(shown, quote(name))
	}
	return strings.Join(shown, ", ")
}

// Fields are the names of the first record's fields; none if it cannot be read.
func Fields(from io.Reader, format Format) []string {
	r, err := NewReader(from, "", format, &Mapping{}, Paragraphs)
	if err != nil {
		return nil
	}
	if row, ok := r.records.(*csvRecords); ok {
		return row.names
	}
	first, err := r.records.nextRecord()
	if err != nil {
		return nil
	}
	return first.names
}
