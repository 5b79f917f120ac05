package database

import (
	"context"
	"database/sql/driver"
	"strings"
)

// prepared loads through one prepared INSERT on the driver's own connection: database/sql would add locks and conversions per
// row, and a context there a goroutine per row, so the context is looked at between rows instead.
func (l *load) prepared(ctx context.Context) (rows int64, err error) {
	l.statement = "INSERT INTO " + l.table + " (" + strings.Join(l.columns, ", ") + ") VALUES " + In(len(l.columns))
	err = l.tx.conn.Raw(func(dc any) error {
		stmt, err := dc.(driver.ConnPrepareContext).PrepareContext(ctx, l.statement)
		if err != nil {
			return err
		}
		w := &liteWriter{
			rowState: rowState{columns: len(l.columns)},
			ctx:      ctx,
			stmt:     stmt.(driver.StmtExecContext),
			args:     make([]driver.NamedValue, len(l.columns)),
		}
		for i := range w.args {
			w.args[i].Ordinal = i + 1
		}
		l.filled = l.fill(w)
		rows = w.rows
		if w.err != nil {
			l.filled = nil // the writer's error came first; fill can only pass it on
		}
		closeErr := stmt.Close()
		if w.err != nil {
			return w.err
		}
		return closeErr
	})
	return rows, err
}

// liteWriter binds values and runs the statement at the end of each row.
type liteWriter struct {
	rowState
	ctx  context.Context
	stmt driver.StmtExecContext
	args []driver.NamedValue
}

func (w *liteWriter) put(v driver.Value) {
	if w.column < w.columns {
		w.args[w.column].Value = v
	}
	w.column++
}

func (w *liteWriter) Int(v int64) { w.put(v) }

func (w *liteWriter) Float(v float64) {
	if w.finite(v) {
		w.put(v)
	} else {
		w.put(nil)
	}
}

func (w *liteWriter) Bytes(v []byte) {
	if v == nil {
		v = []byte{}
	}
	w.put(v)
}

func (w *liteWriter) String(v string) { w.put(v) }

func (w *liteWriter) Null() { w.put(nil) }

func (w *liteWriter) EndRow() error {
	if w.rows%checkEvery == 0 && w.err == nil {
		w.err = w.ctx.Err()
	}
	if err := w.endRow(); err != nil {
		return err
	}
	_, w.err = w.stmt.ExecContext(context.Background(), w.args)
	return w.err
}
