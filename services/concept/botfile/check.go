package botfile

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/concept"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/template"

	"go.yaml.in/yaml/v3"
)

// check looks at the whole set: schemas, the slots of templates, what can never speak, examples that contradict.
func (r *reader) check() {
	templates := map[string][]concept.Template{}
	for _, t := range r.bot.Templates {
		templates[t.Concept] = append(templates[t.Concept], t)
	}
	for i, c := range r.bot.Concepts {
		if r.unread[c.Name] {
			continue
		}
		at := r.concepts[c.Name]
		checked, shape, err := r.checkConcept(c)
		if err != nil {
			r.problem(at, "%s: %s", c.Name, errors.Public(err))
			continue
		}
		parsed := shape.Schema
		r.bot.Concepts[i] = checked
		says := slices.ContainsFunc(templates[c.Name], func(t concept.Template) bool { return t.Asks == "" })
		switch {
		case says, c.BuiltIn:
		case len(templates[c.Name]) == 0:
			r.problem(at, "%s has no template, so it can say nothing", c.Name)
		default:
			r.problem(at, "%s has no template that says it, only questions", c.Name)
		}
		for j, t := range templates[c.Name] {
			at := r.templates[templateKey(t)]
			if err := concept.CheckTemplate(t, checked, shape); err != nil {
				r.problem(at, "%s, template %q: %s", c.Name, t.Name, errors.Public(err))
				continue
			}
			if why := unreachable(t, checked, parsed); why != "" {
				r.problem(at, "%s, template %q can never speak: %s", c.Name, t.Name, why)
			}
			for _, other := range templates[c.Name][:j] {
				if other.Text == t.Text && other.Condition == t.Condition && strings.EqualFold(other.Language, t.Language) {
					r.warn(at, "%s, template %q says the same as %q (line %d)", c.Name, t.Name, other.Name, r.templates[templateKey(other)].Line)
				}
			}
		}
	}
	r.contradictions()
}

// unreachable says why a template's condition can never hold, or never holds where it can speak; "" when it can.
func unreachable(t concept.Template, c concept.Concept, s *schema.Schema) string {
	condition, err := template.ParseCondition(t.Condition)
	if err != nil {
		return ""
	}
	if why := condition.Never(func(slot string) []any { return allowed(s, slot) }); why != "" {
		return "“" + t.Condition + "” cannot hold: " + why
	}
	static, err := schema.Object(c.Static)
	if err != nil {
		return ""
	}
	always := func(slot string) bool {
		return slices.ContainsFunc([]map[string]any{static, s.Defaults()}, func(values map[string]any) bool {
			said, ok := template.Text(values[slot])
			return ok && strings.TrimSpace(said) != ""
		})
	}
	if t.Asks != "" && always(t.Asks) {
		return t.Asks + " always has a value, so nobody is asked for it"
	}
	parsed, err := template.Parse(t.Text, t.Language)
	if err != nil {
		return ""
	}
	for _, slot := range condition.Slots() {
		if !condition.Denies(slot) {
			continue
		}
		if parsed.Needs(slot) {
			return "it says {" + slot + "} where “" + t.Condition + "” says that there is none"
		}
		if always(slot) {
			return "“" + t.Condition + "” never holds, because " + slot + " always has a value"
		}
	}
	return ""
}

// allowed lists the values that an enumeration, a constant or the booleans of a schema allow a slot; nil for any.
func allowed(s *schema.Schema, slot string) []any {
	if s == nil {
		return nil
	}
	var document struct {
		Properties map[string]struct {
			Enum  []any  `json:"enum"`
			Const any    `json:"const"`
			Type  string `json:"type"`
		} `json:"properties"`
	}
	// A property may also be a boolean or have a list of types: then every value is taken for allowed.
	if json.Unmarshal([]byte(s.Text), &document) != nil {
		return nil
	}
	switch p := document.Properties[slot]; {
	case p.Enum != nil:
		return p.Enum
	case p.Const != nil:
		return []any{p.Const}
	case p.Type == "boolean":
		return []any{true, false}
	}
	return nil
}

// contradictions finds utterances that stand under two concepts, whatever their case, accents and punctuation.
func (r *reader) contradictions() {
	first := map[string]concept.Example{}
	for _, e := range r.bot.Examples {
		key := strings.Join(strings.FieldsFunc(text.FoldKey(e.Utterance), func(c rune) bool {
			return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.IsMark(c)
		}), " ")
		other, ok := first[key]
		switch {
		case key == "":
		case !ok:
			first[key] = e
		case other.Concept != e.Concept:
			r.problem(r.node(e), "%q is an example of %s and of %s (line %d); only one can be meant", e.Utterance, e.Concept, other.Concept, r.node(other).Line)
		}
	}
}

func (r *reader) node(e concept.Example) *yaml.Node { return r.examples[e] }
