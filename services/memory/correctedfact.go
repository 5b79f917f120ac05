package memory

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"

	"dbslm/pkg/errors"
)

// CorrectedFact is what is right, structured.
type CorrectedFact struct {
	Entity    string // may be empty
	Attribute string // may be empty
	Value     string
	Extra     string // further keys as a JSON object; empty for none
}

// The keys of a fact's JSON that are fields here.
const (
	keyEntity    = "entity"
	keyAttribute = "attribute"
	keyValue     = "value"
)

// canonical checks Extra and brings it into one form: keys sorted, no spaces, numbers as they were written.
func (f CorrectedFact) canonical() (CorrectedFact, error) {
	extra, err := parseObject(f.Extra)
	if err != nil {
		return f, err
	}
	for _, key := range []string{keyEntity, keyAttribute, keyValue} {
		if _, taken := extra[key]; taken {
			return f, Invalid("fact.extra_json", "%q is a field of the fact; set it there", key)
		}
	}
	f.Extra, err = encodeObject(extra)
	if err == nil && len(f.Extra) > MaxFactExtra {
		err = Invalid("fact.extra_json", "takes %d bytes in canonical form; at most %d are kept", len(f.Extra), MaxFactExtra)
	}
	return f, err
}

// JSON is the fact as it is stored: one flat object with entity, attribute and value, empty ones left out, and the keys of
// Extra.
func (f CorrectedFact) JSON() (string, error) {
	object, err := parseObject(f.Extra)
	if err != nil {
		return "", err
	}
	object = maps.Clone(object)
	if object == nil {
		object = make(map[string]json.RawMessage, 3)
	}
	for key, value := range map[string]string{keyEntity: f.Entity, keyAttribute: f.Attribute, keyValue: f.Value} {
		if value != "" {
			if object[key], err = encode(value); err != nil {
				return "", err
			}
		}
	}
	return encodeObject(object)
}

// ParseCorrectedFact is the inverse of JSON.
func ParseCorrectedFact(stored string) (CorrectedFact, error) {
	object, err := parseObject(stored)
	if err != nil {
		return CorrectedFact{}, err
	}
	var f CorrectedFact
	for key, into := range map[string]*string{keyEntity: &f.Entity, keyAttribute: &f.Attribute, keyValue: &f.Value} {
		if raw, ok := object[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return CorrectedFact{}, err
			}
			delete(object, key)
		}
	}
	f.Extra, err = encodeObject(object)
	return f, err
}

// parseObject reads a JSON object; "" is none. A list, a number or anything else is refused here, once, so that no reply can
// stumble over it later.
func parseObject(s string) (map[string]json.RawMessage, error) {
	if s == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader([]byte(s)))
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, Invalid("fact.extra_json", `must be a JSON object such as {"source":"p. 12"}`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, Invalid("fact.extra_json", "must be one JSON object and nothing after it")
	}
	if depth(s) > maxExtraDepth {
		return nil, Invalid("fact.extra_json", "nests deeper than %d levels", maxExtraDepth)
	}
	return object, nil
}

// maxExtraDepth is how deep the further keys of a fact may nest: what reads them later may recurse.
const maxExtraDepth = 32

// depth returns how deep valid JSON nests.
func depth(s string) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

func encodeObject(object map[string]json.RawMessage) (string, error) {
	if len(object) == 0 {
		return "", nil
	}
	raw, err := encode(object)
	return string(raw), err
}

// encode keeps <, > and & readable: this text is for people with a SQL prompt, not for HTML.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
