package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dbslm/pkg/errors"

	"github.com/pressly/goose/v3"
)

const (
	// versionTable holds the applied migrations, one row each.
	versionTable = "tbl_schema_migrations"
	// migrateWait bounds the wait for another process that is migrating the same schema.
	migrateWait = 10 * time.Minute
)

// Migrate creates the schema if it is missing and applies the migrations it does not have yet, one file after the other,
// forward only, while no other process can. It returns how many were applied. After an interruption it goes on where it
// stopped; on MySQL, whose DDL cannot be rolled back, that needs every file to hold one step that may be run twice. Where the
// target names an engine, tables are then moved to it.
func (db *DB) Migrate(ctx context.Context) (applied int, err error) {
	if db.CheckSchema(ctx) == nil {
		return 0, nil // without waiting for the lock: another process may be writing for long
	}
	pool, unlock, err := db.lockSchema(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	switch err := db.CheckSchema(ctx); errors.ReasonOf(err) {
	case "":
		return 0, err // another process was faster
	case reasonMissing, reasonOlder, reasonEngine:
	default:
		return 0, err
	}
	if err := db.createVersionTable(ctx, pool); err != nil {
		return 0, err
	}
	results, failed, err := db.runGoose(ctx, pool)
	for _, r := range results {
		db.log.InfoContext(ctx, "migration applied", "migration", r.Source.Path, "duration", r.Duration)
	}
	if err != nil {
		mapped := mapError(ctx, err)
		return len(results), errors.Wrap(mapped, errors.KindOf(mapped), errors.ReasonOf(mapped),
			"migrating %s stopped%s: %s; what was applied stays, and running dbslm migrate again goes on from there", db.name(), failed, errors.Public(mapped))
	}
	if db.dialect == MySQL {
		err = db.move(ctx, pool)
	}
	return len(results), err
}

// createVersionTable makes goose's table as goose would, but so that it can be repeated: goose itself cannot go on after an
// interruption between the table and its first row.
func (db *DB) createVersionTable(ctx context.Context, pool *sql.DB) error {
	create := "CREATE TABLE IF NOT EXISTS " + versionTable + " (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))"
	if db.dialect == MySQL {
		create = "CREATE TABLE IF NOT EXISTS " + versionTable + " (id BIGINT NOT NULL AUTO_INCREMENT, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp DATETIME NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (id)) " + placeholders["table_options"][0]
	}
	if _, err := db.execOn(ctx, pool, create, nil); err != nil {
		return err
	}
	_, err := db.execOn(ctx, pool, "INSERT INTO "+versionTable+" (version_id, is_applied) SELECT 0, 1 FROM (SELECT 1 AS one) AS once WHERE NOT EXISTS (SELECT 1 FROM "+versionTable+" WHERE version_id = 0)", nil)
	return err
}

// runGoose applies what is missing. failed names the file that could not be applied.
func (db *DB) runGoose(ctx context.Context, pool *sql.DB) (results []*goose.MigrationResult, failed string, err error) {
	dialect := goose.DialectMySQL
	if db.dialect == SQLite {
		dialect = goose.DialectSQLite3
	}
	provider, err := goose.NewProvider(dialect, pool, expandFS{db.schema.Migrations, db.dialect},
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, "", err
	}
	results, err = provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return partial.Applied, " at " + partial.Failed.Source.Path, partial.Err
	}
	return results, "", err
}

// lockSchema makes the schema exist, keeps other migrators out, and returns the pool to migrate with.
func (db *DB) lockSchema(ctx context.Context) (pool *sql.DB, unlock func(), err error) {
	if db.dialect == MySQL {
		return db.lockMySQLSchema(ctx)
	}
	return db.lockSQLiteSchema(ctx)
}

// lockSQLiteSchema takes the writer's turn for the whole migration.
func (db *DB) lockSQLiteSchema(ctx context.Context) (*sql.DB, func(), error) {
	if err := db.lite.create(); err != nil {
		return nil, nil, err
	}
	release, err := db.lite.acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := db.checkApplication(ctx); err != nil {
		release()
		return nil, nil, err
	}
	if _, err := db.write.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		release()
		return nil, nil, mapError(ctx, err)
	}
	return db.write, release, nil
}

// CheckSchema says whether this program can work with the tables as they are: nil, or FailedPrecondition with what to do when
// they are missing, older, newer or not ours.
func (db *DB) CheckSchema(ctx context.Context) error {
	migrations, err := db.schema.ExpandedMigrations(db.dialect)
	if err != nil {
		return err
	}
	if db.lite != nil {
		if !db.lite.exists() {
			return db.schemaMissing()
		}
		if err := db.checkApplication(ctx); err != nil {
			return err
		}
	}
	applied, err := db.appliedVersions(ctx)
	if err != nil {
		return err
	}
	last := migrations[len(migrations)-1].Version
	known := make(map[int64]bool, len(migrations))
	for _, m := range migrations {
		known[m.Version] = true
	}
	has := make(map[int64]bool, len(applied))
	for _, v := range applied {
		has[v] = true
		if v > last {
			return errors.New(errors.FailedPrecondition, reasonNewer, "the tables of %s in %s are at version %d, made by a newer dbslm; this one knows version %d: use the newer program",
				db.name(), db.target, v, last)
		}
		if !known[v] && v != 0 {
			return errors.New(errors.FailedPrecondition, reasonUnknown, "%s in %s has a migration %d that this dbslm does not know; it was made by another version of the program, use that one",
				db.name(), db.target, v)
		}
	}
	for _, m := range migrations {
		if !has[m.Version] {
			if len(applied) == 0 {
				return db.schemaMissing()
			}
			return errors.New(errors.FailedPrecondition, reasonOlder, "the tables of %s in %s are older than this program (no %s); run: dbslm migrate --db %s",
				db.name(), db.target, m.Name, db.target.word())
		}
	}
	return db.checkEngine(ctx)
}

func (db *DB) schemaMissing() error {
	return errors.New(errors.FailedPrecondition, reasonMissing, "%s has no tables in %s yet, or none that this user may read; run: dbslm migrate --db %s", db.name(), db.target, db.target.word())
}

// appliedVersions reads the version table; no table in an empty schema is no version.
func (db *DB) appliedVersions(ctx context.Context) ([]int64, error) {
	tables, hasVersions, err := db.countTables(ctx)
	if err != nil {
		return nil, err
	}
	if !hasVersions {
		if tables > 0 {
			return nil, errors.New(errors.FailedPrecondition, reasonUnknown, "%s in %s has tables that DB-SLM did not make; choose another %s",
				db.name(), db.target, map[Dialect]string{MySQL: "schema_prefix", SQLite: "directory"}[db.dialect])
		}
		return nil, nil
	}
	rows, err := db.Query(ctx, "SELECT version_id FROM "+versionTable+" WHERE is_applied = 1 AND version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var versions []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, rows.Err()
}

func (db *DB) countTables(ctx context.Context) (others int, hasVersions bool, err error) {
	query, args := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'", []any(nil)
	var q sqlQuerier = db.read
	if db.dialect == MySQL { // asked on a connection without a database: this one may not exist yet
		query, args = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", []any{db.name()}
		q = db.my.admin
	}
	rows, err := db.queryOn(ctx, q, query, args, nil)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return 0, false, err
		}
		if name == versionTable {
			hasVersions = true
		} else {
			others++
		}
	}
	return others, hasVersions, rows.Err()
}
