package database

import (
	"context"
	"math"
	"time"

	"dbslm/pkg/errors"
)

// RowWriter takes the values of a bulk load, in the order of the columns given to Load. An error of any of its calls is kept
// and returned by the next EndRow. Values are copied; nothing is allocated per value.
type RowWriter interface {
	// Int writes an integer.
	Int(v int64)
	// Float writes a double, exactly; only negative zero becomes zero, which is all SQLite can hold. Infinities and NaN
	// cannot be stored: they fail the row.
	Float(v float64)
	// Bytes writes a VARBINARY or BLOB value; nil is an empty value, not NULL.
	Bytes(v []byte)
	// String writes a text value.
	String(v string)
	// Null writes NULL.
	Null()
	// EndRow ends a row, which must have exactly as many values as there are columns.
	EndRow() error
}

// Load inserts many rows into one table, fastest when they come in key order: LOAD DATA LOCAL on MySQL (multi-row INSERT
// where the server forbids it), one prepared statement on SQLite. fill writes them; it must not use the same Tx. Load fails,
// and with it the transaction, unless exactly the written rows arrived: LOAD DATA alone would clamp values and skip
// duplicates silently. A duplicate key satisfies IsDuplicate.
//
// A transaction that runs again finds rows of its first run in a table that does not roll back (see RollsBack); there Load
// replaces them.
func (tx *Tx) Load(ctx context.Context, table string, columns []string, fill func(w RowWriter) error) (rows int64, err error) {
	replace := false
	if tx.again {
		rollsBack, err := tx.db.RollsBack(ctx, table)
		if err != nil {
			return 0, tx.fail(err)
		}
		replace = !rollsBack
	}
	return tx.load(ctx, table, columns, replace, fill)
}

// Replace is Load for rows whose keys may be there already: those rows are replaced. Doing it twice is doing it once.
func (tx *Tx) Replace(ctx context.Context, table string, columns []string, fill func(w RowWriter) error) error {
	_, err := tx.load(ctx, table, columns, true, fill)
	return err
}

func (tx *Tx) load(ctx context.Context, table string, columns []string, replace bool, fill func(w RowWriter) error) (rows int64, err error) {
	if err := tx.ready(true); err != nil {
		return 0, err
	}
	if len(columns) == 0 || !isIdentifier(table) || !allIdentifiers(columns) {
		return 0, tx.fail(errors.New(errors.Internal, reasonUse, "Load needs a table and columns that are plain names, not %q %q", table, columns))
	}
	if err := tx.opened(ctx); err != nil {
		return 0, err
	}
	tx.busy = true
	defer func() { tx.busy = false }()
	l := &load{tx: tx, table: table, columns: columns, replace: replace, fill: fill}
	start := time.Now()
	switch {
	case tx.db.dialect == SQLite:
		rows, err = l.prepared(ctx)
	case tx.db.my.localData.Load():
		rows, err = l.infile(ctx)
	default:
		rows, err = l.inserts(ctx)
	}
	if l.filled != nil { // what fill returned, unmapped
		err = l.filled
	}
	err = mapError(ctx, err)
	tx.db.observe(ctx, l.statement, start, rows, err)
	if err != nil {
		return 0, tx.fail(err)
	}
	return rows, nil
}

// load is one call of Load.
type load struct {
	tx        *Tx
	table     string
	columns   []string
	replace   bool // rows that are there
	fill      func(w RowWriter) error
	filled    error  // fill's own error
	statement string // for the observer
}

// verb begins an INSERT of the load.
func (l *load) verb() string {
	if l.replace {
		return "REPLACE INTO "
	}
	return "INSERT INTO "
}

// rowState is what all writers share: the count of values and rows and the first error.
type rowState struct {
	columns int
	column  int
	rows    int64
	err     error
}

func (s *rowState) fail(format string, args ...any) {
	if s.err == nil {
		s.err = errors.New(errors.Internal, reasonUse, format, args...)
	}
}

// endRow checks the row just written.
func (s *rowState) endRow() error {
	if s.column != s.columns && s.err == nil {
		s.fail("row %d of a load has %d values for %d columns", s.rows+1, s.column, s.columns)
	}
	s.column = 0
	s.rows++
	return s.err
}

// finite is v as both engines store it; it refuses what none does.
func (s *rowState) finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		if s.err == nil {
			s.err = errors.New(errors.InvalidArgument, reasonValue, "row %d, value %d of a load is %v, which no column can hold", s.rows+1, s.column+1, v)
		}
		return 0
	}
	if v == 0 {
		return 0 // also for -0
	}
	return v
}

func isIdentifier(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func allIdentifiers(names []string) bool {
	for _, n := range names {
		if !isIdentifier(n) {
			return false
		}
	}
	return true
}
