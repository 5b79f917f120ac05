// Package converse holds conversations that are written down as data, and judges the replies: what each turn expects, and what is
// expected of every reply. It is a client of the gateway's public API.
package converse

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"

	"go.yaml.in/yaml/v3"
)

// MaxBytes bounds a script.
const MaxBytes = 1 << 20

// maxName bounds the name of a conversation, in bytes.
const maxName = 256

// Script is a file of conversations.
type Script struct {
	Model         string         `yaml:"model"`    // empty is "default"
	Bot           string         `yaml:"bot"`      // empty is "default"
	Language      string         `yaml:"language"` // code; empty is the default language
	Seed          uint64         `yaml:"seed"`     // of the first turn of a conversation; each turn has one more
	Conversations []Conversation `yaml:"conversations"`
}

// Conversation is held from the beginning, by a person of its own.
type Conversation struct {
	Name     string `yaml:"name"`
	Language string `yaml:"language"` // instead of the script's
	Turns    []Turn `yaml:"turns"`
}

// Turn is what happens next: exactly one of Say, Correct, Remember and Signal is set.
type Turn struct {
	Say      string      `yaml:"say"`      // the person says something and is answered
	Language string      `yaml:"language"` // of Say, instead of the conversation's
	Correct  *Correction `yaml:"correct"`  // about the newest reply that holds what was wrong
	Remember *Fact       `yaml:"remember"` // a fact of the conversation
	Signal   *Signal     `yaml:"signal"`   // a concept is asked for
	Expect   *Expect     `yaml:"expect"`   // of the reply to Say
	Line     int         `yaml:"-"`
}

// Correction is what was wrong and what is right, written "wrong => right" or as a mapping, with which it can name what it is about.
type Correction struct {
	Wrong     string `yaml:"wrong"`
	Right     string `yaml:"right"`
	Entity    string `yaml:"entity"`
	Attribute string `yaml:"attribute"`
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *Correction) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		c.Wrong, c.Right, _ = strings.Cut(node.Value, "=>")
		c.Wrong, c.Right = strings.TrimSpace(c.Wrong), strings.TrimSpace(c.Right)
	} else {
		type plain Correction // without this method
		if err := strictly(node, (*plain)(c), "wrong", "right", "entity", "attribute"); err != nil {
			return err
		}
	}
	if c.Right == "" || c.Wrong == "" && c.Attribute == "" {
		return fmt.Errorf("line %d: a correction is written as: wrong => right, or as a mapping with right, and with wrong or attribute", node.Line)
	}
	return nil
}

// Fact is told without a correction.
type Fact struct {
	Entity    string `yaml:"entity"`
	Attribute string `yaml:"attribute"`
	Value     string `yaml:"value"`
}

// Signal asks for a concept.
type Signal struct {
	Concept string         `yaml:"concept"`
	Payload map[string]any `yaml:"payload"`
}

// Expect is what a reply must be like. Texts are compared without regard to case and accents.
type Expect struct {
	Concept  *string  `yaml:"concept"`  // that speaks in it; "" where level 1 writes
	Equals   string   `yaml:"equals"`   // the whole reply, exactly
	Contains Texts    `yaml:"contains"` // all of them
	Lacks    Texts    `yaml:"lacks"`    // each of them
	Matches  *Pattern `yaml:"matches"`  // RE2
	Fact     Texts    `yaml:"fact"`     // what is right: one of them is said
	Wrong    Texts    `yaml:"wrong"`    // what is wrong: none of them is said
	Language string   `yaml:"language"` // of the template that spoke
}

// Texts are one text or a list.
type Texts []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *Texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		var list []string
		err := node.Decode(&list)
		*t = list
		return err
	}
	var one string
	err := node.Decode(&one)
	*t = Texts{one}
	return err
}

// Pattern is a regular expression in RE2's syntax.
type Pattern struct{ *regexp.Regexp }

