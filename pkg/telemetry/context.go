package telemetry

import "context"

type requestIDKey struct{}

// WithRequestID returns a context that carries the id which links every log line, span and outgoing
// call of one request. The rpc package sets it for each call that arrives; programs that start work of
// their own may set it too.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request id that ctx carries, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
