package botfile

import (
	"fmt"
	"strconv"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/services/concept"
	"dbslm/services/concept/slots"

	"go.yaml.in/yaml/v3"
)

// slotKey names a slot that a concept reads from what people say.
type slotKey struct{ concept, slot string }

// readSlots reads the slots of a concept, each with how it is read: a kind alone, or keys. They keep the order of the file.
func (r *reader) readSlots(c *concept.Concept, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			r.problem(n, "slots must be written as names with how they are read")
		}
		return
	}
	var list []slots.Slot
	fine := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, how := n.Content[i], n.Content[i+1]
		before := len(r.problems)
		slot := r.readSlot(name, how)
		if len(r.problems) == before {
			if _, err := slots.New([]slots.Slot{slot}); err != nil {
				r.problem(name, "%s: %s", c.Name, errors.Public(err))
			}
		}
		fine = fine && len(r.problems) == before
		r.slots[slotKey{c.Name, slot.Slot}] = name
		list = append(list, slot)
	}
	if !fine {
		return
	}
	set, err := slots.New(list)
	switch {
	case err != nil:
		r.problem(n, "%s: %s", c.Name, errors.Public(err))
	case set != nil:
		c.Slots = set.Text
	}
}

func (r *reader) readSlot(name, n *yaml.Node) slots.Slot {
	slot := slots.Slot{Slot: name.Value}
	kind := r.text((*string)(&slot.Kind), "the kind", 32)
	if n.Kind == yaml.ScalarNode {
		kind(n)
		return slot
	}
	r.fields(n, "slot "+slot.Slot, map[string]func(*yaml.Node){
		"kind":    kind,
		"pattern": r.text(&slot.Pattern, "the pattern", 1<<16),
		"values":  func(n *yaml.Node) { slot.Values = r.readValues(n) },
		"earlier": value(r, &slot.Earlier, "earlier", "true or false"),
	})
	return slot
}

// readValues reads a list of values, or values with one synonym or several.
func (r *reader) readValues(n *yaml.Node) (values []slots.Value) {
	one := func(n *yaml.Node) (said string) {
		r.text(&said, "a value", 1<<16)(n)
		return said
	}
	if n.Kind != yaml.MappingNode {
		r.items(n, "the values", func(item *yaml.Node) { values = append(values, slots.Value{Value: one(item)}) })
		return values
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, names := slots.Value{Value: one(n.Content[i])}, n.Content[i+1]
		add := func(item *yaml.Node) { v.Synonyms = append(v.Synonyms, one(item)) }
		if names.Kind == yaml.ScalarNode && names.Tag != "!!null" {
			add(names)
		} else {
			r.items(names, "the other words for a value", add)
		}
		values = append(values, v)
	}
	return values
}

// checkConcept checks a concept. What is wrong with one of its slots is told where that stands, and the concept goes on without it.
func (r *reader) checkConcept(c concept.Concept) (concept.Concept, concept.Shape, error) {
	if c.BuiltIn {
		return c.Check()
	}
	whole := c.Slots
	c.Slots = ""
	c, shape, err := c.Check()
	if err != nil || whole == "" {
		return c, shape, err
	}
	c.Slots = whole
	if shape.Slots, err = slots.Parse(whole); err != nil {
		return c, shape, err
	}
	for _, slot := range shape.Slots.List() {
		if err := concept.CheckSlot(slot, shape.Schema); err != nil {
			r.problem(r.slots[slotKey{c.Name, slot.Slot}], "%s: %s", c.Name, errors.Public(err))
		}
	}
	return c, shape, nil
}

// slotsNode writes slots as readSlots reads them; nil for none.
func slotsNode(stored string) (*yaml.Node, error) {
	list, err := slots.Stored(stored)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	n := mapping()
	for _, slot := range list {
		if slot.Kind != "" && !slot.Earlier {
			put(n, slot.Slot, scalar(string(slot.Kind)))
			continue
		}
		how := mapping()
		put(how, "kind", textNode(string(slot.Kind)))
		put(how, "pattern", textNode(slot.Pattern))
		put(how, "values", valuesNode(slot.Values))
		if slot.Earlier {
			put(how, "earlier", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
		}
		put(n, slot.Slot, how)
	}
	return n, nil
}

func valuesNode(values []slots.Value) *yaml.Node {
	if len(values) == 0 {
		return nil
	}
	n, plain := mapping(), &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	synonyms := false
	for _, v := range values {
		names := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range v.Synonyms {
			names.Content = append(names.Content, scalar(s))
		}
		synonyms = synonyms || len(v.Synonyms) > 0
		put(n, v.Value, names)
		plain.Content = append(plain.Content, scalar(v.Value))
	}
	if !synonyms {
		return plain
	}
	return n
}

// describeSlots says how slots are read, a line for each. What differs is described differently.
func describeSlots(stored string) string {
	list, err := slots.Stored(stored)
	if err != nil {
		return "slots: " + stored + "\n"
	}
	var b strings.Builder
	for _, slot := range list {
		b.WriteString("slot " + slot.Slot + ": " + string(slot.Kind))
		if slot.Pattern != "" {
			b.WriteString("pattern " + strconv.Quote(slot.Pattern))
		}
		for i, v := range slot.Values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Quote(v.Value))
			if len(v.Synonyms) > 0 {
				fmt.Fprintf(&b, " (%q)", v.Synonyms)
			}
		}
		if slot.Earlier {
			b.WriteString(", also from earlier messages")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
