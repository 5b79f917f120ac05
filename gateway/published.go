package gateway

import (
	"context"
	"sync"
	"time"

	"dbslm/pkg/errors"
)

// publishedAge is how long a published build may be used without asking again. A turn pins what it read.
const publishedAge = time.Second

// publishedLimit bounds the number of models, and of bots, that are remembered.
const publishedLimit = 1024

// published remembers what serves, so that a turn does not pay a call to learn it: the builds of models, or of bots. What was changed
// through this gateway is asked for at once, what was changed elsewhere within publishedAge.
type published[T any] struct {
	ask func(ctx context.Context, tenant, name string) (T, error)

	mu      sync.Mutex
	known   map[publishedKey]publishedAt[T]
	changed time.Time // when something was dropped last
}

type publishedKey struct{ tenant, name string }

type publishedAt[T any] struct {
	what T
	read time.Time
}

// get returns what serves. A service out of reach is an error even when an older answer is known: a build that may have been
// dropped must not be pinned.
func (p *published[T]) get(ctx context.Context, tenant, name string) (T, error) {
	key := publishedKey{tenant, name}
	p.mu.Lock()
	entry, ok := p.known[key]
	p.mu.Unlock()
	if ok && time.Since(entry.read) < publishedAge {
		return entry.what, nil
	}
	asked := time.Now()
	what, err := p.ask(ctx, tenant, name)
	if err != nil {
		return what, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked.Before(p.changed) {
		return what, nil // it may have been read before the change
	}
	if p.known == nil || len(p.known) >= publishedLimit {
		p.known = make(map[publishedKey]publishedAt[T])
	}
	p.known[key] = publishedAt[T]{what, asked}
	return what, nil
}

// forget drops what is known of a model or bot, after a call that may have published another build.
func (p *published[T]) forget(tenant, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = time.Now()
	delete(p.known, publishedKey{tenant, name})
}

// forgetAll drops everything, after a call that may have changed any.
func (p *published[T]) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = time.Now()
	clear(p.known)
}

var errNoPublishedBuild = errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD",
	"the model has no published build; train it with: dbslm train PATH")
