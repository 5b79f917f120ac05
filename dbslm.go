// Package dbslm opens a whole DB-SLM in the calling program: the three levels and the gateway over them, in a
// few lines.
//
//	sys, err := dbslm.Open(ctx, dbslm.Config{DB: "var/dbslm", Create: true})
//	if err != nil { … }
//	defer sys.Close()
//	started, err := sys.Gateway().StartConversation(ctx, &gatewayv1.StartConversationRequest{})
//	reply, err := sys.Gateway().Respond(ctx, &gatewayv1.RespondRequest{
//		ConversationId: started.Conversation.ConversationId,
//		Text:           "Remind me what we discussed.",
//	})
//
// It is the composition root: the only place that names the implementation of every service. Services in the
// process speak to each other over in-memory connections through the same interceptor chain as over the
// network, so that one process and four behave alike.
package dbslm

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"dbslm/gateway"
	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	"dbslm/pkg/telemetry"
	"dbslm/pkg/telemetry/statements"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"google.golang.org/grpc"
)

// Service names one of the four services.
type Service string

// The services.
const (
	Ngram   Service = "ngram"   // level 1: what word comes next
	Memory  Service = "memory"  // level 2: what was said, what was corrected
	Concept Service = "concept" // level 3: what to say as a whole span
	Gateway Service = "gateway" // the pipeline over them, the public API
)

// Services lists all services, in the order in which they start.
func Services() []Service { return []Service{Ngram, Memory, Concept, Gateway} }

// Config says what to open. Only DB is needed; it is not needed by a gateway whose peers are all elsewhere.
type Config struct {
	// DB is where the data live: a directory (embedded), ":memory:" (ends with the process), or
	// "mysql://user:password@host:3306/". See database.ParseTarget.
	DB string
	// Create makes a missing embedded store. Without it a missing one is an error, so that a mistyped path never
	// answers from an empty model.
	Create bool
	// Services run in this process; none means all four.
	Services []Service
	// Peers are the addresses (host:port) of services that run elsewhere and that the gateway needs.
	Peers map[Service]string
	// ServerTLS makes the services demand TLS of their listeners (see rpc.ServerTLS); nil serves plain text.
	ServerTLS *tls.Config
	// PeerTLS makes peers be reached over TLS (see rpc.PeerTLS).
	PeerTLS *tls.Config
	// PlaintextPeers allows peers to be reached over a network without TLS.
	PlaintextPeers bool
	// ResidentBytes bounds the memory of models that are held whole, which is the fastest way to serve them: 10 to 25 bytes
	// for every n-gram. A model that does not fit is served from its tables and a cache. 0 means 1 GiB, below 0 none is held.
	ResidentBytes int64
	// ResidentDir is a directory for local files derived from the tables, from which models held whole are mapped into memory;
	// a file is removed when its build does not serve any more. Default: "resident" in an embedded store, else "dbslm" in
	// the user's cache directory.
	ResidentDir string
	// Warm makes models ready before they are asked for. Otherwise a model is first served from its tables, and held whole
	// once it was asked so much that this pays.
	Warm bool
	// MaxTurns limits the replies, explanations and replays that the gateway works on at once; more are refused with
	// ResourceExhausted. 0 means 256.
	MaxTurns int
	// StatementTimeout ends a single SQL statement that runs longer; 0 leaves it to the call's deadline.
	StatementTimeout time.Duration
	// Telemetry receives logs, metrics and traces; nil discards them.
	Telemetry *telemetry.Telemetry
	// Version is reported by GetStatus; default "dev".
	Version string
}

// System is an open DB-SLM. It is safe for concurrent use.
type System struct {
	servers map[Service]*rpc.Server
	conns   map[Service]grpc.ClientConnInterface
	closers []func() error // in the order of opening

	closing  sync.Once
	closeErr error
}

// Open opens the services of the configuration. An embedded store is migrated by it; a server's schema must be
// migrated before, by Migrate or "dbslm migrate", and an older or unknown one is refused.
func Open(ctx context.Context, config Config) (*System, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	sys := &System{servers: map[Service]*rpc.Server{}, conns: map[Service]grpc.ClientConnInterface{}}
	if err := sys.open(ctx, config); err != nil {
		return nil, errors.Join(err, sys.Close())
	}
	return sys, nil
}

func (c *Config) validate() error {
	if len(c.Services) == 0 {
		c.Services = Services()
	}
	for _, s := range c.Services {
		if !slices.Contains(Services(), s) {
			return errors.New(errors.InvalidArgument, "UNKNOWN_SERVICE",
				"there is no service %q; name ngram, memory, concept or gateway", string(s))
		}
	}
	if !slices.Contains(c.Services, Gateway) {
		return nil
	}
	for _, s := range Services()[:3] {
		if !slices.Contains(c.Services, s) && c.Peers[s] == "" {
			return errors.New(errors.InvalidArgument, "PEER_MISSING",
				"the gateway needs the %s service: run it here too, or give its address with --%s-addr", s, s)
		}
	}
	return nil
}

