package edge_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dbslm/gateway/edge"

	"github.com/google/go-cmp/cmp"
)

// run runs a program of another language and reads the one JSON object that it prints.
func run(t *testing.T, program string, args ...string) (got map[string]any) {
	t.Helper()
	out := output(t, program, args...)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}

// output runs a program of another language and returns what it prints.
func output(t *testing.T, program string, args ...string) string {
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
	return string(out)
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

// The examples train, talk, correct and explain, and print the same: one through RPCs, one with the client of OpenAI's API.
func TestExamples(t *testing.T) {
	address, err := url.Parse(serve(t, system(t).Conn(), edge.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	const corpus = "../../examples/sail-loft/corpus/11-alphabet.txt"
	for name, program := range map[string][]string{"Python": {"python3", "../../examples/clients/talk.py"}, "Node": {"node", "../../examples/clients/talk.js"}} {
		out := output(t, program[0], program[1], address.Host, corpus)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) < 6 || !strings.HasSuffix(lines[0], " of 2426 tokens") || lines[1] != "> Who bakes the apple cake?" || lines[2] == "" || lines[3] != lines[1] ||
			!strings.Contains(lines[4], "Nuala") || !strings.Contains(lines[5], "found at order") {
			t.Errorf("%s printed\n%s", name, out)
		}
		cmd := exec.CommandContext(t.Context(), program[0], program[1], address.Host, "/dev/null")
		cmd.Env = append(os.Environ(), "NODE_PATH=../../bin/clients/node_modules")
		if got, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(got), "Train") || strings.Contains(string(got), "Traceback") {
			t.Errorf("%s with an empty text: %v\n%s", name, err, got)
		}
	}
}
