package rpc

import (
	"context"
	"log/slog"

	"dbslm/pkg/telemetry"

	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// Some calls fail where no interceptor sees it: a message above the size limit, a reply that cannot be
// encoded, a connection lost while the reply is sent. gRPC tells its stats handlers, so one of them keeps
// the log and the metrics complete.

type callStateKey struct{}

// callState is what the chain found out about one call. Chain and stats handler run one after the other
// on the call's goroutine.
type callState struct {
	method    string
	requestID string
	reached   bool // the chain
	failed    bool // and the chain knows
}

func callStateOf(ctx context.Context) *callState {
	if state, ok := ctx.Value(callStateKey{}).(*callState); ok {
		return state
	}
	return &callState{} // not a call of our server: nobody reads it
}

type outsideHandler struct{ *observer }

func (outsideHandler) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callStateKey{}, &callState{method: info.FullMethodName})
}

func (h outsideHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, ok := event.(*stats.End)
	if !ok || end.Error == nil {
		return
	}
	state := callStateOf(ctx)
	if state.failed {
		return // the chain has counted and logged it
	}
	ctx = telemetry.WithRequestID(ctx, state.requestID)
	code := status.Code(end.Error)
	h.metrics.outsideFailure(code)
	h.logger.LogAttrs(ctx, levelOf(code, ""), "call failed outside its handler",
		slog.String("method", state.method),
		slog.Bool("handled", state.reached),
		slog.String("code", code.String()),
		milliseconds(end.EndTime.Sub(end.BeginTime)),
		slog.String("error", end.Error.Error()),
	)
}

func (outsideHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (outsideHandler) HandleConn(context.Context, stats.ConnStats) {}
