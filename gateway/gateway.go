// Package gateway runs the generation pipeline over the three levels and is the public API.
//
// A turn flows one way: Respond → memory.PrepareTurn (the message is logged, the window comes back) →
// concept.Next, segment by segment (a span, or an abstention) → ngram.Generate where level 3 says nothing →
// memory.CommitTurn (the reply and its trace are logged) → concept.ConfirmSignals. turn.go tells it in this
// order; docs/decisions/0040 and 0041 say what happens when any of these calls fails.
//
// The gateway owns no table. What it knows between two calls is a cache of the builds that serve, one second
// old at most. A peer that is down degrades a reply and is named in its trace; only memory is indispensable,
// because an unlogged turn would break the promise that every reply can be traced.
package gateway

import (
	"context"
	"log/slog"
	"time"

	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
)

// Peers are the connections to the three levels, in memory or over the network.
type Peers struct {
	Ngram, Memory, Concept grpc.ClientConnInterface
}

// Options configure a gateway. The zero value is usable.
type Options struct {
	// Version is reported by GetStatus; default "dev".
	Version string
	// Logger receives what callers need not know; default none.
	Logger *slog.Logger
	// TurnTimeout bounds a turn whose caller set no deadline; default 30 s, at most 9 minutes.
	TurnTimeout time.Duration
	// MaxTurns limits the turns, explanations and replays that are worked on at once; more are refused. Default 256.
	MaxTurns int
	// Dial opens a connection to a payload provider; default rpc.Dial with default options, which refuses plain
	// text over a network.
	Dial func(address string) (*grpc.ClientConn, error)
}

// Gateway implements dbslm.gateway.v1.GatewayService and serves the administrative services of its peers.
type Gateway struct {
	gatewayv1.UnimplementedGatewayServiceServer

	peers   Peers
	options Options
	log     *slog.Logger

	models        ngramv1.ModelServiceClient
	corpus        ngramv1.CorpusServiceClient
	builds        ngramv1.BuildServiceClient
	inference     ngramv1.InferenceServiceClient
	conversations memoryv1.ConversationServiceClient
	turns         memoryv1.TurnServiceClient
	corrections   memoryv1.CorrectionServiceClient
	facts         memoryv1.FactServiceClient
	traces        memoryv1.TraceServiceClient
	privacy       memoryv1.PrivacyServiceClient
	forgetting    memoryv1.ForgettingServiceClient
	decisions     conceptv1.DecisionServiceClient
	predictions   conceptv1.PredictionServiceClient
	erasure       conceptv1.ErasureServiceClient
	signals       conceptv1.SignalServiceClient
	audit         conceptv1.AuditServiceClient

	places    chan struct{} // one for each turn that is worked on
	published published[*ngramv1.Model]
	deciding  published[uint32] // builds of bots
	providers providers
	observing observer
}

// New returns a gateway over the given peers. It dials nothing and starts nothing.
func New(peers Peers, options Options) *Gateway {
	if options.Version == "" {
		options.Version = "dev"
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.TurnTimeout <= 0 {
		options.TurnTimeout = 30 * time.Second
	}
	if options.MaxTurns <= 0 {
		options.MaxTurns = defaultMaxTurns
	}
	if options.Dial == nil {
		options.Dial = func(address string) (*grpc.ClientConn, error) { return rpc.Dial(address, rpc.Options{}) }
	}
	g := &Gateway{
		peers:         peers,
		options:       options,
		log:           options.Logger,
		places:        make(chan struct{}, options.MaxTurns),
		models:        ngramv1.NewModelServiceClient(peers.Ngram),
		corpus:        ngramv1.NewCorpusServiceClient(peers.Ngram),
		builds:        ngramv1.NewBuildServiceClient(peers.Ngram),
		inference:     ngramv1.NewInferenceServiceClient(peers.Ngram),
		conversations: memoryv1.NewConversationServiceClient(peers.Memory),
		turns:         memoryv1.NewTurnServiceClient(peers.Memory),
		corrections:   memoryv1.NewCorrectionServiceClient(peers.Memory),
		facts:         memoryv1.NewFactServiceClient(peers.Memory),
		traces:        memoryv1.NewTraceServiceClient(peers.Memory),
		privacy:       memoryv1.NewPrivacyServiceClient(peers.Memory),
		forgetting:    memoryv1.NewForgettingServiceClient(peers.Memory),
		decisions:     conceptv1.NewDecisionServiceClient(peers.Concept),
		predictions:   conceptv1.NewPredictionServiceClient(peers.Concept),
		erasure:       conceptv1.NewErasureServiceClient(peers.Concept),
		signals:       conceptv1.NewSignalServiceClient(peers.Concept),
		audit:         conceptv1.NewAuditServiceClient(peers.Concept),
	}
	g.published.ask = func(ctx context.Context, tenant, model string) (*ngramv1.Model, error) {
		resp, err := g.models.GetModel(ctx, &ngramv1.GetModelRequest{Tenant: tenant, Model: model})
		return resp.GetModel(), err
	}
	g.deciding.ask = func(ctx context.Context, tenant, bot string) (uint32, error) {
		resp, err := g.predictions.GetDecidingBuild(ctx, &conceptv1.GetDecidingBuildRequest{Tenant: tenant, Bot: bot})
		return resp.GetBuildId(), err
	}
	g.providers.dial = options.Dial
	return g
}

// Register registers GatewayService and the peers' administrative services.
func (g *Gateway) Register(r grpc.ServiceRegistrar) {
	gatewayv1.RegisterGatewayServiceServer(r, g)
	for _, f := range g.forwarded() {
		forward(r, f)
	}
}

// Ready reports whether the gateway can answer: it has no store, so it always can. Its peers are watched by
// their own health checks, and a missing one degrades replies instead of refusing them.
func (g *Gateway) Ready(context.Context) error { return nil }

// Close waits for what is still being told to level 3, at most two seconds, and ends the connections to payload providers. The
// peers' connections belong to the caller.
func (g *Gateway) Close() error {
	g.observing.close()
	return g.providers.close()
}
