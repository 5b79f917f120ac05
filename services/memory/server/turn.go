package server

import (
	"context"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
)

// turns implements memoryv1.TurnServiceServer.
type turns struct {
	memoryv1.UnimplementedTurnServiceServer
	*Service
}

const maxCorrections = 50

// PrepareTurn implements memoryv1.TurnServiceServer.
func (s turns) PrepareTurn(ctx context.Context, req *memoryv1.PrepareTurnRequest) (*memoryv1.PrepareTurnResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId(), "pins.model", req.GetPins().GetModel()); err != nil {
		return nil, err
	}
	bounds, err := fromBounds(req.GetWindow())
	if err != nil {
		return nil, err
	}
	lease, err := memory.Lease(req.GetLease().AsDuration())
	if err != nil {
		return nil, err
	}
	prepare := s.store.PrepareTurn
	if req.GetPreview() {
		prepare = s.store.PreviewTurn
	}
	p, err := prepare(ctx, store.TurnRequest{
		Tenant: tenant, RequestID: req.GetRequestId(), ConversationID: req.GetConversationId(), Text: req.GetText(),
		Bounds: bounds, Lease: lease, Pins: fromPins(req.GetPins()), CorrectionLimit: correctionLimit(req.GetCorrectionLimit()),
	}, s.now())
	if err != nil {
		return nil, err
	}
	resp := &memoryv1.PrepareTurnResponse{
		Turn: toTurn(p.Turn), Conversation: toConversation(p.Conversation), UserMessage: toMessage(p.UserMessage), Window: toWindow(p.Window),
		Corrections: convertAll(p.Corrections, toStandingMatch), Facts: convertAll(p.Facts, toFact), Biases: convertAll(p.Biases, toBias),
		Statistics: toStatistics(p.Conversation.Statistics), RecentCorrections: convertAll(p.Recent, toStanding), Carried: p.Conversation.Carried,
	}
	if k := p.Noticed; k != nil {
		resp.Noticed = &memoryv1.NoticedCorrection{Rule: p.Rule, Correction: toProposal(*k)}
	}
	if p.Reply != nil {
		resp.Reply = toMessage(*p.Reply)
	}
	if p.Trace != nil {
		resp.Trace = toTrace(*p.Trace)
	}
	return resp, nil
}

func correctionLimit(asked uint32) int {
	if asked == 0 {
		return memory.DefaultCorrections
	}
	return int(min(asked, maxCorrections))
}

// turnRequest is a request that names a turn.
type turnRequest interface {
	tenantRequest
	GetTurnId() string
}

func checkTurn(req turnRequest) (tenant string, err error) {
	if tenant, err = tenantOf(req); err != nil {
		return "", err
	}
	return tenant, checkIDs("turn", req.GetTurnId())
}

// CommitTurn implements memoryv1.TurnServiceServer.
func (s turns) CommitTurn(ctx context.Context, req *memoryv1.CommitTurnRequest) (*memoryv1.CommitTurnResponse, error) {
	tenant, err := checkTurn(req)
	if err != nil {
		return nil, err
	}
	finish := req.GetFinishReason()
	if req.GetContent() == "" && finish == "length" {
		return nil, memory.Invalid("content", "is empty, and so cannot have become too long")
	}
	t, m, err := s.store.CommitTurn(ctx, tenant, req.GetTurnId(), store.Reply{
		Content: req.GetContent(), FinishReason: finish, Trace: fromTrace(req.GetTrace()), Carried: req.GetCarried(),
	}, s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.CommitTurnResponse{Turn: toTurn(t), Message: toMessage(m)}, nil
}

// FailTurn implements memoryv1.TurnServiceServer.
func (s turns) FailTurn(ctx context.Context, req *memoryv1.FailTurnRequest) (*memoryv1.FailTurnResponse, error) {
	tenant, err := checkTurn(req)
	if err != nil {
		return nil, err
	}
	t, err := s.store.FailTurn(ctx, tenant, req.GetTurnId(), req.GetReason(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.FailTurnResponse{Turn: toTurn(t)}, nil
}

// GetTurn implements memoryv1.TurnServiceServer.
func (s turns) GetTurn(ctx context.Context, req *memoryv1.GetTurnRequest) (*memoryv1.GetTurnResponse, error) {
	tenant, err := checkTurn(req)
	if err != nil {
		return nil, err
	}
	t, err := s.store.Turn(ctx, tenant, req.GetTurnId(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetTurnResponse{Turn: toTurn(t)}, nil
}
