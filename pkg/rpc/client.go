package rpc

import (
	"context"
	"io"
	"strings"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Connections carry the request id outwards and bring errors back as *errors.Error.

func callUnary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(outgoingRequestID(ctx), method, req, reply, conn, opts...)
	return inward(method, req, err)
}

func callStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(outgoingRequestID(ctx), desc, conn, method, opts...)
	if err != nil {
		return nil, inward(method, nil, err)
	}
	return peerStream{stream, method}, nil
}

type peerStream struct {
	grpc.ClientStream
	method string
}

func (s peerStream) SendMsg(m any) error { return inward(s.method, m, s.ClientStream.SendMsg(m)) }
func (s peerStream) RecvMsg(m any) error { return inward(s.method, nil, s.ClientStream.RecvMsg(m)) }
func (s peerStream) CloseSend() error    { return inward(s.method, nil, s.ClientStream.CloseSend()) }

// inward makes a peer's failure, or the failure to reach it, an *errors.Error that is still a status.
// What the transport says names addresses and belongs in the log; the public text names the service.
func inward(method string, sent any, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	e := decode(st)
	if e.Reason() == "" {
		e = transportError(e, method, sent, err)
	}
	return &callError{error: e, status: st}
}

// transportError words the failures that gRPC itself reports, which carry no reason of ours.
func transportError(e *errors.Error, method string, sent any, err error) *errors.Error {
	peer := peerName(method)
	switch e.Kind() {
	case errors.Unavailable:
		return errors.Wrap(err, errors.Unavailable, "PEER_UNAVAILABLE",
			"the %s service does not answer; check that it runs, then try again", peer).With("service", peer)
	case errors.DeadlineExceeded:
		return errors.Wrap(err, errors.DeadlineExceeded, errors.ReasonDeadlineExceeded,
			"the %s service did not answer in time; allow it more time", peer).With("service", peer)
	case errors.Canceled:
		if strings.Contains(e.Public(), "client connection is closing") {
			return errors.Wrap(err, errors.Unavailable, "CONNECTION_CLOSED", "the connection to the %s service is closed", peer).With("service", peer)
		}
		return errors.Wrap(err, errors.Canceled, errors.ReasonCanceled, "the call was canceled by its caller")
	case errors.ResourceExhausted:
		if strings.Contains(e.Public(), "message") && strings.Contains(e.Public(), "larger than max") {
			return errors.Wrap(err, errors.ResourceExhausted, "MESSAGE_TOO_LARGE",
				"the message is larger than the %s service and its clients accept; send less at a time", peer).With("service", peer)
		}
	case errors.Internal:
		if m, ok := sent.(proto.Message); ok && status.Code(err) == codes.Internal {
			if _, bad := proto.Marshal(m); bad != nil { // gRPC blames itself for text that is not UTF-8
				return errors.Wrap(err, errors.InvalidArgument, reasonMalformed,
					"the request cannot be encoded: %s; text must be valid UTF-8", bad.Error())
			}
		}
	}
	return e
}

// peerName is the short name of a method's service: "memory" for /dbslm.memory.v1.Memory/PrepareTurn.
func peerName(method string) string {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return shortName([]string{service})
}

func shortName(services []string) string {
	if len(services) == 0 {
		return "the service"
	}
	if rest, ours := strings.CutPrefix(services[0], "dbslm."); ours {
		name, _, _ := strings.Cut(rest, ".")
		return name
	}
	return services[0]
}