func (s *System) open(ctx context.Context, config Config) error {
	options := rpc.Options{AllowPlaintext: config.PlaintextPeers, ServerTLS: config.ServerTLS, PeerTLS: config.PeerTLS}
	if t := config.Telemetry; t != nil {
		options.Logger, options.Registerer, options.TracerProvider = t.Logger, t.Registry, t.TracerProvider
	}
	var target database.Target
	if slices.ContainsFunc(config.Services, func(s Service) bool { return s != Gateway }) {
		var err error
		if target, err = database.ParseTarget(config.DB); err != nil {
			return err
		}
	}
	for _, name := range Services()[:3] {
		if err := s.openLevel(ctx, name, target, config, options); err != nil {
			return err
		}
	}
	if !slices.Contains(config.Services, Gateway) {
		return nil
	}
	gate := gateway.New(
		gateway.Peers{Ngram: s.conns[Ngram], Memory: s.conns[Memory], Concept: s.conns[Concept]},
		gateway.Options{
			Version: config.Version, Logger: options.Logger, MaxTurns: config.MaxTurns,
			Dial: func(address string) (*grpc.ClientConn, error) { return rpc.Dial(address, options) },
		},
	)
	s.closers = append(s.closers, gate.Close)
	s.serve(Gateway, gate, options)
	return nil
}

// hedgeAfter is many times what a call that only reads takes at a peer, and a small part of what a person would wait for.
const hedgeAfter = 200 * time.Millisecond

// openLevel opens one level here, or dials it where it runs.
func (s *System) openLevel(ctx context.Context, name Service, target database.Target, config Config, options rpc.Options) error {
	if !slices.Contains(config.Services, name) {
		if config.Peers[name] == "" {
			return nil
		}
		options.HedgeAfter = hedgeAfter
		conn, err := rpc.Dial(config.Peers[name], options)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, conn.Close)
		s.conns[name] = conn
		return nil
	}
	level := levels[name]
	db, err := openSchema(ctx, target, level.schema, config, options.Logger)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, db.Close)
	service := level.open(db, opening{config, target, options.Logger})
	s.closers = append(s.closers, service.Close)
	s.serve(name, service, options)
	return nil
}

func (s *System) serve(name Service, service rpc.Service, options rpc.Options) {
	server := rpc.NewServer(options, service)
	s.closers = append(s.closers, server.Close)
	s.servers[name] = server
	s.conns[name] = server.Local()
}

func openSchema(ctx context.Context, target database.Target, schema database.Schema, config Config, logger *slog.Logger) (*database.DB, error) {
	options := database.Options{
		Logger:           logger,
		MustExist:        !config.Create && !target.Memory(),
		StatementTimeout: config.StatementTimeout,
	}
	if config.Telemetry != nil {
		options.Observer = statements.Observe(config.Telemetry)
	}
	db, err := database.Open(ctx, target, schema, options)
	if err != nil {
		return nil, err
	}
	if config.Telemetry != nil { // a second system in one process shares the first one's metrics
		_ = config.Telemetry.Registry.Register(statements.Pools(db))
	}
	prepare := db.CheckSchema
	if target.Embedded() {
		prepare = func(ctx context.Context) error { _, err := db.Migrate(ctx); return err }
	}
	if err := prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Conn is the gateway's connection: GatewayService and the administrative services of the levels. It is nil
// when the gateway does not run here.
func (s *System) Conn() grpc.ClientConnInterface { return s.conns[Gateway] }

// ConnTo is the connection to one service, in this process or elsewhere; nil when it is neither.
func (s *System) ConnTo(name Service) grpc.ClientConnInterface { return s.conns[name] }

// Gateway is the client of the public API, over Conn.
func (s *System) Gateway() gatewayv1.GatewayServiceClient {
	return gatewayv1.NewGatewayServiceClient(s.Conn())
}

// Ready returns nil while every service here can do its work.
func (s *System) Ready(ctx context.Context) error {
	var errs []error
	for _, name := range Services() {
		if server := s.servers[name]; server != nil {
			errs = append(errs, server.Ready(ctx))
		}
	}
	return errors.Join(errs...)
}

// Serve answers calls to services of this process on the given listeners until ctx ends or a listener dies,
// then drains. It owns the listeners. The gateway drains first, its peers after it.
func (s *System) Serve(ctx context.Context, listeners map[Service]net.Listener) error {
	for name := range listeners {
		if s.servers[name] == nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return errors.New(errors.InvalidArgument, "NOT_SERVED_HERE", "the %s service does not run in this process", name)
		}
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	peers, stopPeers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPeers()

	var serving sync.WaitGroup
	errs := make(chan error, len(listeners))
	begin := func(ctx context.Context, name Service) {
		serving.Go(func() {
			errs <- s.servers[name].Serve(ctx, listeners[name])
			stop() // whichever ends first ends all
		})
	}
	gatewayDone := make(chan struct{})
	for name := range listeners {
		if name != Gateway {
			begin(peers, name)
		}
	}
	if lis, ok := listeners[Gateway]; ok {
		serving.Go(func() {
			defer close(gatewayDone)
			errs <- s.servers[Gateway].Serve(run, lis)
			stop()
		})
	} else {
		close(gatewayDone)
	}
	<-run.Done()
	<-gatewayDone
	stopPeers()
	serving.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Close ends every call in progress and closes the stores. It may be called more than once.
func (s *System) Close() error {
	s.closing.Do(func() {
		var errs []error
		for _, close := range slices.Backward(s.closers) {
			errs = append(errs, close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
