// Command provider is a payload provider: it fills slots of concepts with what the tool wall knows at the moment. A concept names it
// by its address (`provider: 127.0.0.1:7490` in a bot's file), and the gateway asks it once in a turn, for at most two seconds and again
// while it answers UNAVAILABLE. What it does not know it leaves out: the concept then asks other sources, or another concept speaks.
//
//	go run ./examples/provider 127.0.0.1:7490
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wall is what hangs where; a real provider would ask its own database.
var wall = map[string]map[string]any{
	"ladder": {"tool": "the long ladder", "shelf": 7, "back": "2026-12-01"},
	"drill":  {"tool": "the drill", "shelf": 3},
	"palm":   {"tool": "the sailmaker's palm", "shelf": 1},
}

type provider struct {
	conceptv1.UnimplementedPayloadProviderServiceServer
}

// ProvidePayload answers with what is known of the tool that the person named. Slots that the concept does not have are ignored. It
// keeps no state, so it may be asked again.
func (provider) ProvidePayload(_ context.Context, req *conceptv1.ProvidePayloadRequest) (*conceptv1.ProvidePayloadResponse, error) {
	payload := map[string]any{}
	for tool, known := range wall {
		if strings.Contains(strings.ToLower(req.Text), tool) {
			payload = known
		}
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, status.Error(codes.Internal, "the payload cannot be written")
	}
	return &conceptv1.ProvidePayloadResponse{PayloadJson: string(body)}, nil
}

// run serves on an address until the context ends; it tells on which.
func run(ctx context.Context, address string, listening func(string)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(4 << 20))
	conceptv1.RegisterPayloadProviderServiceServer(server, provider{})
	stop := context.AfterFunc(ctx, server.GracefulStop)
	defer stop()
	listening(listener.Addr().String())
	return server.Serve(listener)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: provider HOST:PORT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], func(address string) { fmt.Println("listening on", address) }); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}
