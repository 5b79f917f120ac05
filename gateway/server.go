package gateway

import (
	"context"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// correctionConcept speaks a recorded correction in the next reply, with this score and for this long.
	correctionConcept    = "CorrectionReplay"
	correctionScore      = 2
	correctionTTLSeconds = 900
	// correctedConcept answers where a correction bears on the text and no other concept holds it.
	correctedConcept = "CorrectedFact"
	// signalTTLSeconds is how long a pushed signal waits by default.
	signalTTLSeconds = 300
)

// StartConversation implements GatewayService.
func (g *Gateway) StartConversation(ctx context.Context, req *gatewayv1.StartConversationRequest) (*gatewayv1.StartConversationResponse, error) {
	if req.RequestId == "" {
		noRetry(ctx)
	}
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
	named, err := once(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, err := g.respond(ctx, req, nil)
	return resp, named(err)
}

// StreamRespond implements GatewayService.
func (g *Gateway) StreamRespond(req *gatewayv1.StreamRespondRequest, stream grpc.ServerStreamingServer[gatewayv1.StreamRespondResponse]) error {
	named, err := once(stream.Context(), req.Request)
	if err != nil {
		return err
	}
	out := &outlet{send: stream.Send}
	resp, err := g.respond(stream.Context(), req.Request, out)
	if err != nil {
		return named(err)
	}
	return named(out.put(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Finished{Finished: resp}}))
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
		DueTime: req.DueTime, Delay: req.Delay, Repeat: req.Repeat,
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
