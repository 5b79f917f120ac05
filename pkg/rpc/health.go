package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dbslm/pkg/errors"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// monitor keeps the health service true: every interval it asks each service whether it is ready, and
// publishes the answer under the service's gRPC names, and for all of them together under "".
type monitor struct {
	health   *health.Server
	logger   *slog.Logger
	interval time.Duration

	mu     sync.Mutex
	states []*serviceState
}

type serviceState struct {
	names   []string // gRPC service names
	ready   func(context.Context) error
	checked bool
	err     error
}

func newMonitor(logger *slog.Logger, interval time.Duration) *monitor {
	m := &monitor{health: health.NewServer(), logger: logger, interval: interval}
	m.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return m
}

// add is called before run.
func (m *monitor) add(names []string, ready func(context.Context) error) {
	m.states = append(m.states, &serviceState{names: names, ready: ready, err: errNotChecked()})
	for _, name := range names {
		m.health.SetServingStatus(name, healthpb.HealthCheckResponse_NOT_SERVING)
	}
}

func errNotChecked() error {
	return errors.New(errors.Unavailable, "STARTING", "the service is starting; try again")
}

// run checks until ctx ends. It calls first once every service has been checked.
func (m *monitor) run(ctx context.Context, first func()) {
	var all, once sync.WaitGroup
	once.Add(len(m.states))
	for _, state := range m.states {
		all.Go(func() { m.follow(ctx, state, sync.OnceFunc(once.Done)) })
	}
	once.Wait()
	m.publish() // also when there is nothing to check
	first()
	all.Wait()
}

func (m *monitor) follow(ctx context.Context, state *serviceState, first func()) {
	defer first()
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	var pending chan error // a check that has not come back
	for {
		if pending == nil {
			pending = m.check(ctx, state)
		}
		timeout := time.NewTimer(m.interval)
		select {
		case err := <-pending:
			pending = nil
			m.record(ctx, state, err)
		case <-timeout.C:
			// A driver that ignores its context must not stop the watching, nor pile up checks.
			m.record(ctx, state, errors.New(errors.Unavailable, "NOT_READY", "the service does not answer its own check within %v", m.interval))
		case <-ctx.Done():
			timeout.Stop()
			return
		}
		timeout.Stop()
		first()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *monitor) check(ctx context.Context, state *serviceState) chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, m.interval)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic in Ready: %v", p)
			}
		}()
		done <- state.ready(ctx)
	}()
	return done
}

func (m *monitor) record(ctx context.Context, state *serviceState, err error) {
	if ctx.Err() != nil {
		return // stopping is not a failure
	}
	m.mu.Lock()
	changed := !state.checked || (err == nil) != (state.err == nil)
	state.checked, state.err = true, err
	m.mu.Unlock()
	if !changed {
		return
	}
	if err == nil {
		m.logger.InfoContext(ctx, "service is ready", "services", state.names)
	} else {
		m.logger.WarnContext(ctx, "service is not ready", "services", state.names, "error", err)
	}
	m.publish()
}

func (m *monitor) publish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	overall := healthpb.HealthCheckResponse_SERVING
	for _, state := range m.states {
		serving := healthpb.HealthCheckResponse_SERVING
		if state.err != nil {
			serving, overall = healthpb.HealthCheckResponse_NOT_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
		}
		for _, name := range state.names {
			m.health.SetServingStatus(name, serving)
		}
	}
	m.health.SetServingStatus("", overall)
}

// ready returns nil when every service was ready at its last check, else the first failure.
func (m *monitor) ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, state := range m.states {
		if state.err != nil {
			return errors.Wrap(state.err, errors.Unavailable, "NOT_READY", "%s is not ready: %s", shortName(state.names), errors.Public(state.err))
		}
	}
	return nil
}
