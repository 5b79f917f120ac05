package store

import (
	"context"
	"math"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

const (
	deletePolicy  = `DELETE FROM tbl_l1_build_policies WHERE tenant = ? AND name = ?`
	selectPolicy  = `SELECT after_documents, every_micros, storage, keep_builds, disk_budget, max_increase, last_run FROM tbl_l1_build_policies WHERE tenant = ? AND name = ?`
	selectHeldSum = `SELECT sha256, text_bytes FROM tbl_l1_held_out WHERE tenant = ? AND name = ?`
)

// PolicyStatus is a policy with what it goes with.
type PolicyStatus struct {
	Policy       ngram.BuildPolicy
	HeldOut      []byte // SHA-256 of the held-out text; nil without one
	HeldOutBytes int64
	LastRun      time.Time // zero if the policy never made a build
}

// Policy returns the build policy of a model, the zero policy if none was set.
func (s *Store) Policy(ctx context.Context, tenant, model string) (PolicyStatus, error) {
	var status PolicyStatus
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		if _, err := s.readModel(ctx, tx, tenant, model); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, selectHeldSum, tenant, model).Scan(&status.HeldOut, &status.HeldOutBytes)
		if err != nil && !errors.Is(err, database.ErrNoRows) {
			return err
		}
		status.Policy, status.LastRun, err = readPolicy(ctx, tx, tenant, model)
		return err
	})
	return status, err
}

func readPolicy(ctx context.Context, tx *database.Tx, tenant, model string) (p ngram.BuildPolicy, last time.Time, err error) {
	var every int64
	var run *int64
	err = tx.QueryRow(ctx, selectPolicy, tenant, model).Scan(&p.AfterDocuments, &every, &p.Storage, &p.KeepBuilds, &p.DiskBudget, &p.MaxIncrease, &run)
	if errors.Is(err, database.ErrNoRows) {
		return ngram.BuildPolicy{Storage: ngram.Storage8}, last, nil
	}
	p.Every = time.Duration(every) * time.Microsecond
	if run != nil {
		last = toTime(*run)
	}
	return p, last, err
}

// SetPolicy replaces the build policy of a model.
func (s *Store) SetPolicy(ctx context.Context, tenant, model string, p ngram.BuildPolicy) (ngram.BuildPolicy, error) {
	if p.Storage == "" {
		p.Storage = ngram.Storage8
	}
	switch {
	case p.AfterDocuments < 0 || p.KeepBuilds < 0 || p.DiskBudget < 0 || p.Every < 0:
		return p, errors.New(errors.InvalidArgument, "POLICY_INVALID", "the numbers of a build policy cannot be negative")
	case p.Every != 0 && p.Every < 10*time.Second:
		return p, errors.New(errors.InvalidArgument, "POLICY_INVALID", "a build policy cannot build more often than every 10 seconds, not every %s", p.Every).Field("policy.every_seconds", "at least 10")
	case p.MaxIncrease != nil && !(*p.MaxIncrease >= 0 && !math.IsInf(*p.MaxIncrease, 0)):
		return p, errors.New(errors.InvalidArgument, "POLICY_INVALID", "the gate must be a part from 0 on, not %g", *p.MaxIncrease).Field("policy.max_perplexity_increase", "must be finite and not negative")
	case p.Storage.Bits() == 0 && p.Storage != ngram.StorageExact:
		return p, errors.New(errors.InvalidArgument, "STORAGE_INVALID", "the storage must be 8, 16 or exact, not %q", p.Storage).Field("policy.storage", "must be 8, 16 or exact")
	}
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, _, _, err := s.lockName(ctx, tx, tenant, model); err != nil {
			return err
		}
		columns := []string{"tenant", "name", "after_documents", "every_micros", "storage", "keep_builds", "disk_budget", "max_increase", "claimed_until"}
		var replace []database.Assign
		for _, column := range columns[2:8] {
			replace = append(replace, database.Assign{Column: column})
		}
		var increase any
		if p.MaxIncrease != nil {
			increase = *p.MaxIncrease
		}
		row := []any{tenant, model, p.AfterDocuments, p.Every.Microseconds(), string(p.Storage), p.KeepBuilds, p.DiskBudget, increase, 0}
		return tx.Upsert(ctx, "tbl_l1_build_policies", columns, columns[:2], replace, [][]any{row})
	})
	return p, err
}

