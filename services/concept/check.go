package concept

import (
	"regexp"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/slots"
	"dbslm/services/concept/template"
)

const (
	// MaxCoolDown is the longest cool-down, in replies.
	MaxCoolDown = 32
	// MaxTags bounds the tags of a template.
	MaxTags = 8
)

var tagForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// ValidTag reports whether a template may have such a tag.
func ValidTag(tag string) bool { return tagForm.MatchString(tag) }

// JoinTags writes tags as a template keeps them.
func JoinTags(tags []string) string {
	tags = slices.Clone(tags)
	slices.Sort(tags)
	return strings.Join(tags, " ")
}

// Shape is what the templates of a concept can count on.
type Shape struct {
	Schema *schema.Schema
	Slots  *slots.Set
}

// CheckTemplate reads a template and its condition and checks that the concept may fill every slot: by its schema, by
// its static values, or because the slot is built in. Its errors are InvalidArgument.
func CheckTemplate(t Template, c Concept, shape Shape) error {
	s := shape.Schema
	parsed, err := template.Parse(t.Text, t.Language)
	if err != nil {
		return err
	}
	condition, err := template.ParseCondition(t.Condition)
	if err != nil {
		return err
	}
	named := append(parsed.Slots(), condition.Slots()...)
	static, err := schema.Object(c.Static)
	if err != nil {
		return err
	}
	for _, slot := range named {
		_, constant := static[slot]
		if !IsBuiltInSlot(slot) && !constant && !s.Declares(slot) {
			known := strings.Join(s.Properties(), ", ")
			if known == "" {
				known = "nothing"
			}
			return errors.New(errors.InvalidArgument, "UNKNOWN_SLOT", "slot {%s} is neither in the schema of %s nor built in; the schema has: %s",
				slot, c.Name, known).Field("template.text", "has an unknown slot")
		}
	}
	if err := checkQuestion(t, c.Name, shape.Slots, parsed, condition); err != nil {
		return err
	}
	for _, use := range parsed.Uses() {
		kinds, known := s.Kinds(use.Slot)
		if !known || slices.ContainsFunc(kinds, func(kind string) bool { return slices.Contains(use.Reads, kind) }) {
			continue
		}
		what := "cannot be said"
		if use.Filter != "" {
			what = "filter " + use.Filter + " reads only " + strings.Join(use.Reads, ", ")
		}
		is := strings.Join(kinds, " or ")
		if is == "" {
			is = "never there"
		}
		return errors.New(errors.InvalidArgument, "SLOT_UNFIT", "slot {%s} of %s is %s by its schema: %s", use.Slot, c.Name, is, what).
			Field("template.text", "has a slot that its schema keeps from being said")
	}
	return nil
}

// checkQuestion checks a template that asks for a slot: one that the concept reads from the answer, and that it does not say.
func checkQuestion(t Template, owner string, read *slots.Set, parsed *template.Template, condition template.Condition) error {
	if t.Asks == "" {
		return nil
	}
	var names []string
	for _, slot := range read.List() {
		names = append(names, slot.Slot)
	}
	switch {
	case len(names) == 0:
		return question("UNKNOWN_SLOT", "it asks for %s, but %s reads no slot from what people say; say under slots how it is read", t.Asks, owner)
	case !slices.Contains(names, t.Asks):
		return question("UNKNOWN_SLOT", "it asks for %s, which %s does not read from what people say; it reads: %s", t.Asks, owner, strings.Join(names, ", "))
	case parsed.Needs(t.Asks), slices.Contains(condition.Slots(), t.Asks) && !condition.Denies(t.Asks):
		return question("NEVER_SPEAKS", "it asks for %s, and can only speak where that has a value", t.Asks)
	}
	return nil
}

func question(reason, format string, args ...any) error {
	return errors.New(errors.InvalidArgument, reason, format, args...).Field("template.asks", "cannot be asked for")
}

// CheckSlot checks that the value of a slot that is read fits the schema. Its errors are InvalidArgument.
func CheckSlot(slot slots.Slot, s *schema.Schema) error {
	unfit := func(format string, args ...any) error {
		return errors.New(errors.InvalidArgument, "SLOT_UNFIT", format, args...).Field("concept.slots", "does not fit the schema")
	}
	kinds, known := s.Kinds(slot.Slot)
	switch wanted := typesRead(slot.Kind); {
	case IsBuiltInSlot(slot.Slot):
		return unfit("slot %s is filled by the service itself", slot.Slot)
	case !s.Declares(slot.Slot):
		return unfit("slot %s is not in the schema; add it there", slot.Slot)
	case known && !slices.ContainsFunc(kinds, func(kind string) bool { return slices.Contains(wanted, kind) }):
		return unfit("slot %s is %s by the schema, and what is read for it is %s", slot.Slot, strings.Join(kinds, " or "), strings.Join(wanted, " or "))
	}
	for _, v := range slot.Values {
		if !s.Fits(slot.Slot, v.Value) {
			return unfit("slot %s may not have the value %q by the schema", slot.Slot, v.Value)
		}
	}
	return nil
}

// typesRead are the JSON types that what is read of a kind can be.
func typesRead(kind slots.Kind) []string {
	switch kind {
	case slots.Number:
		return []string{"number"}
	case slots.Boolean:
		return []string{"boolean"}
	case slots.Integer:
		return []string{"integer", "number"}
	}
	return []string{"string"}
}

// Check reads the schema, the static values and the slots of a concept, with the schema expanded. Its errors are InvalidArgument.
func (c Concept) Check() (Concept, Shape, error) {
	if c.BuiltIn && (c.Schema != "" || c.Static != "" || c.Provider != "" || c.Slots != "") {
		return c, Shape{}, errors.New(errors.InvalidArgument, "BUILT_IN", "%s is built in: its priority, description and whether it is disabled can be changed, nothing else", c.Name).
			Field("concept", "is built in")
	}
	parsed, err := schema.Parse(c.Schema)
	if err != nil {
		return c, Shape{}, err
	}
	if parsed != nil {
		c.Schema = parsed.Text
	}
	static, err := schema.Object(c.Static)
	if err != nil {
		return c, Shape{}, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the static payload is %s", errors.Public(err)).
			Field("concept.static_payload", "not a JSON object")
	}
	for name := range static {
		if !parsed.Allows(name) {
			return c, Shape{}, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the static payload has %q, which the schema forbids", name).
				Field("concept.static_payload", "does not fit the schema")
		}
	}
	read, err := slots.Parse(c.Slots)
	if err != nil {
		return c, Shape{}, err
	}
	if read != nil {
		c.Slots = read.Text
	}
	for _, slot := range read.List() {
		if err := CheckSlot(slot, parsed); err != nil {
			return c, Shape{}, err
		}
	}
	return c, Shape{parsed, read}, nil
}
