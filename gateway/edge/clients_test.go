package edge_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"dbslm/gateway/edge"

	"github.com/google/go-cmp/cmp"
)

// run runs a program of another language and reads the one JSON object that it prints.
func run(t *testing.T, program string, args ...string) (got map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	modules, err := filepath.Abs("../../bin/clients/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		said := ""
		if failed, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output wraps nothing
			said = string(failed.Stderr)
		}
		t.Fatalf("%s: %v (make clients installs what is needed)\n%s", program, err, said)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}

// The client of OpenAI's API for Node works unchanged.
func TestNodeClient(t *testing.T) {
	got := run(t, "node", "testdata/client.js", serve(t, system(t).Conn(), edge.Options{}))
	refused := func(name string, status float64, code, param any) map[string]any {
		return map[string]any{"name": name, "status": status, "code": code, "param": param, "type": "invalid_request_error", "id": "string"}
	}
	chat, _ := got["chat"].(map[string]any)
	want := map[string]any{
		"models": []any{"default"}, "model": "default",
		"chat": map[string]any{"role": "assistant", "content": chat["content"]}, "finish": "stop", "usage": true, "logprobs": true, "again": true,
		"n": []any{0.0, 1.0, 2.0}, "length": "length", "streamed": true, "assembled": true, "brought": "assistant", "same": true,
		"completions": []any{true, true}, "streamedText": true, "tokens": true, "bias": true, "after": 1.0,
		"refused": map[string]any{
			"model":       refused("NotFoundError", 404, "model_not_found", nil),
			"temperature": refused("BadRequestError", 400, "invalid_value", "temperature"),
			"tools":       refused("BadRequestError", 400, "unsupported_parameter", "tools"),
			"unknown":     refused("BadRequestError", 400, "unknown_parameter", "temprature"),
			"retrieve":    refused("NotFoundError", 404, "model_not_found", "model"),
			"stream":      refused("NotFoundError", 404, "model_not_found", nil),
			"elsewhere":   refused("NotFoundError", 404, "unknown_url", nil),
		},
		"stopped": got["stopped"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if stopped, _ := got["stopped"].(map[string]any); stopped["finish_reason"] != "stop" || chat["content"] == "" {
		t.Errorf("stopped %v, chat %v", stopped, chat)
	}
}

// Requests as Python's http.client makes them: one connection kept, events read line by line, a body in pieces, NaN.
func TestPythonClient(t *testing.T) {
	address, err := url.Parse(serve(t, system(t).Conn(), edge.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, "python3", "testdata/client.py", address.Port())
	want := map[string]any{
		"models": []any{"default"}, "chat": "assistant", "type": "text/event-stream; charset=utf-8", "end": "data: [DONE]", "streamed": true, "pieces": "length",
		"refused": []any{
			[]any{400.0, "invalid_value"}, []any{400.0, "malformed_json"}, []any{404.0, "model_not_found"}, []any{405.0, "method_not_allowed"}, []any{404.0, "unknown_url"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
