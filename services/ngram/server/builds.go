package server

import (
	"cmp"
	"context"
	"math"
	"strconv"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

// builds implements BuildService.
type builds struct {
	ngramv1.UnimplementedBuildServiceServer
	store     *store.Store
	inference *Inference // measures what the gate compares
	jobs      *jobs
}

// CreateBuild implements BuildService.
func (s *builds) CreateBuild(req *ngramv1.CreateBuildRequest, stream grpc.ServerStreamingServer[ngramv1.CreateBuildResponse]) error {
	options := ngram.BuildOptions{
		Storage: storages[req.Storage], Smoothing: smoothings[req.Smoothing], KenLMQuirk: req.KenlmQuirk, IfChanged: req.IfChanged,
		Pruning: pruningOf(req.Pruning),
	}
	tenant := tenantOf(req.Tenant)
	model, err := s.store.Model(stream.Context(), tenant, req.Model)
	if err != nil {
		return err
	}
	if err := options.WithDefaults().Validate(model.Settings.Order); err != nil {
		return err // before there is a job
	}
	var build ngram.Build
	err = s.jobs.run(stream.Context(), ngram.JobBuild, tenant, req.Model, trainerOf(stream.Context(), req.Trainer), req.KeepRunning, func(ctx context.Context, j *job) error {
		if err := stream.Send(&ngramv1.CreateBuildResponse{Event: &ngramv1.CreateBuildResponse_JobId{JobId: j.now.ID}}); err != nil {
			return err
		}
		ctx, cancel := limited(ctx, req.MaxRuntimeSeconds)
		defer cancel()
		order := buildOrder{tenant: tenant, model: req.Model, options: options, publish: req.Publish, force: req.Force, memory: int64(req.MemoryBytes)}
		var err error
		build, err = s.make(ctx, j, order, func(phase string, done, total int64) {
			_ = stream.Send(&ngramv1.CreateBuildResponse{Event: &ngramv1.CreateBuildResponse_Progress{Progress: &ngramv1.BuildProgress{
				Phase: phase, Done: uint64(done), Total: uint64(total),
			}}}) // a client that has gone ends the context, unless the job survives it
		})
		if err != nil && errors.ReasonOf(context.Cause(ctx)) == errors.ReasonOf(errOutOfTime) {
			err = errOutOfTime
		}
		return err
	})
	if err != nil {
		return err
	}
	return stream.Send(&ngramv1.CreateBuildResponse{Event: &ngramv1.CreateBuildResponse_Build{Build: buildProto(build)}})
}

// buildOrder is a build that is wanted.
type buildOrder struct {
	tenant, model  string
	options        ngram.BuildOptions
	publish, force bool
	memory         int64 // 0: the default
}

// make derives a build, publishes it if wanted and not refused by the gate, and drops what the policy does not keep.
func (s *builds) make(ctx context.Context, j *job, order buildOrder, progress ngram.Progress) (build ngram.Build, err error) {
	err = s.store.Train(ctx, order.tenant, order.model, j.snapshot().Owner, func(ctx context.Context, t *store.Trainer) error {
		t.Within(order.memory)
		if err := finishCounting(ctx, t); err != nil {
			return err
		}
		var err error
		build, err = t.Build(ctx, order.options, func(phase string, done, total int64) {
			j.note(phase, done, total)
			progress.Report(phase, done, total)
		})
		if err != nil {
			return err
		}
		j.built(build.ID)
		if order.publish && !build.Published {
			var published ngram.Build
			if published, _, err = s.publish(ctx, order.tenant, order.model, build.ID, order.force); err == nil {
				build = published
			}
			if err != nil && errors.ReasonOf(err) != store.ReasonWorse {
				return err
			}
		}
		refused := err
		dropped, err := t.Retain(ctx) // a build that was refused is kept like any other
		if len(dropped) > 0 {
			s.jobs.log.InfoContext(ctx, "dropped builds that the policy does not keep", "model", order.model, "builds", dropped)
		}
		if err != nil { // the build is there; the next one drops what is too much
			s.jobs.log.WarnContext(ctx, "dropping old builds failed; the next build goes on", "model", order.model, "error", err)
		}
		return cmp.Or(refused, ctx.Err())
	})
	return build, err
}

// finishCounting completes what a killed training left, so that a build never sees half a document.
func finishCounting(ctx context.Context, t *store.Trainer) error {
	unfinished, err := t.Unfinished(ctx)
	if err != nil || len(unfinished) == 0 {
		return err
	}
	_, err = t.Count(ctx, nil)
	return err
}

// GetBuild implements BuildService.
func (s *builds) GetBuild(ctx context.Context, req *ngramv1.GetBuildRequest) (*ngramv1.GetBuildResponse, error) {
	tenant, id := tenantOf(req.Tenant), ngram.BuildID(req.BuildId)
	if id == 0 {
		model, err := s.store.Model(ctx, tenant, req.Model)
		if err != nil {
			return nil, err
		}
		if id = model.Published; id == 0 {
			return nil, errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD", "model %q has no published build; train it, or publish one of its builds", req.Model).
				With("model", req.Model)
		}
	}
	build, err := s.store.BuildOf(ctx, tenant, req.Model, id)
	if err != nil {
		return nil, err
	}
	return &ngramv1.GetBuildResponse{Build: buildProto(build)}, nil
}

// ListBuilds implements BuildService.
func (s *builds) ListBuilds(ctx context.Context, req *ngramv1.ListBuildsRequest) (*ngramv1.ListBuildsResponse, error) {
	tenant := tenantOf(req.Tenant)
	query := []string{"ListBuilds", tenant, req.Model, strconv.FormatBool(req.IncludeEnded)}
	place, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	before := uint64(math.MaxUint32)
	if place != "" {
		if before, err = strconv.ParseUint(place, 10, 32); err != nil {
			return nil, pagetoken.Damaged()
		}
	}
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.Builds(ctx, tenant, req.Model, ngram.BuildID(before), size+1, req.IncludeEnded)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(b ngram.Build) string { return strconv.FormatUint(uint64(b.ID), 10) })
	resp := &ngramv1.ListBuildsResponse{NextPageToken: next}
	for _, b := range page {
		resp.Builds = append(resp.Builds, buildProto(b))
	}
	return resp, nil
}

