package server

import (
	"context"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// traces implements memoryv1.TraceServiceServer.
type traces struct {
	memoryv1.UnimplementedTraceServiceServer
	*Service
}

// GetTrace implements memoryv1.TraceServiceServer.
func (s traces) GetTrace(ctx context.Context, req *memoryv1.GetTraceRequest) (*memoryv1.GetTraceResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("trace", req.GetMessageId()); err != nil {
		return nil, err
	}
	t, err := s.store.Trace(ctx, tenant, req.GetMessageId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetTraceResponse{Trace: toTrace(t)}, nil
}

// ThinTraces implements memoryv1.TraceServiceServer.
func (traces) ThinTraces(context.Context, *memoryv1.ThinTracesRequest) (*memoryv1.ThinTracesResponse, error) {
	return nil, notBuilt("TraceService.ThinTraces")
}
