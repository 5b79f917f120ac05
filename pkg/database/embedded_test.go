package database_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

func target(t *testing.T, s string) database.Target {
	t.Helper()
	target, err := database.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func sqliteFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, append([]byte("SQLite format 3\x00"), make([]byte, 84)...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantError checks kind and text of an error made for a person.
func wantError(t *testing.T, err error, kind errors.Kind, says ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want %v saying %q", kind, says)
		return
	}
	if errors.KindOf(err) != kind {
		t.Errorf("kind %v, want %v: %v", errors.KindOf(err), kind, err)
	}
	for _, say := range says {
		if !strings.Contains(errors.Public(err), say) {
			t.Errorf("%q does not say %q", errors.Public(err), say)
		}
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	open := func(path string, mustExist bool) error {
		db, err := database.Open(ctx, target(t, path), testSchema(), database.Options{MustExist: mustExist})
		if err == nil {
			err = errors.Join(db.CheckSchema(ctx), db.Close())
		}
		return err
	}
	t.Run("mistyped path", func(t *testing.T) {
		path := filepath.Join(dir, "typo")
		wantError(t, open(path, true), errors.FailedPrecondition, path, "does not exist", "dbslm train", "dbslm migrate")
		wantError(t, open(path, false), errors.FailedPrecondition, "dbslm migrate --db "+path)
		if _, err := os.Stat(path); err == nil {
			t.Error("opening made the directory")
		}
	})
	t.Run("prototype's file", func(t *testing.T) {
		path := filepath.Join(dir, "db_slm.sqlite3")
		sqliteFile(t, path)
		for _, mustExist := range []bool{true, false} {
			wantError(t, open(path, mustExist), errors.FailedPrecondition, "SQLite file", "prototype", "--db takes a directory", filepath.Join(dir, "dbslm"))
			wantError(t, open(dir, mustExist), errors.FailedPrecondition, "db_slm.sqlite3", "directory of its own")
		}
	})
	t.Run("plain file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantError(t, open(path, false), errors.FailedPrecondition, "is a file", "directory")
	})
	t.Run("one of our files", func(t *testing.T) {
		place := databasetest.SQLiteTarget(t)
		databasetest.Open(t, place, testSchema(), database.Options{})
		wantError(t, open(filepath.Join(place.Dir(), "dbslm_suite.sqlite3"), true), errors.FailedPrecondition, "--db takes its directory: "+place.Dir())
	})
	t.Run("empty directory", func(t *testing.T) {
		wantError(t, open(t.TempDir(), true), errors.FailedPrecondition, "no DB-SLM store", "dbslm train")
	})
	t.Run("schema missing beside others", func(t *testing.T) {
		place := databasetest.SQLiteTarget(t)
		other := testSchema()
		other.Name = "dbslm_other"
		databasetest.Open(t, place, other, database.Options{})
		wantError(t, open(place.Dir(), true), errors.FailedPrecondition, "dbslm_suite.sqlite3", "dbslm migrate")
	})
	t.Run("not SQLite under our name", func(t *testing.T) {
		place := t.TempDir()
		if err := os.WriteFile(filepath.Join(place, "dbslm_suite.sqlite3"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		wantError(t, open(place, true), errors.FailedPrecondition, "no SQLite file")
	})
	t.Run("directory of another program under our name", func(t *testing.T) {
		place := databasetest.SQLiteTarget(t)
		db := databasetest.Open(t, place, testSchema(), database.Options{})
		if _, err := db.Exec(ctx, "PRAGMA application_id = 77"); err != nil {
			t.Fatal(err)
		}
		wantError(t, open(place.Dir(), true), errors.FailedPrecondition, "not made by DB-SLM")
	})
}

func TestMemoryIsADirectoryOfTheProcess(t *testing.T) {
	ctx := context.Background()
	place := target(t, ":memory:")
	one := databasetest.Open(t, place, testSchema(), database.Options{})
	two := databasetest.Open(t, place, testSchema(), database.Options{})
	other := databasetest.Open(t, target(t, ":memory:"), testSchema(), database.Options{})
	if _, err := one.Exec(ctx, "INSERT INTO tbl_tokens (id, token) VALUES (1, ?)", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		db   *database.DB
		want int
	}{{two, 1}, {other, 0}} {
		var n int
		if err := c.db.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_tokens").Scan(&n); err != nil || n != c.want {
			t.Errorf("%d rows, want %d, %v", n, c.want, err)
		}
	}
}

func TestMemoryLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	place := target(t, ":memory:")
	db, err := database.Open(context.Background(), place, testSchema(), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestFilesAreForTheirOwner(t *testing.T) {
	place := target(t, filepath.Join(t.TempDir(), "new", "store"))
	databasetest.Open(t, place, testSchema(), database.Options{})
	for path, mode := range map[string]os.FileMode{place.Dir(): 0o700 | os.ModeDir, filepath.Join(place.Dir(), "dbslm_suite.sqlite3"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestDirectoryNamesWithSigns(t *testing.T) {
	for _, name := range []string{"with space", "50%", "a?b#c", "ü&x=1"} {
		place := target(t, filepath.Join(t.TempDir(), name))
		db := databasetest.Open(t, place, testSchema(), database.Options{})
		if err := db.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(place.Dir(), "dbslm_suite.sqlite3")); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaStates(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		open := func(s database.Schema) *database.DB {
			db, err := database.Open(ctx, place, s, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		full := testSchema()
		older := database.Schema{Name: full.Name, Migrations: fstest.MapFS{"0001_counts.sql": full.Migrations.(fstest.MapFS)["0001_counts.sql"]}}

		pasted := place.String()
		if !place.Embedded() {
			pasted = "'" + pasted + "'" // the parentheses of a socket mean something to a shell
		}
		wantError(t, open(full).CheckSchema(ctx), errors.FailedPrecondition, "no tables", "dbslm migrate --db "+pasted)
		if n, err := open(older).Migrate(ctx); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		wantError(t, open(full).CheckSchema(ctx), errors.FailedPrecondition, "older", "0002_tokens.sql", "dbslm migrate --db ")
		if n, err := open(full).Migrate(ctx); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := open(full).Migrate(ctx); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		wantError(t, open(older).CheckSchema(ctx), errors.FailedPrecondition, "newer", "version 2", "knows version 1")
		_, err := open(older).Migrate(ctx)
		wantError(t, err, errors.FailedPrecondition, "newer")
		if err := open(full).CheckSchema(ctx); err != nil {
			t.Error(err)
		}
		other := database.Schema{Name: full.Name, Migrations: fstest.MapFS{"0005_x.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}}
		wantError(t, open(other).CheckSchema(ctx), errors.FailedPrecondition, "another version of the program")
	})
}

func TestForeignTablesAreLeftAlone(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		db := databasetest.Open(t, place, testSchema(), database.Options{})
		if _, err := db.Exec(ctx, "DROP TABLE tbl_schema_migrations"); err != nil {
			t.Fatal(err)
		}
		_, err := db.Migrate(ctx)
		wantError(t, err, errors.FailedPrecondition, "did not make")
	})
}

func TestMigrationsStopAndGoOn(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		files := fstest.MapFS{}
		for name, file := range testSchema().Migrations.(fstest.MapFS) {
			files[name] = file
		}
		files["0005_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABEL x (id INT);\n")}
		db, err := database.Open(ctx, place, database.Schema{Name: "dbslm_suite", Migrations: files}, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		n, err := db.Migrate(ctx)
		if n != 4 {
			t.Errorf("applied %d", n)
		}
		wantError(t, err, errors.Internal, "dbslm migrate again")
		if !strings.Contains(fmt.Sprint(err), "0005_broken.sql") {
			t.Errorf("%v does not name the file", err)
		}
		files["0005_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE IF NOT EXISTS x (id INT NOT NULL, PRIMARY KEY (id)) {{table_options}};\n")}
		if n, err := db.Migrate(ctx); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

// A process that dies between a step and its record leaves the step done but unrecorded.
func TestMigrationStepDoneButNotRecorded(t *testing.T) {
	ctx := context.Background()
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		db := databasetest.Open(t, place, testSchema(), database.Options{})
		for _, undo := range []string{
			"DELETE FROM tbl_schema_migrations WHERE version_id > 1", // all that came after the first
			"DELETE FROM tbl_schema_migrations",                      // even the version table's own first row
		} {
			if _, err := db.Exec(ctx, undo); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Migrate(ctx); err != nil {
				t.Errorf("after %s: %v", undo, err)
			}
			if err := db.CheckSchema(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestMigratorsQueue(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, place database.Target) {
		const migrators = 4
		type result struct {
			n   int
			err error
		}
		results := make(chan result)
		for range migrators {
			go func() {
				db, err := database.Open(context.Background(), place, testSchema(), database.Options{})
				if err != nil {
					results <- result{0, err}
					return
				}
				n, err := db.Migrate(context.Background())
				results <- result{n, errors.Join(err, db.Close())}
			}()
		}
		total := 0
		for range migrators {
			r := <-results
			total += r.n
			if r.err != nil {
				t.Error(r.err)
			}
		}
		if total != 4 {
			t.Errorf("%d migrations applied by all together, want 4", total)
		}
	})
}
