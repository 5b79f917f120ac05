package store

import (
	"context"
	"crypto/sha256"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// Gauge is how a build did on the held-out text of its model, as it is stored.
type Gauge struct {
	SHA256 [32]byte // of the text
	Events int64    // tokens and ends of sentences
	Log10  float64  // sum over all events
}

// Ungauged lists the builds that the gate would compare before it publishes a build, and that were not measured on the present
// held-out text: it was held out after they were derived. None where nothing would be compared. With the text.
func (s *Store) Ungauged(ctx context.Context, tenant, model string, candidate ngram.BuildID) (builds []ngram.BuildID, content []byte, err error) {
	var frame []byte
	var sum [32]byte
	err = s.db.InReadTx(ctx, func(tx *database.Tx) error {
		builds = nil
		m, err := s.readModel(ctx, tx, tenant, model)
		if err != nil || m.Published == 0 || m.Published == candidate {
			return err
		}
		policy, _, err := readPolicy(ctx, tx, tenant, model)
		if err != nil || policy.MaxIncrease == nil {
			return err
		}
		if sum, frame, err = readHeldOut(ctx, tx, tenant, model); err != nil || frame == nil {
			return err
		}
		for _, id := range []ngram.BuildID{m.Published, candidate} {
			build, err := s.readBuild(ctx, tx, tenant, model, id)
			if err != nil || build.State != ngram.BuildReady {
				return err
			}
			gauge, err := gaugeOf(ctx, tx, build, sum)
			if err != nil {
				return err
			}
			if gauge == nil {
				builds = append(builds, id)
			}
		}
		return nil
	})
	if err != nil || len(builds) == 0 {
		return nil, nil, err
	}
	content, err = unpackHeldOut(model, sum, frame)
	return builds, content, err
}

// readHeldOut reads the held-out text of a model, packed; nil without one.
func readHeldOut(ctx context.Context, q database.Querier, tenant, model string) (sum [32]byte, frame []byte, err error) {
	var hash []byte
	var size int64
	err = q.QueryRow(ctx, selectHeldOut, tenant, model).Scan(&hash, &size, &frame)
	if errors.Is(err, database.ErrNoRows) {
		return sum, nil, nil
	}
	copy(sum[:], hash)
	return sum, frame, err
}

func unpackHeldOut(model string, sum [32]byte, frame []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	content, err := decoder.DecodeAll(frame, nil)
	if err != nil || sha256.Sum256(content) != sum {
		return nil, errors.Wrap(err, errors.DataLoss, "HELD_OUT_DAMAGED", "the held-out text of model %q is damaged; set it again", model)
	}
	return content, nil
}

const (
	selectGauge = `SELECT events, log10 FROM tbl_l1_gate_measures WHERE build_id = ? AND sha256 = ?`
	selectReady = `SELECT build_id FROM tbl_l1_builds WHERE build_id = ? AND state = 'ready'`
)

// gaugeOf is how a build did on a text; nil if it was not measured on it.
func gaugeOf(ctx context.Context, tx *database.Tx, build ngram.Build, text [32]byte) (*Gauge, error) {
	if h := build.HeldOut; h != nil && h.SHA256 == text {
		return &Gauge{text, h.Tokens, h.Log10}, nil
	}
	gauge := &Gauge{SHA256: text}
	err := tx.QueryRow(ctx, selectGauge, int64(build.ID), text[:]).Scan(&gauge.Events, &gauge.Log10)
	if errors.Is(err, database.ErrNoRows) {
		return nil, nil
	}
	return gauge, err
}

// SaveGauge records how a build did; nothing if it was dropped meanwhile.
func (s *Store) SaveGauge(ctx context.Context, build ngram.BuildID, g Gauge) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, selectReady, int64(build)).Scan(&id); errors.Is(err, database.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		columns := []string{"build_id", "sha256", "events", "log10"}
		measured := []database.Assign{{Column: "events"}, {Column: "log10"}}
		return tx.Upsert(ctx, "tbl_l1_gate_measures", columns, columns[:2], measured, [][]any{{id, g.SHA256[:], g.Events, g.Log10}})
	})
}

// ReasonWorse is why the gate refuses a build.
const ReasonWorse = "BUILD_WORSE"

// gate refuses a build that is worse on the held-out text than the one that serves, by more than the policy allows.
func (s *Store) gate(ctx context.Context, tx *database.Tx, build ngram.Build, serving ngram.BuildID) error {
	policy, _, err := readPolicy(ctx, tx, build.Tenant, build.Name)
	if err != nil || policy.MaxIncrease == nil || serving == 0 {
		return err
	}
	sum, frame, err := readHeldOut(ctx, tx, build.Tenant, build.Name)
	if err != nil || frame == nil {
		return err
	}
	before, err := s.readBuild(ctx, tx, build.Tenant, build.Name, serving)
	if err != nil {
		return err
	}
	was, err := gaugeOf(ctx, tx, before, sum)
	if err != nil || was == nil {
		return err
	}
	is, err := gaugeOf(ctx, tx, build, sum)
	if err != nil || is == nil || is.perplexity() <= was.perplexity()*(1+*policy.MaxIncrease) {
		return err
	}
	return errors.New(errors.FailedPrecondition, ReasonWorse,
		"build %d of model %q has perplexity %.3f on the held-out text, build %d that serves has %.3f: %.2f %% more, and the policy allows %.2f %%; nothing was published. Publish it in spite of that with force",
		build.ID, build.Name, is.perplexity(), serving, was.perplexity(), 100*(is.perplexity()/was.perplexity()-1), 100**policy.MaxIncrease).With("model", build.Name)
}

func (g *Gauge) perplexity() float64 {
	return ngram.HeldOut{Log10: g.Log10, Tokens: g.Events}.Perplexity()
}
