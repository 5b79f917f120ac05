package rpc

import (
	"context"

	"dbslm/pkg/telemetry"

	"github.com/google/uuid"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestIDHeader links the log lines of all services that one request touches. It is for people who
// search logs; the request ids inside messages, which make writes repeatable, are another matter.
const requestIDHeader = "x-request-id"

// It is echoed so that a caller may name it: in the header of a reply, in the trailer of a failure. Never
// in the header of a failure: gRPC does not retry a call once it has seen a header.

// withRequestID takes the caller's id, or makes one.
func withRequestID(ctx context.Context) (context.Context, metadata.MD) {
	given := ""
	if values := metadata.ValueFromIncomingContext(ctx, requestIDHeader); len(values) == 1 {
		given = values[0]
	}
	id := RequestID(given)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("dbslm.request_id", id))
	}
	callStateOf(ctx).requestID = id
	return telemetry.WithRequestID(ctx, id), metadata.Pairs(requestIDHeader, id)
}

// validRequestID accepts what is safe to print in a log: 1 to 128 visible ASCII characters.
func validRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// RequestID returns the id that a caller gave its request, or a new one where that is not safe to print. It cannot fail: the
// system's source of randomness never does since Go 1.24.
func RequestID(given string) string {
	if validRequestID(given) {
		return given
	}
	return uuid.Must(uuid.NewV7()).String()
}

func requestIDUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, echo := withRequestID(ctx)
	resp, err := next(ctx, req)
	if err != nil {
		_ = grpc.SetTrailer(ctx, echo) // this and SetHeader fail only when the caller is gone
	} else {
		_ = grpc.SetHeader(ctx, echo)
	}
	return resp, err
}

func requestIDStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, echo := withRequestID(stream.Context())
	s := &echoStream{WrappedServerStream: middleware.WrapServerStream(stream), echo: echo}
	s.WrappedContext = ctx
	err := next(srv, s)
	if err != nil {
		stream.SetTrailer(echo)
	} else {
		s.setHeader()
	}
	return err
}

// echoStream adds the header when the first message makes one necessary.
type echoStream struct {
	*middleware.WrappedServerStream
	echo metadata.MD
	set  bool
}

func (s *echoStream) setHeader() {
	if !s.set {
		s.set = true
		_ = s.SetHeader(s.echo)
	}
}

func (s *echoStream) SendMsg(m any) error {
	s.setHeader()
	return s.ServerStream.SendMsg(m)
}

func (s *echoStream) SendHeader(md metadata.MD) error {
	s.setHeader()
	return s.ServerStream.SendHeader(md)
}

// outgoingRequestID passes the id of the request that ctx belongs to on to the next service.
func outgoingRequestID(ctx context.Context) context.Context {
	id := telemetry.RequestID(ctx)
	if id == "" {
		return ctx
	}
	if md, ok := metadata.FromOutgoingContext(ctx); ok && len(md.Get(requestIDHeader)) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, requestIDHeader, id)
}
