package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm"
	"dbslm/gateway/edge"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const harbour = `The harbour master counted the boats every morning. He wrote the number in a green book.
When the fog came in, the boats stayed at the quay and the crews drank coffee.
The lighthouse stands on the long rock. Its lamp turns all night. The keeper of the lighthouse is called Oda.
Oda knows every boat by the sound of its engine. She sings when the fog is thick.
On Sunday the market opens at the quay. The baker sells bread, and the fishers sell what the sea gave them.
The children run to the lighthouse and count the waves. The harbour master gives them a boat made of paper.
`

// system opens a system with a model "default".
func system(t *testing.T) *dbslm.System {
	t.Helper()
	sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	train(t, sys,
		&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{Ingest: &ngramv1.IngestHeader{Model: "default"}}}},
		&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: "harbour"}}},
		&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: []byte(harbour)}},
		&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}})
	return sys
}

// train sends a whole training.
func train(t *testing.T, sys *dbslm.System, messages ...*gatewayv1.TrainRequest) {
	t.Helper()
	stream, err := sys.Gateway().Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// serve answers for conn until the test ends.
func serve(t *testing.T, conn grpc.ClientConnInterface, options edge.Options) (url string) {
	t.Helper()
	server := httptest.NewServer(edge.New(conn, options).Handler())
	t.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections(); server.Close() })
	return server.URL
}

// head is what an answer has beside its body.
type head struct {
	status int
	http.Header
}

// ask makes one request and reads the answer to its end.
func ask(t *testing.T, method, url, body string, headers ...string) (head, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head{resp.StatusCode, resp.Header}, string(read)
}

// in finds what stands at a path of keys and indexes of a JSON value.
func in(t *testing.T, raw string, path ...any) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	for _, step := range path {
		switch key := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[key]
		case int:
			list, _ := v.([]any)
			if key >= len(list) {
				return nil
			}
			v = list[key]
		}
	}
	return v
}

// events are the data of server-sent events.
func events(raw string) (data []string) {
	for line := range strings.Lines(raw) {
		if event, ok := strings.CutPrefix(line, "data: "); ok {
			data = append(data, strings.TrimSpace(event))
		}
	}
	return data
}

func TestModelsAndTokens(t *testing.T) {
	url := serve(t, system(t).Conn(), edge.Options{})
	_, body := ask(t, "GET", url+"/v1/models", "")
	if in(t, body, "object") != "list" || in(t, body, "data", 0, "id") != "default" || in(t, body, "data", 0, "object") != "model" {
		t.Errorf("models are %s", body)
	}
	_, one := ask(t, "GET", url+"/v1/models/default", "")
	if in(t, one, "id") != "default" || in(t, one, "owned_by") != "default" {
		t.Errorf("the model is %s", one)
	}
	_, body = ask(t, "GET", url+"/v1/models", "", "X-Tenant", "other")
	if list, ok := in(t, body, "data").([]any); !ok || len(list) != 0 {
		t.Errorf("another tenant has %s", body)
	}
	for _, name := range []string{"input", "prompt"} {
		_, body = ask(t, "POST", url+"/v1/tokenize", `{"model": "default", "`+name+`": "The lamp."}`)
		if in(t, body, "count") != 3.0 || in(t, body, "texts", 1) != "lamp" || in(t, body, "system_fingerprint") != "build-1" {
			t.Errorf("tokens are %s", body)
		}
	}
}

