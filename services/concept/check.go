package concept

import (
	"slices"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/template"
)

// CheckTemplate reads a template and its condition and checks that the concept may fill every slot: by its schema, by
// its static values, or because the slot is built in. Its errors are InvalidArgument.
func CheckTemplate(t Template, c Concept, s *schema.Schema) error {
	parsed, err := template.Parse(t.Text, t.Language)
	if err != nil {
		return err
	}
	condition, err := template.ParseCondition(t.Condition)
	if err != nil {
		return err
	}
	slots := append(parsed.Slots(), condition.Slots()...)
	static, err := schema.Object(c.Static)
	if err != nil {
		return err
	}
	for _, slot := range slots {
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

// Check reads the schema and the static values of a concept, with the schema expanded. Its errors are InvalidArgument.
func (c Concept) Check() (Concept, *schema.Schema, error) {
	parsed, err := schema.Parse(c.Schema)
	if err != nil {
		return c, nil, err
	}
	if parsed != nil {
		c.Schema = parsed.Text
	}
	static, err := schema.Object(c.Static)
	if err != nil {
		return c, nil, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the static payload is %s", errors.Public(err)).
			Field("concept.static_payload", "not a JSON object")
	}
	for name := range static {
		if !parsed.Allows(name) {
			return c, nil, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the static payload has %q, which the schema forbids", name).
				Field("concept.static_payload", "does not fit the schema")
		}
	}
	if c.BuiltIn && (c.Schema != "" || c.Static != "" || c.Provider != "") {
		return c, nil, errors.New(errors.InvalidArgument, "BUILT_IN", "%s is built in: its priority, description and whether it is disabled can be changed, nothing else", c.Name).
			Field("concept", "is built in")
	}
	return c, parsed, nil
}
