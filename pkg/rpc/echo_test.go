package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The test service is described here rather than generated, so that it may have what the tests need:
//
//	service Echo { rpc Read, Write (Text) returns (Text); rpc Chat (stream Text) returns (stream Text) }
//
// where Read has no side effects, and Text.text has at most 1000 characters and is not "forbidden".
const (
	echoName    = "dbslm.echo.v1.Echo"
	readMethod  = "/" + echoName + "/Read"
	writeMethod = "/" + echoName + "/Write"
	chatMethod  = "/" + echoName + "/Chat"
)

var echoMessage = sync.OnceValue(func() protoreflect.MessageDescriptor {
	rules := &descriptorpb.FieldOptions{}
	proto.SetExtension(rules, validate.E_Field, &validate.FieldRules{Type: &validate.FieldRules_String_{
		String_: &validate.StringRules{MaxLen: proto.Uint64(1000), NotIn: []string{"forbidden"}},
	}})
	repeatable := &descriptorpb.MethodOptions{IdempotencyLevel: descriptorpb.MethodOptions_NO_SIDE_EFFECTS.Enum()}
	method := func(name string, stream bool, options *descriptorpb.MethodOptions) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: proto.String(".dbslm.echo.v1.Text"), OutputType: proto.String(".dbslm.echo.v1.Text"),
			ClientStreaming: &stream, ServerStreaming: &stream, Options: options,
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("dbslm/echo/v1/echo.proto"), Package: proto.String("dbslm.echo.v1"), Syntax: proto.String("proto3"),
		Dependency: []string{"buf/validate/validate.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("Text"),
			Field: []*descriptorpb.FieldDescriptorProto{{
				Name: proto.String("text"), Number: proto.Int32(1), Options: rules,
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}},
		}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name:   proto.String("Echo"),
			Method: []*descriptorpb.MethodDescriptorProto{method("Read", false, repeatable), method("Write", false, nil), method("Chat", true, nil)},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		panic(err)
	}
	return file.Messages().Get(0)
})

func text(s string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(echoMessage())
	m.Set(m.Descriptor().Fields().Get(0), protoreflect.ValueOfString(s))
	return m
}

func textOf(m *dynamicpb.Message) string { return m.Get(m.Descriptor().Fields().Get(0)).String() }

// echo is a Service whose behaviour each test chooses; by default it answers what it was sent.
type echo struct {
	unary  func(ctx context.Context, text string) (string, error)
	stream func(ctx context.Context, receive func() (string, error), send func(string) error) error
	ready  func(ctx context.Context) error
}

func (e *echo) Ready(ctx context.Context) error {
	if e.ready == nil {
		return nil
	}
	return e.ready(ctx)
}

func (e *echo) Register(registrar grpc.ServiceRegistrar) {
	echoMessage()
	registrar.RegisterService(&grpc.ServiceDesc{
		ServiceName: echoName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Read", Handler: e.handle(readMethod)}, {MethodName: "Write", Handler: e.handle(writeMethod)}},
		Streams:     []grpc.StreamDesc{{StreamName: "Chat", Handler: e.chat, ServerStreams: true, ClientStreams: true}},
		Metadata:    "dbslm/echo/v1/echo.proto",
	}, e)
}

func (e *echo) handle(method string) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := text("")
		if err := decode(req); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, req any) (any, error) {
			got := textOf(req.(*dynamicpb.Message))
			if e.unary == nil {
				return text(got), nil
			}
			answer, err := e.unary(ctx, got)
			return text(answer), err
		}
		if intercept == nil {
			return handler(ctx, req)
		}
		return intercept(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, handler)
	}
}

func (e *echo) chat(_ any, stream grpc.ServerStream) error {
	receive := func() (string, error) {
		m := text("")
		err := stream.RecvMsg(m)
		return textOf(m), err
	}
	send := func(s string) error { return stream.SendMsg(text(s)) }
	if e.stream != nil {
		return e.stream(stream.Context(), receive, send)
	}
	for {
		got, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(got); err != nil {
			return err
		}
	}
}

// The client's side.

func read(ctx context.Context, conn *grpc.ClientConn, s string, opts ...grpc.CallOption) (string, error) {
	return call(ctx, conn, readMethod, s, opts...)
}

func call(ctx context.Context, conn *grpc.ClientConn, method, s string, opts ...grpc.CallOption) (string, error) {
	reply := text("")
	err := conn.Invoke(ctx, method, text(s), reply, opts...)
	return textOf(reply), err
}

func chat(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true}, chatMethod, opts...)
}

func say(stream grpc.ClientStream, s string) (string, error) {
	if err := stream.SendMsg(text(s)); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return hear(stream)
}

func hear(stream grpc.ClientStream) (string, error) {
	reply := text("")
	err := stream.RecvMsg(reply)
	return textOf(reply), err
}

// running is a server under test with everything that it tells its operator.
type running struct {
	*Server
	conn     *grpc.ClientConn
	registry *prometheus.Registry
	log      *logBuffer
	shutdown func() error // ends Serve and returns its error; may be called again
}

// serve runs the services on a listener ("tcp", "unix") or in memory ("local") until the test ends.
func serve(t *testing.T, network string, o Options, services ...Service) *running {
	t.Helper()
	r := &running{registry: prometheus.NewRegistry(), log: &logBuffer{}}
	o.Logger, o.Registerer = telemetry.NewLogger(r.log, telemetry.LogJSON, slog.LevelDebug), r.registry
	r.Server = NewServer(o, services...)
	if network == "local" {
		r.shutdown = r.Close
		r.conn = r.Local()
	} else {
		addr := map[string]string{"tcp": "127.0.0.1:0", "unix": "unix://" + filepath.Join(t.TempDir(), "s")}[network]
		lis, err := Listen(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		if network == "tcp" {
			addr = lis.Addr().String()
		}
		r.shutdown = start(r.Server, lis)
		if r.conn, err = Dial(addr, o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = r.conn.Close()
		if err := r.shutdown(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return r
}

func start(s *Server, listeners ...net.Listener) (shutdown func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listeners...) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// everyPeer runs a test over each kind of connection.
func everyPeer(t *testing.T, o Options, e *echo, f func(t *testing.T, r *running)) {
	for _, network := range []string{"tcp", "unix", "local"} {
		t.Run(network, func(t *testing.T) { f(t, serve(t, network, o, e)) })
	}
}

func (r *running) counter(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if hasLabels(metric, labels) {
				sum += metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func hasLabels(metric *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, pair := range metric.GetLabel() {
		if value, ok := labels[pair.GetName()]; ok && value == pair.GetValue() {
			found++
		}
	}
	return found == len(labels)
}

// logBuffer collects JSON log lines from any goroutine.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines returns the lines whose message is msg.
func (b *logBuffer) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(b.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if fields["msg"] == msg {
			out = append(out, fields)
		}
	}
	return out
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}
