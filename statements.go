package dbslm

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/telemetry"

	"github.com/prometheus/client_golang/prometheus"
)

// statementMetrics counts what the stores' statements cost.
type statementMetrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
}

// statementObserver returns the observer of every store in the process; nil without telemetry.
func statementObserver(t *telemetry.Telemetry) database.Observer {
	if t == nil {
		return nil
	}
	m := &statementMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dbslm_store_statement_seconds",
			Help:    "Time from sending a statement to its last row, by schema and statement.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 4, 10),
		}, []string{"schema", "statement"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbslm_store_statement_errors_total",
			Help: "Statements that failed, by schema, statement and kind of error.",
		}, []string{"schema", "statement", "kind"}),
	}
	m.seconds = register(t.Registry, m.seconds)
	m.errors = register(t.Registry, m.errors)
	return m
}

// register returns the collector that the registry holds, so that stores of one process share their metrics.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}

// Statement implements database.Observer.
func (m *statementMetrics) Statement(_ context.Context, s database.Statement) {
	m.seconds.WithLabelValues(s.Schema, s.Name).Observe(s.Duration.Seconds())
	if s.Err != nil {
		m.errors.WithLabelValues(s.Schema, s.Name, errors.KindOf(s.Err).String()).Inc()
	}
}
