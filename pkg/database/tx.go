package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math/rand/v2"
	"time"

	"dbslm/pkg/errors"
)

const (
	// maxAttempts bounds how often a transaction runs that loses every race; with retryCap that is some seconds.
	maxAttempts = 12
	retryBase   = 4 * time.Millisecond
	retryCap    = 500 * time.Millisecond
	// endTimeout bounds COMMIT and ROLLBACK, which run on after the caller gave up: a half-sent COMMIT has an unknown outcome.
	endTimeout = 30 * time.Second
)

// Tx is an open transaction. It belongs to one goroutine and ends with the closure it was given to. After its first error
// (ErrNoRows is none) every further call returns that error and nothing is committed: MySQL would otherwise go on outside
// any transaction after a deadlock, and commit half of one after a lock wait.
type Tx struct {
	db    *DB
	conn  *sql.Conn
	write bool
	begun bool  // the database knows of it
	again bool  // it ran before
	err   error // first error, mapped
	open  *Rows // result not yet closed
	busy  bool  // inside Stream or Load
	ended bool
}

// InTx runs f in a write transaction and commits if f returns nil. Deadlocks, lock waits, SQLITE_BUSY and connections lost
// before COMMIT roll back and run f again, with random growing pauses, until ctx ends or twelve attempts failed: f must not
// keep state outside from one run to the next. An error or panic of f rolls back; the error is returned as it is.
//
// Inside, use tx and not db: a write of db would wait for this one until WriteWait ends (SQLite), or wait for a second
// connection when all are in use (MySQL).
//
// MySQL runs it at READ COMMITTED: lock what you decide on with Dialect.ForUpdate. SQLite has one writer at a time.
func (db *DB) InTx(ctx context.Context, f func(tx *Tx) error) error {
	return db.transact(ctx, true, f)
}

// InReadTx runs f in a transaction that reads one consistent snapshot and cannot write. It blocks nobody. Do not keep it open
// while waiting for anything else: on SQLite the log cannot shrink meanwhile, on MySQL old row versions pile up.
func (db *DB) InReadTx(ctx context.Context, f func(tx *Tx) error) error {
	return db.transact(ctx, false, f)
}

