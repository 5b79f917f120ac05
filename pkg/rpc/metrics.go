package rpc

import (
	"strings"

	"dbslm/pkg/errors"

	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// metrics holds the collectors of this package. Without a registerer they count into the void, which is
// cheaper than a branch at every use.
type metrics struct {
	server  *grpcprometheus.ServerMetrics
	client  *grpcprometheus.ClientMetrics
	panics  *prometheus.CounterVec
	outside *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	// From a look-up in memory (50 µs) to a long reply.
	buckets := []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
	return &metrics{
		server: register(registerer, grpcprometheus.NewServerMetrics(
			grpcprometheus.WithServerCounterOptions(grpcprometheus.WithNamespace("dbslm")),
			grpcprometheus.WithServerHandlingTimeHistogram(
				grpcprometheus.WithHistogramNamespace("dbslm"), grpcprometheus.WithHistogramBuckets(buckets)),
		)),
		client: register(registerer, grpcprometheus.NewClientMetrics(
			grpcprometheus.WithClientCounterOptions(grpcprometheus.WithNamespace("dbslm")),
			grpcprometheus.WithClientHandlingTimeHistogram(
				grpcprometheus.WithHistogramNamespace("dbslm"), grpcprometheus.WithHistogramBuckets(buckets)),
		)),
		panics: register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbslm_rpc_panics_total",
			Help: "Handlers that panicked; each is a bug, and its call was answered Internal.",
		}, []string{"grpc_service", "grpc_method"})),
		outside: register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dbslm_rpc_outside_failures_total",
			Help: "Calls that failed before or after their handler: too large, not encodable, unknown, or cut off.",
		}, []string{"grpc_code"})),
	}
}

// register adds a collector, or finds the one that another server of this process added before.
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

func (m *metrics) panic(fullMethod string) {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	m.panics.WithLabelValues(service, method).Inc()
}

func (m *metrics) outsideFailure(code codes.Code) {
	m.outside.WithLabelValues(code.String()).Inc()
}
