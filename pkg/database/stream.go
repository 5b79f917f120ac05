package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strconv"
	"time"
	"unsafe"

	"dbslm/pkg/errors"
)

// Row is one row of Stream, valid until the callback returns. Columns count from 0. A column of another type than the one
// asked for is converted if that is exact and otherwise reads as zero, and Stream then returns an error.
type Row interface {
	// Int reads an integer; NULL is 0.
	Int(i int) int64
	// Float reads a double; NULL is 0.
	Float(i int) float64
	// Bytes reads bytes or text without copying them; NULL is nil.
	Bytes(i int) []byte
	// IsNull tells NULL from zero.
	IsNull(i int) bool
}

// checkEvery is how many rows pass between two looks at the context.
const checkEvery = 1024

// Stream implements Querier outside a transaction: one statement, one snapshot.
func (db *DB) Stream(ctx context.Context, query string, args []any, row func(Row) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return db.connectError(ctx, err)
	}
	defer conn.Close()
	return db.streamOn(ctx, conn, query, args, row)
}

// Stream implements Querier.
func (tx *Tx) Stream(ctx context.Context, query string, args []any, row func(Row) error) error {
	if err := tx.ready(false); err != nil {
		return err
	}
	if err := tx.opened(ctx); err != nil {
		return err
	}
	tx.busy = true
	defer func() { tx.busy = false }()
	return tx.fail(tx.db.streamOn(ctx, tx.conn, query, args, row))
}

func (db *DB) streamOn(ctx context.Context, conn *sql.Conn, query string, args []any, row func(Row) error) error {
	start := time.Now()
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var count int64
	var callback error // the callback's own error is returned unmapped
	err := conn.Raw(func(dc any) error {
		named, err := namedValues(args)
		if err != nil {
			return err
		}
		rows, err := dc.(driver.QueryerContext).QueryContext(ctx, query, named)
		if err != nil {
			return err
		}
		r := &rawRow{values: make([]driver.Value, len(rows.Columns()))}
		for {
			if count%checkEvery == 0 && ctx.Err() != nil {
				err = ctx.Err()
				break
			}
			if err = rows.Next(r.values); err != nil {
				break
			}
			count++
			if callback = row(r); callback != nil || r.err != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if closeErr := rows.Close(); err == nil && callback == nil {
			err = closeErr
		}
		if err == nil {
			err = r.err
		}
		return err
	})
	if callback != nil {
		db.observe(ctx, query, start, count, nil)
		return callback
	}
	err = mapError(ctx, err)
	db.observe(ctx, query, start, count, err)
	return err
}

func namedValues(args []any) ([]driver.NamedValue, error) {
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, errors.Wrap(err, errors.Internal, reasonUse, "argument %d cannot be sent to a database", i+1)
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return named, nil
}

// rawRow is the driver's row, as it came.
type rawRow struct {
	values []driver.Value
	err    error
}

func (r *rawRow) Int(i int) int64 {
	switch v := r.values[i].(type) {
	case int64:
		return v
	case uint64:
		if int64(v) >= 0 {
			return int64(v)
		}
	case []byte: // SUM over integers is DECIMAL on MySQL
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
	case nil:
		return 0
	}
	r.mismatch(i, "an integer")
	return 0
}

func (r *rawRow) Float(i int) float64 {
	switch v := r.values[i].(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case []byte:
		if f, err := strconv.ParseFloat(string(v), 64); err == nil {
			return f
		}
	case nil:
		return 0
	}
	r.mismatch(i, "a number")
	return 0
}

func (r *rawRow) Bytes(i int) []byte {
	switch v := r.values[i].(type) {
	case []byte:
		if v == nil {
			return []byte{} // an empty BLOB, not NULL
		}
		return v
	case string:
		if v == "" {
			return []byte{}
		}
		return unsafe.Slice(unsafe.StringData(v), len(v)) // read-only by contract
	case nil:
		return nil
	}
	r.mismatch(i, "bytes")
	return nil
}

func (r *rawRow) IsNull(i int) bool { return r.values[i] == nil }

func (r *rawRow) mismatch(i int, wanted string) {
	if r.err == nil {
		r.err = errors.New(errors.Internal, reasonStatement, "column %d holds %T where the program expects %s", i, r.values[i], wanted)
	}
}
