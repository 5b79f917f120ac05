package gateway

import (
	"fmt"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// Services as traces name them.
const (
	serviceNgram    = "ngram"
	serviceConcept  = "concept"
	serviceProvider = "provider"
)

// degradation describes, for the trace, what a reply had to do without.
func degradation(service string, err error, effect string) *gatewayv1.Degradation {
	return &gatewayv1.Degradation{
		Service: service,
		Code:    codeName(err),
		Reason:  errors.ReasonOf(err),
		Effect:  effect,
	}
}

func codeName(err error) string { return rpc.ToStatus(err).Code().String() }

// withoutText is what a reply says when neither level 3 nor level 1 had anything to say. It names what is
// missing, because an answer made up in its place would be a lie.
func withoutText(model string, err error) string {
	switch {
	case err == nil:
		return "I have nothing to say to that."
	case errors.ReasonOf(err) == "NO_PUBLISHED_BUILD" || errors.KindOf(err) == errors.NotFound:
		return fmt.Sprintf("I have no words of my own yet: the language model %q has no published build. "+
			"Train it with: dbslm train PATH.", model)
	case errors.KindOf(err) == errors.FailedPrecondition:
		return fmt.Sprintf("I cannot answer that freely: the language model %q cannot be used now.", model)
	default:
		return "I cannot answer that freely at the moment: the language model cannot be reached. Please ask me again later."
	}
}
