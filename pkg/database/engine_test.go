package database_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
)

func hybridSchema() database.Schema {
	s := testSchema()
	s.Placements = []database.Placement{{Table: "tbl_counts", On: database.OnAria}, {Table: "tbl_tokens", On: "NOSUCHENGINE", Fallback: true}}
	return s
}

var countColumns = []string{"model_id", "n", "hash", "token", "c", "a"}

func countRows(c int64) func(w database.RowWriter) error {
	return func(w database.RowWriter) error {
		for hash := range int64(100) {
			for _, v := range []int64{1, 3, hash, 7, c, 3} {
				w.Int(v)
			}
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	}
}

func counted(t *testing.T, db *database.DB) (rows, sum int64) {
	t.Helper()
	if err := db.QueryRow(t.Context(), "SELECT COUNT(*), COALESCE(SUM(c * 1e0), 0) FROM tbl_counts").Scan(&rows, &sum); err != nil {
		t.Fatal(err)
	}
	return rows, sum
}

// A hybrid store remembers its engines in its tables: who names none follows, who names another one is refused and told what to
// do, and migrating moves it there and back with its rows, while nobody else uses it.
func TestHybridStore(t *testing.T) {
	ctx := t.Context()
	target := databasetest.HybridTarget(t)
	schema := hybridSchema()
	open := func(engine database.Engine) *database.DB {
		db, err := database.Open(ctx, target.WithEngine(engine), schema, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	migrate := func(engine database.Engine) error {
		db := open(engine)
		defer db.Close()
		_, err := db.Migrate(ctx)
		return err
	}
	if err := migrate(database.Hybrid); err != nil {
		t.Fatal(err)
	}
	at := func(db *database.DB) string {
		engines, err := db.Engines(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return engines["tbl_counts"] + " " + engines["tbl_tokens"]
	}
	follower := open("")
	if err := follower.CheckSchema(ctx); err != nil || at(follower) != "Aria InnoDB" {
		t.Fatalf("tables are on %q, error %v", at(follower), err)
	}
	rollsBack, err := follower.RollsBack(ctx, "tbl_tokens", "tbl_counts")
	if err != nil || rollsBack {
		t.Errorf("Aria rolls back, error %v", err)
	}
	err = follower.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.Load(ctx, "tbl_counts", countColumns, countRows(1))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other := open(database.InnoDB)
	err = other.CheckSchema(ctx)
	if errors.KindOf(err) != errors.FailedPrecondition || !strings.Contains(errors.Public(err), "engine=innodb") || !strings.Contains(errors.Public(err), "dbslm migrate") {
		t.Errorf("a program that wants InnoDB gets %v", err)
	}
	if err := migrate(database.InnoDB); errors.KindOf(err) != errors.FailedPrecondition || !strings.Contains(errors.Public(err), "in use") {
		t.Errorf("moving a store that is in use: %v", err)
	}
	for _, db := range []*database.DB{follower, other} {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, move := range []struct {
		to   database.Engine
		want string
	}{{database.InnoDB, "InnoDB InnoDB"}, {"", "InnoDB InnoDB"}, {database.Hybrid, "Aria InnoDB"}, {"", "Aria InnoDB"}} {
		if err := migrate(move.to); err != nil {
			t.Fatal(err)
		}
		db := open(move.to)
		if err := db.CheckSchema(ctx); err != nil || at(db) != move.want {
			t.Errorf("moved to %q the tables are on %q, error %v", move.to, at(db), err)
		}
		if rows, sum := counted(t, db); rows != 100 || sum != 100 {
			t.Errorf("moved to %q there are %d rows with the sum %d", move.to, rows, sum)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What was loaded into a table that does not roll back is still there when its transaction runs again, and is replaced then.
func TestLoadAgainWhereNothingRollsBack(t *testing.T) {
	db := databasetest.Open(t, databasetest.HybridTarget(t), hybridSchema(), database.Options{Observer: &databasetest.Recorder{}}) // SIGNAL is not in the grammar
	runs := 0
	err := db.InTx(t.Context(), func(tx *database.Tx) error {
		runs++
		if _, err := tx.Load(t.Context(), "tbl_counts", countColumns, countRows(int64(runs))); err != nil || runs > 1 {
			return err
		}
		_, err := tx.Exec(t.Context(), "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213") // a deadlock
		return err
	})
	rows, sum := counted(t, db)
	if err != nil || runs != 2 || rows != 100 || sum != 200 {
		t.Errorf("%d runs left %d rows with the sum %d, error %v", runs, rows, sum, err)
	}
}

func TestReplace(t *testing.T) {
	databasetest.EachEngine(t, func(t *testing.T, target database.Target) {
		db := databasetest.Open(t, target, hybridSchema(), database.Options{})
		for c := range int64(3) {
			err := db.InTx(t.Context(), func(tx *database.Tx) error {
				return tx.Replace(t.Context(), "tbl_counts", countColumns, countRows(c))
			})
			if rows, sum := counted(t, db); err != nil || rows != 100 || sum != 100*c {
				t.Errorf("%d rows with the sum %d, error %v", rows, sum, err)
			}
		}
	})
}

// A hybrid store is refused where it cannot be.
func TestHybridRefusals(t *testing.T) {
	for in, say := range map[string]string{
		"var/dbslm?engine=mariadb-hybrid":    "embedded",
		":memory:?engine=mariadb-hybrid":     "embedded",
		"mysql://u:secret@h/?engine=myisam":  "innodb, mariadb-hybrid",
		"mysql://u:secret@h/?engine=":        "innodb, mariadb-hybrid",
		"mysql://u:secret@h/?engines=innodb": "engine",
	} {
		_, err := database.ParseTarget(in)
		if errors.KindOf(err) != errors.InvalidArgument || !strings.Contains(fmt.Sprint(err), say) {
			t.Errorf("%s: %v; should say %q", in, err, say)
		}
	}
	all := map[string]bool{"INNODB": true, "ARIA": true}
	bare := maps.Clone(all)
	delete(bare, "ARIA")
	for _, c := range []struct {
		mariaDB bool
		version string
		engines map[string]bool
		say     string
	}{
		{true, "10.11.19-MariaDB", all, ""},
		{false, "8.4.6", all, "needs MariaDB, and this server is MySQL 8.4.6"},
		{true, "10.11.19-MariaDB", bare, "needs the engine Aria"},
	} {
		err := database.RefuseHybrid(c.mariaDB, c.version, c.engines)
		if got := errors.Public(err); err != nil && (errors.KindOf(err) != errors.FailedPrecondition || !strings.Contains(got, c.say)) || (err == nil) != (c.say == "") {
			t.Errorf("%v: %v; should say %q", c, err, c.say)
		}
	}
	target, err := database.ParseTarget("mysql://u@h/?schema_prefix=a_&engine=mariadb-hybrid")
	if diff := cmp.Diff("mysql://u@h:3306/?schema_prefix=a_&engine=mariadb-hybrid", target.String()); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// A table that wants an engine which the server does not have stays on InnoDB, and the log says so.
func TestHybridWithoutAPlugin(t *testing.T) {
	var log bytes.Buffer
	db, err := database.Open(context.Background(), databasetest.HybridTarget(t), hybridSchema(), database.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if text := log.String(); !strings.Contains(text, "NOSUCHENGINE") || !strings.Contains(text, "does not have it") || !strings.Contains(text, "stays on InnoDB") || strings.Contains(text, "Aria") {
		t.Errorf("the log says %q", text)
	}
}
