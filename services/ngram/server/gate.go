package server

import (
	"bytes"
	"context"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/store"
)

// publish publishes a build, unless the gate refuses it. Builds that were not measured on the present held-out text are measured
// now: without that, the first build after a text was held out would pass unseen.
func (s *builds) publish(ctx context.Context, tenant, model string, id ngram.BuildID, force bool) (ngram.Build, ngram.BuildID, error) {
	if force {
		return s.store.Publish(ctx, tenant, model, id)
	}
	builds, held, err := s.store.Ungauged(ctx, tenant, model, id)
	for _, build := range builds {
		if err == nil {
			err = s.gauge(ctx, tenant, model, build, held)
		}
	}
	if err != nil {
		return ngram.Build{}, 0, err
	}
	return s.store.PublishGated(ctx, tenant, model, id)
}

// gauge measures a build on a text and records it.
func (s *builds) gauge(ctx context.Context, tenant, model string, id ngram.BuildID, held []byte) error {
	build, err := s.inference.open(ctx, &ngramv1.EvaluateHeader{Tenant: tenant, Model: model, BuildId: uint32(id)})
	if err != nil {
		return err
	}
	m := &measurement{
		build: build, from: bytes.NewReader(held),
		mass: scoring.NewSampler[[]uint32](0, 0), positions: scoring.NewSampler[sampledPosition](0, 0), timed: scoring.NewSampler[sentenceTokens](0, 0),
	}
	if err := m.text(ctx); err != nil {
		return err
	}
	if err := build.Verify(ctx); err != nil {
		return err
	}
	return s.store.SaveGauge(ctx, id, store.Gauge{SHA256: m.sum, Events: int64(m.tally.Tokens), Log10: m.tally.Log10})
}
