package rpc_test

import (
	"context"
	"fmt"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// archive is a Service without a method of its own, whose store has an old schema.
type archive struct{}

func (archive) Register(registrar grpc.ServiceRegistrar) {
	registrar.RegisterService(&grpc.ServiceDesc{ServiceName: "dbslm.archive.v1.Archive", HandlerType: (*any)(nil)}, archive{})
}

func (archive) Ready(context.Context) error {
	return errors.New(errors.FailedPrecondition, "SCHEMA_TOO_OLD", "run `dbslm migrate`")
}

func Example() {
	ctx := context.Background()
	server := rpc.NewServer(rpc.Options{}, archive{})
	defer server.Close()

	client := healthpb.NewHealthClient(server.Local()) // or rpc.Dial("archive:7070", options)
	health, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "dbslm.archive.v1.Archive"})
	fmt.Println(health.GetStatus(), err)
	fmt.Println(errors.Public(server.Ready(ctx)))

	_, err = client.Check(ctx, &healthpb.HealthCheckRequest{Service: "cellar"})
	fmt.Println(errors.KindOf(err), errors.Public(err))
	// Output:
	// NOT_SERVING <nil>
	// archive is not ready: run `dbslm migrate`
	// NotFound unknown service
}
