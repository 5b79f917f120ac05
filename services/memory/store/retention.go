package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const (
	// retentionLease is how long a process that went silent keeps others from applying a policy. Every batch renews it.
	retentionLease = 2 * time.Minute
	// retentionPage bounds the conversations that are looked for at once.
	retentionPage = 200
	// retentionRuns bounds the runs that are told.
	retentionRuns = 10
)

const (
	selectRetention = `SELECT conversations_us, messages_us, trace_detail_us, every_us, COALESCE(next_at, 0), lease_until FROM tbl_l2_retention WHERE tenant = ?`
	selectRuns      = `SELECT run_id, started_at, COALESCE(finished_at, 0), conversations, messages, traces, detail_bytes FROM tbl_l2_retention_runs
WHERE tenant = ? ORDER BY run_id DESC LIMIT ?`
)

// Retention returns a tenant's policy, which keeps everything unless one was set, and its latest runs, newest first.
func (s *Store) Retention(ctx context.Context, tenant string) (r memory.Retention, runs []memory.RetentionRun, err error) {
	if r, _, err = readRetention(ctx, s.db, tenant); err != nil {
		return r, nil, err
	}
	result, err := s.db.Query(ctx, selectRuns, tenant, retentionRuns)
	err = rows(result, err, func(row database.Scanner) error {
		run, err := scanRun(row)
		runs = append(runs, run)
		return err
	})
	return r, runs, err
}

func scanRun(row database.Scanner) (run memory.RetentionRun, err error) {
	var started, finished int64
	err = row.Scan(&run.ID, &started, &finished, &run.Conversations, &run.Messages, &run.Traces, &run.Bytes)
	run.Started, run.Finished = fromMicros(started), fromMicros(finished)
	return run, err
}

