package database_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

// roleVariable makes this test binary play the second process of a test instead of running tests.
const roleVariable = "DBSLM_DATABASE_TEST_ROLE"

// play runs a role in the second process: "what directory". It prints lines for the test to wait for.
func play(role string) int {
	what, dir, _ := strings.Cut(role, " ")
	ctx := context.Background()
	place, err := database.ParseTarget(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	db, err := database.Open(ctx, place, testSchema(), database.Options{MustExist: what != "begin"})
	if err != nil {
		fmt.Println(errors.Public(err))
		return 1
	}
	defer db.Close()
	switch what {
	case "open":
		fmt.Println("opened")
	case "train": // one long transaction after the other, without a pause, until killed
		for i := 0; ; i++ {
			err := db.InTx(ctx, func(tx *database.Tx) error {
				if err := insertToken(ctx, tx, 1_000_000+i, fmt.Sprint("train ", i)); err != nil {
					return err
				}
				time.Sleep(60 * time.Millisecond)
				return nil
			})
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Println("committed", i)
		}
	case "hold": // a transaction that never ends
		_ = db.InTx(ctx, func(tx *database.Tx) error {
			fmt.Println("holding", insertToken(ctx, tx, 1, "held"))
			time.Sleep(time.Hour)
			return nil
		})
	case "begin": // as a program does that finds no store: its schemas one after the other, then work
		for name, schema := range map[string]database.Schema{"first": testSchema(), "second": otherSchema()} {
			db, err := database.Open(ctx, place, schema, database.Options{})
			if err != nil {
				fmt.Println(name, errors.Public(err))
				return 1
			}
			defer db.Close()
			if _, err := db.Migrate(ctx); err != nil {
				fmt.Println(name, err)
				return 1
			}
		}
		fallthrough
	case "count":
		for i := range 50 {
			err := db.InTx(ctx, func(tx *database.Tx) error {
				return tx.Upsert(ctx, "tbl_counts", benchColumns, benchColumns[:4], []database.Assign{{Column: "c", Add: true}}, [][]any{{1, 1, 1, 1, 1, 0}})
			})
			if err != nil {
				fmt.Println(i, err)
				return 1
			}
		}
		fmt.Println("done")
	}
	return 0
}

// second starts a second process and returns its lines. It is killed with the test.
func second(t *testing.T, role string, credential *syscall.Credential) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	program := os.Args[0]
	if credential != nil { // go test builds where only its user may go
		data, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		program = filepath.Join(openTempDir(t), "second")
		if err := os.WriteFile(program, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	if credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

func line(t *testing.T, s *bufio.Scanner, want string) string {
	t.Helper()
	if !s.Scan() || !strings.HasPrefix(s.Text(), want) {
		t.Fatalf("the second process said %q, %v; want %q", s.Text(), s.Err(), want)
	}
	return s.Text()
}

func TestTwoProcessesTakeTurns(t *testing.T) {
	ctx := context.Background()
	place := databasetest.SQLiteTarget(t)
	db := databasetest.Open(t, place, testSchema(), database.Options{})
	_, trainer := second(t, "train "+place.Dir(), nil)
	line(t, trainer, "committed")
	var longest time.Duration
	for i := range 15 {
		start := time.Now()
		if err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, i, fmt.Sprint("chat ", i)) }); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(start))
		readStart := time.Now()
		countTokens(t, db)
		if d := time.Since(readStart); d > 2*time.Second {
			t.Errorf("a read took %v beside the trainer", d)
		}
	}
	t.Logf("longest wait for a write beside a trainer whose transactions take 60 ms: %v", longest)
	if longest > 5*time.Second { // two turns are 0.12 s; without turns it is a minute
		t.Errorf("a write waited %v", longest)
	}
	line(t, trainer, "committed")
}

func TestTwoProcessesCountTogether(t *testing.T) {
	place := databasetest.SQLiteTarget(t)
	db := databasetest.Open(t, place, testSchema(), database.Options{})
	const processes = 3
	var outs []*bufio.Scanner
	for range processes {
		_, out := second(t, "count "+place.Dir(), nil)
		outs = append(outs, out)
	}
	for _, out := range outs {
		line(t, out, "done")
	}
	var c int
	if err := db.QueryRow(context.Background(), "SELECT c FROM tbl_counts").Scan(&c); err != nil || c != 50*processes {
		t.Errorf("counted %d, %v", c, err)
	}
}

func otherSchema() database.Schema {
	schema := testSchema()
	schema.Name = "dbslm_other"
	return schema
}

