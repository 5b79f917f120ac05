// Package server offers level 3 over gRPC. It is the only package of the service that knows protobuf.
package server

import (
	"context"
	"log/slog"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/store"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Options configure a server. The zero value is usable.
type Options struct {
	// Logger receives what callers need not know; default none.
	Logger *slog.Logger
	// Clock tells the time; default time.Now.
	Clock func() time.Time
}

// Server implements the services of level 3.
type Server struct {
	store *store.Store
	bots  *bots
	log   *slog.Logger
	now   func() time.Time
}

// New returns a server over an open, migrated schema. It starts nothing.
func New(db *database.DB, options Options) *Server {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	s := store.New(db)
	return &Server{store: s, bots: newBots(s, newMaker(s, options.Logger, options.Clock)), log: options.Logger, now: options.Clock}
}

// Register adds the services to a server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	conceptv1.RegisterCatalogueServiceServer(r, &catalogue{Server: s})
	conceptv1.RegisterBotServiceServer(r, &wholeBots{Server: s})
	conceptv1.RegisterSignalServiceServer(r, &signals{Server: s})
	conceptv1.RegisterDecisionServiceServer(r, &decisions{Server: s})
	conceptv1.RegisterPredictionServiceServer(r, &predictions{Server: s})
	conceptv1.RegisterAuditServiceServer(r, &audit{Server: s})
	conceptv1.RegisterErasureServiceServer(r, &erasure{Server: s})
}

// Ready reports whether the database answers with a schema that this program knows.
func (s *Server) Ready(ctx context.Context) error { return s.store.Ready(ctx) }

// Close ends what is being built. The database belongs to the caller.
func (s *Server) Close() error {
	s.bots.maker.close()
	return nil
}

func botOf(tenant, name string) concept.Bot {
	return concept.Bot{Tenant: tenantOf(tenant), Name: orDefault(name, concept.DefaultBot)}
}

func tenantOf(tenant string) string { return orDefault(tenant, concept.DefaultTenant) }

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", errors.Wrap(err, errors.Unavailable, "NO_RANDOMNESS", "no id could be made; try again")
	}
	return id.String(), nil
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
