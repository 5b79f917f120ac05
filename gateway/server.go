package gateway

import (
	"context"
	"fmt"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// correctionConcept speaks a recorded correction in the next reply, with this score and for this long.
	correctionConcept    = "CorrectionReplay"
	correctionScore      = 2
	correctionTTLSeconds = 900
	// signalTTLSeconds is how long a pushed signal waits by default.
	signalTTLSeconds = 300
)

// StartConversation implements GatewayService.
func (g *Gateway) StartConversation(ctx context.Context, req *gatewayv1.StartConversationRequest) (*gatewayv1.StartConversationResponse, error) {
	resp, err := g.conversations.CreateConversation(ctx, &memoryv1.CreateConversationRequest{
		Tenant: req.Tenant, RequestId: req.RequestId, UserId: req.UserId, AgentId: req.AgentId,
		Title: req.Title, Metadata: req.Metadata,
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.StartConversationResponse{Conversation: resp.Conversation}, nil
}

// Respond implements GatewayService.
func (g *Gateway) Respond(ctx context.Context, req *gatewayv1.RespondRequest) (*gatewayv1.RespondResponse, error) {
	return g.respond(ctx, req, nil)
}

// StreamRespond implements GatewayService.
func (g *Gateway) StreamRespond(req *gatewayv1.StreamRespondRequest, stream grpc.ServerStreamingServer[gatewayv1.StreamRespondResponse]) error {
	resp, err := g.respond(stream.Context(), req.Request, stream.Send)
	if err != nil {
		return err
	}
	return stream.Send(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Finished{Finished: resp}})
}

// GetHistory implements GatewayService.
func (g *Gateway) GetHistory(ctx context.Context, req *gatewayv1.GetHistoryRequest) (*gatewayv1.GetHistoryResponse, error) {
	resp, err := g.conversations.ListMessages(ctx, &memoryv1.ListMessagesRequest{
		Tenant: req.Tenant, ConversationId: req.ConversationId,
		PageSize: req.PageSize, PageToken: req.PageToken, NewestFirst: req.NewestFirst,
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetHistoryResponse{Messages: resp.Messages, NextPageToken: resp.NextPageToken}, nil
}

// Correct implements GatewayService. Both steps carry the same request id, so that a repeated call does what
// an interrupted one left undone.
func (g *Gateway) Correct(ctx context.Context, req *gatewayv1.CorrectRequest) (*gatewayv1.CorrectResponse, error) {
	recorded, err := g.corrections.RecordCorrection(ctx, req.Correction)
	if err != nil {
		return nil, err
	}
	resp := &gatewayv1.CorrectResponse{Correction: recorded.Correction, SupersededIds: recorded.SupersededIds}
	if req.Correction.ConversationId == "" || !recorded.Correction.Active {
		return resp, nil
	}
	pushed, err := g.signals.PushSignal(ctx, &conceptv1.PushSignalRequest{
		Tenant:         req.Correction.Tenant,
		RequestId:      req.Correction.RequestId,
		ConversationId: req.Correction.ConversationId,
		Bot:            req.Bot,
		Concept:        correctionConcept,
		Score:          correctionScore,
		Ttl:            durationpb.New(seconds(correctionTTLSeconds)),
		PayloadJson:    fmt.Sprintf(`{"correction_id":%q}`, recorded.Correction.CorrectionId),
	})
	if err != nil {
		resp.Warnings = append(resp.Warnings,
			"The correction is recorded, but the next reply will not mention it: "+errors.Public(err))
		return resp, nil
	}
	resp.SignalId = pushed.Signal.GetSignalId()
	return resp, nil
}

// PushSignal implements GatewayService.
func (g *Gateway) PushSignal(ctx context.Context, req *gatewayv1.PushSignalRequest) (*gatewayv1.PushSignalResponse, error) {
	_, err := g.conversations.GetConversation(ctx, &memoryv1.GetConversationRequest{Tenant: req.Tenant, ConversationId: req.ConversationId})
	if err != nil {
		return nil, err
	}
	ttl := req.TtlSeconds
	if ttl == 0 {
		ttl = signalTTLSeconds
	}
	resp, err := g.signals.PushSignal(ctx, &conceptv1.PushSignalRequest{
		Tenant: req.Tenant, RequestId: req.RequestId, ConversationId: req.ConversationId, Bot: req.Bot,
		Concept: req.Concept, Score: req.Score, Ttl: durationpb.New(seconds(ttl)), PayloadJson: req.PayloadJson,
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.PushSignalResponse{SignalId: resp.Signal.GetSignalId()}, nil
}

// GetTrace implements GatewayService.
func (g *Gateway) GetTrace(ctx context.Context, req *gatewayv1.GetTraceRequest) (*gatewayv1.GetTraceResponse, error) {
	trace, err := g.readTrace(ctx, req.Tenant, req.MessageId)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetTraceResponse{Trace: trace}, nil
}

// GetStatus implements GatewayService.
func (g *Gateway) GetStatus(ctx context.Context, req *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	resp := &gatewayv1.GetStatusResponse{Version: g.options.Version}
	models, err := g.models.ListModels(ctx, &ngramv1.ListModelsRequest{Tenant: req.Tenant, PageSize: 1000})
	resp.Peers = append(resp.Peers, peerStatus(serviceNgram, err))
	for _, m := range models.GetModels() {
		if m.PublishedBuildId != 0 {
			resp.Models = append(resp.Models, m)
		}
	}
	_, err = g.conversations.ListConversations(ctx, &memoryv1.ListConversationsRequest{Tenant: req.Tenant, PageSize: 1})
	resp.Peers = append(resp.Peers, peerStatus("memory", err))
	_, err = conceptv1.NewCatalogueServiceClient(g.peers.Concept).ListConcepts(ctx, &conceptv1.ListConceptsRequest{Tenant: req.Tenant, PageSize: 1})
	resp.Peers = append(resp.Peers, peerStatus(serviceConcept, err))
	return resp, nil
}

func peerStatus(service string, err error) *gatewayv1.PeerStatus {
	status := &gatewayv1.PeerStatus{Service: service, Reachable: err == nil}
	if err != nil {
		status.Detail = strings.TrimSpace(errors.Public(err))
	}
	return status
}