// Several processes begin one store at once, each opening its schemas beside files that the others hold locks on.
func TestProcessesBeginAStoreTogether(t *testing.T) {
	for range 5 {
		place := databasetest.SQLiteTarget(t)
		const processes = 4
		var outs []*bufio.Scanner
		for range processes {
			_, out := second(t, "begin "+place.Dir(), nil)
			outs = append(outs, out)
			time.Sleep(30 * time.Millisecond) // the first ones work by then
		}
		for _, out := range outs {
			line(t, out, "done")
		}
		db := databasetest.Open(t, place, testSchema(), database.Options{MustExist: true})
		var c int
		if err := db.QueryRow(context.Background(), "SELECT c FROM tbl_counts").Scan(&c); err != nil || c != 50*processes {
			t.Errorf("counted %d, %v", c, err)
		}
	}
}

func TestWaitingForAnotherProcessHasAnEnd(t *testing.T) {
	ctx := context.Background()
	place := databasetest.SQLiteTarget(t)
	databasetest.Open(t, place, testSchema(), database.Options{})
	cmd, holder := second(t, "hold "+place.Dir(), nil)
	line(t, holder, "holding <nil>")

	db := databasetest.Open(t, place, testSchema(), database.Options{WriteWait: 300 * time.Millisecond, Observer: quiet{}})
	err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 2, "b") })
	wantError(t, err, errors.Unavailable, "another write has held the store", place.Dir())
	if strings.Contains(errors.Public(err), "locked") {
		t.Errorf("speaks SQLite: %v", err)
	}
	if n := countTokens(t, db); n != 0 {
		t.Errorf("a reader sees %d uncommitted rows", n)
	}
	limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err = db.InTx(limited, func(tx *database.Tx) error { return insertToken(limited, tx, 2, "b") })
	wantError(t, err, errors.DeadlineExceeded)

	// Killed in the middle: nothing of it stays, and nobody waits for it any more.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = cmd.Process.Wait() // dying takes its time on a busy machine
	if err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 2, "b") }); err != nil {
		t.Error(err)
	}
	if n := countTokens(t, db); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// A tool such as sqlite3 knows nothing of our turns; SQLite's own lock must do.
func TestForeignWriterIsWaitedFor(t *testing.T) {
	ctx := context.Background()
	place := databasetest.SQLiteTarget(t)
	databasetest.Open(t, place, testSchema(), database.Options{})
	_, holder := second(t, "hold "+place.Dir(), nil)
	line(t, holder, "holding <nil>")
	if err := os.RemoveAll(filepath.Join(place.Dir(), "locks")); err != nil { // so that this process sees no turn held
		t.Fatal(err)
	}
	db := databasetest.Open(t, place, testSchema(), database.Options{WriteWait: 200 * time.Millisecond})
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := db.InTx(limited, func(tx *database.Tx) error { return insertToken(limited, tx, 2, "b") })
	if k := errors.KindOf(err); k != errors.Unavailable && k != errors.DeadlineExceeded || strings.Contains(errors.Public(err), "locked") {
		t.Errorf("%v: %v", k, err)
	}
}

type quiet struct{}

func (quiet) Statement(context.Context, database.Statement) {}

// Root may write anywhere, so the second process is nobody.
func TestDirectoriesWithoutPermission(t *testing.T) {
	if os.Getuid() != 0 {
		testNoPermission(t, nil)
		return
	}
	testNoPermission(t, &syscall.Credential{Uid: 65534, Gid: 65534})
}

func testNoPermission(t *testing.T, credential *syscall.Credential) {
	place := target(t, filepath.Join(openTempDir(t), "store"))
	databasetest.Open(t, place, testSchema(), database.Options{})
	for _, c := range []struct {
		mode os.FileMode
		say  string
	}{{0o555, "cannot write in the directory " + place.Dir()}, {0o000, "cannot "}} {
		if err := os.Chmod(place.Dir(), c.mode); err != nil {
			t.Fatal(err)
		}
		_, out := second(t, "open "+place.Dir(), credential)
		line(t, out, c.say)
	}
	if err := os.Chmod(place.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
}

// openTempDir is a temporary directory that other users can enter.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), testSchema(), database.Options{})
	if _, err := db.Exec(ctx, "PRAGMA max_page_count = 40"); err != nil {
		t.Fatal(err)
	}
	err := db.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.Load(ctx, "tbl_counts", benchColumns, benchRowsOf(1, 20_000))
		return err
	})
	wantError(t, err, errors.ResourceExhausted, "disk", "full")
	var n int
	if err := db.QueryRow(ctx, "SELECT COUNT(*) FROM tbl_counts").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows stayed, %v", n, err)
	}
	if err := db.InTx(ctx, func(tx *database.Tx) error { return insertToken(ctx, tx, 1, "small") }); err != nil {
		t.Errorf("nothing can be written after a full disk: %v", err)
	}
}
