package rpc

import (
	"context"

	"buf.build/go/protovalidate"
	validation "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/protovalidate"
	"google.golang.org/grpc"
)

// Reasons of requests that never reach a handler.
const (
	reasonMalformed      = "MALFORMED_REQUEST"
	reasonInvalidRequest = "INVALID_REQUEST"
)

// refuseMalformedUnary turns the codec's mark into an error; see codec.go.
func refuseMalformedUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := malformed(req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func refuseMalformedStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, strictStream{stream})
}

type strictStream struct{ grpc.ServerStream }

func (s strictStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return malformed(m)
}

// The validation rules stand in the protos. The middleware answers InvalidArgument with buf's own detail;
// the error mapping around it (FromStatus) makes a BadRequest of that, which clients of any language know.
func validateUnary() grpc.UnaryServerInterceptor {
	return validation.UnaryServerInterceptor(protovalidate.GlobalValidator)
}

func validateStream() grpc.StreamServerInterceptor {
	return validation.StreamServerInterceptor(protovalidate.GlobalValidator)
}
