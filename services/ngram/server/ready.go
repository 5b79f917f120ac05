package server

import (
	"context"
	"time"

	"dbslm/pkg/errors"
	"dbslm/services/ngram/store"
)

const (
	// warmEvery is how often a server that keeps builds ready looks for new ones, which other processes may publish;
	// sweepEvery is how often any server looks for local files of builds that ended elsewhere.
	warmEvery  = 2 * time.Second
	sweepEvery = time.Minute
	// sweepTimeout is what sweeping may add to the call that published or dropped a build.
	sweepTimeout = 10 * time.Second
)

// served follows a build that began or ceased to serve, or was dropped, in this process: when the call that did it returns, no
// local file of a build that does not serve is left.
func (s *Server) served(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTimeout)
	defer cancel()
	s.sweep(ctx)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Server) sweep(ctx context.Context) {
	removed, err := s.reader.Sweep(ctx)
	s.unswept.Store(err != nil)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.WarnContext(ctx, "local files of builds that do not serve could not be removed; the next attempt goes on", "error", err)
	case len(removed) > 0:
		s.log.InfoContext(ctx, "removed local files of builds that do not serve", "files", removed)
	}
}

// refresh keeps local files and memory in step with what serves, until Close.
func (s *Server) refresh() {
	wait := sweepEvery
	if s.warm {
		wait = warmEvery
	}
	every := time.NewTicker(wait)
	defer every.Stop()
	ready := map[store.Served]bool{}
	swept := time.Time{}
	for {
		if time.Since(swept) >= sweepEvery || s.unswept.Load() {
			s.sweep(s.lifetime)
			swept = time.Now()
		}
		if s.warm {
			ready = s.makeReady(ready)
		}
		select {
		case <-s.lifetime.Done():
			return
		case <-every.C:
		case <-s.changed:
		}
	}
}

// makeReady makes what serves ready, as far as it is not, and returns what is.
func (s *Server) makeReady(before map[store.Served]bool) map[store.Served]bool {
	serving, err := s.reader.Serving(s.lifetime)
	if err != nil {
		if s.lifetime.Err() == nil {
			s.log.WarnContext(s.lifetime, "the builds that serve cannot be listed", "error", err)
		}
		return before
	}
	ready := map[store.Served]bool{}
	moved := false
	for _, served := range serving {
		if !before[served] {
			moved = true
			whole, err := s.reader.Prepare(s.lifetime, served.Tenant, served.Model)
			if err == nil && !whole {
				err = s.reader.Warm(s.lifetime, served.Tenant, served.Model)
			}
			if s.lifetime.Err() != nil {
				return before
			}
			if err != nil {
				s.log.WarnContext(s.lifetime, "a model is not ready before it is asked for", "model", served.Model, "error", err)
			}
			if errors.KindOf(err) == errors.Unavailable { // the database is down; once it is back, the model is made ready
				continue
			}
		}
		ready[served] = true
	}
	if moved || len(ready) < len(before) {
		s.sweep(s.lifetime) // what served before in other processes' files
	}
	return ready
}
