// Package schema reads the schema of a concept's payload: JSON Schema, or the documented shorthand
// {"city": "string"}, which is expanded.
package schema

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"dbslm/pkg/errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// MaxText is the longest schema, in bytes.
	MaxText = 64 << 10
	// maxDepth bounds the nesting of a schema and of a payload.
	maxDepth = 64
)

// types are the type names of the shorthand.
var types = []string{"string", "number", "integer", "boolean", "array"}

// Schema is a compiled schema. Nil allows every object.
type Schema struct {
	// Text is the expanded schema, as it is stored.
	Text       string
	compiled   *jsonschema.Schema
	properties map[string]bool
	kinds      map[string][]string
	required   []string
	defaults   map[string]any
	closed     bool
}

// Parse reads a schema or shorthand; "" gives nil. Its errors are InvalidArgument.
func Parse(text string) (*Schema, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > MaxText {
		return nil, invalid(nil, "the schema has %d bytes; at most %d are allowed", len(text), MaxText)
	}
	object, err := Object(text)
	if err != nil {
		return nil, invalid(err, "the schema is %s", errors.Public(err))
	}
	if shorthand(object) {
		object = expand(object)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource("payload.json", object); err != nil {
		return nil, invalid(err, "the schema cannot be used: %v", err)
	}
	compiled, err := compiler.Compile("payload.json")
	if err != nil {
		return nil, invalid(err, "the schema is not valid JSON Schema: %s", firstLine(err))
	}
	s := &Schema{compiled: compiled, properties: map[string]bool{}, kinds: map[string][]string{}, defaults: map[string]any{}}
	if properties, ok := object["properties"].(map[string]any); ok {
		for name, property := range properties {
			s.properties[name] = true
			if kinds, known := kindsOf(property); known {
				s.kinds[name] = kinds
			}
			if p, ok := property.(map[string]any); ok && p["default"] != nil {
				s.defaults[name] = p["default"]
			}
		}
	}
	if required, ok := object["required"].([]any); ok {
		for _, name := range required {
			if name, ok := name.(string); ok {
				s.required = append(s.required, name)
			}
		}
	}
	if additional, ok := object["additionalProperties"].(bool); ok && !additional {
		s.closed = true
	}
	canonical, err := json.Marshal(object)
	if err != nil {
		return nil, invalid(err, "the schema cannot be written back: %v", err)
	}
	s.Text = string(canonical)
	return s, nil
}

// kindsOf lists the JSON types that a property may have, as far as it says so itself.
func kindsOf(property any) (kinds []string, known bool) {
	switch p := property.(type) {
	case bool:
		return nil, !p
	case map[string]any:
		switch t := p["type"].(type) {
		case string:
			return []string{t}, true
		case []any:
			for _, kind := range t {
				if name, ok := kind.(string); ok {
					kinds = append(kinds, name)
				}
			}
			return kinds, true
		}
	}
	return nil, false
}

// noLoader refuses references to other documents: a schema must stand alone.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New(errors.InvalidArgument, "BAD_SCHEMA", "the schema refers to %s; it must stand alone", url)
}

// shorthand reports whether every value of the object is a type name, optionally marked with "?".
func shorthand(object map[string]any) bool {
	if len(object) == 0 {
		return false
	}
	for name, value := range object {
		t, ok := value.(string)
		if !ok || strings.HasPrefix(name, "$") || !slices.Contains(types, strings.TrimSuffix(t, "?")) {
			return false
		}
	}
	return true
}

// expand turns {"city": "string", "note": "string?"} into JSON Schema; "?" marks what may be missing.
func expand(short map[string]any) map[string]any {
	properties, required := map[string]any{}, []any{}
	names := make([]string, 0, len(short))
	for name := range short {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t, optional := strings.CutSuffix(short[name].(string), "?")
		properties[name] = map[string]any{"type": t}
		if !optional {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// Allows reports whether a payload may have a property of this name.
func (s *Schema) Allows(name string) bool {
	return s == nil || !s.closed || s.properties[name]
}

// Declares reports whether the schema names the property.
func (s *Schema) Declares(name string) bool { return s != nil && s.properties[name] }

// Kinds lists the JSON types that the schema allows a property, when it says them: none for one that it forbids.
func (s *Schema) Kinds(name string) (kinds []string, known bool) {
	if s == nil {
		return nil, false
	}
	kinds, known = s.kinds[name]
	return kinds, known
}

// Fits reports whether the schema of a property allows a value; one that it does not declare may have any that it does not forbid.
func (s *Schema) Fits(name string, value any) bool {
	if s == nil || !s.properties[name] {
		return s.Allows(name)
	}
	return s.compiled.Properties[name].Validate(value) == nil
}

// Missing lists the properties that the schema requires and a payload lacks.
func (s *Schema) Missing(payload map[string]any) (names []string) {
	if s == nil {
		return nil
	}
	for _, name := range s.required {
		if _, there := payload[name]; !there {
			names = append(names, name)
		}
	}
	return names
}

// Properties lists the named properties, sorted.
func (s *Schema) Properties() []string {
	if s == nil {
		return nil
	}
	names := make([]string, 0, len(s.properties))
	for name := range s.properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Validate checks a payload and says where it does not fit.
func (s *Schema) Validate(payload map[string]any) error {
	if s == nil {
		return nil
	}
	err := s.compiled.Validate(payload)
	if err == nil {
		return nil
	}
	return errors.Wrap(err, errors.InvalidArgument, "PAYLOAD_INVALID", "the payload does not fit the schema: %s", firstLine(err))
}

// Object reads a JSON object of bounded depth; "" gives an empty one. Numbers keep their digits.
func Object(text string) (map[string]any, error) {
	if strings.TrimSpace(text) == "" {
		return map[string]any{}, nil
	}
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, errors.Wrap(err, errors.InvalidArgument, "BAD_JSON", "not a JSON object: %v", err)
	}
	if object == nil {
		return nil, errors.New(errors.InvalidArgument, "BAD_JSON", "not a JSON object: null")
	}
	if decoder.More() {
		return nil, errors.New(errors.InvalidArgument, "BAD_JSON", "more follows after the JSON object")
	}
	return object, nil
}

// checkDepth walks the brackets, because decoding nests as deep as the text does.
func checkDepth(text string) error {
	depth := 0
	quoted, escaped := false, false
	for _, c := range []byte(text) {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return errors.New(errors.InvalidArgument, "BAD_JSON", "nested more than %d levels deep", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

func invalid(cause error, format string, args ...any) error {
	if cause == nil {
		return errors.New(errors.InvalidArgument, "BAD_SCHEMA", format, args...).Field("metadata_schema", "cannot be used")
	}
	return errors.Wrap(cause, errors.InvalidArgument, "BAD_SCHEMA", format, args...).Field("metadata_schema", "cannot be used")
}

// firstLine keeps a validator's message readable: its last line names the place and the reason.
func firstLine(err error) string {
	lines := strings.Split(string(bytes.TrimSpace([]byte(err.Error()))), "\n")
	return strings.TrimSpace(strings.TrimLeft(lines[len(lines)-1], "- "))
}

// Defaults are the default values that the schema gives its properties.
func (s *Schema) Defaults() map[string]any {
	if s == nil {
		return nil
	}
	return s.defaults
}