func TestCompletions(t *testing.T) {
	url := serve(t, system(t).Conn(), edge.Options{}) + "/v1/completions"
	_, body := ask(t, "POST", url, `{"model": "default", "prompt": ["The harbour", "Oda"], "n": 2, "seed": 7, "max_tokens": 9, "logprobs": 3, "echo": true}`)
	for i, prompt := range []string{"The harbour", "The harbour", "Oda", "Oda"} {
		text, _ := in(t, body, "choices", i, "text").(string)
		spelled, _ := in(t, body, "choices", i, "logprobs", "tokens").([]any)
		joined := ""
		for _, token := range spelled {
			joined += token.(string)
		}
		if !strings.HasPrefix(text, prompt) || prompt+joined != text || len(spelled) != 9 || in(t, body, "choices", i, "finish_reason") != "length" {
			t.Errorf("choice %d is %q, its tokens %q", i, text, spelled)
		}
		top, _ := in(t, body, "choices", i, "logprobs", "top_logprobs", 0).(map[string]any)
		if own, ok := in(t, body, "choices", i, "logprobs", "token_logprobs", 0).(float64); !ok || own > 0 || len(top) != 3 {
			t.Errorf("choice %d: logprobs %v and %v", i, own, top)
		}
	}
	if in(t, body, "usage", "completion_tokens") == 0.0 || in(t, body, "usage", "prompt_tokens") != 3.0 {
		t.Errorf("usage is %v", in(t, body, "usage"))
	}
	// The same seed gives the same text, as a stream too; the second choice is the first of the next seed.
	whole := in(t, body, "choices", 1, "text")
	_, again := ask(t, "POST", url, `{"model": "default", "prompt": "The harbour", "seed": 8, "max_tokens": 9}`)
	if "The harbour"+in(t, again, "choices", 0, "text").(string) != whole {
		t.Errorf("%v, but alone %s", whole, again)
	}
	resp, streamed := ask(t, "POST", url, `{"model": "default", "prompt": "The harbour", "seed": 8, "max_tokens": 9, "stream": true, "echo": true, "stream_options": {"include_usage": true}}`)
	data := events(streamed)
	text := ""
	for _, event := range data[:len(data)-2] {
		text += in(t, event, "choices", 0, "text").(string)
	}
	if text != whole || data[len(data)-1] != "[DONE]" || in(t, data[len(data)-3], "choices", 0, "finish_reason") != "length" ||
		in(t, data[len(data)-2], "usage", "prompt_tokens") != 2.0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("streamed %s", streamed)
	}
	_, stopped := ask(t, "POST", url, `{"model": "default", "prompt": "The harbour", "seed": 7, "stop": ["boat", "."], "max_tokens": 40}`)
	if text := in(t, stopped, "choices", 0, "text").(string); strings.ContainsAny(text, ".") || strings.Contains(text, "boat") || in(t, stopped, "choices", 0, "finish_reason") != "stop" {
		t.Errorf("stopped at %s", stopped)
	}
	_, tokens := ask(t, "POST", strings.Replace(url, "completions", "tokenize", 1), `{"model": "default", "input": "the"}`)
	id := bytes.TrimSpace([]byte(tokens[strings.Index(tokens, `"tokens":[`)+10 : strings.LastIndex(tokens, "]")]))
	for seed := range 20 {
		_, banned := ask(t, "POST", url, `{"model": "default", "seed": `+string(rune('0'+seed%10))+`, "max_tokens": 30, "logit_bias": {"`+string(id)+`": -100}}`)
		if text, ok := in(t, banned, "choices", 0, "text").(string); !ok || strings.Contains(" "+strings.ToLower(text)+" ", " the ") {
			t.Errorf("a banned token is in %s", banned)
		}
	}
}

