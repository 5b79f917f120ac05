package database

import (
	"context"
	"database/sql"
	"time"

	"dbslm/pkg/errors"
)

// Querier is what *DB and *Tx have in common. Arguments are int, int64, uint32, float64, bool, string, []byte (for
// VARBINARY and BLOB columns always), nil, or a type whose underlying type is one of these.
type Querier interface {
	// Query runs a statement that returns rows. Close the rows before the next statement of the same transaction.
	Query(ctx context.Context, query string, args ...any) (*Rows, error)
	// QueryRow runs a statement that returns at most one row; Scan returns ErrNoRows if there was none.
	QueryRow(ctx context.Context, query string, args ...any) Scanner
	// Exec runs a statement that returns no rows and says how many it matched (UPDATE, DELETE) or inserted. The count of an
	// INSERT … ON DUPLICATE KEY UPDATE differs between engines; use Upsert.
	Exec(ctx context.Context, query string, args ...any) (affected int64, err error)
	// Stream calls row for every row, without allocating per row; for large reads. The callback must not use the same *Tx.
	// An error of the callback ends the stream and is returned as it is.
	Stream(ctx context.Context, query string, args []any, row func(Row) error) error
}

var (
	_ Querier = (*DB)(nil)
	_ Querier = (*Tx)(nil)
)

// Scanner reads one row into pointers, as database/sql does. []byte destinations get a copy.
type Scanner interface {
	Scan(dest ...any) error
}

// Rows is a result to be walked with Next and Scan, then Err; Close may be called at any time and again.
type Rows struct {
	rows  *sql.Rows
	count int64
	err   error
	mapTo func(error) error
	done  func(count int64, err error) // called once, at the end
}

// Next moves to the next row; false at the end or at an error, which Err tells.
func (r *Rows) Next() bool {
	if r.err == nil && r.rows.Next() {
		r.count++
		return true
	}
	r.finish()
	return false
}

// Scan copies the current row's columns.
func (r *Rows) Scan(dest ...any) error {
	if err := r.rows.Scan(dest...); err != nil {
		r.err = r.mapTo(err)
		return r.err
	}
	return nil
}

// Err is the error that ended Next early.
func (r *Rows) Err() error {
	if r.err == nil {
		r.err = r.mapTo(r.rows.Err())
	}
	return r.err
}

// Close ends the result.
func (r *Rows) Close() error {
	r.finish()
	return r.err
}

func (r *Rows) finish() {
	if r.done == nil {
		return
	}
	closeErr := r.rows.Close()
	if r.Err() == nil && closeErr != nil {
		r.err = r.mapTo(closeErr)
	}
	done := r.done
	r.done = nil
	done(r.count, r.err)
}

// scanner reads the only row of a result.
type scanner struct {
	rows *Rows
	err  error
}

func (s scanner) Scan(dest ...any) error {
	if s.err != nil {
		return s.err
	}
	defer s.rows.Close()
	if !s.rows.Next() {
		if err := s.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := s.rows.Scan(dest...); err != nil {
		return err
	}
	return s.rows.Close()
}

// sqlQuerier is a pool or one connection of it.
type sqlQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (db *DB) queryOn(ctx context.Context, q sqlQuerier, query string, args []any, done func(error)) (*Rows, error) {
	start := time.Now()
	ctx, cancel := db.limit(ctx)
	mapTo := func(err error) error { return mapError(ctx, err) }
	finish := func(count int64, err error) {
		cancel()
		db.observe(ctx, query, start, count, err)
		if done != nil {
			done(err)
		}
	}
	rows, err := q.QueryContext(ctx, query, args...) //nolint:rowserrcheck // Rows.Err does
	if err != nil {
		err = mapTo(err)
		finish(0, err)
		return nil, err
	}
	return &Rows{rows: rows, mapTo: mapTo, done: finish}, nil
}

func (db *DB) execOn(ctx context.Context, q sqlQuerier, query string, args []any) (int64, error) {
	start := time.Now()
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var n int64
	res, err := q.ExecContext(ctx, query, args...)
	if err == nil {
		n, err = res.RowsAffected()
	}
	err = mapError(ctx, err)
	db.observe(ctx, query, start, n, err)
	return n, err
}

// limit applies Options.StatementTimeout on this side; on MySQL the session carries it into the server too.
func (db *DB) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if db.opts.StatementTimeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.opts.StatementTimeout)
}

// Query implements Querier outside a transaction. A read whose connection turns out to be broken is sent once more.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	rows, err := db.queryOn(ctx, db.read, query, args, nil)
	if err != nil && errors.ReasonOf(err) == reasonOutcome && ctx.Err() == nil && isSelect(query) {
		rows, err = db.queryOn(ctx, db.read, query, args, nil)
	}
	return rows, err
}

// QueryRow implements Querier outside a transaction.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) Scanner {
	rows, err := db.Query(ctx, query, args...)
	return scanner{rows, err}
}

// Exec implements Querier as a transaction of its own.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	err = db.InTx(ctx, func(tx *Tx) error {
		affected, err = tx.Exec(ctx, query, args...)
		return err
	})
	return affected, err
}

func isSelect(query string) bool {
	verb, _ := nextWord(query)
	return verb == "SELECT" || verb == "select"
}
