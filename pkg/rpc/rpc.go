// Package rpc is how the services of DB-SLM speak to each other and to the world: one server set-up, one
// interceptor chain, one way to dial, one translation of errors.
//
//	server := rpc.NewServer(options, ngram, memory)     // each implements Service
//	conn, err := server.Local()                         // a peer in this process, through the same chain
//	conn, err := rpc.Dial("memory:7072", options)       // a peer elsewhere
//	err = server.Serve(ctx, listener)                   // until ctx ends, then drains
//
// A call flows through chain.go, which lists every step with its reason, to a handler that contains none
// of it: handlers return values and errors of package errors. status.go turns those into gRPC statuses
// with details, and connections made here turn them back, so a failure keeps its kind, reason, public
// text and metadata over any number of hops while its cause stays in the log where it happened.
package rpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"dbslm/pkg/errors"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// Service is one gRPC service, or a few that share a store.
type Service interface {
	// Register adds the service to a server; it is called once.
	Register(grpc.ServiceRegistrar)
	// Ready returns nil while the service can do its work: its store answers and has a schema it knows.
	// It is called every HealthInterval with a deadline, never twice at the same time.
	Ready(ctx context.Context) error
}

// Options configures servers and connections. The zero value is usable: it logs nothing, counts nothing,
// and takes every default below. A limit of zero means its default.
type Options struct {
	// Logger receives one line for each call, and changes of health; nil discards.
	Logger *slog.Logger
	// Registerer receives the metrics dbslm_grpc_* and dbslm_rpc_*; nil collects none. Several servers and
	// connections may share one.
	Registerer prometheus.Registerer
	// TracerProvider receives a span for each call; nil traces nothing.
	TracerProvider trace.TracerProvider

	// UnaryTimeout is the deadline of a unary call that arrives without one; default 30 s. A client whose
	// call may take longer says so with a deadline of its own.
	UnaryTimeout time.Duration
	// StreamTimeout is the deadline of a streaming call that arrives without one; default none. It ends the
	// handler's context; a handler that waits for the client's next message notices when that comes.
	StreamTimeout time.Duration
	// Headroom is taken off a caller's deadline so that the reply still arrives in time; default 10 ms.
	Headroom time.Duration
	// Floor is the least time, after Headroom, with which a call is begun; default 10 ms.
	Floor time.Duration
	// HedgeAfter is how long a call of a connection that only reads waits for its answer before it is made a second time, at the peer's
	// next address; at most one in twenty is. 0 hedges none.
	HedgeAfter time.Duration
	// MaxRecvBytes limits one message that a server receives; default 8 MiB.
	MaxRecvBytes int
	// MaxSendBytes limits one message that a server sends and a connection receives; default 16 MiB.
	MaxSendBytes int
	// MaxStreams limits the calls that run at once on one connection; default 1024.
	MaxStreams uint32
	// MaxConns limits the connections of one listener; more wait to be accepted. Default 4096.
	MaxConns int
	// HealthInterval is the time between two checks of Ready, and each check's deadline; default 2 s.
	HealthInterval time.Duration
	// DrainTimeout is how long running calls may go on once the server stops; default 10 s.
	DrainTimeout time.Duration

	// ServerTLS makes servers demand TLS of every listener; nil serves plain text.
	ServerTLS *tls.Config
	// PeerTLS makes Dial use TLS; nil dials in plain text, which needs AllowPlaintext unless the peer is on
	// this machine.
	PeerTLS *tls.Config
	// AllowPlaintext lets Dial speak plain text over a network.
	AllowPlaintext bool
}

// Validate reports the first setting that cannot be used, in words for the person who set it.
func (o Options) Validate() error {
	durations := []struct {
		name  string
		value time.Duration
	}{
		{"unary timeout", o.UnaryTimeout},
		{"stream timeout", o.StreamTimeout},
		{"headroom", o.Headroom},
		{"floor", o.Floor},
		{"hedging time", o.HedgeAfter},
		{"health interval", o.HealthInterval},
		{"drain timeout", o.DrainTimeout},
	}
	for _, d := range durations {
		if d.value < 0 {
			return badOption("%s %v is negative; use 0 for the default", d.name, d.value)
		}
	}
	sizes := []struct {
		name  string
		value int
	}{{"largest received message", o.MaxRecvBytes}, {"largest sent message", o.MaxSendBytes}, {"connection limit", o.MaxConns}}
	for _, s := range sizes {
		if s.value < 0 {
			return badOption("%s %d is negative; use 0 for the default", s.name, s.value)
		}
	}
	if d := o.withDefaults(); d.UnaryTimeout < d.Floor {
		return badOption("unary timeout %v is below the floor of %v: every call would be refused", d.UnaryTimeout, d.Floor)
	}
	return nil
}

func badOption(format string, args ...any) error {
	return errors.New(errors.InvalidArgument, "BAD_RPC_OPTION", format, args...)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.UnaryTimeout = orDefault(o.UnaryTimeout, 30*time.Second)
	o.StreamTimeout = max(o.StreamTimeout, 0)
	o.Headroom = orDefault(o.Headroom, 10*time.Millisecond)
	o.Floor = orDefault(o.Floor, 10*time.Millisecond)
	o.MaxRecvBytes = orDefault(o.MaxRecvBytes, 8<<20)
	o.MaxSendBytes = orDefault(o.MaxSendBytes, 16<<20)
	o.MaxStreams = orDefault(o.MaxStreams, 1024)
	o.MaxConns = orDefault(o.MaxConns, 4096)
	o.HealthInterval = orDefault(o.HealthInterval, 2*time.Second)
	o.DrainTimeout = orDefault(o.DrainTimeout, 10*time.Second)
	return o
}

func orDefault[T int | uint32 | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}
