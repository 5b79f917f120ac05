package rpc

import (
	"context"

	"dbslm/pkg/telemetry"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestIDHeader links the log lines of all services that one request touches. It is for people who
// search logs; the request ids inside messages, which make writes repeatable, are another matter.
const requestIDHeader = "x-request-id"

// withRequestID takes the caller's id, or makes one, and echoes it so that the caller can name it.
func withRequestID(ctx context.Context, setHeader func(metadata.MD) error) context.Context {
	id := ""
	if values := metadata.ValueFromIncomingContext(ctx, requestIDHeader); len(values) == 1 && validRequestID(values[0]) {
		id = values[0]
	} else {
		id = newRequestID()
	}
	_ = setHeader(metadata.Pairs(requestIDHeader, id)) // fails only when the stream is already broken
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("dbslm.request_id", id))
	}
	return telemetry.WithRequestID(ctx, id)
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

// newRequestID cannot fail: the system's source of randomness never does since Go 1.24.
func newRequestID() string { return uuid.Must(uuid.NewV7()).String() }

func requestIDUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx = withRequestID(ctx, func(md metadata.MD) error { return grpc.SetHeader(ctx, md) })
	return next(ctx, req)
}

func requestIDStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, contextStream{stream, withRequestID(stream.Context(), stream.SetHeader)})
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