func TestEveryRPCAsJSON(t *testing.T) {
	url := serve(t, system(t).Conn(), edge.Options{})
	resp, body := ask(t, "POST", url+"/dbslm.gateway.v1.GatewayService/StartConversation", `{"userId": "ana"}`)
	conversation, _ := in(t, body, "conversation", "conversationId").(string)
	if resp.status != http.StatusOK || conversation == "" {
		t.Fatalf("%d %s", resp.status, body)
	}
	_, body = ask(t, "POST", url+"/dbslm.gateway.v1.GatewayService/Respond", `{"conversation_id": "`+conversation+`", "text": "Who sings?", "parameters": {"seed": "3"}}`)
	reply := in(t, body, "message", "content")
	if reply == nil || in(t, body, "trace", "ngramBuildId") != 1.0 {
		t.Errorf("answered %s", body)
	}
	// A stream answers one object a line.
	_, body = ask(t, "POST", url+"/dbslm.gateway.v1.GatewayService/StreamRespond", `{"request": {"conversationId": "`+conversation+`", "text": "Who sings?"}}`)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if in(t, lines[0], "result", "started") == nil || in(t, lines[len(lines)-1], "result", "finished", "message") == nil {
		t.Errorf("streamed %s", body)
	}
	// A stream of requests is one object after the other, and its answers come meanwhile.
	_, body = ask(t, "POST", url+"/dbslm.gateway.v1.GatewayService/Train",
		`{"header": {"ingest": {"model": "second"}}} {"start": {"label": "a"}}
		{"chunk": "VGhlIGRvZyBiYXJrcy4gVGhlIGRvZyBzbGVlcHMu"} {"end": {}}`)
	lines = strings.Split(strings.TrimSpace(body), "\n")
	if in(t, lines[len(lines)-1], "result", "build", "model") != "second" {
		t.Errorf("trained %s", body)
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
		reason     any
	}{
		"internal":          {"/dbslm.memory.v1.TurnService/PrepareTurn", `{}`, 501, nil},
		"unknown method":    {"/dbslm.gateway.v1.GatewayService/Nothing", `{}`, 404, "UNKNOWN_METHOD"},
		"unknown service":   {"/dbslm.gateway.v1.Nothing/Respond", `{}`, 404, "UNKNOWN_METHOD"},
		"a message":         {"/dbslm.gateway.v1.RespondRequest/Respond", `{}`, 404, "UNKNOWN_METHOD"},
		"unknown field":     {"/dbslm.gateway.v1.GatewayService/Respond", `{"nothing": 1}`, 400, "MALFORMED_REQUEST"},
		"wrong type":        {"/dbslm.gateway.v1.GatewayService/Respond", `{"text": 1}`, 400, "MALFORMED_REQUEST"},
		"not JSON":          {"/dbslm.gateway.v1.GatewayService/Respond", `{"text"`, 400, "MALFORMED_JSON"},
		"two messages":      {"/dbslm.gateway.v1.GatewayService/GetStatus", `{}{}`, 400, "MALFORMED_REQUEST"},
		"invalid":           {"/dbslm.gateway.v1.GatewayService/Respond", `{}`, 400, "INVALID_REQUEST"},
		"not found":         {"/dbslm.gateway.v1.GatewayService/GetTrace", `{"message_id": "x"}`, 404, "TRACE_NOT_FOUND"},
		"stream, not found": {"/dbslm.ngram.v1.InferenceService/Generate", `{"model": "nothing"}`, 404, "MODEL_NOT_FOUND"},
		"stream, not JSON":  {"/dbslm.gateway.v1.GatewayService/Train", `{"header": {}} nonsense`, 400, "MALFORMED_JSON"},
		"stream, two":       {"/dbslm.ngram.v1.InferenceService/Generate", `{"model": "default"} {}`, 400, "MALFORMED_REQUEST"},
		"empty body":        {"/dbslm.gateway.v1.GatewayService/GetStatus", ``, 200, nil},
	} {
		resp, body := ask(t, "POST", url+c.path, c.body)
		if resp.status != c.status || c.reason != nil && in(t, body, "details", 0, "reason") != c.reason {
			t.Errorf("%s: %d %s", name, resp.status, body)
		}
	}
}

