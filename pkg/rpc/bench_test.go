package rpc

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// BenchmarkCall is one unary call: through everything this package adds, and through plain gRPC.
func BenchmarkCall(b *testing.B) {
	echoMessage()
	lis, err := Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	full := NewServer(Options{Registerer: prometheus.NewRegistry()}, &echo{})
	shutdown := start(full, lis)
	defer func() { _ = shutdown() }()
	overTCP, err := Dial(lis.Addr().String(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer overTCP.Close()

	plainListener, err := Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	plain := grpc.NewServer()
	(&echo{}).Register(plain)
	go func() { _ = plain.Serve(plainListener) }()
	defer plain.Stop()
	plainTCP, err := grpc.NewClient(plainListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer plainTCP.Close()

	for name, conn := range map[string]*grpc.ClientConn{"chain/local": full.Local(), "chain/tcp": overTCP, "plain/tcp": plainTCP} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(context.Background(), conn, "hello"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
