package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// defaultModel is the model that answers when a request names none.
const defaultModel = "default"

func modelName(name string) string {
	if name == "" {
		return defaultModel
	}
	return name
}

// checkRequest checks what validation rules cannot say.
func checkRequest(req *gatewayv1.RespondRequest) error {
	if strings.TrimSpace(req.Text) == "" {
		return errors.New(errors.InvalidArgument, "EMPTY_TEXT", "the text holds nothing but spaces; say something").
			Field("text", "holds nothing but spaces")
	}
	if strings.ContainsRune(req.Text, 0) {
		return errors.New(errors.InvalidArgument, "NUL_IN_TEXT", "the text holds a NUL byte; remove it").
			Field("text", "holds a NUL byte")
	}
	room := instructionBytes
	for i, text := range req.Instructions {
		field := fmt.Sprintf("instructions[%d]", i)
		if room -= len(text); room < 0 {
			return errors.New(errors.InvalidArgument, "INSTRUCTIONS_TOO_LONG", "the instructions have more than %d bytes together; shorten them", instructionBytes).
				Field(field, "makes the instructions too long")
		}
		if strings.ContainsRune(text, 0) {
			return errors.New(errors.InvalidArgument, "NUL_IN_TEXT", "an instruction holds a NUL byte; remove it").Field(field, "holds a NUL byte")
		}
	}
	return checkPayload(req.PayloadJson)
}

// once makes sure that a turn has a request id. A caller without one cannot repeat its request as the same turn,
// so its connection is told not to: gRPC retries what is marked idempotent by itself, and a message would be
// logged twice. The id made here is named in errors, for a caller who wants to repeat the turn after all.
func once(ctx context.Context, req *gatewayv1.RespondRequest) (named func(error) error, err error) {
	if req.RequestId != "" {
		return func(err error) error { return err }, nil
	}
	noRetry(ctx)
	if req.RequestId, err = newRequestID(); err != nil {
		return nil, err
	}
	return func(err error) error {
		if e, ok := errors.AsType[*errors.Error](err); ok {
			return e.With("request_id", req.RequestId)
		}
		return err
	}, nil
}

// noRetry asks the caller's gRPC library not to repeat a failed call (gRFC A6: server pushback).
func noRetry(ctx context.Context) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "-1")) // fails only outside of a server
}

// seedOf is the seed that a request asks for, 0 included, or a random one. It is stored, so that the reply can be
// replayed.
func seedOf(params *ngramv1.DecodeParameters) uint64 {
	if params != nil && params.Seed != nil {
		return params.GetSeed()
	}
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// checkPayload refuses a payload that no concept could use before anything is stored.
func checkPayload(payload string) error {
	if payload == "" {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(payload), &object); err != nil || object == nil {
		return errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the payload is not a JSON object").
			Field("payload_json", "not a JSON object")
	}
	return nil
}

// withTokenizer has the window count tokens as the model does.
func withTokenizer(bounds *memoryv1.WindowBounds, settings *ngramv1.ModelSettings) *memoryv1.WindowBounds {
	bounds = proto.CloneOf(bounds)
	if bounds == nil {
		bounds = &memoryv1.WindowBounds{}
	}
	if bounds.Tokenizer == "" {
		bounds.Tokenizer = tokenizerNames[settings.GetTokenizer()]
		bounds.TokenizerParameters = settings.GetTokenizerParameters()
	}
	return bounds
}

var tokenizerNames = map[ngramv1.TokenizerKind]string{
	ngramv1.TokenizerKind_TOKENIZER_KIND_WORDS:      "words",
	ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE: "whitespace",
	ngramv1.TokenizerKind_TOKENIZER_KIND_BYTES:      "bytes",
}

// segmentSeed derives a segment's seed from its turn's: SplitMix64 (Steele, Lea and Flood 2014) of the seed
// advanced by the segment's number.
func segmentSeed(seed uint64, segment int) uint64 {
	z := seed + uint64(segment+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// newRequestID names a request whose caller did not.
func newRequestID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", errors.Wrap(err, errors.Unavailable, "NO_RANDOMNESS", "no id could be made; try again")
	}
	return id.String(), nil
}
