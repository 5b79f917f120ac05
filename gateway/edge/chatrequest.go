package edge

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

const (
	// mostMessages bounds the messages of a request, as OpenAI's API does.
	mostMessages = 2048
	// instructionBytes is RespondRequest.instructions.
	instructionBytes = 64 << 10
	// mostShown is the top_logprobs that may be asked for.
	mostShown = 20
)

// said is one message of a chat.
type said struct {
	role, content string
	at            int // in the request
}

// chatRequest is a chat whose last message is to be answered.
type chatRequest struct {
	sampling
	messages []said // of the person and the assistant, without those that say nothing
	system   []string
	logprobs bool
	top      *int64
}

func readChat(r *http.Request) (*chatRequest, error) {
	c := &chatRequest{}
	table := c.table()
	for name, read := range (parameters{
		"messages":              c.readMessages,
		"max_completion_tokens": table["max_tokens"],
		"logprobs":              flag(&c.logprobs),
		"top_logprobs":          whole(&c.top, 0, mostShown),
		"response_format":       unless(`{"type":"text"}`),
		"tools":                 unless(`[]`),
		"functions":             unless(`[]`),
		"tool_choice":           unless(`"none"`, `"auto"`),
		"function_call":         unless(`"none"`, `"auto"`),
		"modalities":            unless(`["text"]`),
		"audio":                 unless(),
		"web_search_options":    unless(),
		"parallel_tool_calls":   ignored, "metadata": ignored, "store": ignored, "service_tier": ignored, "reasoning_effort": ignored,
		"verbosity": ignored, "prediction": ignored, "safety_identifier": ignored, "prompt_cache_key": ignored, "prompt_cache_retention": ignored,
	}) {
		table[name] = read
	}
	if err := readObject(r, table); err != nil {
		return nil, err
	}
	last := len(c.messages) - 1
	for _, joined := range c.instructions() {
		if len(joined) > instructionBytes {
			return nil, invalid("STRING_ABOVE_MAX_LENGTH", "messages", "Invalid 'messages': those of the system have more than %d bytes together.", instructionBytes)
		}
	}
	switch {
	case c.model == "":
		return nil, missing("model")
	case last < 0:
		return nil, missing("messages")
	case c.messages[last].role != "user":
		return nil, invalid("INVALID_VALUE", at(c.messages[last].at, "role"), "Invalid 'messages': the last one is to be answered and must be of the role user.")
	case strings.TrimSpace(c.messages[last].content) == "":
		return nil, invalid("INVALID_VALUE", at(c.messages[last].at, "content"), "Invalid 'messages': the last one says nothing.")
	case c.top != nil && !c.logprobs:
		return nil, invalid("INVALID_VALUE", "top_logprobs", "Invalid 'top_logprobs': they are told only with 'logprobs'.")
	}
	return c, nil
}

func at(i int, field string) string { return "messages[" + strconv.Itoa(i) + "]." + field }

// readMessages reads the messages, the last of which must come last.
func (c *chatRequest) readMessages(name string, raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return wrongType(name, "an array of messages", raw)
	}
	if len(list) > mostMessages {
		return invalid("ARRAY_ABOVE_MAX_LENGTH", name, "Invalid '%s': at most %d messages are possible, but there are %d.", name, mostMessages, len(list))
	}
	for i, one := range list {
		m := said{at: i}
		err := parameters{
			"role": text(&m.role, nameBytes), "content": contentOf(&m.content), "name": ignored, "refusal": ignored, "annotations": ignored,
			"tool_calls": unless(`[]`), "function_call": unless(), "tool_call_id": unless(), "audio": unless(),
		}.read(at(i, ""), one)
		if err != nil {
			return err
		}
		switch m.role {
		case "system", "developer":
			c.system = append(c.system, m.content)
		case "user", "assistant":
			if m.content != "" || i == len(list)-1 {
				c.messages = append(c.messages, m)
			}
		case "":
			return missing(at(i, "role"))
		default:
			return invalid("INVALID_VALUE", at(i, "role"), "Invalid value for '%s': expected system, developer, user or assistant, but got '%.40s'.", at(i, "role"), m.role)
		}
	}
	return nil
}

// contentOf reads the text of a message: a string, or an array of parts that are texts.
func contentOf(into *string) func(string, json.RawMessage) error {
	return func(name string, raw json.RawMessage) error {
		var parts []json.RawMessage
		if json.Unmarshal(raw, &parts) != nil {
			return spoken(into)(name, raw)
		}
		var texts []string
		for i, one := range parts {
			var kind struct{ Type any }
			var said string
			part := name + "[" + strconv.Itoa(i) + "]."
			if json.Unmarshal(one, &kind) == nil && kind.Type != "text" {
				return invalid("UNSUPPORTED_PARAMETER", part+"type", "Unsupported parameter: '%stype' must be text with this model.", part)
			}
			if err := (parameters{"type": ignored, "text": spoken(&said)}).read(part, one); err != nil {
				return err
			}
			texts = append(texts, said)
		}
		*into = strings.Join(texts, "\n")
		return nil
	}
}

// spoken reads what a message may say.
func spoken(into *string) func(string, json.RawMessage) error {
	return func(name string, raw json.RawMessage) error {
		if err := text(into, textBytes)(name, raw); err != nil {
			return err
		}
		if strings.ContainsRune(*into, 0) {
			return invalid("INVALID_VALUE", name, "Invalid '%s': it holds a NUL.", name)
		}
		return nil
	}
}

// texts are what the request says, for counting.
func (c *chatRequest) texts() []string {
	all := append([]string(nil), c.system...)
	for _, m := range c.messages {
		all = append(all, m.content)
	}
	return all
}

// instructions are the system's messages as one text.
func (c *chatRequest) instructions() []string {
	if joined := strings.TrimSpace(strings.Join(c.system, "\n")); joined != "" {
		return []string{joined}
	}
	return nil
}

// stages is how many candidates for each token are asked for; nil for no tokens at all. The chosen one is told in any case.
func (c *chatRequest) stages() *uint32 {
	if !c.logprobs {
		return nil
	}
	n := uint32(1)
	if c.top != nil {
		n = uint32(max(*c.top, 1))
	}
	return &n
}

func (c *chatRequest) shown() int {
	if c.top == nil {
		return 0
	}
	return int(*c.top)
}
