package telemetry

import (
	"context"

	"dbslm/pkg/errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// newTracerProvider returns the provider and the function that flushes and ends it.
func newTracerProvider(c Config) (*sdktrace.TracerProvider, func(context.Context) error, error) {
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpointURL(c.OTLPEndpoint))
	if err != nil {
		return nil, nil, errors.Wrap(err, errors.InvalidArgument, "BAD_OTLP_ENDPOINT", "tracing to %q cannot be set up; check the endpoint", c.OTLPEndpoint)
	}
	attributes, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("service.name", c.Service),
		attribute.String("service.version", c.Version),
	))
	if err != nil {
		return nil, nil, errors.Wrap(err, errors.Internal, "BAD_RESOURCE", "the description of this process for traces cannot be made")
	}
	provider := sdktrace.NewTracerProvider(
		// The batcher drops spans when its queue is full: tracing never slows a call down.
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(attributes),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.SampleRatio))),
	)
	stop := func(ctx context.Context) error {
		err := provider.Shutdown(ctx)
		if err != nil {
			// Out of time with spans still on their way: without this the exporter would go on trying.
			_ = exporter.Shutdown(ctx)
		}
		return err
	}
	return provider, stop, nil
}
