package ngram

import "time"

// JobKind says what a job does.
type JobKind string

// The kinds.
const (
	JobIngest  JobKind = "ingest"
	JobBuild   JobKind = "build"
	JobRebuild JobKind = "rebuild" // trains another model with kept texts
)

// JobState says how far a job is.
type JobState string

// The states. A running job whose lease is over is read as interrupted.
const (
	JobRunning     JobState = "running"
	JobDone        JobState = "done"
	JobFailed      JobState = "failed"
	JobCancelled   JobState = "cancelled"
	JobPaused      JobState = "paused"      // its time was up; the same call goes on
	JobInterrupted JobState = "interrupted" // its process died or was shut down; the same call goes on
)

// Job is one long piece of work, as it is recorded.
type Job struct {
	ID            string // UUIDv7
	Tenant, Model string
	Kind          JobKind
	State         JobState
	Owner         string // who began it
	Phase         string
	Done, Total   int64 // units of the phase; Total is 0 when unknown
	Build         BuildID
	Message       string // why it failed or paused
	Created       time.Time
	Updated       time.Time
	Finished      time.Time // zero while it runs
}

// Ended says whether nothing more will happen to the job.
func (j Job) Ended() bool { return j.State != JobRunning }
