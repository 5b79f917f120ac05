package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
)

// recovered turns a panic of a handler into an Internal error with an id, counts it, and logs the stack
// under the same id. A panic in a goroutine that a handler started still ends the process.
func (o *observer) recovered(ctx context.Context, panicked any) error {
	method, _ := grpc.Method(ctx)
	o.metrics.panic(method)
	err := errors.From(fmt.Errorf("panic: %v", panicked))
	o.logger.LogAttrs(ctx, slog.LevelError, "handler panicked",
		slog.String("method", method),
		slog.String("error", err.Error()),
		slog.String("stack", string(debug.Stack())),
	)
	return err
}