const selectKeptBuilds = `SELECT build_id, served_seq FROM tbl_l1_builds WHERE model_id = ? AND tenant = ? AND name = ? AND state = 'ready' ORDER BY build_id DESC`

// Retain drops builds that the policy does not keep, oldest first, and returns them. The build that serves and the one that
// served before stay in any case: requests may still read the one, and rollback goes back to the other.
func (t *Trainer) Retain(ctx context.Context) (dropped []ngram.BuildID, err error) {
	model, err := t.store.Model(ctx, t.model.Tenant, t.model.Name)
	if err != nil {
		return nil, err
	}
	status, err := t.store.Policy(ctx, t.model.Tenant, t.model.Name)
	if err != nil || status.Policy.KeepBuilds == 0 && status.Policy.DiskBudget == 0 {
		return nil, err
	}
	kept, before, err := t.kept(ctx, model.Published)
	if err != nil {
		return nil, err
	}
	for len(kept) > 1 {
		excess := status.Policy.KeepBuilds > 0 && len(kept) > status.Policy.KeepBuilds
		excess = excess || status.Policy.DiskBudget > 0 && storedBytes(kept) > status.Policy.DiskBudget
		if !excess {
			return dropped, nil
		}
		oldest := len(kept) - 1
		for oldest > 0 && (kept[oldest].ID == model.Published || kept[oldest].ID == before) {
			oldest--
		}
		if oldest == 0 { // the newest, and what must stay
			return dropped, nil
		}
		if _, err := t.Drop(ctx, kept[oldest].ID); err != nil {
			return dropped, err
		}
		dropped = append(dropped, kept[oldest].ID)
		kept = append(kept[:oldest], kept[oldest+1:]...)
	}
	return dropped, nil
}

// kept lists the ready builds, newest first, and which served before the one that serves.
func (t *Trainer) kept(ctx context.Context, published ngram.BuildID) (builds []ngram.Build, before ngram.BuildID, err error) {
	type served struct {
		id, seq int64
	}
	var all []served
	err = t.store.db.Stream(ctx, selectKeptBuilds, []any{int64(t.model.ID), t.model.Tenant, t.model.Name}, func(row database.Row) error {
		all = append(all, served{row.Int(0), row.Int(1)})
		return nil
	})
	present, best := int64(0), int64(0)
	for _, b := range all {
		if ngram.BuildID(b.id) == published {
			present = b.seq
		}
	}
	for _, b := range all {
		if err != nil {
			return nil, 0, err
		}
		if b.seq > best && b.seq < present {
			best, before = b.seq, ngram.BuildID(b.id)
		}
		var build ngram.Build
		if build, err = t.store.BuildOf(ctx, t.model.Tenant, t.model.Name, ngram.BuildID(b.id)); err == nil {
			builds = append(builds, build)
		}
	}
	return builds, before, err
}

// storedBytes estimates the bytes of all derived rows that builds (newest first) keep: what the newest shows, and what each one
// closed of those before it.
func storedBytes(builds []ngram.Build) int64 {
	bytes := int64(0)
	for i, b := range builds {
		if i == 0 {
			bytes += b.Size.Bytes
		}
		if i < len(builds)-1 && b.Size.Rows > 0 {
			bytes += int64(float64(b.RowsClosed) * float64(b.Size.Bytes) / float64(b.Size.Rows))
		}
	}
	return bytes
}

