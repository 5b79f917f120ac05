// Package telemetry sets up what an operator sees of a process: its log (slog), its metrics (Prometheus)
// and, when an OTLP endpoint is named, its traces (OpenTelemetry).
//
//	tel, err := telemetry.Setup(telemetry.Config{Service: "dbslm", Version: version})
//	defer tel.Close(ctx)
//	options := rpc.Options{Logger: tel.Logger, Registerer: tel.Registry, TracerProvider: tel.TracerProvider}
//	go tel.Serve(ctx, listener, server.Ready) // /metrics and /healthz
//
// Nothing here is a process-wide global: two systems in one process have two Telemetry values.
//
// Metrics are named dbslm_<service>_<what>_seconds or _total. Labels hold names of services, methods,
// stores and codes: never a user's text, never an id. The same holds for span attributes and log lines,
// except that a log line may carry ids.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"os"

	"dbslm/pkg/errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
)

// LogFormat chooses how log lines look.
type LogFormat string

// The log formats.
const (
	LogAuto LogFormat = ""     // text on a terminal, JSON elsewhere
	LogText LogFormat = "text" // key=value
	LogJSON LogFormat = "json" // one object a line
)

// Config says what to observe and where to send it. The zero value logs at level info to standard error,
// collects metrics without serving them, and traces nothing.
type Config struct {
	// Service names the process in traces and in the build-info metric; default "dbslm".
	Service string
	// Version is the program's version; default "dev".
	Version string
	// LogLevel is the lowest level that is written; the zero value is info.
	LogLevel slog.Level
	// LogFormat is text, json, or empty for text on a terminal and JSON elsewhere.
	LogFormat LogFormat
	// LogWriter receives the log; default standard error.
	LogWriter io.Writer
	// OTLPEndpoint is the collector that receives spans over OTLP/gRPC: "http://host:4317" in plain text,
	// "https://host:4317" with TLS. Empty turns tracing off.
	OTLPEndpoint string
	// SampleRatio is the share of traces that begin here and are kept, above 0 up to 1; default 1. A trace
	// that a caller began follows the caller's decision.
	SampleRatio float64
}

// Validate reports the first setting that cannot be used, in words for the person who set it.
func (c Config) Validate() error {
	switch c.LogFormat {
	case LogAuto, LogText, LogJSON:
	default:
		return errors.New(errors.InvalidArgument, "BAD_LOG_FORMAT", "log format %q is unknown; use text or json", string(c.LogFormat))
	}
	if c.OTLPEndpoint != "" {
		u, err := url.Parse(c.OTLPEndpoint)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return errors.New(errors.InvalidArgument, "BAD_OTLP_ENDPOINT",
				"OTLP endpoint %q is not a URL; use http://host:4317, or https://host:4317 for TLS", c.OTLPEndpoint)
		}
	}
	if !(c.SampleRatio >= 0 && c.SampleRatio <= 1) {
		return errors.New(errors.InvalidArgument, "BAD_SAMPLE_RATIO", "sample ratio %v is not between 0 and 1", c.SampleRatio)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Service == "" {
		c.Service = "dbslm"
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.LogWriter == nil {
		c.LogWriter = os.Stderr
	}
	if c.SampleRatio == 0 {
		c.SampleRatio = 1
	}
	return c
}

// Telemetry is what Setup made. Its fields are read-only.
type Telemetry struct {
	// Logger writes lines that carry the request and trace ids of their context.
	Logger *slog.Logger
	// Registry holds the metrics of this process, with those of the Go runtime and of the process itself.
	Registry *prometheus.Registry
	// TracerProvider is nil when tracing is off.
	TracerProvider trace.TracerProvider

	stopTracing func(context.Context) error
}

// Setup makes the logger, the metrics registry and, if an endpoint is configured, the tracer provider.
// It dials nothing before the first span is exported; a collector that is down costs spans, not calls.
func Setup(c Config) (*Telemetry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	t := &Telemetry{
		Logger:   NewLogger(c.LogWriter, c.LogFormat, c.LogLevel),
		Registry: prometheus.NewRegistry(),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "dbslm_build_info",
		Help:        "Constant 1, labelled with the service and version of this process.",
		ConstLabels: prometheus.Labels{"service": c.Service, "version": c.Version},
	})
	info.Set(1)
	t.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	if c.OTLPEndpoint != "" {
		provider, stop, err := newTracerProvider(c)
		if err != nil {
			return nil, err
		}
		t.TracerProvider, t.stopTracing = provider, stop
	}
	return t, nil
}

// Close exports the spans that are still in memory and stops the exporter. It waits no longer than ctx
// allows. Close on a process without tracing does nothing.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.stopTracing == nil {
		return nil
	}
	if err := t.stopTracing(ctx); err != nil {
		return errors.Wrap(err, errors.Unavailable, "TRACES_LOST", "the last traces could not be exported")
	}
	return nil
}
