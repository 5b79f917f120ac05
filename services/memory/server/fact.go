package server

import (
	"context"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
)

// facts implements memoryv1.FactServiceServer.
type facts struct {
	memoryv1.UnimplementedFactServiceServer
	*Service
}

// RememberFact implements memoryv1.FactServiceServer.
func (s facts) RememberFact(ctx context.Context, req *memoryv1.RememberFactRequest) (*memoryv1.RememberFactResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId()); err != nil {
		return nil, err
	}
	place, err := fromPlace(req)
	if err != nil {
		return nil, err
	}
	f, err := memory.Fact{
		Tenant: tenant, RequestID: req.GetRequestId(), Place: place,
		Entity: req.GetEntity(), Attribute: req.GetAttribute(), Value: req.GetValue(),
	}.Complete()
	if err != nil {
		return nil, err
	}
	if f, err = s.store.RememberFact(ctx, f, s.now()); err != nil {
		return nil, err
	}
	return &memoryv1.RememberFactResponse{Fact: toFact(f)}, nil
}

// GetFact implements memoryv1.FactServiceServer.
func (s facts) GetFact(ctx context.Context, req *memoryv1.GetFactRequest) (*memoryv1.GetFactResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("fact", req.GetFactId()); err != nil {
		return nil, err
	}
	f, err := s.store.Fact(ctx, tenant, req.GetFactId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetFactResponse{Fact: toFact(f)}, nil
}

// ListFacts implements memoryv1.FactServiceServer.
func (s facts) ListFacts(ctx context.Context, req *memoryv1.ListFactsRequest) (*memoryv1.ListFactsResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("user_id", req.GetUserId()); err != nil {
		return nil, err
	}
	query := []string{"facts", tenant, req.GetConversationId(), req.GetUserId(), strconv.FormatBool(req.GetIncludeRetired())}
	after, err := afterID(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, more, err := s.store.Facts(ctx, store.FactQuery{
		Tenant: tenant, ConversationID: req.GetConversationId(), UserID: req.GetUserId(),
		IncludeRetired: req.GetIncludeRetired(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if after != "" && errors.ReasonOf(err) == "FACT_NOT_FOUND" { // deleted with its conversation, or never ours
		return nil, pagetoken.Damaged()
	}
	if err != nil {
		return nil, err
	}
	token := idToken(query, more, page, func(f memory.Fact) string { return f.ID })
	return &memoryv1.ListFactsResponse{Facts: convertAll(page, toFact), NextPageToken: token}, nil
}

// RetireFact implements memoryv1.FactServiceServer.
func (s facts) RetireFact(ctx context.Context, req *memoryv1.RetireFactRequest) (*memoryv1.RetireFactResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("fact", req.GetFactId()); err != nil {
		return nil, err
	}
	f, err := s.store.RetireFact(ctx, tenant, req.GetFactId(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.RetireFactResponse{Fact: toFact(f)}, nil
}
