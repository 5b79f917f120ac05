package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"dbslm/pkg/errors"

	"modernc.org/sqlite"
)

const (
	// applicationID marks our files in SQLite's header: "DBSL".
	applicationID = 0x4442534c
	// liteReaders is the smallest default number of reading connections of one schema; there is one per processor.
	liteReaders = 4
	// liteCacheKiB bounds the page cache of one connection.
	liteCacheKiB = 32 << 10
	// defaultWriteWait must cover the longest write transaction of another process: a trainer's batch takes seconds.
	defaultWriteWait = time.Minute
)

// liteStore is one schema's file with what keeps its writers in line.
type liteStore struct {
	dir    string
	file   string
	memory *memoryDir // nil for a directory
	gate   chan struct{}
	lock   *writerLock
	wait   time.Duration
}

// openSQLite checks the directory and prepares the pools. No connection is made and no file created before one is needed.
func (db *DB) openSQLite() error {
	s := &liteStore{gate: make(chan struct{}, 1), wait: db.opts.WriteWait}
	if s.wait <= 0 {
		s.wait = defaultWriteWait
	}
	if db.target.kind == kindMemory {
		dir, err := db.target.memory.acquire()
		if err != nil {
			return err
		}
		s.dir, s.memory = dir, db.target.memory
	} else {
		dir, err := filepath.Abs(db.target.dir)
		if err != nil {
			return errors.Wrap(err, errors.InvalidArgument, reasonTarget, "cannot find the directory %s", db.target)
		}
		s.dir = dir
	}
	db.lite = s
	s.file = filepath.Join(s.dir, db.name()+".sqlite3")
	s.lock = newWriterLock(filepath.Join(s.dir, "locks"), db.name())
	if s.memory == nil {
		if err := checkDirectory(db.target, s.dir, s.file, db.opts.MustExist); err != nil {
			return err
		}
	}

	readers := db.opts.MaxConns
	if readers <= 0 {
		readers = max(liteReaders, runtime.GOMAXPROCS(0))
	}
	pools := [2]*sql.DB{}
	for i := range pools {
		connector, err := sqlite.NewConnector(db.liteDSN(i == 0))
		if err != nil {
			return mapError(context.Background(), err)
		}
		pools[i] = sql.OpenDB(liteConnector{connector})
	}
	db.write, db.read = pools[0], pools[1]
	db.write.SetMaxOpenConns(1)
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return nil
}

// liteDSN is the connection text. mode=rw: SQLite never creates a file by itself; Migrate does.
func (db *DB) liteDSN(writer bool) string {
	synchronous := "FULL" // an acknowledged commit survives a power failure
	switch {
	case db.lite.memory != nil:
		synchronous = "OFF"
	case db.opts.Derived:
		synchronous = "NORMAL"
	}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", db.lite.wait.Milliseconds()),
		"foreign_keys(1)",
		"synchronous(" + synchronous + ")",
		fmt.Sprintf("cache_size(-%d)", liteCacheKiB),
		"temp_store(MEMORY)",
	}
	if writer {
		// journal_mode is a property of the file, set by whoever writes first. The limit cuts the log back after a large load.
		// What is deleted is overwritten: a forgotten word must not be found in the file either.
		pragmas = append(pragmas, "journal_mode(WAL)", "journal_size_limit(67108864)", "secure_delete(1)")
	} else {
		pragmas = append(pragmas, "query_only(1)")
	}
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_dqs": {"0"}, "_error_rc": {"1"}, "_pragma": pragmas}
	path := filepath.ToSlash(db.lite.file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Overwrite has the store's files hold nothing any more of what was deleted or changed: an embedded store writes its file anew, at
// some 100 MB a second, and empties its log. Other writers wait. Unavailable while a writer or a reader of the log keeps it waiting
// for long: what was deleted is deleted, and the call can be repeated. On a server there is nothing to do here: InnoDB uses its pages
// again in its own time.
func (db *DB) Overwrite(ctx context.Context) error {
	if db.lite == nil || db.lite.memory != nil {
		return nil
	}
	release, err := db.lite.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return mapError(ctx, err)
	}
	defer conn.Close()
	// secure_delete overwrites the row that is deleted, but not what is left of it where a page was divided or joined before.
	if err := rewrite(ctx, conn); err != nil {
		return mapError(ctx, err)
	}
	var busy, frames, moved int64
	for range overwriteTrials {
		if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil {
			return mapError(ctx, err)
		}
		if busy == 0 {
			return nil
		}
	}
	return errors.New(errors.Unavailable, "LOG_IN_USE", "the log of %s is being read and could not be emptied of what was deleted; repeat the request", db.lite.file)
}

// rewrite writes the file anew. The copy must not fill the memory; what the connection does later is in memory again.
func rewrite(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA temp_store = FILE"); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "VACUUM")
	_, after := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA temp_store = MEMORY") // though the copy failed or its caller left
	if err == nil {
		err = after
	}
	return err
}

// overwriteTrials bounds how often Overwrite waits for readers, each time as long as a writer waits.
const overwriteTrials = 3

// exists reports whether the schema's file holds anything.
func (s *liteStore) exists() bool {
	info, err := os.Stat(s.file)
	return err == nil && info.Size() > 0
}

// create makes the directory and the file, both for the owner only: conversations are private.
func (s *liteStore) create() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return errors.Wrap(err, errors.FailedPrecondition, reasonReadOnly, "cannot create the directory %s; check the permissions of its parent", s.dir)
	}
	// Never opened if it is there: closing any descriptor of it would drop the locks SQLite holds in this process.
	f, err := os.OpenFile(s.file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case err != nil:
		return errors.Wrap(err, errors.FailedPrecondition, reasonReadOnly, "cannot create %s; check the permissions of the directory", s.file)
	}
	return f.Close()
}

// acquire waits until this caller may write: first among this DB's goroutines, then among processes.
func (s *liteStore) acquire(ctx context.Context) (release func(), err error) {
	waitCtx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	select {
	case s.gate <- struct{}{}:
	case <-waitCtx.Done():
		return nil, s.waited(ctx)
	}
	if err := s.lock.acquire(waitCtx); err != nil {
		<-s.gate
		return nil, s.waited(ctx)
	}
	return func() {
		s.lock.release()
		<-s.gate
	}, nil
}

func (s *liteStore) waited(ctx context.Context) error {
	if ctx.Err() != nil {
		return mapError(ctx, ctx.Err())
	}
	return errors.New(errors.Unavailable, reasonBusy, "another write has held the store %s for %s; wait for it to end (a running dbslm train?) and try again", s.dir, s.wait)
}

func (s *liteStore) close() error {
	s.lock.close()
	if s.memory != nil {
		return s.memory.release()
	}
	return nil
}
