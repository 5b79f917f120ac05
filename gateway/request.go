package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/uuid"
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

// fillRequest checks what validation rules cannot say and fills the request id.
func fillRequest(req *gatewayv1.RespondRequest) error {
	if strings.TrimSpace(req.Text) == "" {
		return errors.New(errors.InvalidArgument, "EMPTY_TEXT", "the text holds nothing but spaces; say something").
			Field("text", "holds nothing but spaces")
	}
	if strings.ContainsRune(req.Text, 0) {
		return errors.New(errors.InvalidArgument, "NUL_IN_TEXT", "the text holds a NUL byte; remove it").
			Field("text", "holds a NUL byte")
	}
	if err := checkPayload(req.PayloadJson); err != nil {
		return err
	}
	if req.RequestId == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return errors.Wrap(err, errors.Unavailable, "NO_RANDOMNESS", "no id could be made; try again")
		}
		req.RequestId = id.String()
	}
	return nil
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

// leaseFor keeps a turn open a little longer than its deadline, so that a lease never ends under a turn that
// still runs.
func leaseFor(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return leaseMax
	}
	return min(time.Until(deadline)+commitReserve+leaseMargin, leaseMax)
}

// randomSeed makes the seed of a turn whose caller gave none. It is stored, so that the reply can be replayed.
func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
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
