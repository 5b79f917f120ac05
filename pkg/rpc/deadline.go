package rpc

import (
	"context"
	"time"

	"dbslm/pkg/errors"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"google.golang.org/grpc"
)

// Budget returns a context whose deadline is keep before ctx's, for a call to somebody else: keep is what
// the caller needs for itself afterwards, to answer in time even when the peer uses all it was given. It
// refuses with DeadlineExceeded when less than floor would remain, because work that cannot finish only
// takes capacity from work that can. A ctx without a deadline gets none. The cancel function is never nil.
func Budget(ctx context.Context, keep, floor time.Duration) (context.Context, context.CancelFunc, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		child, cancel := context.WithCancel(ctx)
		return child, cancel, nil
	}
	deadline = deadline.Add(-keep)
	if remaining := time.Until(deadline); remaining < floor {
		err := errors.New(errors.DeadlineExceeded, "DEADLINE_TOO_SHORT",
			"%v are left for this call, which needs at least %v; allow it more time",
			max(remaining+keep, 0).Round(time.Millisecond), keep+floor)
		return ctx, func() {}, err
	}
	child, cancel := context.WithDeadline(ctx, deadline)
	return child, cancel, nil
}

// deadlines gives every call a bounded time, and handlers a deadline that ends before the caller's.
type deadlines struct {
	unary, stream, headroom, floor time.Duration
}

func (d deadlines) bound(ctx context.Context, fallback time.Duration) (context.Context, context.CancelFunc, error) {
	if _, ok := ctx.Deadline(); ok {
		return Budget(ctx, d.headroom, d.floor)
	}
	if fallback == 0 {
		return ctx, func() {}, nil
	}
	child, cancel := context.WithTimeout(ctx, fallback)
	return child, cancel, nil
}

func (d deadlines) unaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, cancel, err := d.bound(ctx, d.unary)
	if err != nil {
		return nil, err
	}
	defer cancel()
	resp, err := next(ctx, req)
	return resp, interrupted(ctx, err)
}

func (d deadlines) streamServer(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, cancel, err := d.bound(stream.Context(), d.stream)
	if err != nil {
		return err
	}
	defer cancel()
	return interrupted(ctx, next(srv, &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: ctx}))
}

// interrupted puts right what a store says of a call whose context ended under it: it is not broken or
// unavailable, the caller left or the time was up.
func interrupted(ctx context.Context, err error) error {
	ended := ctx.Err()
	if err == nil || ended == nil {
		return err
	}
	switch kind := errors.KindOf(FromStatus(err)); {
	case kind == errors.Unavailable, (kind == errors.Internal || kind == errors.Aborted) && errors.Is(err, ended):
		e := errors.From(ended)
		return errors.Wrap(err, e.Kind(), e.Reason(), "%s", e.Public())
	}
	return err
}
