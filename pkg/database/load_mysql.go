package database

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
)

const (
	// chunkSize is what passes from the writer to the connection at once.
	chunkSize = 256 << 10
	// insertBytes bounds one INSERT of the fallback; insertRows keeps the parser's memory small.
	insertBytes = 512 << 10
	insertRows  = 2000
)

// loadNumber makes the names unique under which the driver finds a load's data.
var loadNumber atomic.Uint64

// infile loads with LOAD DATA LOCAL INFILE from a reader. fill runs on the caller's goroutine, the statement on another; full
// buffers go one way and empty ones back.
func (l *load) infile(ctx context.Context) (int64, error) {
	name := "dbslm" + strconv.FormatUint(loadNumber.Add(1), 10)
	onDuplicate := ""
	if l.replace {
		onDuplicate = "REPLACE "
	}
	l.statement = "LOAD DATA LOCAL INFILE 'Reader::" + name + "' " + onDuplicate + "INTO TABLE " + l.table +
		` CHARACTER SET binary FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' (` + strings.Join(l.columns, ", ") + ")"

	p := &chunkPipe{asked: make(chan struct{}), full: make(chan []byte), empty: make(chan []byte, 2), stop: make(chan struct{})}
	p.empty <- make([]byte, 0, chunkSize)
	p.empty <- make([]byte, 0, chunkSize)
	mysql.RegisterReaderHandler(name, func() io.Reader { close(p.asked); return p })
	defer mysql.DeregisterReaderHandler(name)

	type outcome struct {
		rows int64
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		var n int64
		res, err := l.tx.conn.ExecContext(ctx, l.statement)
		if err == nil {
			n, err = res.RowsAffected()
		}
		close(p.stop)
		ended <- outcome{n, err}
	}()
	select {
	case <-p.asked:
	case o := <-ended: // refused before a byte was wanted
		if localDataDisabled(o.err) {
			l.tx.db.my.localData.Store(false)
			l.tx.db.log.InfoContext(ctx, "the server forbids LOAD DATA LOCAL; loading with INSERT (slower; local_infile=ON allows it)")
			return l.inserts(ctx)
		}
		if o.err == nil {
			o.err = errors.New(errors.Internal, reasonLoad, "the server did not read the data of a load")
		}
		return 0, o.err
	}
	w := &infileWriter{infileEncoder: infileEncoder{rowState: rowState{columns: len(l.columns)}}, pipe: p}
	w.buf = <-p.empty
	func() {
		finished := false
		defer func() {
			if !finished { // fill panicked: let the statement end before the panic goes on
				p.close(errFill)
				<-ended
			}
		}()
		l.filled = l.fill(w)
		finished = true
	}()
	err := l.filled
	if w.err != nil {
		err, l.filled = w.err, nil
	}
	if err == nil {
		err = w.flush()
	}
	p.close(err)
	o := <-ended
	switch {
	case o.err != nil && !errors.Is(o.err, errFill):
		if err == nil || errors.Is(err, errStatementEnded) {
			l.filled = nil
			return 0, o.err
		}
		return 0, err
	case err != nil:
		return 0, err
	}
	return o.rows, l.verify(ctx, w.rows, o.rows)
}

var (
	errFill           = errors.New(errors.Internal, reasonLoad, "the data of a load ended early")
	errStatementEnded = errors.New(errors.Internal, reasonLoad, "the server ended a load before its data")
)

// chunkPipe hands buffers from the writer to the driver. It is an io.Reader.
type chunkPipe struct {
	asked chan struct{} // closed when the server wants the data
	full  chan []byte
	empty chan []byte
	stop  chan struct{} // closed when the statement ended
	err   error         // set before full is closed
	cur   []byte
	whole []byte
}

// Read implements io.Reader.
func (p *chunkPipe) Read(b []byte) (int, error) {
	if len(p.cur) == 0 {
		if p.whole != nil {
			p.empty <- p.whole[:0]
			p.whole = nil
		}
		chunk, ok := <-p.full
		if !ok {
			if p.err != nil {
				return 0, errFill
			}
			return 0, io.EOF
		}
		p.whole, p.cur = chunk, chunk
	}
	n := copy(b, p.cur)
	p.cur = p.cur[n:]
	return n, nil
}

