package database

import (
	"context"
	"strings"

	"dbslm/pkg/errors"
)

// upsertRows is the size of one statement: larger ones gain nothing and hold more locks at once.
const upsertRows = 300

// Assign says what happens to a column of a row that is there already.
type Assign struct {
	// Column is one of the upsert's columns, none of the key's.
	Column string
	// Add adds the new value to the stored one instead of replacing it.
	Add bool
}

// Upsert inserts rows, or where a row with the same key exists applies the assignments to it; with none it leaves that row as
// it is. key names the columns of the primary key or of one unique key; a table with several unique keys must not be used
// here, MySQL would match any of them. Rows hold a value per column and should be sorted by key: concurrent unsorted upserts
// deadlock. A key that comes twice is applied twice, in order.
func (tx *Tx) Upsert(ctx context.Context, table string, columns, key []string, update []Assign, rows [][]any) error {
	if err := tx.ready(true); err != nil {
		return err
	}
	if len(columns) == 0 || len(key) == 0 || !isIdentifier(table) || !allIdentifiers(columns) || !allIdentifiers(key) {
		return tx.fail(errors.New(errors.Internal, reasonUse, "Upsert needs a table, columns and a key that are plain names, not %q %q %q", table, columns, key))
	}
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES "
	tail := upsertTail(tx.db.dialect, key, update)
	size := min(upsertRows, 32000/len(columns)) // SQLite allows 32766 arguments
	args := make([]any, 0, size*len(columns))
	full := ""
	for len(rows) > 0 {
		n := batch(rows, size)
		args = args[:0]
		for _, row := range rows[:n] {
			if len(row) != len(columns) {
				return tx.fail(errors.New(errors.Internal, reasonUse, "an upsert row has %d values for %d columns", len(row), len(columns)))
			}
			args = append(args, row...)
		}
		query := full
		if n != size || full == "" {
			query = head + Values(n, len(columns)) + tail
		}
		if n == size {
			full = query
		}
		if _, err := tx.db.execOn(ctx, tx.on(), query, args); err != nil {
			return tx.fail(err)
		}
		rows = rows[n:]
	}
	return nil
}

// batch is how many of the rows go into the next statement: at most size, and about a mebibyte of bytes and text.
func batch(rows [][]any, size int) int {
	bytes := 0
	for i, row := range rows {
		if i == size {
			return i
		}
		for _, v := range row {
			switch v := v.(type) {
			case []byte:
				bytes += len(v)
			case string:
				bytes += len(v)
			}
		}
		if bytes > 1<<20 {
			return i + 1
		}
	}
	return len(rows)
}

func upsertTail(d Dialect, key []string, update []Assign) string {
	var b strings.Builder
	if d == MySQL {
		b.WriteString(" ON DUPLICATE KEY UPDATE ")
		if len(update) == 0 {
			b.WriteString(key[0] + " = " + key[0])
		}
	} else {
		b.WriteString(" ON CONFLICT (" + strings.Join(key, ", ") + ") DO ")
		if len(update) == 0 {
			b.WriteString("NOTHING")
		} else {
			b.WriteString("UPDATE SET ")
		}
	}
	for i, a := range update {
		if i > 0 {
			b.WriteString(", ")
		}
		value := "excluded." + a.Column
		if d == MySQL {
			value = "VALUES(" + a.Column + ")"
		}
		if a.Add {
			value = a.Column + " + " + value
		}
		b.WriteString(a.Column + " = " + value)
	}
	return b.String()
}
