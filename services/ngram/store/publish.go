package store

import (
	"context"
	"encoding/json"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

const selectBuild = `SELECT b.build_id, b.model_id, b.tenant, b.name, b.state, b.smoothing, b.kenlm_quirk, b.storage, b.max_order, b.vocabulary_end,
  b.vocabulary_size, b.counts_version, b.tokens, b.rows_added, b.rows_closed, b.unigram_codebook, b.logprob_codebook, b.backoff_codebook, b.warnings, b.failure,
  b.created_at, b.finished_at, n.published_build
FROM tbl_l1_model_names n JOIN tbl_l1_builds b ON b.tenant = n.tenant AND b.name = n.name WHERE n.tenant = ? AND n.name = ? `

const (
	byBuild     = `AND b.build_id = ?`
	beforeBuild = `AND b.build_id < ? AND b.state <> 'failed' AND b.state <> 'dropped' ORDER BY b.build_id DESC LIMIT ?`
	beforeAny   = `AND b.build_id < ? ORDER BY b.build_id DESC LIMIT ?`
)

// BuildOf returns a build of a model, or NotFound.
func (s *Store) BuildOf(ctx context.Context, tenant, model string, id ngram.BuildID) (ngram.Build, error) {
	var build ngram.Build
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		var err error
		build, err = s.readBuild(ctx, tx, tenant, model, id)
		return err
	})
	return build, err
}

func (s *Store) readBuild(ctx context.Context, tx *database.Tx, tenant, model string, id ngram.BuildID) (ngram.Build, error) {
	builds, err := s.readBuilds(ctx, tx, byBuild, tenant, model, int64(id))
	if err != nil {
		return ngram.Build{}, err
	}
	if len(builds) == 0 || padded(tenant) || padded(model) {
		if _, err := s.readModel(ctx, tx, tenant, model); err != nil {
			return ngram.Build{}, err
		}
		return ngram.Build{}, errors.New(errors.NotFound, "BUILD_NOT_FOUND", "model %q has no build %d; list its builds to see their ids", model, id).
			With("model", model)
	}
	return builds[0], nil
}

// Builds returns up to limit builds of a model with ids below before, newest first; with ended also failed and dropped
// ones.
func (s *Store) Builds(ctx context.Context, tenant, model string, before ngram.BuildID, limit int, ended bool) ([]ngram.Build, error) {
	where := beforeBuild
	if ended {
		where = beforeAny
	}
	var builds []ngram.Build
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		if _, err := s.readModel(ctx, tx, tenant, model); err != nil {
			return err
		}
		var err error
		builds, err = s.readBuilds(ctx, tx, where, tenant, model, int64(before), limit)
		return err
	})
	return builds, err
}

