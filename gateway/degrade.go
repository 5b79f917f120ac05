package gateway

import (
	"fmt"
	"strings"
	"unicode"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc/codes"
)

// Services as traces name them.
const (
	serviceNgram    = "ngram"
	serviceMemory   = "memory"
	serviceConcept  = "concept"
	serviceProvider = "provider"
	serviceGateway  = "gateway"
)

// degrade notes in the trace what the reply has to do without.
func (t *turn) degrade(service string, err error, effect string) {
	t.trace.Degradations = append(t.trace.Degradations, degradation(service, err, effect))
}

func degradation(service string, err error, effect string) *gatewayv1.Degradation {
	return &gatewayv1.Degradation{Service: service, Code: codeName(rpc.ToStatus(err).Code()), Reason: errors.ReasonOf(err), Effect: effect}
}

// codeName is a code as gRPC's specification writes it: "DEADLINE_EXCEEDED".
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for i, r := range code.String() {
		if i > 0 && unicode.IsUpper(r) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToUpper(r))
	}
	return name.String()
}

// withoutText is what a reply says when neither level 3 nor level 1 had anything to say.
func (t *turn) withoutText() string {
	var missing *gatewayv1.Degradation
	if t.noModel != nil {
		missing = degradation(serviceNgram, t.noModel, "")
	}
	return sayWithout(t.prepared.Turn.Pins.GetModel(), t.finish == ngramv1.FinishReason_FINISH_REASON_ERROR, missing)
}

// sayWithout names what is missing, because an answer made up in its place would be a lie. The same degradation of level 1,
// nil for none, gives the same words.
func sayWithout(model string, outOfTime bool, missing *gatewayv1.Degradation) string {
	switch {
	case outOfTime:
		return "I ran out of time before I could answer. Please ask me again."
	case missing == nil:
		return "I have nothing to say to that."
	case missing.Reason == "NO_PUBLISHED_BUILD", missing.Reason == "MODEL_NOT_FOUND", missing.Reason == "MODEL_EMPTY":
		return fmt.Sprintf("I have no words of my own yet: the language model %q has no published build. "+
			"Train it with: dbslm train PATH.", model)
	case missing.Code == codeName(codes.DataLoss):
		return fmt.Sprintf("I cannot answer that freely: the language model %q is damaged. "+
			"Derive it again with: dbslm builds create --publish.", model)
	case missing.Code == codeName(codes.FailedPrecondition):
		return fmt.Sprintf("I cannot answer that freely: the language model %q cannot be used now.", model)
	default:
		return "I cannot answer that freely at the moment: the language model cannot be reached. Please ask me again later."
	}
}