func (db *DB) transact(ctx context.Context, write bool, f func(tx *Tx) error) error {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		again, err := db.attempt(ctx, write, attempt > 1, f)
		if err == nil {
			return nil
		}
		if db.lite != nil && time.Since(start) > db.lite.wait {
			again = false // each attempt has waited already
		}
		if !again || attempt == maxAttempts || ctx.Err() != nil {
			return err
		}
		pause := rand.N(min(retryCap, retryBase<<attempt)) // full jitter
		db.log.DebugContext(ctx, "transaction runs again", "attempt", attempt, "pause", pause, "error", err)
		select {
		case <-ctx.Done():
			return mapError(ctx, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// attempt runs f once. again: nothing was kept and another attempt may succeed.
func (db *DB) attempt(ctx context.Context, write, ranBefore bool, f func(tx *Tx) error) (again bool, err error) {
	pool := db.read
	if write {
		pool = db.write
		if db.lite != nil {
			release, err := db.lite.acquire(ctx)
			if err != nil {
				return false, err
			}
			defer release()
		}
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return false, db.connectError(ctx, err)
	}
	tx := &Tx{db: db, conn: conn, write: write, again: ranBefore}
	defer func() {
		if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			db.log.WarnContext(ctx, "returning a connection failed", "error", err)
		}
	}()
	if !tx.withFirst() {
		if err := tx.begin(ctx); err != nil {
			tx.rollback(ctx) // MySQL may have begun although the answer was lost
			return retryable(err, true), err
		}
	}
	defer func() {
		if !tx.ended { // f panicked
			tx.rollback(ctx)
		}
	}()
	err = f(tx)
	tx.closeRows()
	if tx.err != nil {
		tx.rollback(ctx)
		if err == nil || !errors.Is(err, tx.err) {
			err = errors.Join(tx.err, err)
		}
		return retryable(tx.err, true), err
	}
	if err == nil && ctx.Err() != nil {
		err = mapError(ctx, ctx.Err())
	}
	if err != nil {
		tx.rollback(ctx)
		return false, err
	}
	if err := tx.commit(ctx); err != nil {
		tx.rollback(ctx)
		return retryable(err, false), err
	}
	return false, nil
}

const startTransaction = "START TRANSACTION"

// withFirst reports whether the transaction begins together with its first statement, in one round trip; see conn.
func (tx *Tx) withFirst() bool { return tx.db.dialect == MySQL && tx.write }

func (tx *Tx) begin(ctx context.Context) error {
	tx.begun = true
	switch {
	case tx.db.dialect == SQLite && tx.write:
		return tx.control(ctx, "BEGIN IMMEDIATE")
	case tx.db.dialect == SQLite:
		return tx.control(ctx, "BEGIN")
	case tx.write:
		return tx.control(ctx, startTransaction)
	}
	if err := tx.control(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	return tx.control(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
}

func (tx *Tx) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if !tx.begun {
		tx.ended = true
		return nil
	}
	err := tx.control(ctx, "COMMIT")
	tx.ended = err == nil
	if err != nil && errors.KindOf(err) == errors.DeadlineExceeded {
		err = errors.Wrap(err, errors.Unavailable, reasonOutcome, "the database did not answer to COMMIT within %s; whether it took effect is unknown", endTimeout)
	}
	return err
}

// rollback leaves a clean connection or none: one whose state is unsure is thrown away.
func (tx *Tx) rollback(ctx context.Context) {
	tx.ended = true
	tx.closeRows()
	if !tx.begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := tx.control(ctx, "ROLLBACK")
	if err != nil && !noTransaction(err) {
		_ = tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

func (tx *Tx) control(ctx context.Context, statement string) error {
	start := time.Now()
	_, err := tx.conn.ExecContext(ctx, statement)
	err = mapError(ctx, err)
	tx.db.observe(ctx, statement, start, 0, err)
	return err
}

// ready refuses calls that cannot be right, with the reason.
func (tx *Tx) ready(write bool) error {
	switch {
	case tx.err != nil:
		return tx.err
	case tx.ended:
		return tx.fail(errors.New(errors.Internal, reasonUse, "the transaction has ended; its Tx must not be used outside the closure"))
	case tx.busy:
		return tx.fail(errors.New(errors.Internal, reasonUse, "the transaction is inside Stream or Load; its callback must not use the same Tx"))
	case tx.open != nil:
		return tx.fail(errors.New(errors.Internal, reasonUse, "close the rows of the previous query before the next statement of a transaction"))
	case write && !tx.write:
		return tx.fail(errors.New(errors.Internal, reasonUse, "a read transaction cannot write; use InTx"))
	}
	return nil
}

// fail poisons the transaction with its first error.
func (tx *Tx) fail(err error) error {
	if err != nil && !errors.Is(err, ErrNoRows) && tx.err == nil {
		tx.err = err
	}
	return err
}

func (tx *Tx) closeRows() {
	if tx.open != nil {
		_ = tx.open.Close() // its error is in tx.err
	}
}

// Dialect says which engine this is.
func (tx *Tx) Dialect() Dialect { return tx.db.dialect }

// Query implements Querier.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if err := tx.ready(false); err != nil {
		return nil, err
	}
	rows, err := tx.db.queryOn(ctx, tx.on(), query, args, func(err error) {
		tx.open = nil
		_ = tx.fail(err)
	})
	if err == nil {
		tx.open = rows
	}
	return rows, err
}

// QueryRow implements Querier.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) Scanner {
	rows, err := tx.Query(ctx, query, args...)
	return scanner{rows, err}
}

// Exec implements Querier.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	if err := tx.ready(true); err != nil {
		return 0, err
	}
	affected, err = tx.db.execOn(ctx, tx.on(), query, args)
	return affected, tx.fail(err)
}
