package server

import (
	"context"
	"time"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

// rebuilds implements RebuildService.
type rebuilds struct {
	ngramv1.UnimplementedRebuildServiceServer
	store *store.Store
	jobs  *jobs
}

// RebuildModel implements RebuildService.
func (s *rebuilds) RebuildModel(req *ngramv1.RebuildModelRequest, stream grpc.ServerStreamingServer[ngramv1.RebuildModelResponse]) error {
	ctx, tenant := stream.Context(), tenantOf(req.Tenant)
	owner := trainerOf(ctx, req.Trainer)
	send := func(r *ngramv1.RebuildModelResponse) { _ = stream.Send(r) } // a client that has gone ends the context
	err := s.jobs.run(ctx, ngram.JobRebuild, tenant, req.Model, owner, req.KeepRunning, func(ctx context.Context, j *job) error {
		send(&ngramv1.RebuildModelResponse{Event: &ngramv1.RebuildModelResponse_JobId{JobId: j.now.ID}})
		r := store.Rebuilding{Tenant: tenant, Model: req.Model, Target: req.Target, Settings: settingsOf(req.Settings), Owner: owner}
		if req.MaxRuntimeSeconds > 0 {
			r.Until = j.now.Created.Add(time.Duration(req.MaxRuntimeSeconds) * time.Second)
		}
		told := time.Now()
		return s.store.Rebuild(ctx, r, func(label string, bytes, documents, all int64) {
			j.note(label, documents, all)
			if bytes == 0 && time.Since(told) < rebuildTells {
				return
			}
			told = time.Now()
			send(&ngramv1.RebuildModelResponse{Event: &ngramv1.RebuildModelResponse_Progress{Progress: &ngramv1.RebuildProgress{
				Label: label, BytesDone: uint64(bytes), DocumentsDone: uint64(documents), DocumentsTotal: uint64(all),
			}}})
		})
	})
	if errors.ReasonOf(err) == store.ReasonPaused {
		return stream.Send(&ngramv1.RebuildModelResponse{Event: &ngramv1.RebuildModelResponse_Paused{Paused: true}})
	}
	if err != nil {
		return err
	}
	model, err := s.store.Model(context.WithoutCancel(ctx), tenant, req.Target)
	if err != nil {
		return err
	}
	return stream.Send(&ngramv1.RebuildModelResponse{Event: &ngramv1.RebuildModelResponse_Model{Model: modelProto(model)}})
}

// rebuildTells is how often a client hears of documents that are only read.
const rebuildTells = 100 * time.Millisecond
