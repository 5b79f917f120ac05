package edge

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"dbslm/pkg/errors"

	"github.com/prometheus/client_golang/prometheus"
)

// observer writes the log and the metrics of requests. Neither holds a path that a client made up, nor a text.
type observer struct {
	log     *slog.Logger
	seconds *prometheus.HistogramVec
	running prometheus.Gauge
}

func newObserver(o Options) *observer {
	return &observer{
		log: o.Logger,
		seconds: register(o.Registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dbslm_gateway_http_seconds",
			Help:    "Time to answer HTTP requests, to the last byte, by route and status.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route", "status"})),
		running: register(o.Registerer, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dbslm_gateway_http_requests",
			Help: "HTTP requests that are being answered.",
		})),
	}
}

// register adds a collector, or finds the one that another door of this process added before.
func register[C prometheus.Collector](registerer prometheus.Registerer, collector C) C {
	if registerer == nil {
		return collector
	}
	err := registerer.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return collector
}

// answered notes one request: its route, not its path. A panic is a bug, told once and to the log only.
func (o *observer) answered(r *http.Request, route string, status int, took time.Duration, panicked any) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("route", route), slog.String("method", r.Method), slog.Int("status", status),
		slog.Float64("took_ms", float64(took.Microseconds())/1000),
	}
	switch {
	case panicked != nil:
		level = slog.LevelError
		attrs = append(attrs, slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		level = slog.LevelWarn
	}
	o.seconds.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
	o.log.LogAttrs(r.Context(), level, "http", attrs...)
}
