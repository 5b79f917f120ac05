package gateway

import (
	"context"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"google.golang.org/grpc"
)

const (
	// providerTimeout bounds one call to a payload provider.
	providerTimeout = 2 * time.Second
	// providerPayload bounds a provider's answer in bytes, as NextRequest.provided does.
	providerPayload = 256 << 10
)

// provide asks a payload provider, once in a turn. A failure is an answer too: level 3 then does without, and
// the trace says so.
func (t *turn) provide(ctx context.Context, needed *conceptv1.PayloadNeeded) *conceptv1.ProvidedPayload {
	if known := t.provided[needed.Concept]; known != nil {
		return known
	}
	provided := &conceptv1.ProvidedPayload{Concept: needed.Concept}
	t.provided[needed.Concept] = provided
	var payload string
	var err error
	if needed.AskedReply != nil {
		payload, err = t.tellReply(ctx, needed.AskedReply)
	} else {
		payload, err = t.callProvider(ctx, needed)
	}
	if err == nil {
		err = checkProvided(payload)
	}
	if err != nil {
		provided.Failure = head(speakable(errors.Public(err)), failureBytes)
		t.degrade(serviceProvider, err, "the payload provider of concept "+needed.Concept+" gave no values")
		return provided
	}
	provided.PayloadJson = payload
	return provided
}

func (t *turn) callProvider(ctx context.Context, needed *conceptv1.PayloadNeeded) (string, error) {
	conn, release, err := t.gateway.providers.acquire(needed.ProviderAddress)
	if err != nil {
		return "", err
	}
	defer release()
	ctx, cancel := part(ctx, providerTimeout)
	defer cancel()
	resp, err := conceptv1.NewPayloadProviderServiceClient(conn).ProvidePayload(ctx, &conceptv1.ProvidePayloadRequest{
		Tenant:         t.req.Tenant,
		Bot:            t.req.Bot,
		Concept:        needed.Concept,
		ConversationId: t.req.ConversationId,
		TurnId:         t.prepared.Turn.TurnId,
		Text:           t.req.Text,
		Slots:          needed.Slots,
		LanguageCode:   needed.LanguageCode,
		PayloadJson:    needed.PayloadJson,
	}, grpc.MaxCallRecvMsgSize(providerPayload+1024))
	if err != nil {
		return "", err
	}
	return resp.PayloadJson, nil
}

// checkProvided refuses an answer that level 3 could not read.
func checkProvided(payload string) error {
	switch {
	case len(payload) > providerPayload:
		return errors.New(errors.ResourceExhausted, "PROVIDER_ANSWER_TOO_LARGE", "the provider answered with more than %d bytes", providerPayload)
	case payload == "" || checkPayload(payload) != nil:
		return errors.New(errors.InvalidArgument, "PROVIDER_ANSWER_INVALID", "the provider did not answer with a JSON object")
	}
	return nil
}
