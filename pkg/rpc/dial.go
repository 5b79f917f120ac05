package rpc

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"dbslm/pkg/errors"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Dial returns a connection to the peer at addr: host:port (every address of the host takes its share),
// unix:///path, or passthrough:///host:port to leave the name alone. It does not wait for the peer; a call
// to one that is down fails with Unavailable, after retries if its method is idempotent. Errors from
// calls are *errors.Error and gRPC statuses at once. Plain text over a network needs AllowPlaintext.
func Dial(addr string, options Options) (*grpc.ClientConn, error) {
	target, local, err := parseAddress(addr)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	switch {
	case options.PeerTLS != nil:
		transport = credentials.NewTLS(options.PeerTLS)
	case !local && !options.AllowPlaintext:
		return nil, errors.New(errors.FailedPrecondition, "PLAINTEXT_REFUSED",
			"the peer %s is on another machine and no TLS is configured; name the authority of its certificate, or allow plain text", addr)
	}
	return dial(target, options.withDefaults(), transport)
}

func dial(target string, o Options, transport credentials.TransportCredentials, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	client := newMetrics(o.Registerer).client
	if o.HedgeAfter > 0 {
		more = append(more, grpc.WithChainUnaryInterceptor(newHedger(o.HedgeAfter).unary))
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig()),
		grpc.WithDisableServiceConfig(), // DNS has no say in retries
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(o.MaxSendBytes),
			grpc.WaitForReady(false), // a peer that is down is for the caller to degrade around, not to wait for
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			// gRPC's own maximum is two minutes: too long to notice that a peer came back.
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithChainUnaryInterceptor(client.UnaryClientInterceptor(), callUnary),
		grpc.WithChainStreamInterceptor(client.StreamClientInterceptor(), callStream),
	}, more...)
	if handler := tracingHandler(o, otelgrpc.NewClientHandler); handler != nil {
		options = append(options, grpc.WithStatsHandler(handler))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, errors.Wrap(err, errors.InvalidArgument, reasonBadAddress, "the peer address %q cannot be used; give host:port or unix:///path", target)
	}
	return conn, nil
}

const reasonBadAddress = "BAD_ADDRESS"

// parseAddress returns addr as a gRPC target, and whether it stays on this machine.
func parseAddress(addr string) (target string, local bool, err error) {
	if path, ok := unixPath(addr); ok {
		if path == "" {
			return "", false, badAddress(addr)
		}
		return "unix:" + path, true, nil
	}
	scheme, hostPort := "dns", addr
	if strings.Contains(addr, "://") {
		u, err := url.Parse(addr)
		if err != nil || (u.Scheme != "dns" && u.Scheme != "passthrough") || u.Host != "" {
			return "", false, badAddress(addr)
		}
		scheme, hostPort = u.Scheme, strings.TrimPrefix(u.Path, "/")
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || host == "" || port == "" {
		return "", false, badAddress(addr)
	}
	return scheme + ":///" + hostPort, isLoopback(host), nil
}

func badAddress(addr string) error {
	return errors.New(errors.InvalidArgument, reasonBadAddress, "the address %q cannot be used; give host:port or unix:///path", addr)
}

func unixPath(addr string) (string, bool) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return path, true
	}
	return strings.CutPrefix(addr, "unix:")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// localPlaintext leaves in-memory connections alone: a server with TLS still serves its own process.
type localPlaintext struct {
	credentials.TransportCredentials
}

func (c localPlaintext) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if conn.RemoteAddr().Network() == "bufconn" {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	return c.TransportCredentials.ServerHandshake(conn)
}

func (c localPlaintext) Clone() credentials.TransportCredentials {
	return localPlaintext{c.TransportCredentials.Clone()}
}

// Listen opens a listener at host:port or unix:///path, in the forms that Dial takes. A socket file that
// a dead process left behind is replaced; one that answers is not.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	if path, ok := unixPath(addr); ok && path != "" {
		return listenUnix(ctx, path)
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, errors.Wrap(err, errors.FailedPrecondition, "CANNOT_LISTEN",
			"cannot listen on %s; is the port taken, or the address not of this machine?", addr)
	}
	return lis, nil
}
