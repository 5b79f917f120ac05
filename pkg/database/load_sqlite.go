package database

import (
	"context"
	"database/sql/driver"
	"strings"
	"unsafe"
)

const (
	// liteBatch rows go into one INSERT: measured 2.4 times cheaper than one by one, and flat from 30 to 100.
	liteBatch = 64
	// liteArena is how many bytes of text and blobs are collected before they are written.
	liteArena = 1 << 20
)

// prepared loads through prepared INSERTs on the driver's own connection: database/sql would add locks and conversions per
// statement, and a context there a goroutine, so the context is looked at between statements instead.
func (l *load) prepared(ctx context.Context) (rows int64, err error) {
	head := l.verb() + l.table + " (" + strings.Join(l.columns, ", ") + ") VALUES "
	l.statement = head + In(len(l.columns))
	err = l.tx.conn.Raw(func(dc any) error {
		w := newLiteWriter(head, len(l.columns))
		w.ended = ctx.Err
		w.prepare = func(query string) (driver.Stmt, error) {
			return dc.(driver.ConnPrepareContext).PrepareContext(ctx, query)
		}
		defer w.close()
		l.filled = l.fill(w)
		if l.filled == nil {
			w.flush()
		}
		if w.err != nil {
			l.filled = nil // fill could only pass the writer's error on
		}
		rows = w.rows
		return w.err
	})
	return rows, err
}

// liteWriter collects rows and binds them batch by batch.
type liteWriter struct {
	rowState
	ended   func() error // why the caller gave up, or nil
	prepare func(query string) (driver.Stmt, error)
	head    string
	batch   driver.Stmt // liteBatch rows; made when first needed
	single  driver.Stmt // one row
	args    []driver.NamedValue
	values  []liteValue
	arena   []byte
	used    int // filled args
}

// liteValue is where an argument's value lives. The driver takes interfaces; pointing them at these slots avoids allocating
// for every value. It reads them while the statement runs and keeps nothing.
type liteValue struct {
	integer int64
	float   float64
	bytes   []byte
	text    string
}

func newLiteWriter(head string, columns int) *liteWriter {
	w := &liteWriter{rowState: rowState{columns: columns}, head: head}
	n := columns * min(liteBatch, max(32000/columns, 1))
	w.args = make([]driver.NamedValue, n)
	w.values = make([]liteValue, n)
	for i := range w.args {
		w.args[i].Ordinal = i + 1
	}
	return w
}

func (w *liteWriter) close() {
	for _, s := range []driver.Stmt{w.batch, w.single} {
		if s != nil {
			_ = s.Close() // a failed statement reported its error when it ran
		}
	}
}

// slot is where the next value goes; surplus values of a row go to its last place and are refused by EndRow.
func (w *liteWriter) slot() (*liteValue, *driver.Value) {
	w.column++
	i := w.used + min(w.column, w.columns) - 1
	return &w.values[i], &w.args[i].Value
}

func (w *liteWriter) Int(v int64) {
	s, arg := w.slot()
	s.integer = v
	*arg = at(int64(0), unsafe.Pointer(&s.integer))
}

func (w *liteWriter) Float(v float64) {
	v = w.finite(v)
	s, arg := w.slot()
	s.float = v
	*arg = at(float64(0), unsafe.Pointer(&s.float))
}

func (w *liteWriter) Bytes(v []byte) {
	s, arg := w.slot()
	start := len(w.arena)
	w.arena = append(w.arena, v...)
	s.bytes = w.arena[start:len(w.arena):len(w.arena)]
	if s.bytes == nil {
		s.bytes = []byte{} // empty, not NULL
	}
	*arg = at([]byte(nil), unsafe.Pointer(&s.bytes))
}

func (w *liteWriter) String(v string) {
	s, arg := w.slot()
	start := len(w.arena)
	w.arena = append(w.arena, v...)
	s.text = unsafe.String(unsafe.SliceData(w.arena[start:]), len(v))
	*arg = at("", unsafe.Pointer(&s.text))
}

func (w *liteWriter) Null() {
	_, arg := w.slot()
	*arg = nil
}

// at is an interface of example's type whose value is read from p.
func at(example any, p unsafe.Pointer) any {
	(*[2]unsafe.Pointer)(unsafe.Pointer(&example))[1] = p
	return example
}

func (w *liteWriter) EndRow() error {
	if err := w.endRow(); err != nil {
		return err
	}
	w.used += w.columns
	if w.used == len(w.args) || len(w.arena) >= liteArena {
		w.flush()
	}
	return w.err
}

// flush writes the collected rows: a full batch as one statement, fewer one by one.
func (w *liteWriter) flush() {
	if w.err == nil {
		w.err = w.ended()
	}
	if w.err == nil && w.used == len(w.args) {
		w.run(&w.batch, len(w.args)/w.columns, w.args)
	} else {
		for row := w.args[:w.used]; len(row) > 0 && w.err == nil; row = row[w.columns:] {
			w.runSingle(row[:w.columns])
		}
	}
	w.used, w.arena = 0, w.arena[:0]
}

func (w *liteWriter) runSingle(row []driver.NamedValue) {
	args := make([]driver.NamedValue, len(row))
	for i := range row {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: row[i].Value}
	}
	w.run(&w.single, 1, args)
}

func (w *liteWriter) run(stmt *driver.Stmt, rows int, args []driver.NamedValue) {
	if *stmt == nil {
		if *stmt, w.err = w.prepare(w.head + Values(rows, w.columns)); w.err != nil {
			return
		}
	}
	_, w.err = (*stmt).(driver.StmtExecContext).ExecContext(context.Background(), args)
}
