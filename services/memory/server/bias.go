package server

import (
	"context"
	"time"

	"dbslm/pkg/pagetoken"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
)

// biases implements memoryv1.BiasServiceServer.
type biases struct {
	memoryv1.UnimplementedBiasServiceServer
	*Service
}

// CreateBias implements memoryv1.BiasServiceServer.
func (s biases) CreateBias(ctx context.Context, req *memoryv1.CreateBiasRequest) (*memoryv1.CreateBiasResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId()); err != nil {
		return nil, err
	}
	place, err := fromPlace(req.GetBias())
	if err != nil {
		return nil, err
	}
	if err := checkIDs("correction", req.GetBias().GetCorrectionId()); err != nil {
		return nil, err
	}
	expires := time.Time{}
	if at := req.GetBias().GetExpireTime(); at != nil {
		if err := at.CheckValid(); err != nil {
			return nil, memory.Invalid("bias.expire_time", "is no time between the years 1 and 9999")
		}
		expires = time.UnixMicro(at.AsTime().UnixMicro()).UTC()
	}
	if half := req.GetBias().GetHalfLife(); half != nil && half.CheckValid() != nil {
		return nil, memory.Invalid("bias.half_life", "is no duration")
	}
	now := s.now()
	b, err := memory.Bias{
		Tenant: tenant, RequestID: req.GetRequestId(), Place: place, Sequence: req.GetBias().GetSequence(),
		Context: memory.Context{
			Pattern: req.GetBias().GetPattern(), Then: req.GetBias().GetThen(), Gap: int(req.GetBias().GetGap()), Regex: req.GetBias().GetRegex(),
		},
		HalfLife: req.GetBias().GetHalfLife().AsDuration(),
		Strength: req.GetBias().GetStrengthLog10(), Expires: expires, CorrectionID: req.GetBias().GetCorrectionId(), Created: now,
	}.Complete(now)
	if err != nil {
		return nil, err
	}
	if b, err = s.store.CreateBias(ctx, b); err != nil {
		return nil, err
	}
	return &memoryv1.CreateBiasResponse{Bias: toBias(b)}, nil
}

// ListBiases implements memoryv1.BiasServiceServer.
func (s biases) ListBiases(ctx context.Context, req *memoryv1.ListBiasesRequest) (*memoryv1.ListBiasesResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	query := []string{"biases", tenant, req.GetConversationId()}
	after, err := afterID(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, more, err := s.store.Biases(ctx, store.BiasQuery{
		Tenant: tenant, ConversationID: req.GetConversationId(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	token := idToken(query, more, page, func(b memory.Bias) string { return b.ID })
	return &memoryv1.ListBiasesResponse{Biases: convertAll(page, toBias), NextPageToken: token}, nil
}

// DeleteBias implements memoryv1.BiasServiceServer.
func (s biases) DeleteBias(ctx context.Context, req *memoryv1.DeleteBiasRequest) (*memoryv1.DeleteBiasResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("bias", req.GetBiasId()); err != nil {
		return nil, err
	}
	if err := s.store.DeleteBias(ctx, tenant, req.GetBiasId()); err != nil {
		return nil, err
	}
	return &memoryv1.DeleteBiasResponse{}, nil
}
