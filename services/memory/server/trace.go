package server

import (
	"context"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
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
func (s traces) ThinTraces(ctx context.Context, req *memoryv1.ThinTracesRequest) (*memoryv1.ThinTracesResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if req.GetBeforeTime().CheckValid() != nil {
		return nil, memory.Invalid("before_time", "is no time between the years 1 and 9999")
	}
	done, err := s.store.ThinTraces(ctx, tenant, req.GetBeforeTime().AsTime())
	if err != nil {
		return nil, err
	}
	return &memoryv1.ThinTracesResponse{Traces: uint64(done.Traces), Bytes: uint64(done.Bytes), More: done.More}, nil
}
