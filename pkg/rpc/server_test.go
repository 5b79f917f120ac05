package rpc

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/errors"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// holding returns a service whose stream says "begun" and then runs until it is released or cancelled.
func holding() (e *echo, release chan struct{}) {
	release = make(chan struct{})
	return &echo{stream: func(ctx context.Context, _ func() (string, error), send func(string) error) error {
		if err := send("begun"); err != nil {
			return err
		}
		select {
		case <-release:
			return send("done")
		case <-ctx.Done():
			return ctx.Err()
		}
	}}, release
}

func openHeld(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	stream, err := chat(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := hear(stream); got != "begun" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	return stream
}

func TestDrainLetsRunningCallsFinish(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "local"} {
		t.Run(network, func(t *testing.T) {
			e, release := holding()
			r := serve(t, network, Options{}, e)
			stream := openHeld(t, r.conn)
			watch, err := healthpb.NewHealthClient(r.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Fatalf("%v, %v", got, err)
			}
			stopped := make(chan error, 1)
			go func() { stopped <- r.shutdown() }()

			if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
				t.Errorf("a watcher of the draining server got %v, %v", got, err)
			}
			if _, err := watch.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("then %v", err)
			}
			eventually(t, "new calls are refused", func() bool {
				_, err := call(t.Context(), r.conn, writeMethod, "x")
				return errors.KindOf(err) == errors.Unavailable
			})
			if err := r.Ready(t.Context()); errors.ReasonOf(err) != "STOPPING" {
				t.Errorf("Ready while draining: %v", err)
			}
			select {
			case err := <-stopped:
				t.Fatalf("stopped under a running call: %v", err)
			default:
			}
			close(release)
			if got, err := hear(stream); got != "done" || err != nil {
				t.Errorf("the running call got %q, %v", got, err)
			}
			if _, err := hear(stream); !errors.Is(err, io.EOF) {
				t.Errorf("the running call ended with %v", err)
			}
			if err := <-stopped; err != nil {
				t.Errorf("stopping: %v", err)
			}
		})
	}
}

func TestDrainTimeoutCancelsTheRest(t *testing.T) {
	for _, network := range []string{"tcp", "local"} {
		t.Run(network, func(t *testing.T) {
			e, _ := holding()
			r := serve(t, network, Options{DrainTimeout: 50 * time.Millisecond}, e)
			stream := openHeld(t, r.conn)
			if err := r.shutdown(); err != nil {
				t.Errorf("stopping: %v", err)
			}
			if _, err := hear(stream); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the cut call got %v", err)
			}
			if len(r.log.lines(t, "calls still running after the drain time; cancelling them")) != 1 {
				t.Errorf("logged %s", r.log)
			}
		})
	}
}

func TestHandlersThatNeverEndAreReported(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	e := &echo{unary: func(context.Context, string) (string, error) { close(begun); <-release; return "", nil }}
	server := NewServer(Options{DrainTimeout: 20 * time.Millisecond}, e)
	conn := server.Local()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = call(context.Background(), conn, writeMethod, "x") }()
	<-begun
	if err := server.Close(); errors.ReasonOf(err) != "HANDLERS_LEFT" {
		t.Errorf("stopping: %v", err)
	}
	close(release)
	<-done
}

