package rpc

import (
	"context"
	"net"
	"sync"
	"time"

	"dbslm/pkg/errors"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"
)

// Server offers services to peers over listeners (Serve) and in this process (Local), with health
// (grpc.health.v1) and reflection beside them.
type Server struct {
	options Options
	grpc    *grpc.Server
	monitor *monitor
	watches *watches
	local   *bufconn.Listener

	start      sync.Once
	background sync.WaitGroup     // monitor and in-memory listener
	end        context.CancelFunc // of the monitor; nil before it runs

	stop     sync.Once
	stopErr  error
	stopping chan struct{}

	mu     sync.Mutex
	conns  []*grpc.ClientConn // made by Local
	closed bool               // and closed
}

// NewServer registers the services. Nothing runs before Serve or Local. See Options.Validate for settings
// that come from people.
func NewServer(options Options, services ...Service) *Server {
	options = options.withDefaults()
	observer := &observer{logger: options.Logger, metrics: newMetrics(options.Registerer)}
	s := &Server{
		options:  options,
		grpc:     grpc.NewServer(serverOptions(options, observer)...),
		monitor:  newMonitor(options.Logger, options.HealthInterval),
		local:    bufconn.Listen(localBuffer),
		stopping: make(chan struct{}),
	}
	for _, service := range services {
		names := &nameRecorder{ServiceRegistrar: s.grpc}
		service.Register(names)
		s.monitor.add(names.names, service.Ready)
	}
	s.watches = newWatches(s.monitor.health)
	healthpb.RegisterHealthServer(s.grpc, s.watches)
	reflection.Register(s.grpc) // v1 and v1alpha
	return s
}

// localBuffer is the capacity of one direction of an in-memory connection; a larger message flows in parts.
const localBuffer = 256 << 10

// nameRecorder remembers which gRPC services a Service consists of.
type nameRecorder struct {
	grpc.ServiceRegistrar
	names []string
}

func (r *nameRecorder) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	r.names = append(r.names, desc.ServiceName)
	r.ServiceRegistrar.RegisterService(desc, implementation)
}

// run starts what serves every kind of peer, and returns once the health of each service is known.
func (s *Server) run() {
	s.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		s.end = cancel
		checked := make(chan struct{})
		s.background.Go(func() { s.monitor.run(ctx, func() { close(checked) }) })
		s.background.Go(func() { _ = s.grpc.Serve(s.local) }) // ends by Stop only: memory does not fail
		<-checked                                             // at most one health interval
	})
}

// Serve answers calls on the listeners until ctx ends, Close is called or one of the listeners fails. Then
// it reports NOT_SERVING, refuses new calls, lets running ones finish for DrainTimeout and cancels the
// rest. It returns nil after a clean end, and otherwise what failed. It owns the listeners. Without a
// listener it only keeps the health checks and Local running.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	s.run()
	died := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, lis := range listeners {
		serving.Go(func() {
			err := s.grpc.Serve(netutil.LimitListener(lis, s.options.MaxConns))
			if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				died <- errors.Wrap(err, errors.Unavailable, "LISTENER_FAILED", "the listener on %s failed", lis.Addr())
			}
		})
	}
	var cause error
	select {
	case <-ctx.Done():
	case <-s.stopping:
	case cause = <-died:
		s.options.Logger.ErrorContext(ctx, "listener failed; stopping", "error", cause)
	}
	err := s.Close() // closes the listeners too
	if err == nil {
		serving.Wait()
	}
	return errors.Join(cause, err)
}

// Local returns a new connection to this server within the process: through the whole chain, without a
// socket. Its errors are those of Dial's connections. It is closed with the server, or earlier by its user.
func (s *Server) Local() *grpc.ClientConn {
	s.run()
	conn, err := dial("passthrough:///in-process", s.options, insecure.NewCredentials(), grpc.WithContextDialer(
		func(ctx context.Context, _ string) (net.Conn, error) { return s.local.DialContext(ctx) }))
	if err != nil {
		panic(err) // only the options above could be wrong, and they are constants
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, conn)
	if s.closed {
		_ = conn.Close()
	}
	return conn
}

// Ready returns nil when every service was ready at its last check, which is at most a health interval
// old; for /healthz.
func (s *Server) Ready(context.Context) error {
	select {
	case <-s.stopping:
		return errors.New(errors.Unavailable, "STOPPING", "the server is stopping; use another one")
	default:
		return s.monitor.ready()
	}
}

// Close drains and stops the server as the end of Serve does, and closes the connections that Local made.
// It may be called more than once, and returns when the last handler has returned. A handler that ignores
// its cancelled context for another DrainTimeout is left behind and reported as an error.
func (s *Server) Close() error {
	s.stop.Do(func() {
		close(s.stopping)
		s.start.Do(func() {}) // nothing starts any more
		s.watches.drain()     // first, so that balancers look elsewhere
		if s.end != nil {
			s.end()
		}
		s.stopErr = s.drain()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		for _, conn := range s.conns {
			_ = conn.Close() // an error only says that its user closed it before
		}
		_ = s.local.Close()
		if s.stopErr == nil { // gRPC's Serve returns only after the last handler
			s.background.Wait()
		}
	})
	return s.stopErr
}

func (s *Server) drain() error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.grpc.GracefulStop()
	}()
	if waitFor(drained, s.options.DrainTimeout) {
		return nil
	}
	s.options.Logger.Warn("calls still running after the drain time; cancelling them", "drain_timeout", s.options.DrainTimeout)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.Stop()
	}()
	if waitFor(stopped, s.options.DrainTimeout) && waitFor(drained, s.options.DrainTimeout) {
		return nil
	}
	return errors.New(errors.DeadlineExceeded, "HANDLERS_LEFT", "some calls did not end within %v of being cancelled", s.options.DrainTimeout)
}

func waitFor(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
