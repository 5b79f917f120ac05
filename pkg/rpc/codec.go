package rpc

import (
	"dbslm/pkg/errors"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// gRPC answers Internal when a request is not valid protobuf, before any interceptor of a unary call has
// run: nothing is counted or logged, and the caller reads that the server broke. The usual cause is a
// string field that is not UTF-8, which is the caller's mistake.
//
// So the server's codec never fails: a message that does not decode is replaced by an empty one whose
// unknown fields hold the reason, and the chain turns that into InvalidArgument. The mark needs no state
// outside the message. A client that sends the field itself only refuses its own request.

// malformedField is the field number of the mark, the largest there is.
const malformedField protowire.Number = 1<<29 - 1

const maxMalformedReason = 256

type lenientCodec struct{ encoding.CodecV2 }

func newServerCodec() encoding.CodecV2 {
	return lenientCodec{encoding.GetCodecV2(protocodec.Name)}
}

func (c lenientCodec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	m, ok := v.(proto.Message)
	if err == nil || !ok {
		return err
	}
	proto.Reset(m)
	mark := protowire.AppendTag(nil, malformedField, protowire.BytesType)
	mark = protowire.AppendString(mark, clean(err.Error(), maxMalformedReason))
	m.ProtoReflect().SetUnknown(mark)
	return nil
}

// malformed returns the error that the codec left in a message, or nil.
func malformed(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	unknown := m.ProtoReflect().GetUnknown()
	if len(unknown) == 0 {
		return nil
	}
	number, kind, n := protowire.ConsumeTag(unknown)
	if n < 0 || number != malformedField || kind != protowire.BytesType {
		return nil
	}
	reason, n := protowire.ConsumeString(unknown[n:])
	if n < 0 {
		return nil
	}
	return errors.New(errors.InvalidArgument, reasonMalformed,
		"the request cannot be decoded: %s; text must be valid UTF-8", clean(reason, maxMalformedReason))
}
