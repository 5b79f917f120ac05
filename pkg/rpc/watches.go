package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// watches is the health service whose Watch streams end when the server drains. The plain one keeps them
// open for ever, so a single watcher would hold every graceful stop until its timer.
type watches struct {
	*health.Server

	mu       sync.Mutex
	open     map[*watcher]struct{}
	draining bool
}

func newWatches(server *health.Server) *watches {
	return &watches{Server: server, open: make(map[*watcher]struct{})}
}

// drain reports NOT_SERVING for every name, for good, and ends the watchers once they have been told.
func (w *watches) drain() {
	w.Shutdown()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	for watcher := range w.open {
		watcher.drain()
	}
}

// Watch streams the health of one service until the client leaves or the server drains.
func (w *watches) Watch(req *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	watcher := &watcher{Health_WatchServer: stream, ctx: ctx, cancel: cancel}
	w.mu.Lock()
	w.open[watcher] = struct{}{}
	if w.draining {
		watcher.drain()
	}
	w.mu.Unlock()
	err := w.Server.Watch(req, watcher)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, watcher)
	if stream.Context().Err() == nil && w.draining {
		return nil // the server ended it
	}
	return err
}

type watcher struct {
	healthpb.Health_WatchServer
	ctx    context.Context //nolint:containedctx // a stream is asked for its context
	cancel context.CancelFunc

	mu       sync.Mutex
	serving  bool // what the client was told last
	draining bool
}

func (w *watcher) Context() context.Context { return w.ctx }

func (w *watcher) Send(resp *healthpb.HealthCheckResponse) error {
	err := w.Health_WatchServer.Send(resp)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving = resp.GetStatus() == healthpb.HealthCheckResponse_SERVING
	if w.draining && !w.serving {
		w.cancel()
	}
	return err
}

// drain ends the stream at once unless the client still has to hear that the service is going away.
func (w *watcher) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if !w.serving {
		w.cancel()
	}
}
