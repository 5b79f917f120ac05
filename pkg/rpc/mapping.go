package rpc

import (
	"context"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
)

// outward makes err fit to leave the server. What a client sees is the status; observers further out find
// the cause behind it.
func outward(err error) error {
	if err == nil {
		return nil
	}
	err = FromStatus(err)
	if _, classified := errors.AsType[*errors.Error](err); !classified {
		err = errors.From(err) // once, so that log and client carry the same id
	}
	return &callError{error: err, status: ToStatus(err)}
}

func mapErrorsUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err != nil {
		return nil, outward(err)
	}
	return resp, nil
}

func mapErrorsStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return outward(next(srv, stream))
}
