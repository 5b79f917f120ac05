package dialogue

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"dbslm/pkg/errors"
)

// maxDepth bounds how deep values may lie in each other.
const maxDepth = 64

// object is what stands between braces, or a row.
type object struct {
	names  []string // as they stand
	values map[string]any
}

const endOfFile = "the end of the file"

// tokens reads JSON token by token and knows where it is.
type tokens struct {
	decoder *json.Decoder
	tracker *tracker
	depth   int // of lists and objects that are open
}

func newTokens(from io.Reader) *tokens {
	t := &tokens{tracker: newTracker(from)}
	t.decoder = json.NewDecoder(t.tracker)
	t.decoder.UseNumber()
	return t
}

// next reads a token; io.EOF at the end of a text that is complete.
func (t *tokens) next(expected string) (json.Token, error) {
	token, err := t.decoder.Token()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, t.here(expected, syntax.Error())
	case err == io.ErrUnexpectedEOF, err == io.EOF && t.depth > 0:
		return nil, t.place(t.tracker.passed, expected, endOfFile)
	case err != nil:
		return nil, err
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
		if t.depth++; t.depth > maxDepth {
			return nil, t.here("at most "+strconv.Itoa(maxDepth)+" lists and objects in each other", "more")
		}
	case json.Delim('}'), json.Delim(']'):
		t.depth--
	}
	return token, nil
}

// here is a fault where the token at hand ends; place is one at an offset.
func (t *tokens) here(expected, found string) error {
	return t.place(t.decoder.InputOffset(), expected, found)
}

func (t *tokens) place(offset int64, expected, found string) error {
	line, column := t.tracker.place(offset)
	return &fault{line, column, expected, found}
}

// upcoming is where the next value begins.
func (t *tokens) upcoming() int64 {
	t.decoder.More() // so that something is buffered
	offset := t.decoder.InputOffset()
	var ahead [256]byte
	n, _ := t.decoder.Buffered().Read(ahead[:]) // of memory
	value := bytes.TrimLeft(ahead[:n], " \t\r\n,:")
	return offset + int64(n-len(value))
}

// value reads the rest of the value that a token begins.
func (t *tokens) value(token json.Token) (any, error) {
	switch token {
	case json.Delim('{'):
		o := object{values: map[string]any{}}
		for {
			token, err := t.next("a name or }")
			if err != nil {
				return nil, err
			}
			name, named := token.(string)
			if !named {
				return o, nil
			}
			if _, twice := o.values[name]; twice {
				return nil, t.here("every name once in an object", quote(name)+" again")
			}
			if token, err = t.next("a value"); err != nil {
				return nil, err
			}
			value, err := t.value(token)
			if err != nil {
				return nil, err
			}
			o.names, o.values[name] = append(o.names, name), value
		}
	case json.Delim('['):
		values := []any{}
		for {
			token, err := t.next("a value or ]")
			if err != nil || token == json.Delim(']') {
				return values, err
			}
			value, err := t.value(token)
			if err != nil {
				return nil, err
			}
			values = append(values, value)
		}
	}
	return token, nil
}

// skip passes over the next value, of any size.
func (t *tokens) skip() error {
	for depth := t.depth; ; {
		t.tracker.begin(t.decoder.InputOffset())
		if _, err := t.next("a value"); err != nil || t.depth == depth {
			return err
		}
	}
}

// jsonRecords are the objects of a list, or one object.
type jsonRecords struct {
	*tokens
	only  *record // that is the whole text
	ended bool
}

// newJSON goes to where the records are: the whole text, or what a path of names leads to.
func newJSON(from io.Reader, path []string) (*jsonRecords, error) {
	r := &jsonRecords{tokens: newTokens(from)}
	for _, name := range path {
		if err := r.enter(name); err != nil {
			return r, err
		}
	}
	expected := "a list of records"
	begun := r.upcoming()
	first, err := r.next(expected)
	switch {
	case err == io.EOF:
		return r, r.place(begun, expected, endOfFile)
	case err != nil:
		return r, err
	case first == json.Delim('['):
		return r, nil
	case first != json.Delim('{') || len(path) > 0:
		return r, r.place(begun, expected, kindOf(first))
	}
	line, column := r.tracker.place(begun)
	value, err := r.value(first)
	if err != nil {
		return r, err
	}
	r.only = &record{object: value.(object), line: line, column: column}
	return r, nil
}

