package database_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

func mysqlDB(t *testing.T) *database.DB {
	t.Helper()
	return databasetest.Open(t, databasetest.MySQLTarget(t), testSchema(), database.Options{})
}

// twoRows is a table in which two transactions can want each other's row.
func twoRows(t *testing.T, db *database.DB) {
	t.Helper()
	err := db.InTx(context.Background(), func(tx *database.Tx) error {
		return errors.Join(insertToken(context.Background(), tx, 1, "a"), insertToken(context.Background(), tx, 2, "b"))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeadlockIsRunAgain(t *testing.T) {
	ctx := context.Background()
	db := mysqlDB(t)
	twoRows(t, db)
	var wg sync.WaitGroup
	var mu sync.Mutex
	runs := 0
	meet := make(chan struct{}) // both hold their first row
	var once sync.Once
	arrived := 0
	for i := range 2 {
		wg.Go(func() {
			first := true
			err := db.InTx(ctx, func(tx *database.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				if _, err := tx.Exec(ctx, "UPDATE tbl_tokens SET weight = COALESCE(weight, 0) + 1 WHERE id = ?", 1+i); err != nil {
					return err
				}
				if first {
					first = false
					mu.Lock()
					arrived++
					if arrived == 2 {
						once.Do(func() { close(meet) })
					}
					mu.Unlock()
					<-meet
				}
				_, err := tx.Exec(ctx, "UPDATE tbl_tokens SET weight = COALESCE(weight, 0) + 10 WHERE id = ?", 2-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs != 3 {
		t.Errorf("%d runs, want 3: one of the two rolled back and again", runs)
	}
	for id := 1; id <= 2; id++ {
		var w float64
		if err := db.QueryRow(ctx, "SELECT weight FROM tbl_tokens WHERE id = ?", id).Scan(&w); err != nil || w != 11 {
			t.Errorf("row %d weighs %v, %v; want 11", id, w, err)
		}
	}
}

// The statement after a deadlock would run outside any transaction, and survive the rollback.
func TestNothingSurvivesASwallowedDeadlock(t *testing.T) {
	ctx := context.Background()
	db := mysqlDB(t)
	twoRows(t, db)
	attempts := 0
	err := db.InTx(ctx, func(tx *database.Tx) error {
		attempts++
		if attempts > 1 {
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE tbl_tokens SET weight = 1 WHERE id = 1"); err != nil {
			return err
		}
		held := make(chan struct{})
		hold := sync.OnceFunc(func() { close(held) })
		done := make(chan error, 1)
		go func() { // heavier, so that the server chooses the other as victim
			done <- db.InTx(ctx, func(other *database.Tx) error {
				defer hold() // also when it fails
				for i := range 50 {
					if err := insertToken(ctx, other, 100+i, fmt.Sprint("other ", i)); err != nil {
						return err
					}
				}
				if _, err := other.Exec(ctx, "UPDATE tbl_tokens SET weight = 2 WHERE id = 2"); err != nil {
					return err
				}
				hold()
				_, err := other.Exec(ctx, "UPDATE tbl_tokens SET weight = 2 WHERE id = 1")
				return err
			})
		}()
		<-held
		time.Sleep(50 * time.Millisecond) // the other waits for row 1 by now; if not, there is no deadlock and the test fails below
		_, dead := tx.Exec(ctx, "UPDATE tbl_tokens SET weight = 1 WHERE id = 2")
		wantError(t, dead, errors.Aborted)
		if err := insertToken(ctx, tx, 3, "c"); err == nil {
			t.Error("a statement after the deadlock went through")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		return nil // swallowed
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	var n int
	if err := db.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_tokens WHERE id = 3 OR weight = 1").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of the victim stayed, %v", n, err)
	}
}

// A lock wait undoes one statement only; committing then would keep half of the transaction.
func TestLockWaitRollsBackEverything(t *testing.T) {
	ctx := context.Background()
	db := mysqlDB(t)
	twoRows(t, db)
	err := db.InTx(ctx, func(holder *database.Tx) error {
		if _, err := holder.Exec(ctx, "UPDATE tbl_tokens SET weight = 1 WHERE id = 1"); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		runs := 0
		err := db.InTx(limited, func(tx *database.Tx) error {
			runs++
			if _, err := tx.Exec(limited, "SET SESSION innodb_lock_wait_timeout = 1"); err != nil {
				return err
			}
			if err := insertToken(limited, tx, 3, "half"); err != nil {
				return err
			}
			_, _ = tx.Exec(limited, "UPDATE tbl_tokens SET weight = 2 WHERE id = 1")
			return nil // swallowed
		})
		if err == nil || runs < 2 {
			t.Errorf("%d runs, %v", runs, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := countTokens(t, db); n != 2 {
		t.Errorf("%d rows, want 2: half a transaction was kept", n)
	}
}

// waitFor polls until f is true.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func sleepers(t *testing.T, db *database.DB) (ids []int64) {
	t.Helper()
	rows, err := db.Query(context.Background(), "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(%' AND info NOT LIKE '%processlist%' AND db = (SELECT DATABASE())")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestConnectionKilledInMidStatement(t *testing.T) {
	ctx := context.Background()
	db := mysqlDB(t)
	server := databasetest.Shared(t)
	kill := func() {
		waitFor(t, "the statement to run", func() bool { return len(sleepers(t, db)) > 0 })
		for _, id := range sleepers(t, db) {
			server.Exec(t, "KILL ?", id)
		}
	}
	// In a transaction nothing was committed, so it simply runs again.
	runs := 0
	go kill()
	err := db.InTx(ctx, func(tx *database.Tx) error {
		runs++
		if err := insertToken(ctx, tx, 1, "a"); err != nil {
			return err
		}
		if runs > 1 {
			return nil
		}
		_, err := tx.Exec(ctx, "INSERT INTO tbl_tokens (id, token) SELECT 2, SLEEP(15)")
		return err
	})
	if err != nil || runs != 2 || countTokens(t, db) != 1 {
		t.Errorf("%d runs, %d rows, %v", runs, countTokens(t, db), err)
	}
	// A read that returned nothing yet is sent again.
	if _, err := db.Exec(ctx, "UPDATE tbl_tokens SET weight = 15"); err != nil {
		t.Fatal(err)
	}
	go func() {
		waitFor(t, "the statement to run", func() bool { return len(sleepers(t, db)) > 0 })
		if _, err := db.Exec(ctx, "UPDATE tbl_tokens SET weight = 0"); err != nil {
			t.Error(err)
		}
		kill()
	}()
	var n int
	if err := db.QueryRow(ctx, "SELECT SLEEP(weight) + 7 FROM tbl_tokens WHERE id = 1").Scan(&n); err != nil || n != 7 {
		t.Errorf("a killed read: %d, %v", n, err)
	}
}

func TestAbandonedStatementStopsInTheServer(t *testing.T) {
	db := mysqlDB(t)
	for _, write := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			waitFor(t, "the statement to run", func() bool { return len(sleepers(t, db)) > 0 })
			cancel()
		}()
		var err error
		if write {
			_, err = db.Exec(ctx, "INSERT INTO tbl_tokens (id, token) SELECT SLEEP(15), 'x'")
		} else {
			var n int
			err = db.QueryRow(ctx, "SELECT SLEEP(15)").Scan(&n)
		}
		wantError(t, err, errors.Canceled)
		waitFor(t, "the statement to stop", func() bool { return len(sleepers(t, db)) == 0 })
		cancel()
	}
}

func TestLoadFallsBackToInsert(t *testing.T) {
	ctx := context.Background()
	server := databasetest.Start(t)
	place := server.Target(t)
	// At first it is forbidden after the store was opened: the first load finds out. Then it is known from the start.
	for _, when := range []string{"forbidden later", "forbidden from the start"} {
		seen := &databasetest.Recorder{}
		db := databasetest.Open(t, place, testSchema(), database.Options{Observer: seen})
		server.Exec(t, "SET GLOBAL local_infile = 0")
		testLoadRoundTrip(t, db)
		if n := seen.Count("INSERT INTO tbl_tokens"); n == 0 {
			t.Errorf("%s: no INSERT was used: %q", when, seen.Statements())
		}
		if _, err := db.Exec(ctx, "DELETE FROM tbl_tokens"); err != nil {
			t.Fatal(err)
		}
		seen.Check(t)
	}
}

func TestServerCrashLosesNothingCommitted(t *testing.T) {
	ctx := context.Background()
	server := databasetest.Start(t)
	db := databasetest.Open(t, server.Target(t), testSchema(), database.Options{})
	for i := range 20 {
		if err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, i, string(rune('a'+i))) }); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill(t)
	wantError(t, db.Ping(ctx), errors.Unavailable)
	wantError(t, db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 99, "z") }), errors.Unavailable, "server")
	server.Restart(t)
	waitFor(t, "the store to come back", func() bool { return db.Ping(ctx) == nil })
	if n := countTokens(t, db); n != 20 {
		t.Errorf("%d rows", n)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	ctx := context.Background()
	for url, say := range map[string]string{
		"mysql://u:secret@unix(/nowhere/s)/": "mysql://u@unix(/nowhere/s)/",
		"mysql://u:secret@127.0.0.1:9/":      "mysql://u@127.0.0.1:9/",
	} {
		_, err := database.Open(ctx, target(t, url), testSchema(), database.Options{})
		wantError(t, err, errors.Unavailable, say, "cannot reach")
	}
}

func TestUsersWithFewRights(t *testing.T) {
	ctx := context.Background()
	server := databasetest.Start(t)
	place := server.Target(t)
	db := databasetest.Open(t, place, testSchema(), database.Options{})
	server.Exec(t, "CREATE USER few@localhost IDENTIFIED BY 'secret'")
	as := func(user, password string) database.Target {
		cfg := place.ServerConfig()
		return target(t, "mysql://"+user+":"+password+"@unix("+cfg.Addr+")/").WithPrefix(place.Prefix())
	}
	_, err := database.Open(ctx, as("few", "wrong"), testSchema(), database.Options{})
	wantError(t, err, errors.PermissionDenied, "refuses mysql://few@unix(")

	other := as("few", "secret").WithPrefix("t_other_")
	denied, err := database.Open(ctx, other, testSchema(), database.Options{})
	if err == nil {
		defer denied.Close()
		_, err = denied.Migrate(ctx)
	}
	wantError(t, err, errors.PermissionDenied)

	server.Exec(t, "GRANT SELECT ON "+place.Prefix()+"dbslm_suite.* TO few@localhost")
	reader, err := database.Open(ctx, as("few", "secret"), testSchema(), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.CheckSchema(ctx); err != nil {
		t.Error(err)
	}
	wantError(t, reader.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "a") }), errors.PermissionDenied)
	server.Exec(t, "SET GLOBAL read_only = 1")
	server.Exec(t, "GRANT ALL ON "+place.Prefix()+"dbslm_suite.* TO few@localhost")
	writer, err := database.Open(ctx, as("few", "secret"), testSchema(), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	wantError(t, writer.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "a") }), errors.FailedPrecondition, "read-only")
	_ = db
}
