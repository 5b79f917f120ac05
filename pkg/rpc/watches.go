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
	draining context.Context
	end      context.CancelFunc
}

func newWatches(server *health.Server) *watches {
	w := &watches{Server: server}
	w.draining, w.end = context.WithCancel(context.Background())
	return w
}

// drain reports NOT_SERVING for every name, for good, and ends the watchers once they have been told.
func (w *watches) drain() {
	w.Server.Shutdown()
	w.end()
}

// Watch streams the health of one service until the client leaves or the server drains.
func (w *watches) Watch(req *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	watcher := &watcher{Health_WatchServer: stream, ctx: ctx, cancel: cancel}
	stop := context.AfterFunc(w.draining, watcher.drain)
	defer stop()
	err := w.Server.Watch(req, watcher)
	if stream.Context().Err() == nil && w.draining.Err() != nil {
		return nil // the server ended it
	}
	return err
}

type watcher struct {
	healthpb.Health_WatchServer
	ctx    context.Context
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
