package telemetry

import (
	"context"
	"net"
	"net/http"
	"time"

	"dbslm/pkg/errors"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics in the Prometheus text format and /healthz, which answers 200 "ok" while ready
// returns nil and 503 with the public text of its error otherwise. A nil ready is always ready.
func (t *Telemetry) Handler(ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{Registry: t.Registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if ready != nil {
			if err := ready(r.Context()); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(errors.Public(err) + "\n"))
				return
			}
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

// Serve answers HTTP requests for Handler(ready) on lis until ctx ends, then closes within 2 s and returns
// nil; it returns an error when the listener dies before. It owns lis.
func (t *Telemetry) Serve(ctx context.Context, lis net.Listener, ready func(context.Context) error) error {
	server := &http.Server{
		Handler:           t.Handler(ready),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	died := make(chan error, 1)
	go func() { died <- server.Serve(lis) }()
	select {
	case err := <-died:
		return errors.Wrap(err, errors.Unavailable, "LISTENER_FAILED", "the metrics listener on %s failed", lis.Addr())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = server.Close() // a scrape that outlasts the grace is cut off
	}
	if end := <-died; err == nil && !errors.Is(end, http.ErrServerClosed) {
		err = end
	}
	return err
}
