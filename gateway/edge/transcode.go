package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Every RPC of the public API is a POST to /package.Service/Method, as for gRPC itself. Its messages are JSON as protobuf
// defines it: one object each way, or for a stream one object after the other. grpc-gateway writes the answers; the methods come
// from the descriptors, so that a new RPC needs nothing here. What the gateway does not serve answers UNIMPLEMENTED.

// isMethod reports whether a path has the form of an RPC of ours.
func isMethod(path string) bool {
	return strings.HasPrefix(path, "/dbslm.") && strings.Count(path, "/") == 2
}

// streams reports whether a path is that of an RPC whose client sends a stream of messages.
func streams(path string) bool {
	if !isMethod(path) {
		return false
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.Replace(path[1:], "/", ".", 1)))
	method, ok := found.(protoreflect.MethodDescriptor)
	return err == nil && ok && method.IsStreamingClient()
}

// transcoder answers the RPCs. limit bounds one message in bytes.
func transcoder(conn grpc.ClientConnInterface, limit int64) http.Handler {
	mux := runtime.NewServeMux(
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }), // metadata is not the client's to set
		runtime.WithMarshalerOption(runtime.MIMEWildcard, compactJSON{&runtime.JSONPb{}}),
		runtime.WithErrorHandler(refuseStatus),
		runtime.WithStreamErrorHandler(func(_ context.Context, err error) *status.Status { return rpc.ToStatus(err) }),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		ctx, err := runtime.AnnotateContext(ctx, mux, r, r.URL.Path)
		ctx = runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{}) // none of the gateway's is passed on
		_, out := runtime.MarshalerForRequest(mux, r)
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
			return
		}
		bounded := &perMessage{body: r.Body, limit: limit, left: limit}
		call := rpcCall{conn: conn, mux: mux, out: out, path: r.URL.Path, in: json.NewDecoder(bounded), bounded: bounded}
		if call.method, err = methodOf(r.URL.Path); err == nil {
			if call.method.IsStreamingClient() || call.method.IsStreamingServer() {
				call.stream(ctx, w, r)
				return
			}
			err = call.unary(ctx, w, r)
		}
		if err != nil {
			runtime.HTTPError(ctx, mux, out, w, r, err)
		}
	})
}

// compactJSON writes the same bytes for the same message: protojson varies its spaces from build to build.
type compactJSON struct{ *runtime.JSONPb }

// Marshal implements runtime.Marshaler.
func (c compactJSON) Marshal(v any) ([]byte, error) {
	raw, err := c.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, raw)
	return compact.Bytes(), err
}

func methodOf(path string) (protoreflect.MethodDescriptor, error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service)); err == nil {
		if s, ok := found.(protoreflect.ServiceDescriptor); ok {
			if method := s.Methods().ByName(protoreflect.Name(name)); method != nil {
				return method, nil
			}
		}
	}
	return nil, errors.New(errors.NotFound, "UNKNOWN_METHOD", "there is no such RPC; docs/grpcurl.md lists the services")
}

// rpcCall is one call on its way.
type rpcCall struct {
	conn    grpc.ClientConnInterface
	mux     *runtime.ServeMux
	out     runtime.Marshaler
	path    string
	method  protoreflect.MethodDescriptor
	in      *json.Decoder
	bounded *perMessage
}

func message(desc protoreflect.MessageDescriptor) (proto.Message, error) {
	found, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName())
	if err != nil {
		return nil, err
	}
	return found.New().Interface(), nil
}

// next reads one message of the body; io.EOF after the last.
func (c *rpcCall) next() (proto.Message, error) {
	var raw json.RawMessage
	if err := c.in.Decode(&raw); err != nil {
		return nil, readable(err)
	}
	c.bounded.left = c.bounded.limit
	m, err := message(c.method.Input())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(raw, m); err != nil {
		return nil, errors.New(errors.InvalidArgument, "MALFORMED_REQUEST", "the body is not a %s: %s", c.method.Input().Name(), plain(err))
	}
	return m, nil
}

// plain is what protojson says, without the space that it varies.
func plain(err error) string {
	return strings.TrimSpace(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto:"))
}

func (c *rpcCall) unary(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	in, err := c.next()
	if errors.Is(err, io.EOF) { // an empty body is an empty message
		in, err = message(c.method.Input())
	} else if err == nil {
		if _, more := c.next(); !errors.Is(more, io.EOF) {
			err = errors.New(errors.InvalidArgument, "MALFORMED_REQUEST", "the body holds more than one message")
		}
	}
	if err != nil {
		return err
	}
	out, err := message(c.method.Output())
	if err != nil {
		return err
	}
	if err := c.conn.Invoke(ctx, c.path, in, out); err != nil {
		return err
	}
	runtime.ForwardResponseMessage(ctx, c.mux, c.out, w, r, out)
	return nil
}

// stream passes messages both ways at once. A message that cannot be read ends the call for the gateway too.
func (c *rpcCall) stream(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, c.path)
	if err != nil {
		runtime.HTTPError(ctx, c.mux, c.out, w, r, err)
		return
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 and recorders have it anyway
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := c.send(stream); err != nil {
			cancel(err)
		}
	}()
	receive := func() (proto.Message, error) {
		out, err := message(c.method.Output())
		if err != nil {
			return nil, err
		}
		if err := stream.RecvMsg(out); err != nil {
			if !errors.Is(err, io.EOF) {
				err = timely(ctx, err)
			}
			return nil, err
		}
		return out, nil
	}
	first, err := receive() // what fails before it has a status of HTTP
	if err != nil && !errors.Is(err, io.EOF) {
		runtime.HTTPError(ctx, c.mux, c.out, w, r, err)
	} else {
		runtime.ForwardResponseStream(ctx, c.mux, c.out, w, r, func() (proto.Message, error) {
			if first != nil || err != nil {
				m, end := first, err
				first, err = nil, nil
				return m, end
			}
			return receive()
		})
	}
	cancel(nil)
	select {
	case <-sent:
	default: // the sender waits for a body that nobody needs any more
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Unix(1, 0))
		<-sent
		_ = control.SetReadDeadline(time.Time{})
	}
}

func (c *rpcCall) send(stream grpc.ClientStream) error {
	for n := 0; ; n++ {
		in, err := c.next()
		if errors.Is(err, io.EOF) && n == 0 && !c.method.IsStreamingClient() {
			in, err = message(c.method.Input())
		} else if errors.Is(err, io.EOF) {
			return stream.CloseSend()
		}
		if err != nil {
			return err
		}
		if n > 0 && !c.method.IsStreamingClient() {
			return errors.New(errors.InvalidArgument, "MALFORMED_REQUEST", "the body holds more than one message")
		}
		if err := stream.SendMsg(in); err != nil {
			return nil //nolint:nilerr // the other direction says why the call ended
		}
	}
}

// refuseStatus answers a call that failed before its first message: the status as google.rpc.Status has it.
func refuseStatus(_ context.Context, _ *runtime.ServeMux, out runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	err = rpc.FromStatus(err)
	code, _ := statusOf(err)
	body, bad := out.Marshal(rpc.ToStatus(err).Proto())
	if bad != nil { // never: its details are ours
		refuse(w, bad)
		return
	}
	hurry(w, err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// perMessage bounds what is read for one message of a stream.
type perMessage struct {
	body  io.Reader
	limit int64
	left  int64
}

// Read implements io.Reader. The bound is renewed with each message.
func (p *perMessage) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, tooLarge(p.limit)
	}
	n, err := p.body.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}
