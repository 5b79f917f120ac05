package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"

	"github.com/go-sql-driver/mysql"
)

// dsnVariable names the environment variable with the URL of a server to use instead of a private one.
const dsnVariable = "DBSLM_TEST_MYSQL_DSN"

// Server is a database server for tests: a private one, or the one DBSLM_TEST_MYSQL_DSN names.
type Server struct {
	base   database.Target
	config *mysql.Config
	dir    string // private: the temporary directory with data and socket
	args   []string
	guard  *os.File // private: closing it ends the server and removes dir
	shell  *exec.Cmd
}

var (
	sharedOnce   sync.Once
	sharedServer *Server
	sharedErr    error
)

// shared is the process's server. It has no owner among the tests, so it ends with the process.
func shared(t testing.TB) *Server {
	t.Helper()
	sharedOnce.Do(func() {
		if dsn := os.Getenv(dsnVariable); dsn != "" {
			sharedServer, sharedErr = external(dsn)
			return
		}
		sharedServer, sharedErr = start(nil)
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return sharedServer
}

// Start starts a private server of this test alone, for tests that stop or kill it or that need their own server options
// ("--local-infile=0"). It ends with the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := start(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// Shared is the server MySQLTarget uses.
func Shared(t testing.TB) *Server {
	t.Helper()
	return shared(t)
}

func external(dsn string) (*Server, error) {
	if !strings.Contains(dsn, "://") {
		dsn = "mysql://" + dsn
	}
	target, err := database.ParseTarget(dsn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dsnVariable, err)
	}
	return &Server{base: target, config: target.ServerConfig()}, nil
}

// Target is a fresh name space on the server; its schemas are dropped when the test ends.
func (s *Server) Target(t testing.TB) database.Target {
	t.Helper()
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	prefix := "t" + hex.EncodeToString(random) + "_"
	t.Cleanup(func() { s.drop(t, prefix) })
	return s.base.WithPrefix(prefix)
}

func (s *Server) drop(t testing.TB, prefix string) {
	db, err := s.sql()
	if err != nil {
		t.Errorf("dropping the schemas %s*: %v", prefix, err)
		return
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := db.QueryContext(ctx, "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, ?) = ?", len(prefix), prefix)
	if err != nil {
		if s.dir == "" { // a private server may have been killed by its test
			t.Errorf("dropping the schemas %s*: %v", prefix, err)
		}
		return
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Error(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, "DROP DATABASE "+name); err != nil {
			t.Errorf("dropping %s: %v", name, err)
		}
	}
}

func (s *Server) sql() (*sql.DB, error) {
	connector, err := mysql.NewConnector(s.config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Exec runs a statement on the server as its administrator, outside any schema: "SET GLOBAL local_infile = 0", "KILL 17".
func (s *Server) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	db, err := s.sql()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Private reports whether the server was started here and may be stopped, killed and reconfigured.
func (s *Server) Private() bool { return s.dir != "" }

// PID is the private server's process.
func (s *Server) PID(t testing.TB) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		t.Fatalf("the server's process is unknown: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Kill ends the private server as a crash would (SIGKILL) and waits until it is gone.
func (s *Server) Kill(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGKILL) }

// Stop shuts the private server down in order.
func (s *Server) Stop(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGTERM) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if !s.Private() {
		t.Fatalf("this test ends its server; unset %s so that it can start one of its own", dsnVariable)
	}
	pid := s.PID(t)
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("ending the server: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); running(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server %d does not end", pid)
		}
	}
	_ = os.Remove(filepath.Join(s.dir, "pid"))
}

// running tells a process from none and from one that ended but was not waited for.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// Restart starts the private server again on the same data and socket after Kill or Stop; with options, those take the place
// of what Start was given.
func (s *Server) Restart(t testing.TB, args ...string) {
	t.Helper()
	if len(args) > 0 {
		s.args = append(s.args[:1:1], args...)
	}
	old, oldShell := s.guard, s.shell
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = old.Close()
		_ = oldShell.Wait()
	})
}

// DataDir is where the private server keeps its files: a directory for each database.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// CPU is the processor time the private server has used.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	return processCPU(t, s.PID(t))
}

func processCPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	user, err1 := strconv.ParseInt(fields[11], 10, 64) // utime, field 14 of proc(5)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("unreadable /proc/%d/stat", pid)
	}
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ is 100 on every Linux
}
