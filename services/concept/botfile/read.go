package botfile

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	"dbslm/services/concept"

	"go.yaml.in/yaml/v3"
)

// reader walks a file once and collects what is in it, where it stands, and what is wrong.
type reader struct {
	bot      Bot
	problems []Problem
	// at is where each concept, slot, template and example stands, as checks name them later.
	concepts  map[string]*yaml.Node
	slots     map[slotKey]*yaml.Node
	templates map[string]*yaml.Node // by templateKey
	examples  map[concept.Example]*yaml.Node
	unread    map[string]bool // concepts that could not be read as a whole, so that nothing more can be said of them
}

// Read reads a file. What it returns may only be used when no problem is more than a warning.
func Read(text []byte) (Bot, []Problem) {
	r := &reader{concepts: map[string]*yaml.Node{}, slots: map[slotKey]*yaml.Node{}, templates: map[string]*yaml.Node{}, examples: map[concept.Example]*yaml.Node{}, unread: map[string]bool{}}
	r.read(text)
	r.check()
	r.bot.sort()
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	return r.bot, r.problems
}

func (r *reader) problem(at *yaml.Node, format string, args ...any) {
	r.report(at, false, format, args...)
}

func (r *reader) warn(at *yaml.Node, format string, args ...any) {
	r.report(at, true, format, args...)
}

func (r *reader) report(at *yaml.Node, warning bool, format string, args ...any) {
	if len(r.problems) >= MaxProblems {
		return
	}
	p := Problem{Warning: warning, Text: fmt.Sprintf(format, args...)}
	if at != nil {
		p.Line, p.Column = at.Line, at.Column
	}
	r.problems = append(r.problems, p)
}

func (r *reader) read(text []byte) {
	switch {
	case len(text) > MaxBytes:
		r.problem(nil, "the file has %d bytes; at most %d are allowed", len(text), MaxBytes)
		return
	case !utf8.Valid(text):
		r.problem(nil, "the file is not UTF-8 text")
		return
	}
	if depth := nesting(text); depth > maxDepth*4 {
		r.problem(nil, "the file is nested too deeply")
		return
	}
	var root, more yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			r.problem(nil, "the file is empty; it needs concepts")
			return
		}
		r.syntax(err)
		return
	}
	if err := decoder.Decode(&more); err == nil {
		r.problem(&more, "a second document begins; a bot is one document")
		return
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return
	}
	if !r.plain(&root, 0) {
		return
	}
	r.fields(root.Content[0], "the file", map[string]func(*yaml.Node){"concepts": r.readConcepts}, "concepts")
}

// nesting is the greatest number of brackets open at once, an upper bound on what the parser recurses by flow style.
func nesting(text []byte) int {
	depth, deepest := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

var lineOfError = regexp.MustCompile(`line (\d+): (.*)`)

func (r *reader) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := lineOfError.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		r.problem(&yaml.Node{Line: line, Column: 1}, "not YAML: %s", m[2])
		return
	}
	r.problem(nil, "not YAML: %s", text)
}

// plain refuses what would make a file other than it looks: aliases, anchors, tags, deep nesting, a key given twice.
func (r *reader) plain(n *yaml.Node, depth int) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.problem(n, "aliases and anchors are not read; write the value out")
		return false
	case depth > maxDepth:
		r.problem(n, "nested more than %d levels deep", maxDepth)
		return false
	}
	fine := true
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; seen[key.Value] {
				r.problem(key, "%q is given twice", key.Value)
				fine = false
			} else {
				seen[key.Value] = true
			}
		}
	}
	for _, child := range n.Content {
		fine = r.plain(child, depth+1) && fine
	}
	return fine
}

// fields reads a mapping by its keys. Unknown keys are problems, and so are missing ones.
func (r *reader) fields(n *yaml.Node, what string, read map[string]func(*yaml.Node), required ...string) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be written as keys with values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		seen[key.Value] = true
		set, ok := read[key.Value]
		if !ok {
			var known []string
			for k := range read {
				known = append(known, k)
			}
			slices.Sort(known)
			r.problem(key, "%q is not a key of %s; its keys are: %s", key.Value, what, strings.Join(known, ", "))
			continue
		}
		set(value)
	}
	for _, key := range required {
		if !seen[key] {
			r.problem(n, "%s has no %q", what, key)
		}
	}
}

func (r *reader) items(n *yaml.Node, what string, each func(*yaml.Node)) {
	switch {
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			each(item)
		}
	case n.Tag != "!!null":
		r.problem(n, "%s must be a list", what)
	}
}

// text returns a setter for text of at most limit bytes.
func (r *reader) text(to *string, what string, limit int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		switch {
		case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
			r.problem(n, "%s must be text", what)
		case len(n.Value) > limit:
			r.problem(n, "%s has %d bytes; at most %d are allowed", what, len(n.Value), limit)
		case strings.ContainsRune(n.Value, 0):
			r.problem(n, "%s holds a NUL byte", what)
		default:
			*to = n.Value
		}
	}
}

// value returns a setter for anything that Go reads from a YAML scalar.
func value[T any](r *reader, to *T, what, wanted string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Decode(to) != nil {
			r.problem(n, "%s must be %s", what, wanted)
		}
	}
}

// object returns a setter for a mapping that is kept as JSON with its keys sorted.
func (r *reader) object(to *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
			return
		}
		v, ok := r.json(n)
		if !ok {
			return
		}
		if _, isObject := v.(map[string]any); !isObject {
			r.problem(n, "%s must be written as keys with values", what)
			return
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			r.problem(n, "%s cannot be written as JSON: %v", what, err)
			return
		}
		*to = string(encoded)
	}
}

// json gives a node as JSON has it. Dates stay text, numbers keep their digits.
func (r *reader) json(n *yaml.Node) (any, bool) {
	switch n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := r.json(n.Content[i+1])
			if !ok {
				return nil, false
			}
			object[n.Content[i].Value] = v
		}
		return object, true
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, ok := r.json(item)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	}
	switch n.Tag {
	case "!!null":
		return nil, true
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b, true
		}
	case "!!int", "!!float":
		if number := json.Number(n.Value); json.Valid([]byte(number)) {
			return number, true
		}
		r.problem(n, "%q is not a number of JSON; quote it to make it text", n.Value)
		return nil, false
	}
	return n.Value, true
}
