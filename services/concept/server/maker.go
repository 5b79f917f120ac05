package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/store"
)

const (
	// buildTime bounds making one build.
	buildTime = 2 * time.Minute
	// smallBot is the number of examples up to which a decision waits for the build of a change. Above it, the published
	// build goes on deciding meanwhile.
	smallBot = 2000
)

// maker makes builds: of the changes of a bot one at a time, and on request one at a time in this process. Replicas may make the same build at once: it is the same, being a
// function of the set of examples, and of those made automatically the one that comes second is dropped.
type maker struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time

	turn   chan struct{} // holds one while a build is made on request
	life   context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	making map[concept.Bot]*making
}

// making is a build in progress.
type making struct {
	done chan struct{}
	err  error
}

func newMaker(s *store.Store, log *slog.Logger, now func() time.Time) *maker {
	m := &maker{store: s, log: log, now: now, turn: make(chan struct{}, 1), making: map[concept.Bot]*making{}}
	m.life, m.end = context.WithCancel(context.Background())
	return m
}

// close ends what is being built and waits for that.
func (m *maker) close() {
	m.end()
	m.wg.Wait()
}

// refresh has the bot built of its examples of now. It waits for that where nothing is published yet or the bot is small.
func (m *maker) refresh(ctx context.Context, name concept.Bot, state store.State) error {
	running, err := m.start(name)
	if err != nil {
		return err
	}
	if state.Published != 0 {
		published, err := m.store.Build(ctx, name, state.Published)
		if err != nil && errors.KindOf(err) != errors.NotFound {
			return err
		}
		if err == nil && published.Examples > smallBot && published.Formula == predict.Formula {
			return nil
		}
	}
	select {
	case <-running.done:
		return running.err
	case <-ctx.Done():
		return errors.Wrap(context.Cause(ctx), errors.DeadlineExceeded, "CONCEPT_BUILD_RUNNING", "the bot's examples are being built; try again")
	}
}

// start begins a build that is published automatically, unless one is being made.
func (m *maker) start(name concept.Bot) (*making, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.Err() != nil {
		return nil, errors.New(errors.Unavailable, "SHUTTING_DOWN", "the service is shutting down")
	}
	if running := m.making[name]; running != nil {
		return running, nil
	}
	running := &making{done: make(chan struct{})}
	m.making[name] = running
	m.wg.Go(func() {
		defer close(running.done)
		ctx, cancel := context.WithTimeout(m.life, buildTime)
		defer cancel()
		_, running.err = m.make(ctx, name, store.Automatically)
		if running.err != nil {
			m.log.Warn("a build of a bot failed", "tenant", name.Tenant, "bot", name.Name, "error", running.err)
		}
		m.mu.Lock()
		delete(m.making, name)
		m.mu.Unlock()
	})
	return running, nil
}

// onRequest makes a build that somebody asks for; those asked for at once take turns.
func (m *maker) onRequest(ctx context.Context, name concept.Bot, how store.Publishing) (uint32, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
		return m.make(ctx, name, how)
	case <-ctx.Done():
		return 0, errors.Wrap(context.Cause(ctx), errors.Aborted, "CONCEPT_BUILD_RUNNING", "other builds are being made; try again")
	}
}

// make derives a build from the bot's examples and stores it; it is 0 when another was quicker.
func (m *maker) make(ctx context.Context, name concept.Bot, how store.Publishing) (uint32, error) {
	examples, version, err := m.store.ExampleSet(ctx, name)
	if err != nil {
		return 0, err
	}
	id, err := m.store.AddBuild(ctx, name, predict.Train(concept.Training(examples)), version, how, m.now())
	if err != nil || id == 0 {
		return 0, err
	}
	return id, m.store.DropOldBuilds(ctx, name, store.KeptBuilds)
}
