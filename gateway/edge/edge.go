// Package edge is the gateway's door for HTTP: a page for people, the API that clients of OpenAI speak, and every RPC of the public
// API as JSON.
//
//	request → guard (who may ask, how much, how long) → routes → a handler → the gateway's public gRPC API
//
// It is a client of that API over a connection and knows no service, no pipeline and no store: whatever it answers, a program
// could have asked over gRPC. guard.go holds what is the same for every request, answer.go the one table between errors and
// HTTP, transcode.go the RPCs as JSON, page.go the page; the other files are OpenAI's API. See docs/http.md and
// docs/decisions/0096 to 0098 and 0100.
package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// Options configure the door. The zero value is usable.
type Options struct {
	// Hosts are names under which the door may be reached, besides localhost and addresses.
	Hosts []string
	// Logger receives a line for each request; default none.
	Logger *slog.Logger
	// Registerer receives the metrics dbslm_gateway_http_*; nil collects none.
	Registerer prometheus.Registerer
	// MaxRequests limits the requests that are answered at once; more are refused with 429. Default 256.
	MaxRequests int
	// MaxConns limits the connections; more wait to be accepted. Default 1024.
	MaxConns int
	// MaxBody limits the body of a request in bytes, or one message of a stream. Default 8 MiB, as much as gRPC takes.
	MaxBody int64
	// Patience is how long a client may take to send its header, to send a piece of its body, and to take a piece of the answer.
	// Default 10 s.
	Patience time.Duration
	// Timeout bounds a request of OpenAI's API. Default 5 minutes.
	Timeout time.Duration
	// DrainTimeout is how long running requests may go on once the door closes. Default 10 s.
	DrainTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxRequests = orDefault(o.MaxRequests, 256)
	o.MaxConns = orDefault(o.MaxConns, 1024)
	o.MaxBody = orDefault(o.MaxBody, 8<<20)
	o.Patience = orDefault(o.Patience, 10*time.Second)
	o.Timeout = orDefault(o.Timeout, 5*time.Minute)
	o.DrainTimeout = orDefault(o.DrainTimeout, 10*time.Second)
	return o
}

func orDefault[T int | int64 | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}

// Edge answers HTTP requests.
type Edge struct {
	options Options
	conn    grpc.ClientConnInterface
	observe *observer
	places  chan struct{} // one for each request that is answered
	rpcs    http.Handler  // the RPCs as JSON
	page    map[string]route

	gateway       gatewayv1.GatewayServiceClient
	models        ngramv1.ModelServiceClient
	inference     ngramv1.InferenceServiceClient
	conversations memoryv1.ConversationServiceClient
}

// New returns a door to the gateway behind conn. It dials nothing and starts nothing.
func New(conn grpc.ClientConnInterface, options Options) *Edge {
	options = options.withDefaults()
	return &Edge{
		options:       options,
		conn:          conn,
		observe:       newObserver(options),
		places:        make(chan struct{}, options.MaxRequests),
		rpcs:          transcoder(conn, options.MaxBody),
		page:          pageRoutes(),
		gateway:       gatewayv1.NewGatewayServiceClient(conn),
		models:        ngramv1.NewModelServiceClient(conn),
		inference:     ngramv1.NewInferenceServiceClient(conn),
		conversations: memoryv1.NewConversationServiceClient(conn),
	}
}

// route is what answers one path.
type route struct {
	name    string // label of metrics
	methods map[string]http.HandlerFunc
}

// find returns the route of a path. Paths are compared as they are: nothing is cleaned, decoded twice or redirected.
func (e *Edge) find(path string) (route, bool) {
	switch path {
	case "/v1/models":
		return route{path, map[string]http.HandlerFunc{http.MethodGet: e.listModels}}, true
	case "/v1/tokenize":
		return route{path, map[string]http.HandlerFunc{http.MethodPost: e.tokenize}}, true
	case "/v1/chat/completions":
		return route{path, map[string]http.HandlerFunc{http.MethodPost: e.chat}}, true
	case "/v1/completions":
		return route{path, map[string]http.HandlerFunc{http.MethodPost: e.complete}}, true
	case "/healthz":
		return route{path, map[string]http.HandlerFunc{http.MethodGet: e.healthy}}, true
	}
	if name, ok := strings.CutPrefix(path, "/v1/models/"); ok && name != "" && !strings.Contains(name, "/") {
		return route{"/v1/models/{model}", map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, r *http.Request) { e.getModel(w, r, name) }}}, true
	}
	if found, ok := e.page[path]; ok {
		return found, true
	}
	if isMethod(path) {
		return route{"rpc", map[string]http.HandlerFunc{http.MethodPost: e.rpcs.ServeHTTP}}, true
	}
	return route{}, false
}

// Serve answers on lis until ctx ends, lets running requests finish for the drain time and cancels the rest. It returns nil
// after a clean end, and an error when the listener dies. It owns lis.
func (e *Edge) Serve(ctx context.Context, lis net.Listener) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           e.Handler(),
		BaseContext:       func(net.Listener) context.Context { return work },
		ReadHeaderTimeout: e.options.Patience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(e.options.Logger.Handler(), slog.LevelDebug), // broken connections of clients
	}
	died := make(chan error, 1)
	go func() { died <- server.Serve(limited(lis, e.options.MaxConns)) }()
	select {
	case err := <-died:
		return errors.Wrap(err, errors.Unavailable, "LISTENER_FAILED", "the HTTP listener on %s failed", lis.Addr())
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(work, e.options.DrainTimeout)
	defer stop()
	if err := server.Shutdown(grace); err != nil { // requests outlast the drain time: cancel them, then cut their connections
		cancel()
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		if server.Shutdown(last) != nil {
			_ = server.Close()
		}
	}
	if err := <-died; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
