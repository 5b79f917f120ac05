package gateway

import (
	"context"
	"sync"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"google.golang.org/grpc"
)

const (
	// providerTimeout bounds one call to a payload provider.
	providerTimeout = 2 * time.Second
	// providerLimit bounds the number of provider connections kept.
	providerLimit = 64
	// providerPayload bounds a provider's answer in bytes, as NextRequest.provided does.
	providerPayload = 256 << 10
)

// providers keeps connections to users' payload providers.
type providers struct {
	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func (p *providers) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.conns[address]; ok {
		return c, nil
	}
	if len(p.conns) >= providerLimit {
		return nil, errors.New(errors.ResourceExhausted, "TOO_MANY_PROVIDERS",
			"more than %d payload providers are in use", providerLimit)
	}
	c, err := rpc.Dial(address, rpc.Options{})
	if err != nil {
		return nil, err
	}
	if p.conns == nil {
		p.conns = make(map[string]*grpc.ClientConn)
	}
	p.conns[address] = c
	return c, nil
}

func (p *providers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns = nil
	return errors.Join(errs...)
}

// provide asks a payload provider. A failure is an answer too: level 3 then does without, and says so.
func (t *turn) provide(ctx context.Context, needed *conceptv1.PayloadNeeded) *conceptv1.ProvidedPayload {
	provided := &conceptv1.ProvidedPayload{Concept: needed.Concept}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	payload, err := t.callProvider(ctx, needed)
	if err != nil {
		provided.Failure = errors.Public(err)
		t.degrade(serviceProvider, err, "the payload provider of concept "+needed.Concept+" gave no values")
		return provided
	}
	provided.PayloadJson = payload
	return provided
}

func (t *turn) callProvider(ctx context.Context, needed *conceptv1.PayloadNeeded) (string, error) {
	conn, err := t.gateway.providers.conn(needed.ProviderAddress)
	if err != nil {
		return "", err
	}
	resp, err := conceptv1.NewPayloadProviderServiceClient(conn).ProvidePayload(ctx, &conceptv1.ProvidePayloadRequest{
		Tenant:         t.req.Tenant,
		Bot:            t.req.Bot,
		Concept:        needed.Concept,
		ConversationId: t.req.ConversationId,
		TurnId:         t.prepared.Turn.TurnId,
		Text:           t.req.Text,
		Slots:          needed.Slots,
		LanguageCode:   t.req.LanguageCode,
	}, grpc.MaxCallRecvMsgSize(providerPayload+1024))
	if err != nil {
		return "", err
	}
	return resp.PayloadJson, nil
}

func (t *turn) degrade(service string, err error, effect string) {
	t.trace.Degradations = append(t.trace.Degradations, degradation(service, err, effect))
}