// send gives a full buffer away and returns an empty one.
func (p *chunkPipe) send(buf []byte) ([]byte, error) {
	select {
	case p.full <- buf:
	case <-p.stop:
		return buf[:0], errStatementEnded
	}
	select {
	case buf = <-p.empty:
		return buf, nil
	case <-p.stop:
		return nil, errStatementEnded
	}
}

func (p *chunkPipe) close(err error) {
	p.err = err
	close(p.full)
}

// infileWriter sends its buffer on when it is nearly full.
type infileWriter struct {
	infileEncoder
	pipe *chunkPipe
}

func (w *infileWriter) EndRow() error {
	w.buf = append(w.buf, '\n')
	if err := w.endRow(); err != nil {
		return err
	}
	if len(w.buf) < chunkSize-chunkSize/8 {
		return nil
	}
	return w.flush()
}

func (w *infileWriter) flush() error {
	if len(w.buf) > 0 && w.err == nil {
		w.buf, w.err = w.pipe.send(w.buf)
	}
	return w.err
}

// localDataDisabled recognises ER_NOT_ALLOWED_COMMAND, ER_CLIENT_LOCAL_FILES_DISABLED and MariaDB's ER_LOAD_INFILE_CAPABILITY_DISABLED.
func localDataDisabled(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (e.Number == 1148 || e.Number == 3948 || e.Number == 4166)
}

// inserts loads with multi-row INSERT statements.
func (l *load) inserts(ctx context.Context) (int64, error) {
	head := l.verb() + l.table + " (" + strings.Join(l.columns, ", ") + ") VALUES "
	l.statement = head + In(len(l.columns))
	w := &insertWriter{
		insertEncoder: insertEncoder{rowState: rowState{columns: len(l.columns)}},
		head:          head,
		limit:         min(insertBytes, l.tx.db.my.maxPacket/2),
		exec: func(query string) (sql.Result, error) {
			return l.tx.conn.ExecContext(ctx, query)
		},
	}
	w.buf = append(make([]byte, 0, w.limit+w.limit/8), head...)
	l.filled = l.fill(w)
	if w.err != nil {
		l.filled = nil
		return 0, w.err
	}
	if l.filled != nil {
		return 0, l.filled
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.inserted, l.verify(ctx, w.rows, w.inserted)
}

type insertWriter struct {
	insertEncoder
	exec     func(query string) (sql.Result, error)
	head     string
	limit    int
	pending  int
	inserted int64
}

func (w *insertWriter) EndRow() error {
	w.buf = append(w.buf, ')', ',')
	if err := w.endRow(); err != nil {
		return err
	}
	w.pending++
	if w.pending < insertRows && len(w.buf) < w.limit {
		return nil
	}
	return w.flush()
}

func (w *insertWriter) flush() error {
	if w.pending == 0 || w.err != nil {
		return w.err
	}
	var res sql.Result
	if res, w.err = w.exec(string(w.buf[:len(w.buf)-1])); w.err != nil {
		return w.err
	}
	var n int64
	n, w.err = res.RowsAffected()
	w.inserted += n
	w.pending, w.buf = 0, w.buf[:len(w.head)]
	return w.err
}

// verify fails on any warning and on any row that did not arrive.
func (l *load) verify(ctx context.Context, wrote, arrived int64) error {
	rows, err := l.tx.conn.QueryContext(ctx, "SHOW WARNINGS LIMIT 1")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		var level, text string
		var code uint16
		if err := rows.Scan(&level, &code, &text); err != nil {
			return err
		}
		warning := &mysql.MySQLError{Number: code, Message: text}
		if code == 1062 {
			return warning // mapped like the error it would have been
		}
		return errors.Wrap(warning, errors.InvalidArgument, reasonLoad, "a value does not fit its column of %s; nothing was loaded", l.table)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if l.replace && arrived >= wrote && arrived <= 2*wrote { // a replaced row counts twice: deleted, inserted
		return nil
	}
	if wrote != arrived {
		return errors.New(errors.Internal, reasonLoad, "loading %s wrote %d rows but %d arrived; nothing was loaded", l.table, wrote, arrived).
			With("table", l.table).With("rows", fmt.Sprint(wrote))
	}
	return nil
}
