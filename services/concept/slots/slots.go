// Package slots reads the values of slots from what a person says: words that are looked up, patterns, dates, times, numbers and
// addresses. Every value comes from a span of the text, and no span gives two values.
package slots

import (
	"cmp"
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
)

const (
	// MaxSlots bounds the slots of a concept that are read.
	MaxSlots = 32
	// MaxValues bounds the values of all slots of a concept, with their synonyms.
	MaxValues = 5000
	// maxProgram bounds the instructions of a pattern, so that reading a text takes milliseconds.
	maxProgram = 1000
	// maxPattern is the longest pattern and maxValue the longest value, in bytes.
	maxPattern, maxValue = 512, 512
	// maxRead is how much of a text is read, in bytes, and maxFound how many values of a slot are looked at.
	maxRead, maxFound = 8192, 32
)

// Kind is what a slot's value is.
type Kind string

// The kinds that are read without a list or a pattern.
const (
	Date    Kind = "date"    // written 2006-01-02
	Time    Kind = "time"    // written 15:04
	Number  Kind = "number"  // a JSON number
	Integer Kind = "integer" // a JSON number without a fraction
	Email   Kind = "email"
	URL     Kind = "url"
	Boolean Kind = "boolean" // yes or no, the answer to the question for the slot
	Text    Kind = "text"    // the whole answer to the question for the slot
)

// rank is the order in which kinds take spans of a text: what is surer comes first. A whole answer comes before all, patterns have
// rank 0 and lists rank 1.
var rank = map[Kind]int{Email: 2, URL: 2, Date: 3, Time: 4, Number: 5, Integer: 5, Boolean: 5, Text: 6}

// Slot says how a slot is read. It is stored as JSON.
type Slot struct {
	Slot    string  `json:"slot"`
	Kind    Kind    `json:"kind,omitempty"`
	Pattern string  `json:"pattern,omitempty"`
	Values  []Value `json:"values,omitempty"`
	Earlier bool    `json:"earlier,omitempty"` // also from earlier messages
}

// Value is a value that a person may name.
type Value struct {
	Value    string   `json:"value"`
	Synonyms []string `json:"synonyms,omitempty"`
}

// Set is the slots of a concept, ready to read with. Nil reads nothing.
type Set struct {
	// Text is what the set was made of, as JSON in canonical form; "" for no slot.
	Text  string
	slots []compiled
}

// compiled is a slot that can be read.
type compiled struct {
	Slot
	place   int // in the order of the set
	pattern *regexp.Regexp
	values  *gazetteer
}

// Parse makes a set of stored JSON; "" gives nil.
func Parse(stored string) (*Set, error) {
	if stored == "" {
		return nil, nil
	}
	var list []Slot
	if err := json.Unmarshal([]byte(stored), &list); err != nil {
		return nil, errors.Wrap(err, errors.InvalidArgument, "BAD_SLOTS", "the slots are no JSON list of slots: %v", err)
	}
	return New(list)
}

// New checks slots and makes them ready; none give nil. Its errors are InvalidArgument and name the slot.
func New(list []Slot) (*Set, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > MaxSlots {
		return nil, invalid("%d slots are read; at most %d are allowed", len(list), MaxSlots)
	}
	set, values := &Set{}, 0
	for i, slot := range list {
		if slices.ContainsFunc(list[:i], func(other Slot) bool { return other.Slot == slot.Slot }) {
			return nil, invalid("slot %s is given twice", slot.Slot)
		}
		c, err := compile(slot, i)
		if err != nil {
			return nil, err
		}
		for _, v := range slot.Values {
			values += 1 + len(v.Synonyms)
		}
		set.slots = append(set.slots, c)
	}
	if values > MaxValues {
		return nil, invalid("the slots have %d values and synonyms; at most %d are allowed", values, MaxValues)
	}
	canonical, err := json.Marshal(list)
	if err != nil {
		return nil, invalid("the slots cannot be written: %v", err)
	}
	set.Text = string(canonical)
	return set, nil
}