func readRetention(ctx context.Context, q database.Querier, tenant string) (r memory.Retention, leaseUntil time.Time, err error) {
	var conversations, messages, detail, every, next, lease int64
	err = q.QueryRow(ctx, selectRetention, tenant).Scan(&conversations, &messages, &detail, &every, &next, &lease)
	if errors.Is(err, database.ErrNoRows) {
		return memory.Retention{Tenant: tenant, Every: memory.DefaultRetentionEvery}, leaseUntil, nil
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return memory.Retention{
		Tenant: tenant, Conversations: us(conversations), Messages: us(messages), TraceDetail: us(detail), Every: us(every), NextRun: fromMicros(next),
	}, fromMicros(lease), err
}

// SetRetention stores a policy that memory.Retention.Complete has accepted. A run that is at work ends under the policy it began with.
func (s *Store) SetRetention(ctx context.Context, r memory.Retention, now time.Time) (memory.Retention, error) {
	if r.NextRun = (time.Time{}); r.Removes() {
		r.NextRun = now
	}
	values := []database.Assign{{Column: "conversations_us"}, {Column: "messages_us"}, {Column: "trace_detail_us"}, {Column: "every_us"}, {Column: "next_at"}}
	columns := []string{"tenant", "conversations_us", "messages_us", "trace_detail_us", "every_us", "next_at", "holder", "lease_until"}
	row := []any{
		r.Tenant, r.Conversations.Microseconds(), r.Messages.Microseconds(), r.TraceDetail.Microseconds(), r.Every.Microseconds(), nullMicros(r.NextRun), "", int64(0),
	}
	return r, s.db.InTx(ctx, func(tx *database.Tx) error {
		return tx.Upsert(ctx, "tbl_l2_retention", columns, columns[:1], values, [][]any{row})
	})
}

const selectDueRetention = `SELECT tenant FROM tbl_l2_retention WHERE next_at <= ? AND lease_until <= ? ORDER BY next_at, tenant LIMIT ?`

// DueRetention returns tenants whose policy is to be applied now and that nobody applies.
func (s *Store) DueRetention(ctx context.Context, now time.Time, limit int) (tenants []string, err error) {
	result, err := s.db.Query(ctx, selectDueRetention, micros(now), micros(now), limit)
	err = rows(result, err, func(row database.Scanner) error {
		var tenant string
		err := row.Scan(&tenant)
		tenants = append(tenants, tenant)
		return err
	})
	return tenants, err
}

const (
	idleConversations = ` FROM tbl_l2_conversations WHERE tenant = ? AND updated_at < ?`
	countIdle         = `SELECT COUNT(*)` + idleConversations
	countOldMessages  = `SELECT COUNT(*) FROM tbl_l2_conversations c JOIN tbl_l2_messages m ON m.tenant = c.tenant AND m.conversation_id = c.conversation_id
WHERE c.tenant = ? AND c.first_message_at < ? AND m.created_at < ?`
)

// WouldRemove counts what a run of the policy would let go now. It counts messages of conversations that go whole once more.
func (s *Store) WouldRemove(ctx context.Context, r memory.Retention, now time.Time) (run memory.RetentionRun, err error) {
	for _, c := range []struct {
		kept  time.Duration
		query string
		times int
		to    *int64
	}{{r.Conversations, countIdle, 1, &run.Conversations}, {r.Messages, countOldMessages, 2, &run.Messages}, {r.TraceDetail, countDetails, 1, &run.Traces}} {
		if c.kept == 0 {
			continue
		}
		args := []any{r.Tenant, micros(now.Add(-c.kept)), micros(now.Add(-c.kept))}
		if err := s.db.QueryRow(ctx, c.query, args[:1+c.times]...).Scan(c.to); err != nil {
			return run, err
		}
	}
	return run, nil
}

// retaining is a run of a policy at work.
type retaining struct {
	remover
	policy memory.Retention
	run    memory.RetentionRun
	holder string
	clock  func() time.Time
	began  time.Time
	tell   func(memory.RetentionRun) error
}

// RunRetention applies a tenant's policy, in transactions of at most 200 rows each; tell is told after each. Stopped or killed at
// any moment, the next run goes on with it: what went is gone and counted. ABORTED while another process applies the policy.
func (s *Store) RunRetention(ctx context.Context, tenant string, clock func() time.Time, tell func(memory.RetentionRun) error) (memory.RetentionRun, error) {
	holder, err := newID()
	if err != nil {
		return memory.RetentionRun{}, err
	}
	r := &retaining{holder: holder, clock: clock, began: clock(), tell: tell}
	r.remover = remover{store: s, tenant: tenant, note: r.note, progress: func(int64) error { return r.tell(r.run) }}
	if err := r.begin(ctx); err != nil || r.run.ID == "" {
		return r.run, err
	}
	err = r.apply(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // who stops it lets the next one begin at once
	defer cancel()
	if ending := r.end(closing, err == nil); err == nil {
		err = ending
	}
	return r.run, err
}

const (
	takeRetention    = `UPDATE tbl_l2_retention SET holder = ?, lease_until = ? WHERE tenant = ? AND lease_until <= ?`
	selectUnfinished = `SELECT run_id, started_at, 0, conversations, messages, traces, detail_bytes FROM tbl_l2_retention_runs WHERE tenant = ? AND finished_at IS NULL ORDER BY run_id DESC LIMIT 1`
	insertRun        = `INSERT INTO tbl_l2_retention_runs (tenant, run_id, started_at, conversations, messages, traces, detail_bytes) VALUES (?, ?, ?, 0, 0, 0, 0)`
)

// begin takes the lease and finds the run that was stopped, or makes one. Without a policy there is none.
func (r *retaining) begin(ctx context.Context) error {
	id, err := newID()
	if err != nil {
		return err
	}
	return r.store.db.InTx(ctx, func(tx *database.Tx) error {
		r.run = memory.RetentionRun{}
		policy, until, err := readRetention(ctx, tx, r.tenant)
		if err != nil || !policy.Removes() {
			return err
		}
		taken, err := tx.Exec(ctx, takeRetention, r.holder, micros(r.began.Add(retentionLease)), r.tenant, micros(r.began))
		if err != nil {
			return err
		}
		if taken == 0 {
			return memory.RetentionRuns(r.tenant, until.Sub(r.began))
		}
		r.policy = policy
		r.run, err = scanRun(tx.QueryRow(ctx, selectUnfinished, r.tenant))
		if errors.Is(err, database.ErrNoRows) {
			r.run = memory.RetentionRun{ID: id, Started: r.began}
			_, err = tx.Exec(ctx, insertRun, r.tenant, id, micros(r.began))
		}
		return err
	})
}

const (
	renewRetention = `UPDATE tbl_l2_retention SET lease_until = ? WHERE tenant = ? AND holder = ?`
	updateRun      = `UPDATE tbl_l2_retention_runs SET conversations = ?, messages = ?, traces = ?, detail_bytes = ? WHERE tenant = ? AND run_id = ?`
)

// note is a part of every batch: the lease is renewed, or the batch undone because somebody else has it, and what goes is counted.
func (r *retaining) note(ctx context.Context, tx *database.Tx, _ int64) error {
	return r.count(ctx, tx, r.run)
}

func (r *retaining) count(ctx context.Context, tx *database.Tx, run memory.RetentionRun) error {
	now := r.clock()
	held, err := tx.Exec(ctx, renewRetention, micros(now.Add(retentionLease)), r.tenant, r.holder)
	if err != nil {
		return err
	}
	if held == 0 {
		return memory.RetentionRuns(r.tenant, retentionLease)
	}
	_, err = tx.Exec(ctx, updateRun, run.Conversations, run.Messages, run.Traces, run.Bytes, r.tenant, run.ID)
	return err
}

const (
	finishRun        = `UPDATE tbl_l2_retention_runs SET finished_at = ? WHERE tenant = ? AND run_id = ?`
	releaseRetention = `UPDATE tbl_l2_retention SET holder = '', lease_until = 0, next_at = CASE WHEN next_at IS NULL THEN NULL WHEN ? > 0 THEN ? ELSE next_at END WHERE tenant = ? AND holder = ?`
)

// end gives the lease back; a run that came to its end is closed.
func (r *retaining) end(ctx context.Context, whole bool) error {
	now, next := r.clock(), int64(0)
	err := r.store.db.InTx(ctx, func(tx *database.Tx) error {
		if whole {
			next = micros(now.Add(r.policy.Every))
			if _, err := tx.Exec(ctx, finishRun, micros(now), r.tenant, r.run.ID); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, releaseRetention, next, next, r.tenant, r.holder)
		return err
	})
	if err == nil && whole {
		r.run.Finished = now
	}
	return err
}

// apply lets go what the policy does not keep.
func (r *retaining) apply(ctx context.Context) error {
	before := func(kept time.Duration) time.Time { return r.began.Add(-kept) }
	if r.policy.Conversations > 0 {
		if err := r.conversations(ctx, before(r.policy.Conversations)); err != nil {
			return err
		}
	}
	if r.policy.Messages > 0 {
		if err := r.messages(ctx, before(r.policy.Messages)); err != nil {
			return err
		}
	}
	if r.policy.TraceDetail == 0 {
		return nil
	}
	for {
		counted := r.run
		done, err := r.store.thinBatch(ctx, r.tenant, before(r.policy.TraceDetail), func(tx *database.Tx, done Thinned) error {
			counted.Traces, counted.Bytes = r.run.Traces+done.Traces, r.run.Bytes+done.Bytes
			return r.count(ctx, tx, counted)
		})
		if err != nil || done.Traces == 0 {
			return err
		}
		r.run = counted
		if err := r.tell(r.run); err != nil {
			return err
		}
	}
}
