package rpc

import (
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"
)

// serverOptions is the whole of what happens to a call before and after its handler, outermost first.
func serverOptions(o Options, observer *observer) []grpc.ServerOption {
	limits := deadlines{unary: o.UnaryTimeout, stream: o.StreamTimeout, headroom: o.Headroom, floor: o.Floor}
	onPanic := recovery.WithRecoveryHandlerContext(observer.recovered)

	chain := []struct {
		unary  grpc.UnaryServerInterceptor
		stream grpc.StreamServerInterceptor
	}{
		// telemetry: before this list, as a stats handler, so that its span covers everything below.
		// request id: first, so that every line below carries it.
		{requestIDUnary, requestIDStream},
		// metrics: count the codes that clients see, so outside of what makes them.
		{observer.metrics.server.UnaryServerInterceptor(), observer.metrics.server.StreamServerInterceptor()},
		// log: one line a call, with the cause that the client does not get.
		{interceptors.UnaryServerInterceptor(observer), interceptors.StreamServerInterceptor(observer)},
		// error mapping: domain errors become statuses, for the observers above and for clients alike.
		{mapErrorsUnary, mapErrorsStream},
		// recovery: inside the observers, so that a panic is counted and mapped like any other failure.
		{recovery.UnaryServerInterceptor(onPanic), recovery.StreamServerInterceptor(onPanic)},
		// deadline: no unary call without a bound, and no work that cannot finish in time.
		{limits.unaryServer, limits.streamServer},
		// malformed: what does not decode has no fields to validate; see codec.go.
		{refuseMalformedUnary, refuseMalformedStream},
		// validation: last, so that handlers see only what the protos allow.
		{validateUnary(), validateStream()},
	}

	options := []grpc.ServerOption{
		grpc.StatsHandler(outsideHandler{observer}), // failures that the list above cannot see
		grpc.ForceServerCodecV2(newServerCodec()),   // see codec.go
		grpc.MaxRecvMsgSize(o.MaxRecvBytes),
		grpc.MaxSendMsgSize(o.MaxSendBytes),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.MaxConcurrentStreams(o.MaxStreams),
		grpc.ConnectionTimeout(10 * time.Second), // a handshake that hangs holds a connection slot
		grpc.WaitForHandlers(true),               // a store is closed only after the last handler is done with it
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             keepaliveTime / 3, // others may ping more often than our own connections do
			PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time:    keepaliveTime, // notices clients that vanished, so that their calls are cancelled
			Timeout: keepaliveTimeout,
			// Long-lived connections never move to a new replica; calls in flight finish on the old one.
			MaxConnectionAge: 30 * time.Minute,
		}),
	}
	if handler := tracingHandler(o, otelgrpc.NewServerHandler); handler != nil {
		options = append(options, grpc.StatsHandler(handler))
	}
	if o.ServerTLS != nil {
		options = append(options, grpc.Creds(localPlaintext{credentials.NewTLS(o.ServerTLS)}))
	}
	for _, step := range chain {
		options = append(options, grpc.ChainUnaryInterceptor(step.unary), grpc.ChainStreamInterceptor(step.stream))
	}
	return options
}

const (
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// tracingHandler is nil when tracing is off: even an idle stats handler costs microseconds a call.
func tracingHandler(o Options, build func(...otelgrpc.Option) stats.Handler) stats.Handler {
	if o.TracerProvider == nil {
		return nil
	}
	return build(
		otelgrpc.WithTracerProvider(o.TracerProvider),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // Prometheus counts
	)
}
