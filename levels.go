package dbslm

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"

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
	open   func(*database.DB, opening) closingService
}

// opening is what a level may need to open.
type opening struct {
	config Config
	target database.Target
	logger *slog.Logger
}

var levels = map[Service]level{
	Ngram: {ngramstore.Schema, func(db *database.DB, o opening) closingService {
		return ngramserver.New(db, ngramserver.Options{
			Logger: o.logger, Warm: o.config.Warm, ResidentBytes: o.config.ResidentBytes, ResidentDir: residentDir(o.config, o.target),
		})
	}},
	Memory: {memorystore.Schema, func(db *database.DB, o opening) closingService {
		return memoryserver.New(db, memoryserver.Options{Logger: o.logger})
	}},
	Concept: {conceptstore.Schema, func(db *database.DB, o opening) closingService {
		return conceptserver.New(db, conceptserver.Options{Logger: o.logger})
	}},
}

// residentDir is where the local files of builds live, a directory of this store alone: in an embedded store, or for a server in
// the user's cache. Empty for a store in memory, and where the user has no cache: then a build held whole is made anew by
// every process.
func residentDir(config Config, target database.Target) string {
	dir := config.ResidentDir
	switch {
	case target.Memory():
		return ""
	case dir == "" && target.Embedded():
		return filepath.Join(target.Dir(), "resident")
	case dir == "":
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "dbslm")
	}
	name := target.WithEngine("").String()
	if target.Embedded() {
		if absolute, err := filepath.Abs(name); err == nil {
			name = absolute
		}
	}
	return filepath.Join(dir, fmt.Sprintf("%016x", xxhash.Sum64String(name)))
}

// Migrated says what Migrate did to one schema.
type Migrated struct {
	Service Service
	Schema  string
	Applied int
	// Engines says where the tables are that a hybrid store keeps on other engines than InnoDB, by table; empty on a store that
	// has one engine only.
	Engines map[string]string `json:",omitempty"`
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
		applied, engines, err := migrate(ctx, target, level.schema, logger)
		if err != nil {
			return done, err
		}
		done = append(done, Migrated{name, target.Prefix() + level.schema.Name, applied, engines})
	}
	return done, nil
}

func migrate(ctx context.Context, target database.Target, schema database.Schema, logger *slog.Logger) (applied int, engines map[string]string, err error) {
	db, err := database.Open(ctx, target, schema, database.Options{Logger: logger})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if applied, err = db.Migrate(ctx); err == nil {
		engines, err = db.Engines(ctx)
	}
	return applied, engines, err
}