const (
	selectPolicies = `SELECT p.tenant, p.name, p.after_documents, p.every_micros, p.storage, p.last_run, n.model_id FROM tbl_l1_build_policies p
JOIN tbl_l1_model_names n ON n.tenant = p.tenant AND n.name = p.name WHERE (p.after_documents > 0 OR p.every_micros > 0) AND p.claimed_until <= ? AND n.lease_until <= ?`
	selectNewestBuild = `SELECT counts_version, created_at FROM tbl_l1_builds WHERE model_id = ? AND tenant = ? AND name = ? AND state = 'ready' ORDER BY build_id DESC LIMIT 1`
	selectCountsState = `SELECT counts_version, tokens FROM tbl_l1_models WHERE model_id = ?`
	selectNewTexts    = `SELECT COUNT(*) FROM tbl_corpus WHERE model_id = ? AND state = 'counted' AND created_at > ?`
	claimPolicy       = `UPDATE tbl_l1_build_policies SET claimed_until = ?, last_run = ? WHERE tenant = ? AND name = ? AND claimed_until <= ? AND (last_run IS NULL OR last_run <= ?)`
	releasePolicy     = `UPDATE tbl_l1_build_policies SET claimed_until = 0 WHERE tenant = ? AND name = ?`
)

// Due is a build that a policy asks for.
type Due struct {
	Tenant, Model string
	Storage       ngram.Storage
}

// policyRetry is how long after a trial that led to no build a policy tries again.
const policyRetry = time.Minute

// Claim returns the builds that policies ask for now, at most limit, and claims each for this process: until the claim is
// given back or over, no other replica makes it. A model that somebody trains at the moment is left for the next time.
func (s *Store) Claim(ctx context.Context, limit int, claim time.Duration) ([]Due, error) {
	type policy struct {
		Due
		after, every, last int64
		model              int64
	}
	var all []policy
	err := s.db.Stream(ctx, selectPolicies, []any{s.now(), s.now()}, func(row database.Row) error {
		all = append(all, policy{
			Due:   Due{string(row.Bytes(0)), string(row.Bytes(1)), ngram.Storage(row.Bytes(4))},
			after: row.Int(2), every: row.Int(3), last: row.Int(5), model: row.Int(6),
		})
		return nil
	})
	var due []Due
	for _, p := range all {
		if err != nil || len(due) == limit {
			break
		}
		var wanted bool
		if wanted, err = s.due(ctx, p.model, p.Tenant, p.Model, p.after, p.every); err != nil || !wanted {
			continue
		}
		now := s.now()
		var matched int64
		matched, err = s.db.Exec(ctx, claimPolicy, now+claim.Microseconds(), now, p.Tenant, p.Model, now, now-policyRetry.Microseconds())
		if err == nil && matched == 1 {
			due = append(due, p.Due)
		}
	}
	return due, err
}

// due says whether counts changed since the newest build, and enough or long enough ago.
func (s *Store) due(ctx context.Context, model int64, tenant, name string, after, every int64) (bool, error) {
	var version, tokens int64
	if err := s.db.QueryRow(ctx, selectCountsState, model).Scan(&version, &tokens); err != nil || tokens == 0 {
		return false, err
	}
	built, created := int64(-1), int64(0)
	err := s.db.QueryRow(ctx, selectNewestBuild, model, tenant, name).Scan(&built, &created)
	if err != nil && !errors.Is(err, database.ErrNoRows) || built == version {
		return false, err
	}
	if every > 0 && s.now() >= created+every {
		return true, nil
	}
	if after == 0 {
		return false, nil
	}
	var texts int64
	err = s.db.QueryRow(ctx, selectNewTexts, model, created).Scan(&texts)
	return texts >= after, err
}

// Unclaim gives a claim back.
func (s *Store) Unclaim(ctx context.Context, d Due) error {
	_, err := s.db.Exec(ctx, releasePolicy, d.Tenant, d.Model)
	return err
}
