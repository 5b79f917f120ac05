// Package database is the only door to SQL: it opens one schema of one service on MySQL/MariaDB or on embedded SQLite,
// and gives stores the same few operations on both.
//
//	Target ─ParseTarget→ Open(Target, Schema) → *DB ─┬─ Migrate, CheckSchema         goose, under a lock
//	                                                 ├─ InTx, InReadTx → *Tx ─┐      retry, poison, snapshot
//	                                                 └─ Query, QueryRow, Exec, Stream
//	                                                                          └─ Load, Upsert (write transactions)
//
// What a store may rely on, on both engines (the conformance suite of this package checks it):
//   - A write transaction happens completely or not at all, also after errors that the closure swallowed.
//   - Errors carry a kind of dbslm/pkg/errors and a text for people; no driver type leaves the package except as a cause.
//   - VARBINARY/BLOB columns are byte-exact when bound as []byte (a string bound there is another value on SQLite).
//   - One writer never blocks readers. Two processes may use one embedded directory.
//
// SQL is written once, in the dialect both engines share (see docs/decisions/0004-storage-engines-and-dialect.md); Dialect
// has hooks for the rest.
package database

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"time"

	"dbslm/pkg/errors"
)

// ErrNoRows is what Scanner.Scan returns (unwrapped or wrapped) when QueryRow found no row. It does not poison a transaction.
var ErrNoRows = sql.ErrNoRows

// Schema is one service's set of tables.
type Schema struct {
	// Name is the MySQL database (after the target's prefix) and the embedded file's base name: "dbslm_ngram".
	// Lower-case letters, digits and underscores, at most 48.
	Name string
	// Migrations holds NNNN_name.sql files in goose's format at its root. See Expand for the placeholders.
	Migrations fs.FS
	// Placements are the tables that a hybrid store keeps on other engines than InnoDB. See Engine.
	Placements []Placement
}

// Options of Open. The zero value is right for a service.
type Options struct {
	// Logger receives retries, slow lock waits and migrations. nil: discarded.
	Logger *slog.Logger
	// MustExist makes a missing embedded directory or schema file an error that says how to create it. Without it the
	// directory is created (mode 0700) when Migrate runs.
	MustExist bool
	// StatementTimeout ends every single statement that runs longer, in the server too. 0: no limit but the context's.
	StatementTimeout time.Duration
	// MaxConns bounds the open connections of this DB. 0: 16 on MySQL; on SQLite as many readers as processors, at
	// least 4, beside the one writer.
	MaxConns int
	// WriteWait bounds how long a write waits for other writers of an embedded store before it fails with Unavailable;
	// the context bounds it too. 0: one minute.
	WriteWait time.Duration
	// Derived marks data that can be computed again from other data: on SQLite a commit is then not flushed to the disk
	// (synchronous=NORMAL), so a power failure may lose the latest commits but never tears one. No effect on MySQL.
	Derived bool
	// Observer is told of every statement. nil: nobody.
	Observer Observer
}

// DB is one open schema. It is safe for concurrent use.
type DB struct {
	target  Target
	schema  Schema
	opts    Options
	dialect Dialect
	log     *slog.Logger
	observe observeFunc

	read  *sql.DB // SQLite: query_only readers. MySQL: the same pool as write
	write *sql.DB // SQLite: the one writer
	lite  *liteStore
	my    *myServer
}

// Open connects to the schema of a target; it neither creates nor migrates tables. An unreachable server, a wrong password,
// a path that is no store directory and a file that DB-SLM did not write are errors here; the state of the tables is
// CheckSchema's to tell.
func Open(ctx context.Context, target Target, schema Schema, opts Options) (*DB, error) {
	if !validSchemaName(schema.Name) {
		return nil, errors.New(errors.Internal, "DATABASE_SCHEMA_NAME", "schema name %q is not made of a-z, 0-9 and _, or is longer than 48", schema.Name)
	}
	db := &DB{target: target, schema: schema, opts: opts, log: opts.Logger, observe: observer(opts.Observer, schema.Name)}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	db.log = db.log.With("schema", schema.Name)
	var err error
	switch {
	case target.kind == kindMySQL:
		db.dialect = MySQL
		err = db.openMySQL(ctx)
	case target.Embedded():
		db.dialect = SQLite
		err = db.openSQLite()
	default:
		err = errors.New(errors.InvalidArgument, "DATABASE_TARGET", "no database given: name a directory or a mysql:// URL")
	}
	if err != nil {
		_ = db.Close() // releases what was opened; the reason for failing is err
		return nil, err
	}
	return db, nil
}

// Dialect says which engine this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Target is what the DB was opened on.
func (db *DB) Target() Target { return db.target }

// Schema is what the DB was opened for.
func (db *DB) Schema() Schema { return db.schema }

// Ping checks that the store answers a trivial query.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.QueryRow(ctx, "SELECT 1").Scan(&one)
}

// Stats are the connection pools by name: "all" on MySQL, "read" and "write" on SQLite.
func (db *DB) Stats() map[string]sql.DBStats {
	if db.dialect == MySQL {
		return map[string]sql.DBStats{"all": db.write.Stats()}
	}
	return map[string]sql.DBStats{"read": db.read.Stats(), "write": db.write.Stats()}
}

// Close releases the connections. A ":memory:" store is gone when its last DB closes.
func (db *DB) Close() error {
	var errs []error
	for _, pool := range []*sql.DB{db.read, db.write} { // closing twice is allowed: on MySQL they are one
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if db.my != nil {
		// A connection the server closed before cannot say goodbye; nothing else can go wrong here.
		_ = db.my.close()
		return nil
	}
	if db.lite != nil {
		errs = append(errs, db.lite.close())
	}
	return errors.Join(errs...)
}

// name is the schema's name on this target, prefix included.
func (db *DB) name() string { return db.target.prefix + db.schema.Name }

func validSchemaName(s string) bool {
	if s == "" || len(s) > 48 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return true
}