func (s *Store) readBuilds(ctx context.Context, tx *database.Tx, where string, args ...any) ([]ngram.Build, error) {
	rows, err := tx.Query(ctx, selectBuild+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var builds []ngram.Build
	for rows.Next() {
		var b ngram.Build
		var warnings string
		var created int64
		var unigram, logprob, backoff, finished, published *int64
		err := rows.Scan(&b.ID, &b.Model, &b.Tenant, &b.Name, &b.State, &b.Smoothing, &b.KenLMQuirk, &b.Storage, &b.Order, &b.VocabularyEnd,
			&b.VocabularySize, &b.CountsVersion, &b.Tokens, &b.RowsAdded, &b.RowsClosed, &unigram, &logprob, &backoff, &warnings, &b.Failure,
			&created, &finished, &published)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(warnings), &b.Warnings); err != nil {
			return nil, errors.Wrap(err, errors.DataLoss, "BUILD_DAMAGED", "the record of build %d is damaged", b.ID)
		}
		b.Created = toTime(created)
		if finished != nil {
			b.Finished = toTime(*finished)
		}
		if unigram != nil && logprob != nil && backoff != nil {
			b.UnigramCodebook, b.LogprobCodebook, b.BackoffCodebook = *unigram, *logprob, *backoff
		}
		b.Published = published != nil && ngram.BuildID(*published) == b.ID
		builds = append(builds, b)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(builds, idsPerQuery) {
		of := buildRows{tx: tx, builds: map[int64]*ngram.Build{}}
		for i := range some {
			of.builds[int64(some[i].ID)] = &some[i]
			of.ids = append(of.ids, int64(some[i].ID))
		}
		for _, read := range []func(context.Context, buildRows) error{readParams, readMeasures, readWeights, readPruning} {
			if err := read(ctx, of); err != nil {
				return nil, err
			}
		}
	}
	return builds, nil
}

// buildRows reads what belongs to some builds, all of it in one statement a table.
type buildRows struct {
	tx     *database.Tx
	ids    []any
	builds map[int64]*ngram.Build
}

// each runs a query that selects a build's id first and ends before its list of ids, and calls read for every row.
func (r buildRows) each(ctx context.Context, query, order string, read func(b *ngram.Build, row database.Row) error) error {
	return r.tx.Stream(ctx, query+database.In(len(r.ids))+order, r.ids, func(row database.Row) error { return read(r.builds[row.Int(0)], row) })
}

const (
	selectParams = `SELECT p.build_id, p.n, p.d1, p.d2, p.d3, p.fallback, p.ngrams, t.k, t.t FROM tbl_l1_mkn_params p
JOIN tbl_l1_counts_of_counts t ON t.build_id = p.build_id AND t.n = p.n WHERE p.build_id IN `
	inOrderOfParams = ` ORDER BY p.build_id, p.n, t.k`
)

func readParams(ctx context.Context, of buildRows) error {
	return of.each(ctx, selectParams, inOrderOfParams, func(b *ngram.Build, row database.Row) error {
		n := int(row.Int(1))
		if n > len(b.Discounts) {
			b.Discounts = append(b.Discounts, ngram.Discounts{Order: n, D1: row.Float(2), D2: row.Float(3), D3: row.Float(4), Fallback: row.Int(5) != 0})
			b.NGrams = append(b.NGrams, row.Int(6))
		}
		if k := row.Int(7); k >= 1 && k <= 4 {
			b.Discounts[n-1].CountsOfCounts[k-1] = row.Int(8)
		}
		return nil
	})
}

const (
	pointServing = `UPDATE tbl_l1_model_names SET published_build = ? WHERE tenant = ? AND name = ?`
	setServed    = `UPDATE tbl_l1_builds SET served_seq = ? WHERE build_id = ?`
	selectBefore = `SELECT b.build_id FROM tbl_l1_builds b JOIN tbl_l1_builds p ON p.build_id = ?
WHERE b.tenant = ? AND b.name = ? AND b.state = 'ready' AND b.model_id = p.model_id AND b.served_seq < p.served_seq ORDER BY b.served_seq DESC LIMIT 1`
)

// Publish makes a ready build the one that serves, by moving one pointer, and returns which served before (0: none). The
// first build of a new generation retires the generation before.
func (s *Store) Publish(ctx context.Context, tenant, model string, id ngram.BuildID) (build ngram.Build, previous ngram.BuildID, err error) {
	return s.publish(ctx, tenant, model, id, false)
}

// PublishGated is Publish, but a build that the gate of the model's policy refuses is FailedPrecondition.
func (s *Store) PublishGated(ctx context.Context, tenant, model string, id ngram.BuildID) (build ngram.Build, previous ngram.BuildID, err error) {
	return s.publish(ctx, tenant, model, id, true)
}

func (s *Store) publish(ctx context.Context, tenant, model string, id ngram.BuildID, gated bool) (build ngram.Build, previous ngram.BuildID, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		n, _, _, err := s.lockName(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		previous = n.published
		if build, err = s.readBuild(ctx, tx, tenant, model, id); err != nil {
			return err
		}
		if build.State != ngram.BuildReady {
			return errors.New(errors.FailedPrecondition, "BUILD_NOT_READY", "build %d of model %q is %s; only a ready build can be published", id, model, build.State).
				With("model", model)
		}
		if previous == id {
			return nil
		}
		if gated {
			if err := s.gate(ctx, tx, build, previous); err != nil {
				return err
			}
		}
		served, err := nextNumber(ctx, tx, counterServed)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setServed, served, int64(id)); err != nil {
			return err
		}
		return s.serve(ctx, tx, n, tenant, model, id)
	})
	if err == nil {
		s.options.Served(ctx)
	}
	build.Published = true
	return build, previous, err
}

func (s *Store) serve(ctx context.Context, tx *database.Tx, n name, tenant, model string, id ngram.BuildID) error {
	if _, err := tx.Exec(ctx, pointServing, int64(id), tenant, model); err != nil {
		return err
	}
	return s.retireOthers(ctx, tx, tenant, model, n.training, id)
}

// Rollback publishes the build that served before the present one. from, if not 0, must be the present one: then a repeated
// call cannot go back twice.
func (s *Store) Rollback(ctx context.Context, tenant, model string, from ngram.BuildID) (build ngram.Build, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		n, _, _, err := s.lockName(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		if n.published == 0 {
			return errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD", "model %q has no published build to go back from", model).With("model", model)
		}
		if from != 0 && from != n.published {
			return errors.New(errors.FailedPrecondition, "BUILD_NOT_PUBLISHED", "build %d of model %q serves, not build %d; nothing was rolled back", n.published, model, from).
				With("model", model)
		}
		var before int64
		err = tx.QueryRow(ctx, selectBefore, int64(n.published), tenant, model).Scan(&before)
		if errors.Is(err, database.ErrNoRows) {
			return errors.New(errors.FailedPrecondition, "NO_EARLIER_BUILD", "no earlier build of model %q is kept that served before build %d", model, n.published).
				With("model", model)
		}
		if err != nil {
			return err
		}
		// The build that is left is taken out of the line, so that going back again goes further back.
		if _, err := tx.Exec(ctx, setServed, nil, int64(n.published)); err != nil {
			return err
		}
		if err := s.serve(ctx, tx, n, tenant, model, ngram.BuildID(before)); err != nil {
			return err
		}
		build, err = s.readBuild(ctx, tx, tenant, model, ngram.BuildID(before))
		return err
	})
	if err == nil {
		s.options.Served(ctx)
	}
	return build, err
}
