package memory

import (
	"time"

	"dbslm/pkg/errors"
)

// Bounds of a retention policy. Nothing younger than MinKept goes: whoever means seconds has mistyped.
const (
	MinKept               = time.Hour
	MaxKept               = 100 * 365 * 24 * time.Hour
	DefaultRetentionEvery = time.Hour
	MinRetentionEvery     = time.Minute
	MaxRetentionEvery     = 30 * 24 * time.Hour
)

// ReasonRetentionRuns is the reason of a refusal: another process is applying the policy.
const ReasonRetentionRuns = "RETENTION_RUNS"

// Retention says how long a tenant keeps what; 0 is for ever.
type Retention struct {
	Tenant        string
	Conversations time.Duration // since its last change: then the whole conversation goes
	Messages      time.Duration // since it was said: then it goes with its turn and trace, and its conversation goes on
	TraceDetail   time.Duration // since the reply: then its trace is thinned
	Every         time.Duration // from one run to the next
	NextRun       time.Time     // zero while nothing ever goes
}

// Complete checks a policy that is to be stored and fills in how often it runs.
func (r Retention) Complete() (Retention, error) {
	for _, kept := range []struct {
		field string
		time  time.Duration
	}{{"conversations", r.Conversations}, {"messages", r.Messages}, {"trace_detail", r.TraceDetail}} {
		if kept.time != 0 && (kept.time < MinKept || kept.time > MaxKept) {
			return r, Invalid("policy."+kept.field, "must be between 1 hour and 100 years; leave it out to keep everything")
		}
	}
	if r.Every == 0 {
		r.Every = DefaultRetentionEvery
	}
	if r.Every < MinRetentionEvery || r.Every > MaxRetentionEvery {
		return r, Invalid("policy.every", "must be between 1 minute and 30 days; leave it out for %s", DefaultRetentionEvery)
	}
	return r, nil
}

// Removes reports whether the policy lets anything go.
func (r Retention) Removes() bool { return r.Conversations > 0 || r.Messages > 0 || r.TraceDetail > 0 }

// RetentionRun is one application of a policy: that it happened and how much went, not what.
type RetentionRun struct {
	ID            string
	Started       time.Time
	Finished      time.Time // zero when it is at work or was stopped; the next run goes on with it
	Conversations int64     // removed whole
	Messages      int64     // removed from conversations that go on
	Traces        int64     // thinned
	Bytes         int64     // of details of traces, as they were stored
}

// RetentionRuns refuses a second run of a policy at a time.
func RetentionRuns(tenant string, wait time.Duration) *errors.Error {
	return errors.New(errors.Aborted, ReasonRetentionRuns, "the retention policy of tenant %q is being applied already; look again later", tenant).
		RetryAfter(max(wait, time.Millisecond))
}
