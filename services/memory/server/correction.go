package server

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"dbslm/pkg/pagetoken"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
)

// corrections implements memoryv1.CorrectionServiceServer.
type corrections struct {
	memoryv1.UnimplementedCorrectionServiceServer
	*Service
}

// RecordCorrection implements memoryv1.CorrectionServiceServer.
func (s corrections) RecordCorrection(ctx context.Context, req *memoryv1.RecordCorrectionRequest) (*memoryv1.RecordCorrectionResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId(), "recorded_by", req.GetRecordedBy()); err != nil {
		return nil, err
	}
	if err := memory.CheckOrigin(req.GetOrigin()); err != nil {
		return nil, err
	}
	place, err := fromPlace(req)
	if err != nil {
		return nil, err
	}
	if place.ConversationID == "" && (req.GetErrorMessageId() != "" || req.GetCorrectionMessageId() != "") {
		return nil, memory.Invalid("conversation_id", "is needed with message ids")
	}
	if err := checkIDs("message", req.GetErrorMessageId(), "message", req.GetCorrectionMessageId()); err != nil {
		return nil, err
	}
	k, err := memory.Correction{
		Tenant: tenant, RequestID: req.GetRequestId(), Place: place, ErrorMessageID: req.GetErrorMessageId(),
		CorrectionMessageID: req.GetCorrectionMessageId(), ErrorContext: req.GetErrorContext(), RecordedBy: req.GetRecordedBy(), Origin: req.GetOrigin(),
		Fact: memory.CorrectedFact{
			Entity: req.GetFact().GetEntity(), Attribute: req.GetFact().GetAttribute(),
			Value: req.GetFact().GetValue(), Extra: req.GetFact().GetExtraJson(),
		},
	}.Complete()
	if err != nil {
		return nil, err
	}
	if cue := strings.TrimSpace(req.GetCue()); cue != "" {
		k = k.WithCue(cue, cmp.Or(k.RecordedBy, k.UserID))
	}
	k, superseded, err := s.store.RecordCorrection(ctx, k, s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.RecordCorrectionResponse{Correction: toCorrection(k), SupersededIds: superseded}, nil
}

// correctionRequest is a request that names a correction.
type correctionRequest interface {
	tenantRequest
	GetCorrectionId() string
}

func checkCorrection(req correctionRequest) (tenant string, err error) {
	if tenant, err = tenantOf(req); err != nil {
		return "", err
	}
	return tenant, checkIDs("correction", req.GetCorrectionId())
}

// GetCorrection implements memoryv1.CorrectionServiceServer.
func (s corrections) GetCorrection(ctx context.Context, req *memoryv1.GetCorrectionRequest) (*memoryv1.GetCorrectionResponse, error) {
	tenant, err := checkCorrection(req)
	if err != nil {
		return nil, err
	}
	k, err := s.store.Correction(ctx, tenant, req.GetCorrectionId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetCorrectionResponse{Correction: toCorrection(k)}, nil
}

// SupersedeCorrection implements memoryv1.CorrectionServiceServer.
func (s corrections) SupersedeCorrection(ctx context.Context, req *memoryv1.SupersedeCorrectionRequest) (*memoryv1.SupersedeCorrectionResponse, error) {
	tenant, err := checkCorrection(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("correction", req.GetByCorrectionId()); err != nil {
		return nil, err
	}
	k, err := s.store.SupersedeCorrection(ctx, tenant, req.GetCorrectionId(), req.GetByCorrectionId(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.SupersedeCorrectionResponse{Correction: toCorrection(k)}, nil
}

// RevokeCorrection implements memoryv1.CorrectionServiceServer.
func (s corrections) RevokeCorrection(ctx context.Context, req *memoryv1.RevokeCorrectionRequest) (*memoryv1.RevokeCorrectionResponse, error) {
	tenant, err := checkCorrection(req)
	if err != nil {
		return nil, err
	}
	k, err := s.store.RevokeCorrection(ctx, tenant, req.GetCorrectionId(), req.GetReason(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.RevokeCorrectionResponse{Correction: toCorrection(k)}, nil
}

// PromoteCorrection implements memoryv1.CorrectionServiceServer.
func (s corrections) PromoteCorrection(ctx context.Context, req *memoryv1.PromoteCorrectionRequest) (*memoryv1.PromoteCorrectionResponse, error) {
	tenant, err := checkCorrection(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("model", req.GetModel(), "reviewed_by", req.GetReviewedBy()); err != nil {
		return nil, err
	}
	scope, err := fromScope(req.GetScope())
	if err != nil {
		return nil, err
	}
	k, err := s.store.PromoteCorrection(ctx, tenant, req.GetCorrectionId(), memory.Place{Scope: scope, Model: req.GetModel()}, req.GetReviewedBy(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.PromoteCorrectionResponse{Correction: toCorrection(k)}, nil
}

// ListCorrections implements memoryv1.CorrectionServiceServer.
func (s corrections) ListCorrections(ctx context.Context, req *memoryv1.ListCorrectionsRequest) (*memoryv1.ListCorrectionsResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("user_id", req.GetUserId(), "model", req.GetModel()); err != nil {
		return nil, err
	}
	query := []string{"corrections", tenant, req.GetConversationId(), req.GetUserId(), req.GetModel(), strconv.FormatBool(req.GetIncludeEnded())}
	after, err := afterTime(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, next, err := s.store.Corrections(ctx, store.CorrectionQuery{
		Tenant: tenant, ConversationID: req.GetConversationId(), UserID: req.GetUserId(), Model: req.GetModel(),
		IncludeEnded: req.GetIncludeEnded(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	return &memoryv1.ListCorrectionsResponse{Corrections: convertAll(page, toCorrection), NextPageToken: timeToken(query, next)}, nil
}

// MatchCorrections implements memoryv1.CorrectionServiceServer.
func (s corrections) MatchCorrections(ctx context.Context, req *memoryv1.MatchCorrectionsRequest) (*memoryv1.MatchCorrectionsResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("model", req.GetModel()); err != nil {
		return nil, err
	}
	matches, err := s.store.MatchCorrections(ctx, tenant, req.GetConversationId(), req.GetModel(), req.GetText(), correctionLimit(req.GetLimit()))
	if err != nil {
		return nil, err
	}
	return &memoryv1.MatchCorrectionsResponse{Matches: convertAll(matches, toCorrectionMatch)}, nil
}
