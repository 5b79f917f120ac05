package botfile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/template"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

var conceptName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,127}$`)

func (r *reader) readConcepts(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			r.problem(n, "concepts must be written as names with values")
		}
		return
	}
	if len(n.Content)/2 > maxConcepts {
		r.problem(n, "the bot has %d concepts; at most %d are allowed", len(n.Content)/2, maxConcepts)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		r.readConcept(n.Content[i], n.Content[i+1])
	}
	if len(r.bot.Templates) > maxTemplates {
		r.problem(n, "the bot has %d templates; at most %d are allowed", len(r.bot.Templates), maxTemplates)
	}
	if len(r.bot.Examples) > maxExamples {
		r.problem(n, "the bot has %d examples; at most %d are allowed", len(r.bot.Examples), maxExamples)
	}
}

func (r *reader) readConcept(name, n *yaml.Node) {
	if !conceptName.MatchString(name.Value) {
		r.problem(name, "%q is not a name of a concept; use a letter followed by letters, digits and underscores", name.Value)
		return
	}
	c := concept.Concept{Name: name.Value, BuiltIn: concept.IsBuiltIn(name.Value)}
	enabled, before := true, len(r.problems)
	r.fields(n, "concept "+c.Name, map[string]func(*yaml.Node){
		"description": r.text(&c.Description, "the description", 2048),
		"schema":      r.object(&c.Schema, "the schema"),
		"values":      r.object(&c.Static, "values"),
		"slots":       func(n *yaml.Node) { r.readSlots(&c, n) },
		"cool_down":   value(r, &c.CoolDown, "the cool-down", "a number of replies"),
		"priority":    value(r, &c.Priority, "the priority", "a whole number"),
		"enabled":     value(r, &enabled, "enabled", "true or false"),
		"provider":    r.text(&c.Provider, "the provider's address", 256),
		"templates": func(n *yaml.Node) {
			r.items(n, "templates", func(item *yaml.Node) { r.readTemplate(c.Name, item) })
		},
		"examples": func(n *yaml.Node) {
			r.items(n, "examples", func(item *yaml.Node) { r.readExample(c.Name, item) })
		},
	})
	c.Disabled = !enabled
	if c.CoolDown > concept.MaxCoolDown {
		r.problem(name, "%s cools down for %d replies; at most %d are allowed", c.Name, c.CoolDown, concept.MaxCoolDown)
	}
	if c.Schema == "{}" {
		c.Schema = ""
	}
	if c.Static == "{}" {
		c.Static = ""
	}
	r.concepts[c.Name], r.unread[c.Name] = name, Wrong(r.problems[before:])
	r.bot.Concepts = append(r.bot.Concepts, c)
}

func (r *reader) readTemplate(owner string, n *yaml.Node) {
	t := concept.Template{Concept: owner, Weight: 1}
	var tags []string
	if n.Kind == yaml.ScalarNode {
		r.text(&t.Text, "the template", template.MaxText)(n)
	} else {
		r.fields(n, "a template", map[string]func(*yaml.Node){
			"name":     r.text(&t.Name, "the template's name", 128),
			"language": r.text(&t.Language, "the language", 32),
			"text":     r.text(&t.Text, "the template", template.MaxText),
			"weight":   value(r, &t.Weight, "the weight", "a number above 0"),
			"when":     r.text(&t.Condition, "the condition", 512),
			"tags":     func(n *yaml.Node) { r.items(n, "tags", func(item *yaml.Node) { r.readTag(&tags, item) }) },
			"asks":     r.text(&t.Asks, "the slot that is asked for", 128),
		}, "text")
	}
	if len(tags) > concept.MaxTags {
		r.problem(n, "the template has %d tags; at most %d are allowed", len(tags), concept.MaxTags)
	}
	t.Condition, t.Tags = strings.TrimSpace(t.Condition), concept.JoinTags(tags)
	if t.Language != "" {
		if _, err := language.Parse(t.Language); err != nil {
			r.problem(n, "%q is not a language; write a code such as en or pt-BR", t.Language)
		}
	}
	if !(t.Weight > 0 && t.Weight <= 1e6) {
		r.problem(n, "the weight %v is not above 0 and at most 1000000", t.Weight)
	}
	if t.Name == "" {
		t.Name = r.freeName(t)
	}
	key := templateKey(t)
	if r.templates[key] != nil {
		r.problem(n, "%s has two templates %q in language %q (the other: line %d)", owner, t.Name, t.Language, r.templates[key].Line)
		return
	}
	r.templates[key] = n
	r.bot.Templates = append(r.bot.Templates, t)
}

func (r *reader) readTag(tags *[]string, n *yaml.Node) {
	switch {
	case n.Kind != yaml.ScalarNode || !concept.ValidTag(n.Value):
		r.problem(n, "%q is not a tag; use small letters, digits, - and _, at most 32", n.Value)
	case slices.Contains(*tags, n.Value):
		r.warn(n, "tag %s stands twice", n.Value)
	default:
		*tags = append(*tags, n.Value)
	}
}

// freeName names a template that has no name: "default" or "ask_SLOT", then "default2", "default3".
func (r *reader) freeName(t concept.Template) string {
	for i := 1; ; i++ {
		t.Name = concept.TemplateName(t.Asks)
		if i > 1 {
			t.Name += strconv.Itoa(i)
		}
		if r.templates[templateKey(t)] == nil {
			return t.Name
		}
	}
}

func templateKey(t concept.Template) string {
	return t.Concept + "\x00" + strings.ToLower(t.Language) + "\x00" + t.Name
}

func (r *reader) readExample(owner string, n *yaml.Node) {
	var u string
	r.text(&u, "an example", 4096)(n)
	u = strings.Join(strings.Fields(u), " ")
	if len(predict.Features(u)) == 0 {
		if n.Kind == yaml.ScalarNode && len(n.Value) <= 4096 {
			r.problem(n, "the example holds no word")
		}
		return
	}
	e := concept.Example{Concept: owner, Utterance: u}
	if other := r.examples[e]; other != nil {
		r.warn(n, "the example stands twice (the other: line %d)", other.Line)
		return
	}
	r.examples[e] = n
	r.bot.Examples = append(r.bot.Examples, e)
}
