// Package template is the language in which concepts are verbalised: text with {slot} places.
//
// A template cannot execute anything: a slot is a name that is looked up in a payload, and what the payload
// holds is inserted as it is and never read as a template. "{{" and "}}" stand for braces.
package template

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
)

const (
	// MaxText is the longest template, in bytes.
	MaxText = 16 << 10
	// MaxOutput is the longest span that a template may make, in bytes.
	MaxOutput = 64 << 10
	// maxSlots bounds the places of one template.
	maxSlots = 256
	// maxName is the longest slot name, in bytes.
	maxName = 128
)

// Template is a parsed text. The zero value renders nothing.
type Template struct {
	parts []part
}

// part is literal text, or a slot when the name is set.
type part struct{ literal, slot string }

// Parse reads a template. Its errors are InvalidArgument and say at which byte the text cannot be read.
func Parse(text string) (*Template, error) {
	switch {
	case text == "":
		return nil, syntaxError("the template is empty; write what the concept says")
	case len(text) > MaxText:
		return nil, syntaxError("the template has %d bytes; at most %d are allowed", len(text), MaxText)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, syntaxError("the template is not clean UTF-8 text")
	}
	t := &Template{}
	var literal strings.Builder
	slots := 0
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i += 2
		case c == '}':
			return nil, syntaxError("byte %d: a closing brace without an opening one; write }} for a brace", i)
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, syntaxError("byte %d: the slot is not closed; write {name}, or {{ for a brace", i)
			}
			name := text[i+1 : i+end]
			if !ValidName(name) {
				return nil, syntaxError("byte %d: %q is not a slot; a slot is a letter followed by letters, digits and underscores", i, name)
			}
			if slots++; slots > maxSlots {
				return nil, syntaxError("byte %d: more than %d slots", i, maxSlots)
			}
			if literal.Len() > 0 {
				t.parts = append(t.parts, part{literal: literal.String()})
				literal.Reset()
			}
			t.parts = append(t.parts, part{slot: name})
			i += end + 1
		default:
			literal.WriteByte(c)
			i++
		}
	}
	if literal.Len() > 0 {
		t.parts = append(t.parts, part{literal: literal.String()})
	}
	return t, nil
}

func syntaxError(format string, args ...any) error {
	return errors.New(errors.InvalidArgument, "BAD_TEMPLATE", format, args...).Field("text", "cannot be read")
}

// ValidName reports whether a slot may have this name.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// Slots lists the slots in order of their first appearance.
func (t *Template) Slots() []string {
	var names []string
	seen := map[string]bool{}
	for _, p := range t.parts {
		if p.slot != "" && !seen[p.slot] {
			seen[p.slot] = true
			names = append(names, p.slot)
		}
	}
	return names
}

// Missing lists the slots that a payload leaves empty.
func (t *Template) Missing(payload map[string]any) []string {
	var missing []string
	for _, name := range t.Slots() {
		if s, ok := Text(payload[name]); !ok || strings.TrimSpace(s) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// Render fills the slots. It refuses a payload with missing values or values that are no text, and an output
// above MaxOutput.
func (t *Template) Render(payload map[string]any) (string, error) {
	if missing := t.Missing(payload); len(missing) > 0 {
		return "", errors.New(errors.FailedPrecondition, "MISSING_SLOT", "no value for %s", strings.Join(missing, ", "))
	}
	var out strings.Builder
	for _, p := range t.parts {
		s := p.literal
		if p.slot != "" {
			s, _ = Text(payload[p.slot])
		}
		if out.Len()+len(s) > MaxOutput {
			return "", errors.New(errors.ResourceExhausted, "SPAN_TOO_LONG", "the filled template has more than %d bytes", MaxOutput)
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

// Text is how a value of a payload is written: text as it is, numbers in decimal, lists joined by commas.
// An object, null and an empty list have no text. Control characters other than line breaks and tabs are left out.
func Text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return clean(v), true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int:
		return strconv.Itoa(v), true
	case []any:
		var items []string
		for _, item := range v {
			s, ok := Text(item)
			if !ok {
				return "", false
			}
			items = append(items, s)
		}
		return strings.Join(items, ", "), len(items) > 0
	default:
		return "", false
	}
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
