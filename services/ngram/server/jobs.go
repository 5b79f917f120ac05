package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

const (
	// jobBeat is how often a job is recorded and asks whether it is to stop.
	jobBeat = time.Second
	// attachEvery is how often those who attached hear of a job.
	attachEvery = 500 * time.Millisecond
)

var (
	errCancelled   = errors.New(errors.Aborted, "JOB_CANCELLED", "the job was cancelled; what was counted stays counted, and the same call goes on from there")
	errOutOfTime   = errors.New(errors.Aborted, "JOB_PAUSED", "the time of the job was up; the same call begins the build anew")
	errShutDown    = errors.New(errors.Aborted, "JOB_INTERRUPTED", "the service was shut down; the same call goes on once it runs again")
	jobCauses      = map[string]ngram.JobState{"JOB_CANCELLED": ngram.JobCancelled, "JOB_PAUSED": ngram.JobPaused, "JOB_INTERRUPTED": ngram.JobInterrupted}
	jobKinds       = map[ngramv1.Job_Kind]ngram.JobKind{ngramv1.Job_KIND_INGEST: ngram.JobIngest, ngramv1.Job_KIND_BUILD: ngram.JobBuild, ngramv1.Job_KIND_REBUILD: ngram.JobRebuild}
	jobProtoStates = map[ngramv1.Job_State]ngram.JobState{
		ngramv1.Job_STATE_RUNNING: ngram.JobRunning, ngramv1.Job_STATE_DONE: ngram.JobDone, ngramv1.Job_STATE_FAILED: ngram.JobFailed,
		ngramv1.Job_STATE_CANCELLED: ngram.JobCancelled, ngramv1.Job_STATE_PAUSED: ngram.JobPaused, ngramv1.Job_STATE_INTERRUPTED: ngram.JobInterrupted,
	}
)

// jobs runs and shows long work. It implements JobService.
type jobs struct {
	ngramv1.UnimplementedJobServiceServer
	store    *store.Store
	log      *slog.Logger
	lifetime context.Context //nolint:containedctx // of the service
	work     sync.WaitGroup
}

// job is one piece of work of this process.
type job struct {
	jobs  *jobs
	stop  context.CancelCauseFunc
	mutex sync.Mutex
	now   ngram.Job
}

// note records how far the job is; it reaches the store with the next beat.
func (j *job) note(phase string, done, total int64) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.now.Phase, j.now.Done, j.now.Total = phase, done, total
}

func (j *job) built(id ngram.BuildID) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.now.Build = id
}

func (j *job) snapshot() ngram.Job {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.now
}

// run does work as a job, in the caller's goroutine. Its context ends when the job is cancelled, the service closes, or,
// unless the job is to survive that, the caller goes. A work that returns errPaused is paused and no error.
func (s *jobs) run(ctx context.Context, kind ngram.JobKind, tenant, model, owner string, survive bool, work func(ctx context.Context, j *job) error) error {
	s.work.Add(1)
	defer s.work.Done()
	if _, err := s.store.Model(ctx, tenant, model); err != nil {
		return err
	}
	recorded, err := s.store.BeginJob(ctx, kind, tenant, model, owner)
	if err != nil {
		return err
	}
	working := ctx
	if survive {
		working = context.WithoutCancel(ctx)
	}
	working, stop := context.WithCancelCause(working)
	defer stop(nil)
	unhook := context.AfterFunc(s.lifetime, func() { stop(errShutDown) })
	defer unhook()
	j := &job{jobs: s, stop: stop, now: recorded}
	var beating sync.WaitGroup
	beats, silence := context.WithCancel(working)
	beating.Go(func() { j.beat(beats) })
	err = work(working, j)
	if cause := context.Cause(working); err != nil && jobCauses[errors.ReasonOf(cause)] != "" {
		err = cause
	}
	silence()
	beating.Wait()
	return j.end(ctx, err)
}

// beat keeps the record of the job fresh until ctx ends.
func (j *job) beat(ctx context.Context) {
	every := time.NewTicker(jobBeat)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		cancel, err := j.jobs.store.UpdateJob(ctx, j.snapshot())
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			j.jobs.log.WarnContext(ctx, "recording a job failed", "job", j.now.ID, "error", err)
		}
		if cancel {
			j.stop(errCancelled)
			return
		}
	}
}

