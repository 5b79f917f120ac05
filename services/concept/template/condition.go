package template

import (
	"strings"

	"dbslm/pkg/errors"
)

// Condition says for which payloads a template is meant: "slot" (present), "!slot" (absent), "slot=value".
// The zero value always holds.
type Condition struct {
	slot, value     string
	absent, compare bool
}

// ParseCondition reads a condition; "" always holds.
func ParseCondition(text string) (Condition, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Condition{}, nil
	}
	c := Condition{}
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		c.absent, c.slot = true, strings.TrimSpace(rest)
	} else if slot, value, ok := strings.Cut(text, "="); ok {
		c.compare, c.slot, c.value = true, strings.TrimSpace(slot), strings.TrimSpace(value)
	} else {
		c.slot = text
	}
	if !ValidName(c.slot) {
		return Condition{}, errors.New(errors.InvalidArgument, "BAD_CONDITION",
			"%q is not a condition; write slot, !slot or slot=value", text).Field("condition", "cannot be read")
	}
	return c, nil
}

// Slot is the slot that the condition looks at; "" when it always holds.
func (c Condition) Slot() string { return c.slot }

// Holds reports whether the payload meets the condition.
func (c Condition) Holds(payload map[string]any) bool {
	if c.slot == "" {
		return true
	}
	text, ok := Text(payload[c.slot])
	present := ok && strings.TrimSpace(text) != ""
	switch {
	case c.absent:
		return !present
	case c.compare:
		return present && text == c.value
	default:
		return present
	}
}
