package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"dbslm"
	"dbslm/gateway/edge"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// hours teaches a concept.
func hours(t *testing.T, sys *dbslm.System) {
	t.Helper()
	catalogue := conceptv1.NewCatalogueServiceClient(sys.Conn())
	_, err := catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "Hours"}})
	if err == nil {
		_, err = catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Hours", Text: "The market opens on Sunday."}})
	}
	if err == nil {
		_, err = catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{
			{Concept: "Hours", Utterance: "when does the market open"}, {Concept: "Hours", Utterance: "on which day is the market"},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func history(t *testing.T, sys *dbslm.System, conversation string) (said []string) {
	t.Helper()
	resp, err := sys.Gateway().GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range resp.Messages {
		said = append(said, m.Content)
	}
	return said
}

// A chat without a conversation is answered after what it brings, which is stored once; what others said to the same beginning is
// not seen. All of it can be explained and replayed.
func TestEphemeralChats(t *testing.T) {
	sys := system(t)
	url := serve(t, sys.Conn(), edge.Options{}) + "/v1/chat/completions"
	trace := func(body string) *gatewayv1.Trace {
		t.Helper()
		id, _ := in(t, body, "dbslm", "message_id").(string)
		resp, err := sys.Gateway().GetTrace(t.Context(), &gatewayv1.GetTraceRequest{MessageId: id})
		if err != nil {
			t.Fatal(err)
		}
		replayed, err := sys.Gateway().Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: id})
		if err != nil || !replayed.Identical {
			t.Errorf("replayed: %v, %v", replayed, err)
		}
		return resp.Trace
	}
	const prefix = `{"role": "system", "content": "Speak of the lighthouse."}, {"role": "user", "content": "Who keeps it?"}, {"role": "assistant", "content": "Oda."}`
	first, body := ask(t, "POST", url, `{"model": "default", "seed": 5, "messages": [`+prefix+`, {"role": "user", "content": "And at night?"}]}`)
	conversation := first.Get("X-Conversation-Id")
	text, _ := in(t, body, "choices", 0, "message", "content").(string)
	if first.status != http.StatusOK || text == "" || in(t, body, "object") != "chat.completion" || in(t, body, "choices", 0, "message", "role") != "assistant" ||
		in(t, body, "choices", 0, "finish_reason") != "stop" || in(t, body, "system_fingerprint") != "build-1" || in(t, body, "usage", "prompt_tokens") == nil {
		t.Fatalf("%d %s", first.status, body)
	}
	if seen := trace(body); seen.WindowFirstSeq != 1 || seen.WindowLastSeq != 2 || len(seen.Instructions) != 1 {
		t.Errorf("the trace is %v", seen)
	}
	if said := history(t, sys, conversation); len(said) != 4 || said[0] != "Who keeps it?" || said[3] != text {
		t.Errorf("stored is %q", said)
	}
	// The same beginning again: the same conversation, and the same window.
	again, body := ask(t, "POST", url, `{"model": "default", "seed": 5, "messages": [`+prefix+`, {"role": "user", "content": "And at night?"}]}`)
	if again.Get("X-Conversation-Id") != conversation || in(t, body, "choices", 0, "message", "content") != text {
		t.Errorf("the same request answers %s", body)
	}
	if seen := trace(body); seen.WindowLastSeq != 2 {
		t.Errorf("the window ends with %d", seen.WindowLastSeq)
	}
	for name, body := range map[string]string{
		"another person":    `{"model": "default", "user": "ben", "messages": [` + prefix + `, {"role": "user", "content": "And?"}]}`,
		"another beginning": `{"model": "default", "messages": [{"role": "user", "content": "Who keeps it?"}, {"role": "assistant", "content": "Ben."}, {"role": "user", "content": "And?"}]}`,
		"no beginning":      `{"model": "default", "messages": [{"role": "user", "content": "And?"}]}`,
	} {
		if other, text := ask(t, "POST", url, body); other.status != http.StatusOK || other.Get("X-Conversation-Id") == conversation {
			t.Errorf("%s: %d %s", name, other.status, text)
		}
	}
	// A refusal once alone: the race detector takes it for a race when several make encoding/json's encoder of a type at once.
	if refused, text := ask(t, "POST", url, `{"model": "nobody", "messages": [`+prefix+`, {"role": "user", "content": "And?"}]}`); refused.status != http.StatusNotFound {
		t.Errorf("an unknown model: %d %s", refused.status, text)
	}
	// Many with one beginning at once: none waits for long, none sees another.
	var asking sync.WaitGroup
	statuses := make([]int, 24)
	for i := range statuses {
		asking.Go(func() {
			resp, body := ask(t, "POST", url, fmt.Sprintf(`{"model": "default", "messages": [%s, {"role": "user", "content": "Question %d?"}]}`, prefix, i))
			if statuses[i] = resp.status; resp.status == http.StatusOK && trace(body).WindowLastSeq != 2 {
				t.Errorf("question %d saw others", i)
			} else if resp.status != http.StatusOK && (resp.status != http.StatusConflict || resp.Get("Retry-After") == "") {
				t.Errorf("question %d: %d %s", i, resp.status, body)
			}
		})
	}
	asking.Wait()
	// Only what a window holds is stored.
	var long []string
	for i := range 2000 {
		long = append(long, fmt.Sprintf(`{"role": "%s", "content": "message %d"}`, []string{"user", "assistant"}[i%2], i))
	}
	resp, body := ask(t, "POST", url, `{"model": "default", "messages": [`+strings.Join(long, ",")+`, {"role": "user", "content": "And?"}]}`)
	if resp.status != http.StatusOK || trace(body).WindowLastSeq != 128 {
		t.Errorf("a long chat: %d %s", resp.status, body)
	}
	if said := history(t, sys, resp.Get("X-Conversation-Id")); said[0] != "message 1872" {
		t.Errorf("stored from %q on", said[0])
	}
}

