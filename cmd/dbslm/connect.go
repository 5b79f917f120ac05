package main

import (
	"context"
	"crypto/tls"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// connection is a gateway to talk to: in this process over a store, or a running one.
type connection struct {
	grpc.ClientConnInterface
	gateway gatewayv1.GatewayServiceClient
	where   string // for people: "var/dbslm", "mysql://host/", "server host:port"
	remote  bool   // others may use what is there
	close   func() error
	log     *keptLog // of the services in this process; nil when they are elsewhere
}

// connect opens the store of --db, or dials --server. With create, a missing embedded store is made.
func (a *app) connect(ctx context.Context, create bool) (*connection, error) {
	if a.server != "" {
		peerTLS, err := a.peerTLS()
		if err != nil {
			return nil, err
		}
		conn, err := rpc.Dial(a.server, rpc.Options{AllowPlaintext: a.plaintextPeers, PeerTLS: peerTLS})
		if err != nil {
			return nil, err
		}
		return &connection{conn, gatewayv1.NewGatewayServiceClient(conn), "server " + a.server, true, conn.Close, nil}, nil
	}
	target, err := database.ParseTarget(a.db)
	if err != nil {
		return nil, err
	}
	if target.Memory() {
		return nil, usagef("--db :memory: would be gone when this command ends; name a directory")
	}
	tel, kept, err := a.quietTelemetry()
	if err != nil {
		return nil, err
	}
	sys, err := dbslm.Open(ctx, dbslm.Config{DB: a.db, Create: create, Version: version, Telemetry: tel})
	if err != nil {
		return nil, errors.Join(err, tel.Close(ctx))
	}
	return &connection{
		ClientConnInterface: sys.Conn(),
		gateway:             sys.Gateway(),
		where:               target.String(),
		remote:              !target.Embedded(),
		close: func() error {
			return errors.Join(sys.Close(), tel.Close(context.WithoutCancel(ctx)))
		},
		log: kept,
	}, nil
}

// peerTLS says how --server and peers are trusted; nil is plain text.
func (a *app) peerTLS() (*tls.Config, error) {
	if a.tlsCA == "" {
		return nil, nil
	}
	return rpc.PeerTLS(a.tlsCA)
}

// with runs a command's work over a connection.
func (a *app) with(ctx context.Context, create bool, work func(*connection) error) (err error) {
	conn, err := a.connect(ctx, create)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := conn.close(); err == nil {
			err = closeErr
		}
	}()
	err = conn.explain(work(conn))
	if err != nil && conn.log != nil && errors.KindOf(err) == errors.Internal {
		conn.log.show(a.err)
	}
	return err
}

// explain names the server that does not answer, where the connection knows only the service that was called.
func (c *connection) explain(err error) error {
	const unavailable = "PEER_UNAVAILABLE"
	if !c.remote || errors.ReasonOf(err) != unavailable || len(status.Convert(err).Details()) > 0 {
		return err // details come from the server: then it is a peer of its that does not answer
	}
	return errors.Wrap(err, errors.Unavailable, unavailable,
		"%s does not answer; check the address, and that dbslm serve runs there", c.where)
}