// What is wrong with a request is said in one form, whatever it is, and changes nothing.
func TestRefusals(t *testing.T) {
	registry := prometheus.NewRegistry()
	url := serve(t, system(t).Conn(), edge.Options{MaxBody: 3 << 20, Hosts: []string{"Models.example"}, Registerer: registry})
	big := strings.Repeat("word ", 1<<18)
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code, param        any
	}{
		"nothing there":        {"GET", "/nothing", "", nil, 404, "unknown_url", nil},
		"no such model":        {"GET", "/v1/models/nothing", "", nil, 404, "model_not_found", "model"},
		"no model":             {"GET", "/v1/models/", "", nil, 404, "unknown_url", nil},
		"two slashes":          {"GET", "//v1/models", "", nil, 404, "unknown_url", nil},
		"a step back":          {"GET", "/v1/../v1/models", "", nil, 404, "unknown_url", nil},
		"a written slash":      {"GET", "/v1%2fmodels", "", nil, 404, "unknown_url", nil},
		"a written letter":     {"GET", "/v1/%6dodels", "", nil, 404, "unknown_url", nil},
		"a NUL":                {"GET", "/v1/models/%00", "", nil, 404, "model_not_found", "model"},
		"wrong method":         {"GET", "/v1/completions", "", nil, 405, "method_not_allowed", nil},
		"wrong method, rpc":    {"GET", "/dbslm.gateway.v1.GatewayService/GetStatus", "", nil, 405, "method_not_allowed", nil},
		"method overridden":    {"GET", "/v1/completions", "", []string{"X-HTTP-Method-Override", "POST"}, 405, "method_not_allowed", nil},
		"odd method":           {"BREW", "/v1/models", "", nil, 405, "method_not_allowed", nil},
		"a form":               {"POST", "/v1/completions", "model=default", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", nil},
		"text":                 {"POST", "/v1/completions", "{}", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", nil},
		"compressed":           {"POST", "/v1/completions", "{}", []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type", nil},
		"foreign host":         {"GET", "/v1/models", "", []string{"Host", "evil.example"}, 421, "unknown_host", nil},
		"host that looks near": {"GET", "/v1/models", "", []string{"Host", "127.0.0.1.evil.example"}, 421, "unknown_host", nil},
		"foreign origin":       {"POST", "/v1/completions", "{}", []string{"Origin", "https://evil.example"}, 403, "foreign_origin", nil},
		"origin null":          {"POST", "/v1/completions", "{}", []string{"Origin", "null"}, 403, "foreign_origin", nil},
		"from another site":    {"GET", "/v1/models", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "foreign_origin", nil},
		"too large":            {"POST", "/v1/completions", big + big + big, nil, 413, "body_too_large", nil},
		"empty":                {"POST", "/v1/completions", "", nil, 400, "malformed_json", nil},
		"not JSON":             {"POST", "/v1/completions", "{'model': 1}", nil, 400, "malformed_json", nil},
		"NaN":                  {"POST", "/v1/completions", `{"temperature": NaN}`, nil, 400, "malformed_json", nil},
		"more than one":        {"POST", "/v1/completions", `{"model": "default"} {}`, nil, 400, "malformed_json", nil},
		"not UTF-8":            {"POST", "/v1/completions", "{\"model\": \"\xff\"}", nil, 400, "malformed_json", nil},
		"an array":             {"POST", "/v1/completions", "[]", nil, 400, "invalid_type", nil},
		"null":                 {"POST", "/v1/completions", "null", nil, 400, "invalid_type", nil},
		"deep":                 {"POST", "/v1/completions", strings.Repeat("[", 100_000), nil, 400, "malformed_json", nil},
		"without a model":      {"POST", "/v1/completions", `{"prompt": "x"}`, nil, 400, "missing_required_parameter", "model"},
		"unknown model":        {"POST", "/v1/completions", `{"model": "gpt-5", "prompt": "x"}`, nil, 404, "model_not_found", nil},
		"unknown parameter":    {"POST", "/v1/completions", `{"model": "default", "promt": "x"}`, nil, 400, "unknown_parameter", "promt"},
		"unknown option":       {"POST", "/v1/completions", `{"model": "default", "stream_options": {"x": 1}}`, nil, 400, "unknown_parameter", "stream_options.x"},
		"suffix":               {"POST", "/v1/completions", `{"model": "default", "suffix": "x"}`, nil, 400, "unsupported_parameter", "suffix"},
		"ids as prompt":        {"POST", "/v1/completions", `{"model": "default", "prompt": [1, 2]}`, nil, 400, "unsupported_parameter", "prompt"},
		"number as prompt":     {"POST", "/v1/completions", `{"model": "default", "prompt": 1}`, nil, 400, "invalid_type", "prompt"},
		"prompt above 1 MiB":   {"POST", "/v1/completions", `{"model": "default", "prompt": "` + big + `"}`, nil, 400, "invalid_value", "prompt"},
		"string temperature":   {"POST", "/v1/completions", `{"model": "default", "temperature": "hot"}`, nil, 400, "invalid_type", "temperature"},
		"negative temperature": {"POST", "/v1/completions", `{"model": "default", "temperature": -1}`, nil, 400, "invalid_value", "temperature"},
		"huge number":          {"POST", "/v1/completions", `{"model": "default", "temperature": 1e999}`, nil, 400, "invalid_type", "temperature"},
		"top_p above 1":        {"POST", "/v1/completions", `{"model": "default", "top_p": 1.5}`, nil, 400, "invalid_value", "top_p"},
		"penalty":              {"POST", "/v1/completions", `{"model": "default", "presence_penalty": 3}`, nil, 400, "invalid_value", "presence_penalty"},
		"no tokens":            {"POST", "/v1/completions", `{"model": "default", "max_tokens": 0}`, nil, 400, "invalid_value", "max_tokens"},
		"half a token":         {"POST", "/v1/completions", `{"model": "default", "max_tokens": 1.5}`, nil, 400, "invalid_type", "max_tokens"},
		"n":                    {"POST", "/v1/completions", `{"model": "default", "n": 17}`, nil, 400, "invalid_value", "n"},
		"n of many prompts":    {"POST", "/v1/completions", `{"model": "default", "n": 16, "prompt": ["a", "b", "c"]}`, nil, 400, "invalid_value", "n"},
		"best_of":              {"POST", "/v1/completions", `{"model": "default", "n": 3, "best_of": 2}`, nil, 400, "invalid_value", "best_of"},
		"five stops":           {"POST", "/v1/completions", `{"model": "default", "stop": ["a", "b", "c", "d", "e"]}`, nil, 400, "array_above_max_length", "stop"},
		"empty stop":           {"POST", "/v1/completions", `{"model": "default", "stop": ""}`, nil, 400, "invalid_value", "stop"},
		"bias of a word":       {"POST", "/v1/completions", `{"model": "default", "logit_bias": {"lamp": 1}}`, nil, 400, "invalid_value", "logit_bias"},
		"bias too strong":      {"POST", "/v1/completions", `{"model": "default", "logit_bias": {"3": 101}}`, nil, 400, "invalid_value", "logit_bias.3"},
		"bias of no token":     {"POST", "/v1/completions", `{"model": "default", "logit_bias": {"4000000": 1}}`, nil, 400, "parameters_invalid", "biases[0].token_id"},
		"stream is a word":     {"POST", "/v1/completions", `{"model": "default", "stream": "yes"}`, nil, 400, "invalid_type", "stream"},
		"refused as a stream":  {"POST", "/v1/completions", `{"model": "gpt-5", "prompt": "x", "stream": true}`, nil, 404, "model_not_found", nil},
		"tokenize nothing":     {"POST", "/v1/tokenize", `{"model": "default"}`, nil, 400, "missing_required_parameter", "input"},
		"padded tenant":        {"GET", "/v1/models", "", []string{"X-Tenant", strings.Repeat("x", 65)}, 400, "invalid_request", "tenant"},
	} {
		resp, body := ask(t, c.method, url+c.path, c.body, c.headers...)
		if resp.status != c.status || in(t, body, "error", "code") != c.code && in(t, body, "details", 0, "reason") == nil || c.param != nil && in(t, body, "error", "param") != c.param {
			t.Errorf("%s: %d %.300s", name, resp.status, body)
		}
		if message, _ := in(t, body, "error", "message").(string); message == "" || strings.Contains(message, "goroutine") || resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: header %v, %.300s", name, resp.Header, body)
		}
	}
	for _, host := range []string{"localhost:7480", "LOCALHOST", "[::1]:7480", "models.example", "10.1.2.3"} {
		if resp, body := ask(t, "GET", url+"/v1/models", "", "Host", host, "Origin", "http://"+host); resp.status != http.StatusOK {
			t.Errorf("host %s: %s", host, body)
		}
	}
	if resp, _ := ask(t, "GET", url+"/v1/models", "", "X-Request-Id", "mine"); resp.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("the request id became %q", resp.Header.Get("X-Request-Id"))
	}
	if resp, _ := ask(t, "GET", url+"/v1/models", "", "X-Request-Id", "two words"); resp.Header.Get("X-Request-Id") == "two words" {
		t.Error("a request id that could forge log lines was taken")
	}
	// No path, method or name that a client made up is among the labels of metrics, and nothing is left running.
	known := []string{"none", "rpc", "/v1/models", "/v1/models/{model}", "/v1/completions", "/v1/tokenize"}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%d families of metrics, %v", len(families), err)
	}
	for _, metric := range families[0].Metric {
		if families[0].GetName() != "dbslm_gateway_http_requests" || metric.GetGauge().GetValue() != 0 {
			t.Errorf("%s is %v", families[0].GetName(), metric)
		}
	}
	for _, metric := range families[1].Metric {
		if label := metric.Label[0]; label.GetName() != "route" || !slices.Contains(known, label.GetValue()) || metric.GetHistogram().GetSampleCount() == 0 {
			t.Errorf("a metric has %v", metric)
		}
	}
}

