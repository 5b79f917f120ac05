package rpc

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"dbslm/pkg/errors"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// observer writes the log and the metrics that belong to calls.
type observer struct {
	logger  *slog.Logger
	metrics *metrics
}

// ServerReporter starts the log line of one call. It implements the middleware's interceptors.ServerReportable;
// the middleware's own logger would format a dozen fields for every call, also for lines nobody reads.
func (o *observer) ServerReporter(ctx context.Context, call interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	callStateOf(ctx).reached = true
	return &callReport{observer: o, ctx: ctx, call: call}, ctx
}

type callReport struct {
	interceptors.NoopReporter
	*observer
	ctx  context.Context //nolint:containedctx // the middleware reports the end of a call without its context
	call interceptors.CallMeta
}

// PostCall writes the line: who, what, how long, which code; for a failure also kind, reason and cause.
// It never writes a message.
func (r *callReport) PostCall(err error, took time.Duration) {
	callStateOf(r.ctx).failed = err != nil
	code := status.Code(err)
	level := levelOf(code, r.call.Service)
	if !r.logger.Enabled(r.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.call.FullMethod()),
		slog.String("code", code.String()),
		milliseconds(took),
	}
	if p, ok := peer.FromContext(r.ctx); ok {
		attrs = append(attrs, slog.String("peer", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("reason", errors.ReasonOf(err)), slog.String("error", err.Error()))
	}
	r.logger.LogAttrs(r.ctx, level, "call", attrs...)
}

func milliseconds(took time.Duration) slog.Attr {
	return slog.Float64("took_ms", float64(took.Microseconds())/1000)
}

// levelOf is about who must act: nobody (info), the operator soon (warn) or now (error).
func levelOf(code codes.Code, service string) slog.Level {
	switch code {
	case codes.OK, codes.Canceled:
		if strings.HasPrefix(service, "grpc.") { // probes and reflection, every few seconds
			return slog.LevelDebug
		}
		return slog.LevelInfo
	case codes.Internal, codes.DataLoss, codes.Unknown:
		return slog.LevelError
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
