// Package template is the language in which concepts are verbalised: text with {slot} places, filters that write a value
// as its language does, and parts that are said only sometimes. docs/bots.md describes it.
//
// A template cannot execute anything: a slot is a name that is looked up in a payload, a filter one of a fixed table, and
// what the payload holds is inserted as text and never read as a template. Reading, checking and saying are bounded.
package template

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dbslm/pkg/errors"
)

const (
	// MaxText is the longest template, in bytes.
	MaxText = 16 << 10
	// MaxOutput is the longest span that a template may make, in bytes.
	MaxOutput = 64 << 10
	// maxSlots bounds the places of one template, maxFilters the filters of one place.
	maxSlots, maxFilters = 256, 8
	// maxName is the longest slot name, in bytes.
	maxName = 128
	// maxDepth bounds parts within parts.
	maxDepth = 8
)

// Template is a parsed text in a language. The zero value renders nothing.
type Template struct {
	parts    []part
	language *language
	uses     []Use
	seen     []string // slots that conditions look at
}

// part is literal text, a slot when the name is set, or a part that is said sometimes.
type part struct {
	literal string
	slot    string
	filters []filter
	when    *Condition // of a part that is said where it holds; nil for the other kinds
	whole   bool       // of a part that is said where all its slots have values
	then    []part
	orElse  []part
}

// Use is one place where a template says a slot.
type Use struct {
	Slot   string
	Filter string   // the first that reads its value; "" for none
	Reads  []string // JSON types that can be said there
}

// Parse reads a template in a language, "" for the default one. Its errors are InvalidArgument and say at which byte the
// text cannot be read.
func Parse(text, languageCode string) (*Template, error) {
	return parse(text, languageOf(languageCode))
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

// Uses lists the places of slots, in order.
func (t *Template) Uses() []Use { return t.uses }

// Slots lists the slots that the template says or asks about, in order of their first appearance.
func (t *Template) Slots() []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, u := range t.uses {
		add(u.Slot)
	}
	for _, name := range t.seen {
		add(name)
	}
	return names
}

// Literal is the text of the template without its places and conditions.
func (t *Template) Literal() string {
	var b strings.Builder
	var write func(parts []part)
	write = func(parts []part) {
		for _, p := range parts {
			b.WriteString(p.literal)
			write(p.then)
			write(p.orElse)
		}
		b.WriteByte(' ')
	}
	write(t.parts)
	return b.String()
}

// Needs reports whether the template cannot speak without a value of the slot, whatever the others have.
func (t *Template) Needs(slot string) bool {
	payload := map[string]any{}
	for _, name := range t.Slots() {
		if name != slot {
			payload[name] = "1"
		}
	}
	return slices.Contains(t.Missing(payload), slot)
}

// Expression is a regular expression of whatever the template may say.
func (t *Template) Expression() string {
	var b strings.Builder
	var write func(parts []part)
	write = func(parts []part) {
		for _, p := range parts {
			switch {
			case p.when != nil, p.whole:
				b.WriteString("(?:")
				write(p.then)
				b.WriteByte('|')
				write(p.orElse)
				b.WriteByte(')')
			case p.slot != "":
				b.WriteString("(?s:.+?)")
			default:
				b.WriteString(regexp.QuoteMeta(p.literal))
			}
		}
	}
	write(t.parts)
	return b.String()
}

// Missing lists the slots that a payload leaves empty, or fills with what their filters cannot read, in the parts that
// would be said.
func (t *Template) Missing(payload map[string]any) []string {
	s := speech{payload: payload, language: t.language}
	s.say(t.parts)
	return s.missing
}

// Render fills the slots. It refuses a payload with missing values or values that are no text, and an output
// above MaxOutput.
func (t *Template) Render(payload map[string]any) (string, error) {
	s := speech{payload: payload, language: t.language}
	s.say(t.parts)
	if len(s.missing) > 0 {
		return "", errors.New(errors.FailedPrecondition, "MISSING_SLOT", "no value for %s", strings.Join(s.missing, ", "))
	}
	if s.tooLong {
		return "", errors.New(errors.ResourceExhausted, "SPAN_TOO_LONG", "the filled template has more than %d bytes", MaxOutput)
	}
	return s.text.String(), nil
}

// speech is a template being said.
type speech struct {
	payload  map[string]any
	language *language
	text     strings.Builder
	missing  []string // each once
	tooLong  bool
}

func (s *speech) say(parts []part) {
	for _, p := range parts {
		switch {
		case p.when != nil:
			if p.when.Holds(s.payload) {
				s.say(p.then)
			} else {
				s.say(p.orElse)
			}
		case p.whole:
			inner := speech{payload: s.payload, language: s.language}
			if inner.say(p.then); len(inner.missing) > 0 {
				s.say(p.orElse)
				continue
			}
			s.tooLong = s.tooLong || inner.tooLong
			s.write(inner.text.String())
		case p.slot != "":
			s.slot(p)
		default:
			s.write(p.literal)
		}
	}
}

func (s *speech) slot(p part) {
	value := s.payload[p.slot]
	present := has(value)
	for _, f := range p.filters {
		if present || f.kind.absent {
			value, present = f.kind.apply(value, present, f.arguments, s.language)
		}
	}
	said, ok := Text(value)
	if present && ok && strings.TrimSpace(said) != "" {
		s.write(said)
		return
	}
	for _, name := range s.missing {
		if name == p.slot {
			return
		}
	}
	s.missing = append(s.missing, p.slot)
}

func (s *speech) write(text string) {
	if s.tooLong = s.tooLong || s.text.Len()+len(text) > MaxOutput; !s.tooLong {
		s.text.WriteString(text)
	}
}

// has reports whether a value has text that is more than white space.
func has(value any) bool {
	said, ok := Text(value)
	return ok && strings.TrimSpace(said) != ""
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
		items, ok := texts(v)
		return strings.Join(items, ", "), ok
	default:
		return "", false
	}
}

// texts gives the items of a list that holds only what has text.
func texts(list []any) ([]string, bool) {
	items := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := Text(item)
		if !ok {
			return nil, false
		}
		items = append(items, s)
	}
	return items, len(items) > 0
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