// PublishBuild implements BuildService.
func (s *builds) PublishBuild(ctx context.Context, req *ngramv1.PublishBuildRequest) (*ngramv1.PublishBuildResponse, error) {
	build, previous, err := s.publish(ctx, tenantOf(req.Tenant), req.Model, ngram.BuildID(req.BuildId), req.Force)
	if err != nil {
		return nil, err
	}
	return &ngramv1.PublishBuildResponse{Build: buildProto(build), PreviousBuildId: uint32(previous)}, nil
}

// RollbackBuild implements BuildService.
func (s *builds) RollbackBuild(ctx context.Context, req *ngramv1.RollbackBuildRequest) (*ngramv1.RollbackBuildResponse, error) {
	build, err := s.store.Rollback(ctx, tenantOf(req.Tenant), req.Model, ngram.BuildID(req.FromBuildId))
	if err != nil {
		return nil, err
	}
	return &ngramv1.RollbackBuildResponse{Build: buildProto(build)}, nil
}

// DropBuild implements BuildService.
func (s *builds) DropBuild(ctx context.Context, req *ngramv1.DropBuildRequest) (*ngramv1.DropBuildResponse, error) {
	var rows int64
	err := s.store.Train(ctx, tenantOf(req.Tenant), req.Model, trainerOf(ctx, ""), func(ctx context.Context, t *store.Trainer) error {
		var err error
		rows, err = t.Drop(ctx, ngram.BuildID(req.BuildId))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &ngramv1.DropBuildResponse{Rows: uint64(rows)}, nil
}

func buildProto(b ngram.Build) *ngramv1.Build {
	p := &ngramv1.Build{
		BuildId:        uint32(b.ID),
		Model:          b.Name,
		State:          protoOf(buildStates, b.State),
		Published:      b.Published,
		Order:          uint32(b.Order),
		Smoothing:      protoOf(smoothings, b.Smoothing),
		Storage:        protoOf(storages, b.Storage),
		VocabularySize: uint64(b.VocabularySize),
		CountsVersion:  uint64(b.CountsVersion),
		RowsAdded:      uint64(b.RowsAdded),
		RowsClosed:     uint64(b.RowsClosed),
		Warnings:       b.Warnings,
		Failure:        b.Failure,
		CreateTime:     timestamp(b.Created),
		FinishTime:     timestamp(b.Finished),
		Tokens:         uint64(b.Tokens),
		Rows:           uint64(b.Size.Rows),
		SizeBytes:      uint64(b.Size.Bytes),
	}
	if h := b.HeldOut; h != nil {
		p.HeldOut = &ngramv1.HeldOut{
			Sha256: h.SHA256[:], Sentences: uint64(h.Sentences), Tokens: uint64(h.Tokens), Oov: uint64(h.OOV),
			Perplexity: h.Perplexity(), ExactPerplexity: h.ExactPerplexity(), QuantisationLossBits: h.LossBits(),
		}
	}
	for _, n := range b.NGrams {
		p.NgramCounts = append(p.NgramCounts, uint64(n))
	}
	if !b.Pruning.IsZero() {
		p.Pruning, p.AppliedThreshold = pruningProto(b.Pruning), b.Threshold
	}
	for _, n := range b.Pruned {
		p.PrunedCounts = append(p.PrunedCounts, uint64(n))
	}
	for _, w := range b.Weights {
		p.Weights = append(p.Weights, &ngramv1.InterpolationWeight{Order: uint32(w.Order), Class: uint32(w.Class), Lambda: w.Lambda, Events: uint64(w.Events)})
	}
	if b.Smoothing != ngram.ModifiedKneserNey {
		return p
	}
	for _, d := range b.Discounts {
		counts := make([]uint64, len(d.CountsOfCounts))
		for i, c := range d.CountsOfCounts {
			counts[i] = uint64(c)
		}
		p.Discounts = append(p.Discounts, &ngramv1.Discounts{
			Order: uint32(d.Order), D1: d.D1, D2: d.D2, D3Plus: d.D3, Fallback: d.Fallback, CountsOfCounts: counts,
		})
	}
	return p
}

func pruningOf(p *ngramv1.Pruning) ngram.Pruning {
	out := ngram.Pruning{Threshold: p.GetThreshold(), TargetNGrams: int64(p.GetTargetNgrams()), TargetBytes: int64(p.GetTargetBytes())}
	for _, cutoff := range p.GetCutoffs() {
		out.Cutoffs = append(out.Cutoffs, int64(cutoff))
	}
	return out
}

func pruningProto(p ngram.Pruning) *ngramv1.Pruning {
	out := &ngramv1.Pruning{Threshold: p.Threshold, TargetNgrams: uint64(p.TargetNGrams), TargetBytes: uint64(p.TargetBytes)}
	for _, cutoff := range p.Cutoffs {
		out.Cutoffs = append(out.Cutoffs, uint32(cutoff))
	}
	return out
}
