package store

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

const (
	// JobLease is how long a job that is not heard of counts as running.
	JobLease = 15 * time.Second
	// jobsKept is how long an ended job is listed.
	jobsKept = 30 * 24 * time.Hour
)

const insertJob = `INSERT INTO tbl_l1_jobs (job_id, tenant, name, kind, state, owner, phase, done, total, build_id, message, cancel_requested, lease_until, created_at, updated_at)
VALUES (?, ?, ?, ?, 'running', ?, ?, 0, 0, 0, '', 0, ?, ?, ?)`

// BeginJob records a job of this process.
func (s *Store) BeginJob(ctx context.Context, kind ngram.JobKind, tenant, model, owner string) (ngram.Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return ngram.Job{}, errors.Wrap(err, errors.Unavailable, "NO_RANDOMNESS", "no id could be made; try again")
	}
	now := s.now()
	job := ngram.Job{ID: id.String(), Tenant: tenant, Model: model, Kind: kind, State: ngram.JobRunning, Owner: owner, Created: toTime(now), Updated: toTime(now)}
	_, err = s.db.Exec(ctx, insertJob, job.ID, tenant, model, string(kind), owner, []byte{}, now+JobLease.Microseconds(), now, now)
	return job, err
}

const (
	updateJob = `UPDATE tbl_l1_jobs SET phase = ?, done = ?, total = ?, build_id = ?, lease_until = ?, updated_at = ? WHERE job_id = ? AND state = 'running'`
	endJob    = `UPDATE tbl_l1_jobs SET state = ?, phase = ?, done = ?, total = ?, build_id = ?, message = ?, lease_until = 0, updated_at = ?, finished_at = ? WHERE job_id = ?`
	askedJob  = `SELECT cancel_requested FROM tbl_l1_jobs WHERE job_id = ?`
	cancelJob = `UPDATE tbl_l1_jobs SET cancel_requested = 1 WHERE job_id = ? AND tenant = ? AND state = 'running'`
	selectJob = `SELECT job_id, tenant, name, kind, state, owner, phase, done, total, build_id, message, lease_until, created_at, updated_at, finished_at FROM tbl_l1_jobs WHERE tenant = ? `
	byJob     = `AND job_id = ?`
	jobsOf    = `AND name = ? `
	liveJobs  = `AND state = 'running' AND lease_until > ? `
	jobsPage  = `AND job_id < ? ORDER BY job_id DESC LIMIT ?`
	deadJobs  = `DELETE FROM tbl_l1_jobs WHERE created_at < ? AND (finished_at IS NOT NULL OR lease_until < ?)`
)

// UpdateJob records how far a job is, renews its lease, and says whether somebody asked it to stop.
func (s *Store) UpdateJob(ctx context.Context, job ngram.Job) (cancel bool, err error) {
	now := s.now()
	_, err = s.db.Exec(ctx, updateJob, []byte(clip(job.Phase)), job.Done, job.Total, int64(job.Build), now+JobLease.Microseconds(), now, job.ID)
	if err != nil {
		return false, err
	}
	var asked int64
	err = s.db.QueryRow(ctx, askedJob, job.ID).Scan(&asked)
	return asked != 0, err
}

// EndJob records how a job ended: its State and Message.
func (s *Store) EndJob(ctx context.Context, job ngram.Job) error {
	now := s.now()
	_, err := s.db.Exec(ctx, endJob, string(job.State), []byte(clip(job.Phase)), job.Done, job.Total, int64(job.Build), job.Message, now, now, job.ID)
	return err
}

func clip(phase string) string { return phase[:min(len(phase), 512)] }

// Job returns a job of the tenant, or NotFound.
func (s *Store) Job(ctx context.Context, tenant, id string) (ngram.Job, error) {
	jobs, err := s.readJobs(ctx, byJob, tenant, id)
	if err == nil && len(jobs) == 0 {
		err = errors.New(errors.NotFound, "JOB_NOT_FOUND", "there is no job %q; list the jobs to see their ids", id)
	}
	if err != nil {
		return ngram.Job{}, err
	}
	return jobs[0], nil
}

// Jobs returns up to limit jobs with ids below before ("" for the newest), newest first: of one model unless that is empty,
// and only running ones if asked.
func (s *Store) Jobs(ctx context.Context, tenant, model string, running bool, before string, limit int) ([]ngram.Job, error) {
	var where strings.Builder
	args := []any{tenant}
	if model != "" {
		where.WriteString(jobsOf)
		args = append(args, model)
	}
	if running {
		where.WriteString(liveJobs)
		args = append(args, s.now())
	}
	if before == "" {
		before = "~" // above every UUID
	}
	return s.readJobs(ctx, where.String()+jobsPage, append(args, before, limit)...)
}

func (s *Store) readJobs(ctx context.Context, where string, args ...any) ([]ngram.Job, error) {
	rows, err := s.db.Query(ctx, selectJob+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []ngram.Job
	for rows.Next() {
		var j ngram.Job
		var phase []byte
		var until, created, updated int64
		var finished *int64
		if err := rows.Scan(&j.ID, &j.Tenant, &j.Model, &j.Kind, &j.State, &j.Owner, &phase, &j.Done, &j.Total, &j.Build, &j.Message, &until, &created, &updated, &finished); err != nil {
			return nil, err
		}
		j.Phase, j.Created, j.Updated = string(phase), toTime(created), toTime(updated)
		if finished != nil {
			j.Finished = toTime(*finished)
		}
		if j.State == ngram.JobRunning && until <= s.now() {
			j.State, j.Finished, j.Message = ngram.JobInterrupted, toTime(until), "its process died; make the same call again to go on"
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// AskJobToStop asks a running job to stop at its next checkpoint.
func (s *Store) AskJobToStop(ctx context.Context, tenant, id string) (ngram.Job, error) {
	job, err := s.Job(ctx, tenant, id)
	if err == nil && !job.Ended() {
		_, err = s.db.Exec(ctx, cancelJob, id, tenant)
	}
	return job, err
}

// ForgetJobs deletes jobs that ended a month ago.
func (s *Store) ForgetJobs(ctx context.Context) error {
	_, err := s.db.Exec(ctx, deadJobs, s.now()-jobsKept.Microseconds(), s.now())
	return err
}
