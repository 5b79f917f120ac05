package dialogue

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"dbslm/pkg/errors"
)

const (
	// maxMapping bounds a mapping in bytes, maxWeight the weight of a document.
	maxMapping = 1 << 20
	maxWeight  = 1_000_000
	// maxDocument bounds the name of a document in bytes: a label has at most 512, with the name of the file.
	maxDocument = 256
)

// Mapping says which fields of a record hold what. Fields are named as they stand, or by a path with points into objects.
type Mapping struct {
	Format    Format            // "" lets the file's name tell it
	Records   []string          // the names that lead to the list of records of JSON
	Context   []string          // fields that come before the dialogue, where a record has them
	Prompt    string            // what is said first
	Response  string            // what is answered
	Turns     string            // a list, in place of prompt and response
	Speaker   string            // who says a turn, looked up in Labels
	Text      string            // what a turn says; without Turns the record is one turn
	Labels    map[string]string // what is written before a text: by context field, "prompt", "response" or speaker
	Document  string            // names the document that a record belongs to; "" makes the file one document
	Weight    string            // how often the document counts
	Skip      bool              // leave out what is missing; otherwise a record must have all but its context
	Delimiter rune              // of CSV; 0 is its own
	NoHeader  bool              // the columns of CSV have numbers, from 1, in place of names
}

// ParseMapping reads a mapping as it is written in YAML, of which JSON is a part.
func ParseMapping(name string, data []byte) (*Mapping, error) {
	m, err := parseMapping(data)
	var wrong *fault
	if errors.As(err, &wrong) {
		return nil, wrong.of(name)
	}
	return m, err
}

// setters read the value of a key. They return what was expected in place of it, "" for nothing.
var setters = map[string]func(m *Mapping, value *yaml.Node) string{
	"format": func(m *Mapping, value *yaml.Node) string {
		m.Format = Format(value.Value)
		if formats := []Format{JSON, NDJSON, CSV, TSV}; value.Kind == yaml.ScalarNode && slices.Contains(formats, m.Format) {
			return ""
		}
		return "json, ndjson, csv or tsv"
	},
	"records": func(m *Mapping, value *yaml.Node) string {
		var path string
		expected := name(&path)(m, value)
		m.Records = strings.Split(path, ".")
		return expected
	},
	"context": func(m *Mapping, value *yaml.Node) string {
		const expected = "the name of a field, or a list of names"
		if value.Kind != yaml.SequenceNode {
			value = &yaml.Node{Content: []*yaml.Node{value}}
		}
		for _, item := range value.Content {
			if !scalar(item) || item.Value == "" {
				return expected
			}
			m.Context = append(m.Context, item.Value)
		}
		return ""
	},
	"prompt":   func(m *Mapping, value *yaml.Node) string { return name(&m.Prompt)(m, value) },
	"response": func(m *Mapping, value *yaml.Node) string { return name(&m.Response)(m, value) },
	"turns":    func(m *Mapping, value *yaml.Node) string { return name(&m.Turns)(m, value) },
	"speaker":  func(m *Mapping, value *yaml.Node) string { return name(&m.Speaker)(m, value) },
	"text":     func(m *Mapping, value *yaml.Node) string { return name(&m.Text)(m, value) },
	"document": func(m *Mapping, value *yaml.Node) string { return name(&m.Document)(m, value) },
	"weight":   func(m *Mapping, value *yaml.Node) string { return name(&m.Weight)(m, value) },
	"labels": func(m *Mapping, value *yaml.Node) string {
		const expected = "a label for each of some names, as \"user: 'User:'\""
		if value.Kind != yaml.MappingNode {
			return expected
		}
		m.Labels = map[string]string{}
		for i := 0; i+1 < len(value.Content); i += 2 {
			if !scalar(value.Content[i]) || !scalar(value.Content[i+1]) || strings.ContainsAny(value.Content[i+1].Value, "\r\n") {
				return expected
			}
			m.Labels[value.Content[i].Value] = value.Content[i+1].Value
		}
		return ""
	},
	"missing": func(m *Mapping, value *yaml.Node) string {
		m.Skip = value.Value == "skip"
		if scalar(value) && (m.Skip || value.Value == "refuse") {
			return ""
		}
		return "refuse or skip"
	},
	"delimiter": func(m *Mapping, value *yaml.Node) string {
		r, size := utf8.DecodeRuneInString(value.Value)
		if m.Delimiter = r; !scalar(value) || size == 0 || size != len(value.Value) || strings.ContainsRune("\"\r\n\uFFFD", r) {
			return "one character, which is no quotation mark or line end"
		}
		return ""
	},
	"header": func(m *Mapping, value *yaml.Node) string {
		m.NoHeader = value.Value == "false"
		if scalar(value) && (m.NoHeader || value.Value == "true") {
			return ""
		}
		return "true or false"
	},
}

