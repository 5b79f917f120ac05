package server

import (
	"context"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
)

// forgetting implements memoryv1.ForgettingServiceServer.
type forgetting struct {
	memoryv1.UnimplementedForgettingServiceServer
	*Service
}

// CountReplies implements memoryv1.ForgettingServiceServer.
func (s forgetting) CountReplies(ctx context.Context, req *memoryv1.CountRepliesRequest) (*memoryv1.CountRepliesResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	replies, forgotten, err := s.store.CountReplies(ctx, tenant, req.GetModel(), req.GetNgramBuildIds())
	return &memoryv1.CountRepliesResponse{Replies: uint64(replies), Forgotten: uint64(forgotten)}, err
}

// ForgetReplies implements memoryv1.ForgettingServiceServer.
func (s forgetting) ForgetReplies(ctx context.Context, req *memoryv1.ForgetRepliesRequest) (*memoryv1.ForgetRepliesResponse, error) {
	tenant, err := tenantOf(req)
	if err == nil {
		err = checkNames("request_id", req.GetRequestId(), "model", req.GetModel())
	}
	if err != nil {
		return nil, err
	}
	var remaining []memory.WrittenReply
	for _, r := range req.GetRemaining() {
		if err := checkIDs("message", r.GetMessageId()); err != nil {
			return nil, err
		}
		remaining = append(remaining, memory.WrittenReply{MessageID: r.GetMessageId(), Content: r.GetContent(), Trace: *fromTrace(r.GetTrace()), Gone: r.GetGoneWords()})
	}
	f := memory.Forgetting{Tenant: tenant, RequestID: req.GetRequestId(), Model: req.GetModel(), Builds: req.GetNgramBuildIds()}
	if t := fromTrace(req.GetQuotingTrace()); t != nil {
		f.Quoting = *t
	}
	f, replies, err := s.store.ForgetReplies(ctx, f, remaining, s.now())
	if err != nil {
		return nil, err
	}
	resp := &memoryv1.ForgetRepliesResponse{Forgetting: toForgetting(f)}
	for _, r := range replies {
		resp.Replies = append(resp.Replies, &memoryv1.WrittenReply{MessageId: r.MessageID, Content: r.Content, Trace: toTrace(r.Trace)})
	}
	return resp, nil
}

// GetForgetting implements memoryv1.ForgettingServiceServer.
func (s forgetting) GetForgetting(ctx context.Context, req *memoryv1.GetForgettingRequest) (*memoryv1.GetForgettingResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	f, err := s.store.Forgetting(ctx, tenant, req.GetRequestId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetForgettingResponse{Forgetting: toForgetting(f)}, nil
}

func toForgetting(f memory.Forgetting) *memoryv1.Forgetting {
	return &memoryv1.Forgetting{RequestId: f.RequestID, Model: f.Model, Traces: uint64(f.Traces), Shortened: uint64(f.Shortened), Finished: f.Finished, Corrections: uint64(f.Corrections)}
}
