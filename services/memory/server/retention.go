package server

import (
	"context"
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// retentionLook is how often the service looks for policies that are due.
	retentionLook = time.Minute
	// retentionTenants bounds the tenants whose policies one look applies.
	retentionTenants = 100
)

// keep applies the policies that are due, one after another, until Close.
func (s *Service) keep() {
	every := time.NewTicker(s.retentionLook)
	defer every.Stop()
	for {
		select {
		case <-s.lifetime.Done():
			return
		case <-every.C:
		}
		tenants, err := s.store.DueRetention(s.lifetime, s.now(), retentionTenants)
		if err != nil && s.lifetime.Err() == nil {
			s.logger.WarnContext(s.lifetime, "looking for retention policies failed; the next attempt goes on", "error", err)
		}
		for _, tenant := range tenants {
			run, err := s.store.RunRetention(s.lifetime, tenant, s.now, func(memory.RetentionRun) error { return s.lifetime.Err() })
			switch {
			case s.lifetime.Err() != nil:
				return
			case err != nil:
				s.logger.WarnContext(s.lifetime, "a retention run stopped; the next one goes on with it", "tenant", tenant, "error", err)
			case run.Conversations+run.Messages+run.Traces > 0:
				s.logger.InfoContext(s.lifetime, "retention", "tenant", tenant, "conversations", run.Conversations, "messages", run.Messages, "traces", run.Traces)
			}
		}
	}
}

// retention implements memoryv1.RetentionServiceServer.
type retention struct {
	memoryv1.UnimplementedRetentionServiceServer
	*Service
}

// GetRetention implements memoryv1.RetentionServiceServer.
func (s retention) GetRetention(ctx context.Context, req *memoryv1.GetRetentionRequest) (*memoryv1.GetRetentionResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	policy, runs, err := s.store.Retention(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetRetentionResponse{Policy: toRetention(policy), Runs: convertAll(runs, toRun)}, nil
}

// SetRetention implements memoryv1.RetentionServiceServer.
func (s retention) SetRetention(ctx context.Context, req *memoryv1.SetRetentionRequest) (*memoryv1.SetRetentionResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	policy := memory.Retention{Tenant: tenant}
	for _, f := range []struct {
		field string
		from  *durationpb.Duration
		to    *time.Duration
	}{
		{"conversations", req.GetPolicy().GetConversations(), &policy.Conversations},
		{"messages", req.GetPolicy().GetMessages(), &policy.Messages},
		{"trace_detail", req.GetPolicy().GetTraceDetail(), &policy.TraceDetail},
		{"every", req.GetPolicy().GetEvery(), &policy.Every},
	} {
		if f.from != nil && f.from.CheckValid() != nil {
			return nil, memory.Invalid("policy."+f.field, "is no duration")
		}
		*f.to = f.from.AsDuration()
	}
	if policy, err = policy.Complete(); err != nil {
		return nil, err
	}
	if policy, err = s.store.SetRetention(ctx, policy, s.now()); err != nil {
		return nil, err
	}
	return &memoryv1.SetRetentionResponse{Policy: toRetention(policy)}, nil
}

// RunRetention implements memoryv1.RetentionServiceServer.
func (s retention) RunRetention(req *memoryv1.RunRetentionRequest, stream grpc.ServerStreamingServer[memoryv1.RunRetentionResponse]) error {
	tenant, err := tenantOf(req)
	if err != nil {
		return err
	}
	var run memory.RetentionRun
	if req.GetDryRun() {
		policy, _, err := s.store.Retention(stream.Context(), tenant)
		if err != nil {
			return err
		}
		run, err = s.store.WouldRemove(stream.Context(), policy, s.now())
		if err != nil {
			return err
		}
		return stream.Send(&memoryv1.RunRetentionResponse{Run: toRun(run), Finished: true})
	}
	run, err = s.store.RunRetention(stream.Context(), tenant, s.now, func(run memory.RetentionRun) error {
		return stream.Send(&memoryv1.RunRetentionResponse{Run: toRun(run)})
	})
	if err != nil {
		return err
	}
	last := &memoryv1.RunRetentionResponse{Finished: true}
	if run.ID != "" {
		last.Run = toRun(run)
	}
	return stream.Send(last)
}

func toRetention(r memory.Retention) *memoryv1.RetentionPolicy {
	kept := func(d time.Duration) *durationpb.Duration {
		if d == 0 {
			return nil
		}
		return durationpb.New(d)
	}
	return &memoryv1.RetentionPolicy{
		Conversations: kept(r.Conversations), Messages: kept(r.Messages), TraceDetail: kept(r.TraceDetail), Every: kept(r.Every), NextRunTime: timestamp(r.NextRun),
	}
}

func toRun(r memory.RetentionRun) *memoryv1.RetentionRun {
	return &memoryv1.RetentionRun{
		RunId: r.ID, StartTime: timestamp(r.Started), FinishTime: timestamp(r.Finished), Conversations: uint64(r.Conversations),
		Messages: uint64(r.Messages), Traces: uint64(r.Traces), Bytes: uint64(r.Bytes),
	}
}
