package gateway

import (
	"context"
	"sync"
	"time"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// publishedAge is how long a published build id may be used without asking again. A turn pins what it read.
const publishedAge = time.Second

// publishedLimit bounds the number of models remembered.
const publishedLimit = 1024

// publishedBuilds remembers which build of a model serves, so that a turn does not pay a call to learn it.
type publishedBuilds struct {
	models ngramv1.ModelServiceClient

	mu    sync.Mutex
	known map[modelKey]publishedModel
}

type modelKey struct{ tenant, model string }

type publishedModel struct {
	model *ngramv1.Model
	read  time.Time
}

// get returns the model. An unreachable ngram service is an error even when an older answer is known: a build
// that may have been dropped must not be pinned.
func (p *publishedBuilds) get(ctx context.Context, tenant, model string) (*ngramv1.Model, error) {
	key := modelKey{tenant, model}
	p.mu.Lock()
	entry, ok := p.known[key]
	p.mu.Unlock()
	if ok && time.Since(entry.read) < publishedAge {
		return entry.model, nil
	}
	resp, err := p.models.GetModel(ctx, &ngramv1.GetModelRequest{Tenant: tenant, Model: model})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= publishedLimit {
		p.known = make(map[modelKey]publishedModel)
	}
	p.known[key] = publishedModel{resp.Model, time.Now()}
	return resp.Model, nil
}

// forget drops what is known of a model, after a call that may have published another build.
func (p *publishedBuilds) forget(tenant, model string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, modelKey{tenant, model})
}

// forgetAll drops what is known of every model, after a call that may have changed any.
func (p *publishedBuilds) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

var errNoPublishedBuild = errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD",
	"the model has no published build; train it with: dbslm train PATH")
