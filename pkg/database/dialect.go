package database

import "strings"

// Dialect is the engine a DB runs on, with the hooks for what the common SQL cannot say.
type Dialect uint8

const (
	// SQLite is the embedded engine.
	SQLite Dialect = iota + 1
	// MySQL is MySQL 8 or MariaDB 10.6 and later.
	MySQL
)

// String is "sqlite" or "mysql".
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "sqlite"
	case MySQL:
		return "mysql"
	}
	return "unknown"
}

// ForUpdate is the clause that locks the rows a SELECT of a write transaction read, to be put at its end: " FOR UPDATE" on
// MySQL, nothing on SQLite, where a write transaction has the whole store to itself.
func (d Dialect) ForUpdate() string {
	if d == MySQL {
		return " FOR UPDATE"
	}
	return ""
}

// ForShare is the clause that keeps the rows a SELECT of a write transaction read as they are until it ends, while others may
// hold them so too: " LOCK IN SHARE MODE" on MySQL, nothing on SQLite.
func (d Dialect) ForShare() string {
	if d == MySQL {
		return " LOCK IN SHARE MODE"
	}
	return ""
}

// SkipLocked is ForUpdate for queues: rows that another transaction holds are left out instead of waited for.
func (d Dialect) SkipLocked() string {
	if d == MySQL {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// In is a list of n placeholders in parentheses, "(?,?,?)", for "column IN ". n must be at least 1 and, for SQLite's sake, at
// most 32766 in the whole statement.
func In(n int) string {
	if n < 1 {
		n = 1 // "IN ()" is a syntax error on MySQL; IN (?) with no argument fails with a clear count mismatch
	}
	return "(" + strings.Repeat("?,", n-1) + "?)"
}

// Values is rows groups of In(columns) joined by commas, for a hand-written multi-row INSERT.
func Values(rows, columns int) string {
	group := In(columns)
	return strings.Repeat(group+",", max(rows-1, 0)) + group
}