// hanging is a gateway that answers nothing until its caller leaves.
type hanging struct{ asked chan struct{} }

func (h hanging) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	h.asked <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func (h hanging) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, h.Invoke(ctx, "", nil, nil)
}

// A door that is full refuses at once and says when to come again; it has room again when a client leaves. One that closes lets
// running requests end for its drain time, then cancels them.
func TestFullAndClosing(t *testing.T) {
	peer := hanging{make(chan struct{}, 10)}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	door := edge.New(peer, edge.Options{MaxRequests: 2, Patience: 300 * time.Millisecond, DrainTimeout: 100 * time.Millisecond})
	go func() { closed <- door.Serve(ctx, lis) }()
	address := lis.Addr().String()
	open := func(request string) net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	answer := func(conn net.Conn) (head, string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return head{resp.StatusCode, resp.Header}, string(body)
	}
	const get = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
	held := open(get)
	<-peer.asked
	open(get)
	<-peer.asked
	resp, body := answer(open(get))
	if resp.status != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" || in(t, body, "error", "type") != "rate_limit_error" {
		t.Errorf("full: %d %v %s", resp.status, resp.Header, body)
	}
	_ = held.Close() // half-open streams end so too
	deadline := time.Now().Add(10 * time.Second)
	for resp.status != http.StatusRequestTimeout && time.Now().Before(deadline) { // a body that stops coming
		resp, body = answer(open("POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
	}
	if resp.status != http.StatusRequestTimeout || in(t, body, "error", "code") != "body_too_slow" {
		t.Errorf("a slow body: %d %s", resp.status, body)
	}
	slow := open("GET /v1/models HTTP/1.1\r\nHost:") // a header that stops coming
	_ = slow.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := slow.Read(make([]byte, 1)); err == nil {
		t.Error("half a header was answered")
	}
	for name, request := range map[string]string{
		"no host":       "GET /v1/models HTTP/1.1\r\n\r\n",
		"two lengths":   "POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"folded header": "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\nX-B : d\r\n\r\n",
		"long header":   "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("x", 80<<10) + "\r\n\r\n",
	} {
		if resp, _ := answer(open(request)); resp.status < 400 || resp.status > 431 {
			t.Errorf("%s: %d", name, resp.status)
		}
	}
	begun := time.Now()
	stop()
	if err := <-closed; err != nil || time.Since(begun) > 5*time.Second {
		t.Errorf("closed after %v: %v", time.Since(begun), err)
	}
}