// UnmarshalYAML implements yaml.Unmarshaler.
func (p *Pattern) UnmarshalYAML(node *yaml.Node) (err error) {
	if p.Regexp, err = regexp.Compile(node.Value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler: it keeps the line and refuses what is no turn.
func (t *Turn) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a turn is a mapping with say, correct, remember or signal", node.Line)
	}
	type plain Turn // without this method
	if err := strictly(node, (*plain)(t), "say", "language", "correct", "remember", "signal", "expect"); err != nil {
		return err
	}
	t.Line = node.Line
	acts := 0
	for _, is := range []bool{t.Say != "", t.Correct != nil, t.Remember != nil, t.Signal != nil} {
		if is {
			acts++
		}
	}
	switch {
	case acts != 1:
		return fmt.Errorf("line %d: a turn needs exactly one of say, correct, remember and signal", node.Line)
	case (t.Expect != nil || t.Language != "") && t.Say == "":
		return fmt.Errorf("line %d: expect and language need say", node.Line)
	case t.Remember != nil && (t.Remember.Attribute == "" || t.Remember.Value == ""):
		return fmt.Errorf("line %d: a fact needs an attribute and a value", node.Line)
	case t.Signal != nil && t.Signal.Concept == "":
		return fmt.Errorf("line %d: a signal needs a concept", node.Line)
	}
	return nil
}

// strictly decodes a mapping that may have only the given keys; a decoder's own strictness ends at custom methods.
func strictly(node *yaml.Node, into any, keys ...string) error {
	for i := 0; i < len(node.Content); i += 2 {
		key, known := node.Content[i], false
		for _, k := range keys {
			known = known || key.Value == k
		}
		if !known {
			return fmt.Errorf("line %d: %q is not known here; known are: %s", key.Line, key.Value, strings.Join(keys, ", "))
		}
		if key.Value == "expect" {
			if err := knownKeys(node.Content[i+1], "concept", "equals", "contains", "lacks", "matches", "fact", "wrong", "language"); err != nil {
				return err
			}
		}
	}
	return node.Decode(into)
}

func knownKeys(node *yaml.Node, keys ...string) error {
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		return fmt.Errorf("line %d: expect is a mapping with some of: %s", node.Line, strings.Join(keys, ", "))
	}
	return strictly(node, &yaml.Node{}, keys...)
}

// goTypes are what the library tells of this package's types, and plainly is how it says the rest.
var (
	goTypes = regexp.MustCompile(` (in type|into) [\[\]*]*(converse\.\w+|string|uint64|map\[\S+)`)
	plainly = strings.NewReplacer("yaml: unmarshal errors:\n  ", "", "yaml: ", "", "\n  ", "; ", "cannot unmarshal !!", "this does not belong here: ", "not found", "is not known")
)

// Read reads a script. Its errors are InvalidArgument and name the line.
func Read(r io.Reader) (*Script, error) {
	refuse := func(format string, args ...any) error {
		return errors.New(errors.InvalidArgument, "BAD_SCRIPT", format, args...)
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > MaxBytes:
		return nil, refuse("more than %d bytes", MaxBytes)
	case !utf8.Valid(data):
		return nil, refuse("not UTF-8 text")
	}
	s := &Script{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, refuse("it is empty; it needs conversations")
		}
		return nil, refuse("%s", plainly.Replace(goTypes.ReplaceAllString(err.Error(), "")))
	}
	if len(s.Conversations) == 0 {
		return nil, refuse("it needs conversations")
	}
	for i, c := range s.Conversations {
		if c.Name == "" {
			s.Conversations[i].Name = fmt.Sprintf("conversation %d", i+1)
		}
		switch {
		case len(c.Name) > maxName:
			return nil, refuse("the name of conversation %d has more than %d bytes", i+1, maxName)
		case len(c.Turns) == 0:
			return nil, refuse("%s has no turns", s.Conversations[i].Name)
		}
	}
	return s, nil
}
