package dbslm

import (
	"context"
	"log/slog"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptserver "dbslm/services/concept/server"
	conceptstore "dbslm/services/concept/store"
	memoryserver "dbslm/services/memory/server"
	memorystore "dbslm/services/memory/store"
	ngramserver "dbslm/services/ngram/server"
	ngramstore "dbslm/services/ngram/store"
)

// closingService is a level: a service with something to let go of.
type closingService interface {
	rpc.Service
	Close() error
}

// level is how one of the three levels is stored and opened.
type level struct {
	schema database.Schema
	open   func(*database.DB, *slog.Logger) closingService
}

var levels = map[Service]level{
	Ngram: {ngramstore.Schema, func(db *database.DB, logger *slog.Logger) closingService {
		return ngramserver.New(db, ngramserver.Options{Logger: logger})
	}},
	Memory: {memorystore.Schema, func(db *database.DB, logger *slog.Logger) closingService {
		return memoryserver.New(db, memoryserver.Options{Logger: logger})
	}},
	Concept: {conceptstore.Schema, func(db *database.DB, logger *slog.Logger) closingService {
		return conceptserver.New(db, conceptserver.Options{Logger: logger})
	}},
}

// Migrated says what Migrate did to one schema.
type Migrated struct {
	Service Service
	Schema  string
	Applied int
}

// Migrate brings the schemas of the given services (none means all three levels) of a store up to date. It is
// forward only and may be repeated; several processes may run it at once.
func Migrate(ctx context.Context, db string, logger *slog.Logger, services ...Service) ([]Migrated, error) {
	target, err := database.ParseTarget(db)
	if err != nil {
		return nil, err
	}
	if len(services) == 0 {
		services = Services()[:3]
	}
	var done []Migrated
	for _, name := range services {
		level, ok := levels[name]
		if !ok {
			return done, errors.New(errors.InvalidArgument, "NO_SCHEMA", "%q has no schema to migrate; name ngram, memory or concept", string(name))
		}
		applied, err := migrate(ctx, target, level.schema, logger)
		if err != nil {
			return done, err
		}
		done = append(done, Migrated{name, target.Prefix() + level.schema.Name, applied})
	}
	return done, nil
}

func migrate(ctx context.Context, target database.Target, schema database.Schema, logger *slog.Logger) (applied int, err error) {
	db, err := database.Open(ctx, target, schema, database.Options{Logger: logger})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Migrate(ctx)
}
