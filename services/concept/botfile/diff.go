package botfile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dbslm/services/concept"
)

// Change is one difference between a bot as it is and as a file wants it.
type Change struct {
	Concept string
	What    string // "concept", "template pt-BR/plain", "example"
	Before  string // "" when it is new
	After   string // "" when it goes
}

// Plan is what has to be stored to make a bot what a file says.
type Plan struct {
	Put             []concept.Concept
	PutTemplates    []concept.Template
	Delete          []string // concepts, with all that is theirs
	DeleteTemplates []concept.Template
	Add, Remove     []concept.Example
	Changes         []Change
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Diff says how to make one bot another. With keep, concepts that the wanted one does not name stay as they are.
func Diff(old, wanted Bot, keep bool) *Plan {
	p := &Plan{}
	was, will := byName(old.Concepts), byName(wanted.Concepts)
	gone := map[string]bool{} // or kept: either way nothing of theirs is to be done
	for _, c := range old.Concepts {
		if _, stays := will[c.Name]; !stays {
			gone[c.Name] = true
			if keep {
				continue
			}
			p.Delete = append(p.Delete, c.Name)
			p.change(c.Name, "concept", describe(c), "")
		}
	}
	for _, c := range wanted.Concepts {
		before := ""
		if o, known := was[c.Name]; known {
			before = describe(o)
		}
		if after := describe(c); before != after {
			p.Put = append(p.Put, c)
			p.change(c.Name, "concept", before, after)
		}
	}
	p.templates(old.Templates, wanted.Templates, gone)
	p.examples(old.Examples, wanted.Examples, gone)
	slices.SortStableFunc(p.Changes, func(a, b Change) int { return cmp.Compare(a.Concept, b.Concept) })
	return p
}

func (p *Plan) change(concept, what, before, after string) {
	p.Changes = append(p.Changes, Change{concept, what, before, after})
}

func (p *Plan) templates(old, wanted []concept.Template, gone map[string]bool) {
	was := map[string]concept.Template{}
	for _, t := range old {
		was[storedKey(t)] = t
	}
	for _, t := range wanted {
		key := storedKey(t)
		o, known := was[key]
		delete(was, key)
		before := ""
		if known {
			before = say(o)
		}
		if after := say(t); before != after {
			p.PutTemplates = append(p.PutTemplates, t)
			p.change(t.Concept, templateName(t), before, after)
		}
	}
	for _, key := range sortedKeys(was) {
		t := was[key]
		if !gone[t.Concept] {
			p.DeleteTemplates = append(p.DeleteTemplates, t)
			p.change(t.Concept, templateName(t), say(t), "")
		}
	}
}

func (p *Plan) examples(old, wanted []concept.Example, gone map[string]bool) {
	was := map[concept.Example]bool{}
	for _, e := range old {
		was[e] = true
	}
	for _, e := range wanted {
		if !was[e] {
			p.Add = append(p.Add, e)
			p.change(e.Concept, "example", "", e.Utterance)
		}
		delete(was, e)
	}
	for _, e := range slices.SortedFunc(maps.Keys(was), compareExamples) {
		if !gone[e.Concept] {
			p.Remove = append(p.Remove, e)
			p.change(e.Concept, "example", e.Utterance, "")
		}
	}
}

func byName(concepts []concept.Concept) map[string]concept.Concept {
	named := map[string]concept.Concept{}
	for _, c := range concepts {
		named[c.Name] = c
	}
	return named
}

// describe is everything about a concept that a file may say, a line for each.
func describe(c concept.Concept) string {
	var b strings.Builder
	for _, part := range []struct{ key, value string }{
		{"description", c.Description}, {"schema", c.Schema}, {"values", c.Static}, {"provider", c.Provider},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, "%s: %s\n", part.key, part.value)
		}
	}
	b.WriteString(describeSlots(c.Slots))
	if c.CoolDown != 0 {
		fmt.Fprintf(&b, "cool-down: %d\n", c.CoolDown)
	}
	fmt.Fprintf(&b, "priority: %d, enabled: %v", c.Priority, !c.Disabled)
	return b.String()
}

func say(t concept.Template) string {
	said := t.Text
	if t.Asks != "" {
		said += " (asks for " + t.Asks + ")"
	}
	if t.Condition != "" {
		said += " (when " + t.Condition + ")"
	}
	if t.Tags != "" {
		said += " (tags " + t.Tags + ")"
	}
	if t.Weight != 1 {
		said += fmt.Sprintf(" (weight %g)", t.Weight)
	}
	return said
}

func templateName(t concept.Template) string {
	if t.Language == "" {
		return "template " + t.Name
	}
	return "template " + t.Language + "/" + t.Name
}

// storedKey names a template as the tables do.
func storedKey(t concept.Template) string { return t.Concept + "\x00" + t.Language + "\x00" + t.Name }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
