// Package wall is a payload provider: it fills slots of concepts with what the tool wall of the Old Sail Loft knows at the moment.
package wall

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"time"

	conceptv1 "dbslm/proto/dbslm/concept/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tool hangs on a shelf and is out on one day of the week. A real provider would ask its own database.
type tool struct {
	shelf int
	out   time.Weekday
}

var tools = map[string]tool{
	"long ladder":  {7, time.Saturday},
	"drill":        {3, time.Thursday},
	"sander":       {4, time.Tuesday},
	"cargo bike":   {9, time.Saturday},
	"cement mixer": {8, time.Friday},
}

type provider struct {
	conceptv1.UnimplementedPayloadProviderServiceServer
}

// ProvidePayload answers with what is known of the tool that the concept has, or that the person named, and whether it is free on
// the concept's day. Slots that the concept does not have are ignored. It keeps no state, so it may be asked again.
func (provider) ProvidePayload(_ context.Context, req *conceptv1.ProvidePayloadRequest) (*conceptv1.ProvidePayloadResponse, error) {
	var filled struct{ Tool, Day string }
	if req.PayloadJson != "" {
		if err := json.Unmarshal([]byte(req.PayloadJson), &filled); err != nil {
			return nil, status.Error(codes.InvalidArgument, "the payload cannot be read")
		}
	}
	payload := map[string]any{}
	for name, t := range tools {
		if name != filled.Tool && (filled.Tool != "" || !strings.Contains(strings.ToLower(req.Text), name)) {
			continue
		}
		payload["tool"], payload["shelf"] = name, t.shelf
		if day, err := time.Parse(time.DateOnly, filled.Day); err == nil {
			payload["free"] = day.Weekday() != t.out
			payload["next"] = day.AddDate(0, 0, 1).Format(time.DateOnly)
		}
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, status.Error(codes.Internal, "the payload cannot be written")
	}
	return &conceptv1.ProvidePayloadResponse{PayloadJson: string(body)}, nil
}

// Serve answers on an address until the context ends; it tells on which.
func Serve(ctx context.Context, address string, listening func(string)) error {
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
