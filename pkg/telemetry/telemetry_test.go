package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc" //nolint:depguard // to play the collector that receives the traces
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T, c telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Setup(c)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestLinesCarryTheIDsOfTheirContext(t *testing.T) {
	traceID, spanID := trace.TraceID{1, 2, 3}, trace.SpanID{4, 5}
	traced := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID}))
	both := telemetry.WithRequestID(traced, "r1")
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want map[string]any
	}{
		{"none", func(l *slog.Logger) { l.Info("x") }, map[string]any{}},
		{"request", func(l *slog.Logger) { l.InfoContext(telemetry.WithRequestID(t.Context(), "r1"), "x") }, map[string]any{"request_id": "r1"}},
		{
			"request and trace", func(l *slog.Logger) { l.With("a", 1).InfoContext(both, "x", "b", 2) },
			map[string]any{"request_id": "r1", "trace_id": traceID.String(), "span_id": spanID.String(), "a": 1.0, "b": 2.0},
		},
		{"error", func(l *slog.Logger) { l.Error("x", "error", errors.Wrap(io.EOF, errors.DataLoss, "TORN", "torn")) }, map[string]any{
			"error": map[string]any{"kind": "DataLoss", "reason": "TORN", "text": "torn: EOF"},
		}},
		{"below the level", func(l *slog.Logger) { l.DebugContext(both, "x") }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			test.log(telemetry.NewLogger(&out, telemetry.LogAuto, slog.LevelInfo)) // a buffer is no terminal: JSON
			var got map[string]any
			if out.Len() > 0 {
				if err := json.Unmarshal(out.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"time", "level", "msg"} {
					delete(got, key)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextFormat(t *testing.T) {
	var out bytes.Buffer
	telemetry.NewLogger(&out, telemetry.LogText, slog.LevelInfo).WithGroup("g").InfoContext(telemetry.WithRequestID(t.Context(), "r1"), "hello", "a", 1)
	if got := out.String(); !strings.Contains(got, `msg=hello`) || !strings.Contains(got, "g.a=1") || !strings.Contains(got, "request_id=r1") {
		t.Errorf("got %s", got)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, good := range []telemetry.Config{{}, {LogFormat: telemetry.LogJSON, OTLPEndpoint: "http://localhost:4317", SampleRatio: 0.5}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []telemetry.Config{
		{LogFormat: "xml"}, {OTLPEndpoint: "localhost:4317"}, {OTLPEndpoint: "ftp://x"}, {OTLPEndpoint: "http://"}, {SampleRatio: 1.5}, {SampleRatio: -1},
	} {
		if _, err := telemetry.Setup(bad); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestHandler(t *testing.T) {
	tel := setup(t, telemetry.Config{Service: "ngram", Version: "1.2.3", LogWriter: io.Discard})
	var down error
	handler := tel.Handler(func(context.Context) error { return down })
	get := func(path string) (int, string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return recorder.Code, recorder.Body.String()
	}
	if code, body := get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	down = errors.Wrap(fmt.Errorf("a secret"), errors.Unavailable, "NOT_READY", "the store does not answer")
	if code, body := get("/healthz"); code != http.StatusServiceUnavailable || body != "the store does not answer\n" {
		t.Errorf("/healthz while down: %d %q", code, body)
	}
	code, body := get("/metrics")
	for _, want := range []string{`dbslm_build_info{service="ngram",version="1.2.3"} 1`, "go_goroutines ", "process_resident_memory_bytes "} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics: %d, lacks %s", code, want)
		}
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
}

func TestServe(t *testing.T) {
	tel := setup(t, telemetry.Config{LogWriter: io.Discard})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	listen := func() net.Listener {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return lis
	}
	t.Run("until the context ends", func(t *testing.T) {
		lis := listen()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tel.Serve(ctx, lis, nil) }()
		resp, err := client.Get("http://" + lis.Addr().String() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Run("until the listener dies", func(t *testing.T) {
		lis := listen()
		_ = lis.Close()
		if err := tel.Serve(t.Context(), lis, nil); errors.ReasonOf(err) != "LISTENER_FAILED" {
			t.Errorf("Serve: %v", err)
		}
	})
}

// otlp is a collector that counts spans.
type otlp struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names []string
}

func (o *otlp) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				o.names = append(o.names, span.GetName())
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestCloseFlushesTraces(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink, server := &otlp{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, sink)
	go func() { _ = server.Serve(lis) }()
	defer server.Stop()

	tel := setup(t, telemetry.Config{LogWriter: io.Discard, OTLPEndpoint: "http://" + lis.Addr().String()})
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
	span.End()
	if err := tel.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if diff := cmp.Diff([]string{"work"}, sink.names); diff != "" {
		t.Errorf("exported spans (-want +got):\n%s", diff)
	}
}

func TestTracingIsOffByDefaultAndNeverBlocks(t *testing.T) {
	tel := setup(t, telemetry.Config{LogWriter: io.Discard})
	if tel.TracerProvider != nil {
		t.Error("tracing is on")
	}
	if err := tel.Close(t.Context()); err != nil {
		t.Error(err)
	}

	tel = setup(t, telemetry.Config{LogWriter: io.Discard, OTLPEndpoint: "http://127.0.0.1:1"}) // nobody listens
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := tel.Close(ctx); errors.ReasonOf(err) != "TRACES_LOST" || time.Since(begun) > 5*time.Second {
		t.Errorf("Close took %v: %v", time.Since(begun), err)
	}
}