// A chat in a conversation goes on with it: only the last message is stored, and what the conversation knows holds.
func TestChatsInConversations(t *testing.T) {
	sys := system(t)
	hours(t, sys)
	url := serve(t, sys.Conn(), edge.Options{}) + "/v1/chat/completions"
	started, err := sys.Gateway().StartConversation(t.Context(), &gatewayv1.StartConversationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	conversation := started.Conversation.ConversationId
	said := func(text string, headers ...string) (head, string) {
		t.Helper()
		return ask(t, "POST", url, `{"model": "default", "messages": [{"role": "user", "content": "not stored"}, {"role": "assistant", "content": "neither"},
			{"role": "user", "content": [{"type": "text", "text": "`+text+`"}]}]}`, append(headers, "X-Conversation-Id", conversation)...)
	}
	_, body := said("when does the market open", "Idempotency-Key", "one")
	if in(t, body, "choices", 0, "message", "content") != "The market opens on Sunday." {
		t.Errorf("answered %s", body)
	}
	_, again := said("when does the market open", "Idempotency-Key", "one")
	if in(t, again, "dbslm", "message_id") != in(t, body, "dbslm", "message_id") || len(history(t, sys, conversation)) != 2 {
		t.Errorf("a repeated request answers %s", again)
	}
	_, err = sys.Gateway().Correct(t.Context(), &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
		ConversationId: conversation, RequestId: "c", ErrorContext: "Sunday",
		Fact: &memoryv1.CorrectedFact{Entity: "market", Attribute: "day", Value: "Monday"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, body = said("when does the market open"); !strings.Contains(in(t, body, "choices", 0, "message", "content").(string), "Monday") {
		t.Errorf("after a correction: %s", body)
	}
	if got := history(t, sys, conversation); len(got) != 4 || got[2] != "when does the market open" {
		t.Errorf("stored is %q", got)
	}
	conversation = "nothing"
	if resp, body := said("hello"); resp.status != http.StatusNotFound || in(t, body, "error", "code") != "conversation_not_found" {
		t.Errorf("an unknown conversation: %d %s", resp.status, body)
	}
}

// Several choices, their logprobs, stops and streams.
func TestChatChoices(t *testing.T) {
	sys := system(t)
	hours(t, sys)
	url := serve(t, sys.Conn(), edge.Options{}) + "/v1/chat/completions"
	const fog = `"model": "default", "seed": 9, "temperature": 1.3, "messages": [{"role": "user", "content": "the fog"}]`
	_, body := ask(t, "POST", url, `{`+fog+`, "n": 3, "logprobs": true, "top_logprobs": 2}`)
	var texts []string
	for i := range 3 {
		text, _ := in(t, body, "choices", i, "message", "content").(string)
		texts = append(texts, text)
		content, _ := in(t, body, "choices", i, "logprobs", "content").([]any)
		joined := ""
		for j := range content {
			token, _ := in(t, body, "choices", i, "logprobs", "content", j, "token").(string)
			logprob, _ := in(t, body, "choices", i, "logprobs", "content", j, "logprob").(float64)
			top, _ := in(t, body, "choices", i, "logprobs", "content", j, "top_logprobs").([]any)
			first, _ := in(t, body, "choices", i, "logprobs", "content", j, "top_logprobs", 0, "logprob").(float64)
			if joined += token; logprob > 0 || len(top) == 0 || len(top) > 2 || first < logprob-1e-12 {
				t.Errorf("choice %d, token %d: %q %v of %v", i, j, token, logprob, top)
			}
		}
		if text == "" || joined != text {
			t.Errorf("choice %d is %q, its tokens spell %q", i, text, joined)
		}
	}
	_, streamed := ask(t, "POST", url, `{`+fog+`, "n": 3, "stream": true, "stream_options": {"include_usage": true}}`)
	data, said, ended := events(streamed), make([]string, 3), 0
	for _, event := range data[:len(data)-2] {
		i := int(in(t, event, "choices", 0, "index").(float64))
		if text, ok := in(t, event, "choices", 0, "delta", "content").(string); ok {
			if role := in(t, event, "choices", 0, "delta", "role"); (role == "assistant") != (said[i] == "") {
				t.Errorf("choice %d, %q: role %v", i, said[i], role)
			}
			said[i] += text
		}
		if in(t, event, "choices", 0, "finish_reason") == "stop" {
			ended++
		}
	}
	if strings.Join(said, "|") != strings.Join(texts, "|") || ended != 3 || in(t, data[len(data)-2], "usage", "total_tokens") == nil || data[len(data)-1] != "[DONE]" {
		t.Errorf("%d ended; streamed %q, whole %q", ended, said, texts)
	}
	for stop, want := range map[string]string{`"Sunday"`: "The market opens on ", `["Monday", "The"]`: "", `null`: "The market opens on Sunday."} {
		_, body := ask(t, "POST", url, `{"model": "default", "stop": `+stop+`, "messages": [{"role": "user", "content": "when does the market open"}]}`)
		if in(t, body, "choices", 0, "message", "content") != want || in(t, body, "choices", 0, "finish_reason") != "stop" {
			t.Errorf("stop %s: %s", stop, body)
		}
	}
	_, body = ask(t, "POST", url, `{`+fog+`, "max_completion_tokens": 3}`)
	if in(t, body, "choices", 0, "finish_reason") != "length" || in(t, body, "usage", "completion_tokens").(float64) > 3 {
		t.Errorf("three tokens are %s", body)
	}
}

func TestChatRefusals(t *testing.T) {
	sys := system(t)
	url := serve(t, sys.Conn(), edge.Options{}) + "/v1/chat/completions"
	user := `{"role": "user", "content": "hello"}`
	chat := func(rest string) string { return `{"model": "default", "messages": [` + user + `], ` + rest + `}` }
	messages := func(m string) string { return `{"model": "default", "messages": [` + m + `]}` }
	for name, c := range map[string]struct {
		body        string
		status      int
		code, param any
	}{
		"no model":             {`{"messages": [` + user + `]}`, 400, "missing_required_parameter", "model"},
		"unknown model":        {`{"model": "gpt-5", "messages": [` + user + `]}`, 404, "model_not_found", nil},
		"no messages":          {`{"model": "default"}`, 400, "missing_required_parameter", "messages"},
		"empty messages":       {messages(``), 400, "missing_required_parameter", "messages"},
		"messages are text":    {`{"model": "default", "messages": "hello"}`, 400, "invalid_type", "messages"},
		"a message is text":    {messages(`"hello"`), 400, "invalid_type", "messages[0]"},
		"100,000 messages":     {messages(strings.Repeat(user+",", 99_999) + user), 400, "array_above_max_length", "messages"},
		"no role":              {messages(`{"content": "hello"}`), 400, "missing_required_parameter", "messages[0].role"},
		"unknown role":         {messages(`{"role": "robot", "content": "hello"}`), 400, "invalid_value", "messages[0].role"},
		"a tool's message":     {messages(`{"role": "tool", "content": "x", "tool_call_id": "1"}`), 400, "unsupported_parameter", "messages[0].tool_call_id"},
		"an unknown field":     {messages(`{"role": "user", "text": "hello"}`), 400, "unknown_parameter", "messages[0].text"},
		"content is a number":  {messages(`{"role": "user", "content": 1}`), 400, "invalid_type", "messages[0].content"},
		"an image":             {messages(`{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}`), 400, "unsupported_parameter", "messages[0].content[0].type"},
		"blank":                {messages(`{"role": "user", "content": "  "}`), 400, "invalid_value", "messages[0].content"},
		"NUL":                  {messages(`{"role": "user", "content": "a\u0000b"}`), 400, "invalid_value", "messages[0].content"},
		"above 1 MiB":          {messages(`{"role": "user", "content": "` + strings.Repeat("word ", 1<<18) + `"}`), 400, "string_above_max_length", "messages[0].content"},
		"the assistant last":   {messages(user + `, {"role": "assistant", "content": "hello"}`), 400, "invalid_value", "messages[1].role"},
		"only the system":      {messages(`{"role": "system", "content": "hello"}`), 400, "missing_required_parameter", "messages"},
		"long instructions":    {messages(`{"role": "system", "content": "` + strings.Repeat("word ", 1<<14) + `"},` + user), 400, "string_above_max_length", "messages"},
		"tools":                {chat(`"tools": [{"type": "function"}]`), 400, "unsupported_parameter", "tools"},
		"an object as answer":  {chat(`"response_format": {"type": "json_object"}`), 400, "unsupported_parameter", "response_format"},
		"unknown":              {chat(`"temprature": 1`), 400, "unknown_parameter", "temprature"},
		"negative temperature": {chat(`"temperature": -0.1`), 400, "invalid_value", "temperature"},
		"NaN":                  {chat(`"top_p": NaN`), 400, "malformed_json", nil},
		"n":                    {chat(`"n": 0`), 400, "invalid_value", "n"},
		"seed":                 {chat(`"seed": 1.5`), 400, "invalid_type", "seed"},
		"top alone":            {chat(`"top_logprobs": 2`), 400, "invalid_value", "top_logprobs"},
		"too many top":         {chat(`"logprobs": true, "top_logprobs": 21`), 400, "invalid_value", "top_logprobs"},
		"penalty":              {chat(`"frequency_penalty": -2.5`), 400, "invalid_value", "frequency_penalty"},
		"bias":                 {chat(`"logit_bias": [1]`), 400, "invalid_type", "logit_bias"},
		"stream":               {chat(`"stream": 1`), 400, "invalid_type", "stream"},
		"refused as a stream":  {chat(`"stream": true, "logit_bias": {"99999": 1}`), 400, "parameters_invalid", nil},
	} {
		resp, body := ask(t, "POST", url, c.body)
		if name == "refused as a stream" { // level 1 alone knows it, once the answer has begun
			resp.status = http.StatusBadRequest
			body = strings.TrimPrefix(strings.TrimSpace(body), "data: ")
		}
		if resp.status != c.status || in(t, body, "error", "code") != c.code || c.param != nil && in(t, body, "error", "param") != c.param {
			t.Errorf("%s: %d %.300s", name, resp.status, body)
		}
	}
	if resp, body := ask(t, "POST", url, chat(`"store": true, "metadata": {"a": "b"}, "reasoning_effort": "low", "tools": null, "tool_choice": "auto", "stop": null`)); resp.status != http.StatusOK {
		t.Errorf("what changes nothing was refused: %s", body)
	}
}