func scalar(value *yaml.Node) bool { return value.Kind == yaml.ScalarNode && value.Tag != "!!null" }

// name reads the name of a field.
func name(into *string) func(*Mapping, *yaml.Node) string {
	return func(_ *Mapping, value *yaml.Node) string {
		if *into = value.Value; !scalar(value) || value.Value == "" {
			return "the name of a field"
		}
		return ""
	}
}

func parseMapping(data []byte) (*Mapping, error) {
	keys := strings.Join(slices.Sorted(maps.Keys(setters)), ", ")
	if len(data) > maxMapping {
		return nil, &fault{1, 1, "a mapping of at most " + strconv.Itoa(maxMapping) + " bytes", "a longer file"}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, &fault{yamlLine(err), 1, "YAML", strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if document.Kind != yaml.DocumentNode || document.Content[0].Kind != yaml.MappingNode {
		return nil, &fault{max(1, document.Line), max(1, document.Column), "a mapping with some of " + keys, "none"}
	}
	m, seen := &Mapping{}, map[string]bool{}
	for pairs := document.Content[0].Content; len(pairs) > 1; pairs = pairs[2:] {
		key, value := pairs[0], pairs[1]
		set, known := setters[key.Value]
		switch {
		case !known || key.Kind != yaml.ScalarNode:
			return nil, &fault{key.Line, key.Column, "one of " + keys, quote(key.Value)}
		case seen[key.Value]:
			return nil, &fault{key.Line, key.Column, "every name once", quote(key.Value) + " again"}
		}
		seen[key.Value] = true
		if expected := set(m, value); expected != "" {
			return nil, &fault{value.Line, value.Column, "behind " + quote(key.Value) + " " + expected, shown(value)}
		}
	}
	return m, m.check()
}

// yamlLine is the line that an error of the parser names.
func yamlLine(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "line ")
	number, _, _ := strings.Cut(rest, ":")
	line, _ := strconv.Atoi(number) // 0 for none
	return max(1, line)
}

func shown(value *yaml.Node) string {
	switch value.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return quote(value.Value)
}

// check refuses combinations that mean nothing.
func (m *Mapping) check() error {
	for _, rule := range []struct {
		broken          bool
		expected, found string
	}{
		{m.Prompt == "" && m.Response == "" && m.Turns == "" && m.Text == "" && m.Context == nil, "a mapping that names prompt, response, turns, text or context", "none of them"},
		{m.Turns != "" && (m.Prompt != "" || m.Response != ""), "either turns or prompt and response", "both"},
		{m.Speaker != "" && m.Text == "", "text beside speaker", "speaker alone"},
		{m.Text != "" && m.Turns == "" && (m.Prompt != "" || m.Response != ""), "turns beside text, or text alone", "text beside prompt or response"},
		{m.Weight != "" && m.Document == "", "document beside weight, since weights are those of documents", "weight alone"},
		{m.Records != nil && m.Format != JSON && m.Format != "", "records only in JSON", "records in " + string(m.Format)},
	} {
		if rule.broken {
			return &fault{1, 1, rule.expected, rule.found}
		}
	}
	return nil
}

// required are the fields that every record has, at its own level.
func (m *Mapping) required() []string {
	names := slices.Clone(m.Context)
	for _, name := range []string{m.Prompt, m.Response, m.Turns, m.Document, m.Weight} {
		if name != "" {
			names = append(names, name)
		}
	}
	if m.Turns == "" {
		for _, name := range []string{m.Speaker, m.Text} {
			if name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// find is the value of a field: of that very name, or at the end of a path.
func (o object) find(name string) (any, bool) {
	if value, ok := o.values[name]; ok {
		return value, true
	}
	first, rest, deeper := strings.Cut(name, ".")
	inner, ok := o.values[first].(object)
	if !deeper || !ok {
		return nil, false
	}
	return inner.find(rest)
}

// text is the text of a field, without white space at its ends; "" if the record has none.
func (o object) text(name string) (string, error) {
	value, _ := o.find(name)
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(v), nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", &fault{expected: "a text in the field " + quote(name), found: kindOf(value)}
}

// needed is the text of a field that a record must have.
func (m *Mapping) needed(o object, name string) (string, error) {
	text, err := o.text(name)
	if err != nil || text != "" || m.Skip {
		return text, err
	}
	if _, ok := o.find(name); ok {
		return "", &fault{expected: "a text in the field " + quote(name) + ` (or "missing: skip" in the mapping)`, found: "none"}
	}
	return "", &fault{expected: "a field " + quote(name) + ` (or "missing: skip" in the mapping)`, found: "the fields " + list(o.names)}
}

// dialogue makes a record text.
func (m *Mapping) dialogue(o object, layout Layout) (Dialogue, error) {
	d := Dialogue{Weight: 1}
	w := &writer{labels: m.Labels, layout: layout}
	for _, name := range m.Context {
		text, err := o.text(name)
		if err != nil {
			return d, err
		}
		w.part(name, text)
	}
	for _, part := range []struct{ label, name string }{{"prompt", m.Prompt}, {"response", m.Response}} {
		if part.name == "" {
			continue
		}
		text, err := m.needed(o, part.name)
		if err != nil {
			return d, err
		}
		w.part(part.label, text)
	}
	if err := m.turns(o, w); err != nil {
		return d, err
	}
	if d.Text = w.text.String(); d.Text == "" {
		return d, nil
	}
	return d, m.identify(o, &d)
}

// turns writes the turns of a record.
func (m *Mapping) turns(o object, w *writer) error {
	switch {
	case m.Turns == "" && m.Text == "":
		return nil
	case m.Turns == "":
		return m.turn(o, w)
	}
	value, ok := o.find(m.Turns)
	if !ok || value == nil {
		if m.Skip {
			return nil
		}
		return &fault{expected: "a field " + quote(m.Turns) + ` (or "missing: skip" in the mapping)`, found: "the fields " + list(o.names)}
	}
	list, ok := value.([]any)
	if !ok {
		return &fault{expected: "a list of turns in the field " + quote(m.Turns), found: kindOf(value)}
	}
	for i, item := range list {
		turn, isObject := item.(object)
		var err error
		switch text, isText := item.(string); {
		case isObject && m.Text != "":
			err = m.turn(turn, w)
		case isText && m.Text == "":
			w.part("", strings.TrimSpace(text))
		case m.Text != "":
			err = &fault{expected: "an object", found: kindOf(item)}
		default:
			err = &fault{expected: `a text (or "text" in the mapping)`, found: kindOf(item)}
		}
		var wrong *fault
		if errors.As(err, &wrong) {
			wrong.expected += ", in turn " + strconv.Itoa(i+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Mapping) turn(o object, w *writer) error {
	text, err := m.needed(o, m.Text)
	if err != nil {
		return err
	}
	speaker := ""
	if m.Speaker != "" {
		if speaker, err = o.text(m.Speaker); err != nil {
			return err
		}
	}
	w.part(speaker, text)
	return nil
}

// identify reads the document and the weight of a record.
func (m *Mapping) identify(o object, d *Dialogue) (err error) {
	if m.Document == "" {
		return nil
	}
	strict := *m
	strict.Skip = false
	if d.Document, err = strict.needed(o, m.Document); err != nil {
		return err
	}
	if len(d.Document) > maxDocument || strings.ContainsAny(d.Document, "\x00\r\n") {
		return &fault{expected: "the name of a document on one line of at most " + strconv.Itoa(maxDocument) + " bytes in the field " + quote(m.Document), found: quote(d.Document)}
	}
	if m.Weight == "" {
		return nil
	}
	text, err := strict.needed(o, m.Weight)
	if err != nil {
		return err
	}
	weight, err := strconv.ParseUint(text, 10, 32)
	if err != nil || weight < 1 || weight > maxWeight {
		return &fault{expected: "a whole number from 1 to " + strconv.Itoa(maxWeight) + " in the field " + quote(m.Weight), found: quote(text)}
	}
	d.Weight = uint32(weight)
	return nil
}

// writer writes the parts of a dialogue.
type writer struct {
	labels map[string]string
	layout Layout
	text   strings.Builder
}

var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

func (w *writer) part(label, text string) {
	if text == "" {
		return
	}
	if said := w.labels[label]; said != "" {
		text = said + " " + text
	}
	if w.layout == Lines {
		w.text.WriteString(oneLine.Replace(text))
		w.text.WriteString("\n")
		return
	}
	w.text.WriteString(text)
	w.text.WriteString("\n\n")
}
