package template

import (
	"math"
	"slices"
	"strings"

	"dbslm/pkg/errors"
)

// Condition says for which payloads something is meant: terms joined by "&", each "slot" (present), "!slot" (absent), or a
// comparison: "slot=value", "slot!=value", "slot<5", "<=", ">", ">=". A comparison holds only where there is a value, and
// those by size only where it is a number. The zero value always holds.
type Condition struct{ terms []term }

// maxTerms bounds one condition.
const maxTerms = 16

type term struct {
	slot, op, value string
	number          float64 // the value of comparisons by size
}

// operators in the order in which they are looked for.
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// ParseCondition reads a condition; "" always holds.
func ParseCondition(text string) (Condition, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Condition{}, nil
	}
	var c Condition
	for _, piece := range split(text, '&') {
		t, ok := parseTerm(strings.TrimSpace(piece))
		if !ok || len(c.terms) == maxTerms {
			return Condition{}, errors.New(errors.InvalidArgument, "BAD_CONDITION",
				"%q is not a condition; write slot, !slot, slot=value, slot!=value or slot<5 (<=, >, >=), at most %d of them joined by &", text, maxTerms).
				Field("condition", "cannot be read")
		}
		c.terms = append(c.terms, t)
	}
	return c, nil
}

func parseTerm(text string) (term, bool) {
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		t := term{op: "absent", slot: strings.TrimSpace(rest)}
		return t, ValidName(t.slot)
	}
	for at := range len(text) {
		for _, op := range operators {
			value, found := strings.CutPrefix(text[at:], op)
			if !found {
				continue
			}
			t := term{slot: strings.TrimSpace(text[:at]), op: op, value: strings.TrimSpace(value)}
			if t.value != "" && (t.value[0] == '"' || t.value[0] == '\'') {
				quoted, ok := unquote(t.value)
				if !ok {
					return t, false
				}
				t.value = quoted
			}
			if op[0] == '<' || op[0] == '>' {
				n, _, ok := decimal(t.value)
				if t.number = n; !ok {
					return t, false
				}
			}
			return t, ValidName(t.slot)
		}
	}
	return term{slot: text, op: "present"}, ValidName(text)
}

// Slots lists the slots that the condition looks at, each once.
func (c Condition) Slots() []string {
	var out []string
	for _, t := range c.terms {
		if !slices.Contains(out, t.slot) {
			out = append(out, t.slot)
		}
	}
	return out
}

// Holds reports whether the payload meets the condition.
func (c Condition) Holds(payload map[string]any) bool {
	return !slices.ContainsFunc(c.terms, func(t term) bool { return !t.holds(payload) })
}

func (t term) holds(payload map[string]any) bool {
	said, ok := Text(payload[t.slot])
	present := ok && strings.TrimSpace(said) != ""
	n, _, numeric := decimal(payload[t.slot])
	if !numeric {
		n = math.NaN()
	}
	switch t.op {
	case "absent":
		return !present
	case "=":
		return present && said == t.value
	case "!=":
		return present && said != t.value
	case "<":
		return n < t.number
	case "<=":
		return n <= t.number
	case ">":
		return n > t.number
	case ">=":
		return n >= t.number
	}
	return present
}

// Never says why the condition can hold for no payload; "" when it can, as far as one slot at a time shows. Allowed gives the
// values that a slot may have, nil for any.
func (c Condition) Never(allowed func(slot string) []any) string {
	for _, slot := range c.Slots() {
		var about Condition
		for _, t := range c.terms {
			if t.slot == slot {
				about.terms = append(about.terms, t)
			}
		}
		if about.Holds(map[string]any{}) {
			continue // it wants no value
		}
		values := allowed(slot)
		if values == nil {
			if slices.ContainsFunc(about.terms, func(t term) bool { return t.op == "absent" }) {
				return slot + " cannot be both there and missing"
			}
			continue
		}
		if !slices.ContainsFunc(values, func(v any) bool { return about.Holds(map[string]any{slot: v}) }) {
			return "the schema allows no value of " + slot + " for which it does"
		}
	}
	return ""
}

// Denies reports whether the condition holds only where the slot has no value.
func (c Condition) Denies(slot string) bool {
	return slices.ContainsFunc(c.terms, func(t term) bool { return t.slot == slot && t.op == "absent" })
}
