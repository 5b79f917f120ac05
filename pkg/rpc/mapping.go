package rpc

import (
	"context"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
)

// outward makes err fit to leave the server. What a client sees is the status; observers further out find
// the cause behind it.
func outward(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	err = FromStatus(err)
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		// A store that was interrupted reports that it is unavailable. It is not: the caller left, or the
		// time was up.
		switch errors.KindOf(err) {
		case errors.Internal, errors.Unavailable, errors.Aborted:
			interrupted := errors.From(ended)
			err = errors.Wrap(err, interrupted.Kind(), interrupted.Reason(), "%s", interrupted.Public())
		}
	}
	if _, classified := errors.AsType[*errors.Error](err); !classified {
		err = errors.From(err) // once, so that log and client carry the same id
	}
	return &callError{error: err, status: ToStatus(err)}
}

func mapErrorsUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err != nil {
		return nil, outward(ctx, err)
	}
	return resp, nil
}

func mapErrorsStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return outward(stream.Context(), next(srv, stream))
}