// end records how the job ended and returns the error for its caller.
func (j *job) end(ctx context.Context, err error) error {
	last := j.snapshot()
	last.State = ngram.JobDone
	if err != nil {
		last.State, last.Message = ngram.JobFailed, errors.Public(err)
		if state, known := jobCauses[errors.ReasonOf(err)]; known {
			last.State = state
		} else if ctx.Err() != nil {
			last.State, last.Message = ngram.JobCancelled, "its client went"
		}
	}
	recording, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if endErr := j.jobs.store.EndJob(recording, last); endErr != nil {
		j.jobs.log.WarnContext(ctx, "recording the end of a job failed", "job", last.ID, "error", endErr)
	}
	return err
}

// limited is ctx with an end after that many seconds, if any, whose cause is that the time is up.
func limited(ctx context.Context, seconds uint32) (context.Context, context.CancelFunc) {
	if seconds == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, time.Duration(seconds)*time.Second, errOutOfTime)
}

// ListJobs implements JobService.
func (s *jobs) ListJobs(ctx context.Context, req *ngramv1.ListJobsRequest) (*ngramv1.ListJobsResponse, error) {
	tenant := tenantOf(req.Tenant)
	query := []string{"ListJobs", tenant, req.Model}
	if req.Running {
		query[0] = "ListRunningJobs"
	}
	before, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.Jobs(ctx, tenant, req.Model, req.Running, before, size+1)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(j ngram.Job) string { return j.ID })
	resp := &ngramv1.ListJobsResponse{NextPageToken: next}
	for _, j := range page {
		resp.Jobs = append(resp.Jobs, jobProto(j))
	}
	return resp, nil
}

// GetJob implements JobService.
func (s *jobs) GetJob(ctx context.Context, req *ngramv1.GetJobRequest) (*ngramv1.GetJobResponse, error) {
	j, err := s.store.Job(ctx, tenantOf(req.Tenant), req.JobId)
	if err != nil {
		return nil, err
	}
	return &ngramv1.GetJobResponse{Job: jobProto(j)}, nil
}

// AttachJob implements JobService. It reads the record, which is a beat old, so that it works at every replica.
func (s *jobs) AttachJob(req *ngramv1.AttachJobRequest, stream grpc.ServerStreamingServer[ngramv1.AttachJobResponse]) error {
	every := time.NewTicker(attachEvery)
	defer every.Stop()
	var sent ngram.Job
	for {
		j, err := s.store.Job(stream.Context(), tenantOf(req.Tenant), req.JobId)
		if err != nil {
			return err
		}
		if j != sent {
			if err := stream.Send(&ngramv1.AttachJobResponse{Job: jobProto(j)}); err != nil {
				return err
			}
			sent = j
		}
		if j.Ended() {
			return nil
		}
		select {
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		case <-s.lifetime.Done():
			return errors.New(errors.Unavailable, "SHUTTING_DOWN", "the service is being shut down; attach again once it runs")
		case <-every.C:
		}
	}
}

// CancelJob implements JobService.
func (s *jobs) CancelJob(ctx context.Context, req *ngramv1.CancelJobRequest) (*ngramv1.CancelJobResponse, error) {
	j, err := s.store.AskJobToStop(ctx, tenantOf(req.Tenant), req.JobId)
	if err != nil {
		return nil, err
	}
	return &ngramv1.CancelJobResponse{Job: jobProto(j)}, nil
}

func jobProto(j ngram.Job) *ngramv1.Job {
	return &ngramv1.Job{
		JobId: j.ID, Tenant: j.Tenant, Model: j.Model, Kind: protoOf(jobKinds, j.Kind), State: protoOf(jobProtoStates, j.State), Owner: j.Owner,
		Phase: j.Phase, Done: uint64(j.Done), Total: uint64(j.Total), BuildId: uint32(j.Build), Message: j.Message,
		CreateTime: timestamp(j.Created), UpdateTime: timestamp(j.Updated), FinishTime: timestamp(j.Finished),
	}
}