// enter goes into an object, up to the value of a name.
func (r *jsonRecords) enter(name string) error {
	expected := "an object with " + quote(name) + ", where the mapping says that the records are"
	begun := r.upcoming()
	first, err := r.next(expected)
	if err != nil && err != io.EOF {
		return err
	}
	if first != json.Delim('{') {
		return r.place(begun, expected, kindOf(first))
	}
	for {
		key, err := r.next("a name or }")
		switch {
		case err != nil:
			return err
		case key == json.Delim('}'):
			return r.place(begun, expected, "an object without it")
		case key == name:
			return nil
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
}

// nextRecord implements records.
func (r *jsonRecords) nextRecord() (record, error) {
	if r.only != nil {
		only := *r.only
		r.only, r.ended = nil, true
		return only, r.rest()
	}
	if r.ended {
		return record{}, io.EOF
	}
	begun := r.upcoming()
	r.tracker.begin(begun)
	line, column := r.tracker.place(begun)
	token, err := r.next("a record or ]")
	if err != nil {
		return record{}, err
	}
	switch token {
	case json.Delim('{'):
		value, err := r.value(token)
		if err != nil {
			return record{}, err
		}
		return record{value.(object), line, column}, nil
	case json.Delim(']'):
		r.ended = true
		if err := r.rest(); err != nil {
			return record{}, err
		}
		return record{}, io.EOF
	}
	return record{}, &fault{line, column, "a record, which is an object in braces", kindOf(token)}
}

// rest reads what stands behind the records, so that a file that is cut off is found out.
func (r *jsonRecords) rest() error {
	for {
		open := r.depth > 0
		begun := r.upcoming()
		r.tracker.begin(begun)
		_, err := r.next("}")
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !open:
			return r.place(begun, endOfFile, "more JSON")
		}
	}
}

// kindOf names what a token is or begins.
func kindOf(token any) string {
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	case object:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "the text " + quote(t)
	case json.Number:
		return "the number " + t.String()
	case bool:
		return strconv.FormatBool(t)
	case nil:
		return "null"
	}
	return "something else"
}

// ndjsonRecords are objects on a line each; blank lines do not count.
type ndjsonRecords struct {
	from *bufio.Reader
	line int
	text []byte
}

func newNDJSON(from io.Reader) *ndjsonRecords {
	return &ndjsonRecords{from: bufio.NewReaderSize(from, 64<<10)}
}

// nextRecord implements records.
func (r *ndjsonRecords) nextRecord() (record, error) {
	for {
		if err := r.nextLine(); err != nil {
			return record{}, err
		}
		if len(bytes.TrimSpace(r.text)) > 0 {
			break
		}
	}
	t := newTokens(bytes.NewReader(bytes.TrimRight(r.text, "\r\n")))
	onLine := func(err error) error {
		var wrong *fault
		if errors.As(err, &wrong) {
			wrong.line = r.line
			if wrong.found == endOfFile {
				wrong.found = "the end of the line"
			}
		}
		return err
	}
	begun := t.upcoming()
	const expected = "a record, which is an object in braces"
	token, err := t.next(expected)
	if err != nil {
		return record{}, onLine(err)
	}
	if token != json.Delim('{') {
		return record{}, onLine(t.place(begun, expected, kindOf(token)))
	}
	value, err := t.value(token)
	if err != nil {
		return record{}, onLine(err)
	}
	end := t.upcoming()
	if _, err := t.next("the end of the line"); err != io.EOF {
		return record{}, onLine(t.place(end, "the end of the line", "more JSON"))
	}
	return record{value.(object), r.line, int(begun) + 1}, nil
}

// nextLine reads a line of at most MaxRecord bytes; io.EOF after the last.
func (r *ndjsonRecords) nextLine() error {
	r.text = r.text[:0]
	r.line++
	for {
		part, err := r.from.ReadSlice('\n')
		r.text = append(r.text, part...)
		switch {
		case len(r.text) > MaxRecord:
			return &fault{r.line, 1, "a record of at most " + strconv.Itoa(MaxRecord) + " bytes", "a longer line"}
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && len(r.text) > 0:
			return nil
		default:
			return err
		}
	}
}
