// Package databasetest gives tests real databases: an embedded store in a temporary directory, and a private throw-away
// MariaDB (or MySQL) server shared by the tests of one process.
//
// The server is found on the machine (Debian: apt-get install mariadb-server), started on a Unix socket in a temporary
// directory with a copy of a cached empty data directory, and ends with the test process however that ends. With
// DBSLM_TEST_MYSQL_DSN set (mysql://user:password@host:3306/) that server is used instead; every test then works in schemas
// of its own that are dropped afterwards. A test that finds neither fails: it never skips.
package databasetest

import (
	"context"
	"os"
	"testing"

	"dbslm/pkg/database"
)

// Each runs f as subtests "sqlite" and "mysql" on a fresh, migrated schema each. What f sends to MySQL is also parsed with a
// MySQL 8 grammar at the end.
func Each(t *testing.T, schema database.Schema, f func(t *testing.T, db *database.DB)) {
	t.Helper()
	EachTarget(t, func(t *testing.T, target database.Target) {
		f(t, Open(t, target, schema, database.Options{}))
	})
}

// EachTarget runs f as subtests "sqlite" and "mysql" with an empty place for schemas each, for tests that open several. With
// DBSLM_TEST_HYBRID=1 it also runs "hybrid".
func EachTarget(t *testing.T, f func(t *testing.T, target database.Target)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLiteTarget(t)) })
	t.Run("mysql", func(t *testing.T) { f(t, MySQLTarget(t)) })
	if Whole() {
		t.Run("hybrid", func(t *testing.T) { f(t, HybridTarget(t)) })
	}
}

// Whole reports whether everything is to run on hybrid stores too, and not the essential only.
func Whole() bool { return os.Getenv(hybridVariable) != "" }

// hybridVariable asks for every test to run on a hybrid store too, which takes long.
const hybridVariable = "DBSLM_TEST_HYBRID"

// EachEngine is EachTarget with "hybrid" in any case, for what another engine could break.
func EachEngine(t *testing.T, f func(t *testing.T, target database.Target)) {
	t.Helper()
	EachTarget(t, f)
	if !Whole() {
		t.Run("hybrid", func(t *testing.T) { f(t, HybridTarget(t)) })
	}
}

// Open opens and migrates a schema and closes it with the test. Unless opts has an observer, statements sent to MySQL are
// checked with CheckMySQL8 when the test ends.
func Open(t testing.TB, target database.Target, schema database.Schema, opts database.Options) *database.DB {
	t.Helper()
	if target.Embedded() {
		opts.Derived = true // the machine will not lose power in the middle of a test; flushing is slow
	} else if opts.Observer == nil {
		r := &Recorder{}
		opts.Observer = r
		t.Cleanup(func() { r.Check(t) })
	}
	ctx := context.Background()
	db, err := database.Open(ctx, target, schema, opts)
	if err != nil {
		t.Fatalf("opening %s in %s: %v", schema.Name, target, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing %s: %v", schema.Name, err)
		}
	})
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatalf("migrating %s in %s: %v", schema.Name, target, err)
	}
	return db
}

// SQLiteTarget is an empty temporary directory.
func SQLiteTarget(t testing.TB) database.Target {
	t.Helper()
	target, err := database.ParseTarget(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// MySQLTarget is a fresh name space on the shared server: schemas opened on it carry a prefix of their own and are dropped
// when the test ends.
func MySQLTarget(t testing.TB) database.Target {
	t.Helper()
	return shared(t).Target(t)
}

// HybridTarget is a MySQLTarget for a store with tables on several engines of MariaDB.
func HybridTarget(t testing.TB) database.Target {
	t.Helper()
	return MySQLTarget(t).WithEngine(database.Hybrid)
}