func TestServeEndsWhenAListenerDies(t *testing.T) {
	listen := func() net.Listener {
		lis, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return lis
	}
	healthy, dying := listen(), listen()
	server := NewServer(Options{}, &echo{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), healthy, dying) }()
	conn, err := Dial(healthy.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := read(t.Context(), conn, "x"); err != nil {
		t.Fatal(err)
	}
	_ = dying.Close()
	if err := <-done; errors.ReasonOf(err) != "LISTENER_FAILED" || !strings.Contains(errors.Public(err), dying.Addr().String()) {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := net.Dial("tcp", healthy.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}

func TestServerLifecycle(t *testing.T) {
	t.Run("never started", func(t *testing.T) {
		server := NewServer(Options{}, &echo{})
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("local, then listeners, closed twice", func(t *testing.T) {
		server := NewServer(Options{}, &echo{})
		first, second := server.Local(), server.Local()
		lis, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		shutdown := start(server, lis)
		for _, conn := range []*grpc.ClientConn{first, second} {
			if got, err := read(t.Context(), conn, "x"); got != "x" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		if err := shutdown(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if _, err := read(t.Context(), first, "x"); errors.ReasonOf(err) != "CONNECTION_CLOSED" {
			t.Errorf("a call after Close gave %v", err)
		}
	})
	t.Run("served after Close", func(t *testing.T) {
		server := NewServer(Options{}, &echo{})
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		lis, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Serve(t.Context(), lis); err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", lis.Addr().String()); err == nil {
			t.Error("the listener is still open")
		}
		if _, err := read(t.Context(), server.Local(), "x"); errors.ReasonOf(err) != "CONNECTION_CLOSED" {
			t.Errorf("a call gave %v", err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("no listener", func(t *testing.T) {
		server := NewServer(Options{}, &echo{})
		shutdown := start(server)
		if _, err := read(t.Context(), server.Local(), "x"); err != nil {
			t.Error(err)
		}
		if err := shutdown(); err != nil {
			t.Error(err)
		}
	})
}

func TestServersShareARegistry(t *testing.T) {
	first := serve(t, "local", Options{}, &echo{})
	second := NewServer(Options{Registerer: first.registry}, &echo{})
	defer second.Close()
	for _, conn := range []*grpc.ClientConn{first.conn, second.Local()} {
		if _, err := read(t.Context(), conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dbslm_grpc_server_handled_total", "dbslm_grpc_server_handling_seconds", "dbslm_grpc_client_handled_total"} {
		eventually(t, name+" has both calls", func() bool {
			return first.counter(t, name, map[string]string{"grpc_service": echoName, "grpc_method": "Read"}) == 2
		})
	}
}

func TestConnectionLimit(t *testing.T) {
	r := serve(t, "tcp", Options{MaxConns: 1}, &echo{})
	if _, err := read(t.Context(), r.conn, "x"); err != nil {
		t.Fatal(err)
	}
	second, err := Dial(strings.TrimPrefix(r.conn.Target(), "dns:///"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := read(ctx, second, "x"); errors.KindOf(err) != errors.DeadlineExceeded {
		t.Errorf("a connection above the limit gave %v", err)
	}
	_ = r.conn.Close()
	eventually(t, "the place is free", func() bool {
		_, err := read(t.Context(), second, "x")
		return err == nil
	})
}

func TestReflectionListsServices(t *testing.T) {
	r := serve(t, "tcp", Options{}, &echo{})
	stream, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, service := range resp.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	for _, want := range []string{echoName, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} {
		if !slices.Contains(names, want) {
			t.Errorf("%v lacks %s", names, want)
		}
	}
}

func TestTracing(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	r := serve(t, "tcp", Options{TracerProvider: provider}, &echo{unary: func(context.Context, string) (string, error) { return "", fmt.Errorf("no") }})
	if _, err := read(t.Context(), r.conn, "x"); err == nil {
		t.Fatal("no error")
	}
	eventually(t, "client and server have a span", func() bool { return len(spans.GetSpans()) == 2 })
	got := spans.GetSpans()
	line := r.log.lines(t, "call")[0]
	if got[0].SpanContext.TraceID() != got[1].SpanContext.TraceID() || line["trace_id"] != got[0].SpanContext.TraceID().String() {
		t.Errorf("the trace is torn: %v, %v, logged %v", got[0].SpanContext, got[1].SpanContext, line["trace_id"])
	}
	if want := attribute.String("dbslm.request_id", line["request_id"].(string)); !slices.Contains(slices.Concat(got[0].Attributes, got[1].Attributes), want) {
		t.Errorf("no span has %v", want)
	}
}