func compile(slot Slot, place int) (c compiled, err error) {
	c = compiled{Slot: slot, place: place}
	given := 0
	for _, is := range []bool{slot.Kind != "", slot.Pattern != "", len(slot.Values) > 0} {
		if is {
			given++
		}
	}
	switch {
	case slot.Slot == "":
		return c, invalid("a slot has no name")
	case given != 1:
		return c, invalid("slot %s needs exactly one of kind, pattern and values", slot.Slot)
	case slot.Kind != "" && rank[slot.Kind] == 0:
		return c, invalid("slot %s has kind %q; the kinds are: date, time, number, integer, boolean, email, url, text", slot.Slot, slot.Kind)
	case (slot.Kind == Text || slot.Kind == Boolean) && slot.Earlier:
		return c, invalid("slot %s is the answer to a question; it cannot be read from earlier messages", slot.Slot)
	case len(slot.Pattern) > maxPattern:
		return c, invalid("the pattern of slot %s has %d bytes; at most %d are allowed", slot.Slot, len(slot.Pattern), maxPattern)
	}
	if slot.Pattern != "" {
		if c.pattern, err = regexp.Compile(slot.Pattern); err != nil {
			return c, invalid("the pattern of slot %s is no RE2 expression: %s", slot.Slot, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		if parsed, err := syntax.Parse(slot.Pattern, syntax.Perl); err == nil {
			if program, err := syntax.Compile(parsed.Simplify()); err == nil && len(program.Inst) > maxProgram {
				return c, invalid("the pattern of slot %s is too large: repetitions count as often as they are allowed", slot.Slot)
			}
		}
		if c.pattern.MatchString("") {
			return c, invalid("the pattern of slot %s matches an empty text, so it would match everywhere", slot.Slot)
		}
	}
	c.values, err = newGazetteer(slot)
	return c, err
}

func invalid(format string, args ...any) error {
	return errors.New(errors.InvalidArgument, "BAD_SLOTS", format, args...).Field("concept.slots", "cannot be used")
}

// List is the slots as they were given.
func (s *Set) List() []Slot {
	if s == nil {
		return nil
	}
	list := make([]Slot, len(s.slots))
	for i, c := range s.slots {
		list[i] = c.Slot
	}
	return list
}

// Reading is what is known when a text is read.
type Reading struct {
	Now      time.Time // that "tomorrow" is reckoned from, in UTC
	Language string    // code of what 3/12 and 1.500 mean; "" is English
	Asked    string    // slot that the text answers the question for; "" for none
	Earlier  bool      // the text is an earlier message: only slots that allow it are read
	// Fits reports whether a slot may have a value; nil allows every one.
	Fits func(slot string, value any) bool
}

// Found is the value of a slot and the bytes of the text that it was read from.
type Found struct {
	Slot     string
	Value    any // string, json.Number or bool
	From, To int

	valueFrom, valueTo int  // the value without the words around it that a pattern wants
	whole              bool // the whole answer
}

// Read returns what a text says of the slots, each at most once, in the order of the text. Of two values the one that is a part of
// the other is not read: the year of a date is no number. Of several slots that might be meant by one span the one asked for has it,
// then the one whose kind is surer, then the first of the set.
func (s *Set) Read(said string, r Reading) []Found {
	all := s.readAll(said, r)
	var found []Found
	for _, f := range all {
		no := slices.ContainsFunc(found, func(other Found) bool { return f.Slot == other.Slot || f.From < other.To && other.From < f.To }) ||
			slices.ContainsFunc(all, func(other Found) bool { return f.Slot != other.Slot && f.within(other) })
		if !no {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.From, b.From) })
	return found
}

// readAll lists every value that a slot may have, the slots in the order in which they take their spans.
func (s *Set) readAll(said string, r Reading) (all []Found) {
	if s == nil {
		return nil
	}
	if len(said) > maxRead {
		said = text.Truncate(said, maxRead)
	}
	words := wordsOf(said)
	order := slices.DeleteFunc(slices.Clone(s.slots), func(c compiled) bool { return r.Earlier && !c.Earlier })
	slices.SortStableFunc(order, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(a.order(r.Asked), b.order(r.Asked)), cmp.Compare(a.place, b.place))
	})
	for _, c := range order {
		n := len(all)
		for _, f := range c.read(said, words, r) {
			if f.Slot = c.Slot.Slot; len(all)-n < maxFound && (r.Fits == nil || r.Fits(f.Slot, f.Value)) {
				all = append(all, f)
			}
		}
	}
	return all
}

// Rest is a text without all that a slot may be read from, which may be more than is read: of "the saw or the drill" only "or" stays,
// and articles.
func (s *Set) Rest(said string, r Reading) string {
	all := slices.DeleteFunc(s.readAll(said, r), func(f Found) bool { return f.whole })
	sortFound(all)
	var b strings.Builder
	at := 0
	for _, f := range all {
		if f.From > at {
			b.WriteString(said[at:f.From])
			b.WriteByte(' ')
		}
		at = max(at, f.To)
	}
	b.WriteString(said[at:])
	return b.String()
}

// within reports whether a value is a part of another one.
func (f Found) within(other Found) bool {
	return !f.whole && other.valueFrom <= f.valueFrom && f.valueTo <= other.valueTo && f.valueTo-f.valueFrom < other.valueTo-other.valueFrom
}

// order is when a slot takes its span.
func (c compiled) order(asked string) int {
	switch {
	case c.Slot.Slot == asked:
		return 0
	case c.values != nil:
		return 2
	}
	return 1 + rank[c.Kind] // 1 for a pattern
}

// read lists what a slot may have, the first of the text first.
func (c compiled) read(said string, words []word, r Reading) []Found {
	switch {
	case c.pattern != nil:
		return matches(c.pattern, said)
	case c.values != nil:
		return c.values.read(words)
	case c.Kind == Text:
		if answer := strings.TrimSpace(said); c.Slot.Slot == r.Asked && len(words) > 0 { // marks alone are no answer
			from := strings.Index(said, answer)
			f := span(strings.TrimRight(answer, ".!"), from, from+len(answer))
			f.whole = true
			return []Found{f}
		}
		return nil
	}
	if found := readers[c.Kind](said, words, r); len(found) > 0 || c.Slot.Slot != r.Asked {
		return found
	}
	return readBare(c.Kind, words, r)
}

// readers read the kinds.
var readers = map[Kind]func(said string, words []word, r Reading) []Found{
	Date: readDates, Time: readTimes, Number: readNumbers, Integer: readIntegers, Email: readEmails, URL: readURLs,
	Boolean: func(string, []word, Reading) []Found { return nil },
}

// matches lists what a pattern finds.
func matches(pattern *regexp.Regexp, said string) (found []Found) {
	for _, m := range pattern.FindAllStringSubmatchIndex(said, 16) {
		from, to := m[0], m[1]
		if len(m) > 2 && m[2] >= 0 {
			from, to = m[2], m[3]
		}
		if value := strings.TrimSpace(said[from:to]); value != "" {
			found = append(found, Found{Value: value, From: m[0], To: m[1], valueFrom: from, valueTo: to})
		}
	}
	return found
}

// span is a value that takes all of what it was read from.
func span(value any, from, to int) Found {
	return Found{Value: value, From: from, To: to, valueFrom: from, valueTo: to}
}
