package database

import (
	"context"
	"database/sql/driver"

	"dbslm/pkg/errors"
)

// liteStatements is how many prepared statements one connection keeps. Parsing and planning cost as much as a point look-up.
const liteStatements = 96

// liteConnector opens connections that remember their statements.
type liteConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c liteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	dc, ok := conn.(liteDriverConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New(errors.Internal, reasonUse, "the SQLite driver's connection lost an interface; this version of it cannot be used")
	}
	return &liteConn{liteDriverConn: dc, statements: make(map[string]*liteStmt)}, nil
}

// liteDriverConn is everything database/sql looks for in the driver's connection.
type liteDriverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// liteConn runs repeated statements prepared. database/sql gives it to one goroutine at a time.
type liteConn struct {
	liteDriverConn
	statements map[string]*liteStmt
	clock      uint64
}

type liteStmt struct {
	driver.Stmt
	used uint64 // clock of the last use
	busy bool   // its rows are open
}

// ExecContext implements driver.ExecerContext.
func (c *liteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.liteDriverConn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *liteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.liteDriverConn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &liteRows{Rows: rows, stmt: s}, nil
}

// statement returns the prepared statement for query, or nil if it is none to keep or its rows are still open.
func (c *liteConn) statement(ctx context.Context, query string) (*liteStmt, error) {
	c.clock++
	if s := c.statements[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		s.used = c.clock
		return s, nil
	}
	if !reusable(query) {
		return nil, nil
	}
	stmt, err := c.liteDriverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(c.statements) >= liteStatements {
		c.forget()
	}
	s := &liteStmt{Stmt: stmt, used: c.clock}
	c.statements[query] = s
	return s, nil
}

// forget closes the statement unused for longest.
func (c *liteConn) forget() {
	oldest := ""
	for query, s := range c.statements {
		if !s.busy && (oldest == "" || s.used < c.statements[oldest].used) {
			oldest = query
		}
	}
	if s := c.statements[oldest]; s != nil {
		_ = s.Close()
		delete(c.statements, oldest)
	}
}

// Close implements driver.Conn.
func (c *liteConn) Close() error {
	for query, s := range c.statements {
		_ = s.Close()
		delete(c.statements, query)
	}
	return c.liteDriverConn.Close()
}

// reusable reports whether a statement may be kept: no schema change, no pragma.
func reusable(query string) bool {
	switch verb, _ := nextWord(query); verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "BEGIN", "COMMIT":
		return true
	}
	return false
}

type liteRows struct {
	driver.Rows
	stmt *liteStmt
}

// Close implements driver.Rows.
func (r *liteRows) Close() error {
	r.stmt.busy = false
	return r.Rows.Close()
}
