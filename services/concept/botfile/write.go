package botfile

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"dbslm/pkg/errors"
	"dbslm/services/concept"

	"go.yaml.in/yaml/v3"
)

// Write writes a bot so that Read gives it back. Equal bots give equal bytes.
func Write(bot Bot) ([]byte, error) {
	bot.sort()
	concepts := mapping()
	templates := map[string]*yaml.Node{}
	for _, t := range bot.Templates {
		templates[t.Concept] = appendTo(templates[t.Concept], templateNode(t))
	}
	examples := map[string]*yaml.Node{}
	for _, e := range bot.Examples {
		examples[e.Concept] = appendTo(examples[e.Concept], scalar(e.Utterance))
	}
	for _, c := range bot.Concepts {
		n := mapping()
		put(n, "description", textNode(c.Description))
		for _, o := range []struct{ key, text string }{{"schema", c.Schema}, {"values", c.Static}} {
			object, err := objectNode(o.text)
			if err != nil {
				return nil, err
			}
			put(n, o.key, object)
		}
		read, err := slotsNode(c.Slots)
		if err != nil {
			return nil, err
		}
		put(n, "slots", read)
		if c.CoolDown != 0 {
			put(n, "cool_down", number(strconv.Itoa(int(c.CoolDown))))
		}
		if c.Priority != 0 {
			put(n, "priority", number(strconv.Itoa(int(c.Priority))))
		}
		if c.Disabled {
			put(n, "enabled", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"})
		}
		put(n, "provider", textNode(c.Provider))
		put(n, "templates", templates[c.Name])
		put(n, "examples", examples[c.Name])
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		put(concepts, c.Name, n)
	}
	if len(concepts.Content) == 0 {
		concepts.Style = yaml.FlowStyle
	}
	root := mapping()
	put(root, "concepts", concepts)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, errors.Wrap(err, errors.Internal, "BOT_NOT_WRITTEN", "the bot cannot be written as YAML")
	}
	return out.Bytes(), nil
}

func templateNode(t concept.Template) *yaml.Node {
	n := mapping()
	put(n, "asks", textNode(t.Asks))
	if t.Name != concept.TemplateName(t.Asks) {
		put(n, "name", scalar(t.Name))
	}
	put(n, "language", textNode(t.Language))
	put(n, "when", textNode(t.Condition))
	if t.Tags != "" {
		tags := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, tag := range strings.Fields(t.Tags) {
			tags.Content = append(tags.Content, scalar(tag))
		}
		put(n, "tags", tags)
	}
	if t.Weight != 1 {
		put(n, "weight", number(strconv.FormatFloat(t.Weight, 'g', -1, 64)))
	}
	put(n, "text", scalar(t.Text))
	return n
}

// objectNode gives stored JSON as YAML in block style; nil for none.
func objectNode(text string) (*yaml.Node, error) {
	if text == "" {
		return nil, nil
	}
	var canonical bytes.Buffer
	if err := json.Compact(&canonical, []byte(text)); err != nil {
		return nil, errors.Wrap(err, errors.Internal, "BOT_NOT_WRITTEN", "what is stored is no JSON")
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, errors.Wrap(err, errors.Internal, "BOT_NOT_WRITTEN", "what is stored is no JSON")
	}
	return jsonNode(value), nil
}

func jsonNode(value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		n := mapping()
		for _, key := range sortedKeys(v) {
			put(n, key, jsonNode(v[key]))
		}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			n.Content = append(n.Content, jsonNode(item))
		}
		return n
	case json.Number:
		return number(v.String())
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case string:
		return scalar(v)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func textNode(text string) *yaml.Node {
	if text == "" {
		return nil
	}
	return scalar(text)
}

func number(text string) *yaml.Node {
	tag := "!!int"
	if strings.ContainsAny(text, ".eE") {
		tag = "!!float"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// put adds a key to a mapping; a nil value adds nothing.
func put(n *yaml.Node, key string, value *yaml.Node) {
	if value != nil {
		n.Content = append(n.Content, scalar(key), value)
	}
}

func appendTo(list, item *yaml.Node) *yaml.Node {
	if list == nil {
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	}
	list.Content = append(list.Content, item)
	return list
}
