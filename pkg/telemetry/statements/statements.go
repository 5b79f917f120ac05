// Package statements makes the statements and connection pools of a store visible: as Prometheus metrics,
// as spans below the call that caused them, and, when they are slow, in the log.
//
// It stands beside package telemetry rather than in it, so that a process without a store (the gateway)
// does not link the database drivers.
package statements

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// slow is when a statement is worth a line in the log. Serving reads take well under a millisecond and
// batches of a build tens of them.
const slow = time.Second

// Observe returns an observer for database.Options that records every statement of a store: the histogram
// <schema>_statement_seconds and the counter <schema>_statement_failures_total, labelled with the verb and
// table, and a span where the calling request is traced. Arguments are never seen. Several stores may use
// one observer.
func Observe(t *telemetry.Telemetry) database.Observer {
	o := &observer{registry: t.Registry, logger: t.Logger, metrics: make(map[string]*schemaMetrics)}
	if t.TracerProvider != nil {
		o.tracer = t.TracerProvider.Tracer("dbslm/pkg/telemetry/statements")
	}
	return o
}

type observer struct {
	registry prometheus.Registerer
	logger   *slog.Logger
	tracer   trace.Tracer // nil when tracing is off

	mu      sync.Mutex
	metrics map[string]*schemaMetrics // by schema
}

type schemaMetrics struct {
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

// Statement implements database.Observer.
func (o *observer) Statement(ctx context.Context, s database.Statement) {
	m := o.metricsOf(s.Schema)
	m.seconds.WithLabelValues(s.Name).Observe(s.Duration.Seconds())
	failed := s.Err != nil && !errors.Is(s.Err, database.ErrNoRows)
	if failed {
		m.failures.WithLabelValues(s.Name, errors.KindOf(s.Err).String()).Inc()
	}
	o.span(ctx, s, failed)
	if s.Duration >= slow && !definition(s.Name) {
		o.logger.LogAttrs(ctx, slog.LevelWarn, "slow statement",
			slog.String("schema", s.Schema),
			slog.String("statement", s.Name),
			slog.Int64("rows", s.Rows),
			slog.Float64("took_ms", float64(s.Duration.Microseconds())/1000),
		)
	}
}

// definition says whether a statement is of a migration: those take as long as their tables are large.
func definition(name string) bool {
	verb, _, _ := strings.Cut(name, " ")
	return verb == "CREATE" || verb == "ALTER" || verb == "DROP"
}

// span is added only below a recorded one: background work would fill the collector with roots.
func (o *observer) span(ctx context.Context, s database.Statement, failed bool) {
	if o.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	end := time.Now()
	_, span := o.tracer.Start(ctx, s.Name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(end.Add(-s.Duration)),
		trace.WithAttributes(
			attribute.String("db.namespace", s.Schema),
			attribute.String("db.query.text", s.SQL),
			attribute.Int64("db.response.returned_rows", s.Rows),
		))
	if failed {
		span.SetStatus(codes.Error, errors.KindOf(s.Err).String())
	}
	span.End(trace.WithTimestamp(end))
}

func (o *observer) metricsOf(schema string) *schemaMetrics {
	o.mu.Lock()
	defer o.mu.Unlock()
	m, ok := o.metrics[schema]
	if !ok {
		m = &schemaMetrics{
			seconds: register(o.registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Name:    schema + "_statement_seconds",
				Help:    "Time of SQL statements, from sending to the last row, by verb and table.",
				Buckets: []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 10},
			}, []string{"statement"})),
			failures: register(o.registry, prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: schema + "_statement_failures_total",
				Help: "SQL statements that failed, by verb and table and by kind of error; retried ones included.",
			}, []string{"statement", "kind"})),
		}
		o.metrics[schema] = m
	}
	return m
}

// register adds a collector, or finds the one that another observer of the process added before.
func register[C prometheus.Collector](registry prometheus.Registerer, collector C) C {
	err := registry.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return collector
}

// Pools returns a collector of a store's connection pools: <schema>_pool_connections by pool and state,
// <schema>_pool_waits_total and <schema>_pool_wait_seconds_total by pool. Register it once for each store.
func Pools(db *database.DB) prometheus.Collector {
	schema := db.Schema().Name
	return &pools{
		db:          db,
		connections: prometheus.NewDesc(schema+"_pool_connections", "Open connections to the store.", []string{"pool", "state"}, nil),
		waits:       prometheus.NewDesc(schema+"_pool_waits_total", "Times that a statement had to wait for a connection.", []string{"pool"}, nil),
		waited:      prometheus.NewDesc(schema+"_pool_wait_seconds_total", "Time that statements waited for a connection.", []string{"pool"}, nil),
	}
}

type pools struct {
	db                         *database.DB
	connections, waits, waited *prometheus.Desc
}

func (p *pools) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.connections
	ch <- p.waits
	ch <- p.waited
}

func (p *pools) Collect(ch chan<- prometheus.Metric) {
	for pool, stats := range p.db.Stats() {
		ch <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, float64(stats.InUse), pool, "in_use")
		ch <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, float64(stats.Idle), pool, "idle")
		ch <- prometheus.MustNewConstMetric(p.waits, prometheus.CounterValue, float64(stats.WaitCount), pool)
		ch <- prometheus.MustNewConstMetric(p.waited, prometheus.CounterValue, stats.WaitDuration.Seconds(), pool)
	}
}
