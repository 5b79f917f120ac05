package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
)

const (
	defaultMySQLConns = 16
	dialTimeout       = 10 * time.Second
	// connLifetime stays below the idle limits of servers and of the proxies in front of them.
	connLifetime = 4 * time.Minute
	// killTimeout bounds the extra call that stops an abandoned statement.
	killTimeout = 2 * time.Second
)

// sessionSettings hold on every connection: bad values are errors, text compares byte by byte, a deadlock is found at once and
// a lock is waited for no longer than a person would.
var sessionSettings = map[string]string{
	"sql_mode":                 "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	"time_zone":                "'+00:00'",
	"innodb_lock_wait_timeout": "20",
}

// myServer is what is known of the server and what reaches it outside the pool.
type myServer struct {
	mariaDB   bool
	version   string
	maxPacket int
	localData atomic.Bool     // LOAD DATA LOCAL is allowed
	admin     *sql.DB         // no database chosen: KILL, CREATE DATABASE, locks
	settings  string          // statement that completes a session
	engines   map[string]bool // in capitals; known where a hybrid store is asked for
}

func (s *myServer) close() error { return s.admin.Close() }

// openMySQL asks the server what it is, then prepares the pool. The schema may be missing.
func (db *DB) openMySQL(ctx context.Context) error {
	cfg := db.target.server.Clone()
	cfg.DBName = ""
	cfg.Collation = "utf8mb4_bin"
	cfg.ClientFoundRows = true   // an UPDATE that changes nothing still matched
	cfg.InterpolateParams = true // one round trip instead of prepare, execute, close
	cfg.Logger = driverLog{db}
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	cfg.Params = sessionSettings
	if err := cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return mapError(ctx, err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return errors.Wrap(err, errors.InvalidArgument, reasonTarget, "the database URL %s cannot be used", db.target)
	}
	db.my = &myServer{admin: sql.OpenDB(connector)}
	db.my.admin.SetMaxOpenConns(2)
	db.my.admin.SetMaxIdleConns(1)
	db.my.admin.SetConnMaxIdleTime(time.Minute)
	if err := db.my.probe(ctx); err != nil {
		return db.connectError(ctx, err)
	}
	if err := db.chooseEngine(ctx); err != nil {
		return mapError(ctx, err)
	}
	db.my.settings = db.my.sessionStatement(db.opts.StatementTimeout)

	cfg = cfg.Clone()
	cfg.DBName = db.name()
	cfg.MaxAllowedPacket = db.my.maxPacket
	cfg.MultiStatements = true // see together.go
	if connector, err = mysql.NewConnector(cfg); err != nil {
		return mapError(ctx, err)
	}
	conns := db.opts.MaxConns
	if conns <= 0 {
		conns = defaultMySQLConns
	}
	db.write = sql.OpenDB(&sessionConnector{Connector: connector, server: db.my})
	db.write.SetMaxOpenConns(conns)
	db.write.SetMaxIdleConns(conns)
	db.write.SetConnMaxLifetime(connLifetime)
	db.read = db.write
	return nil
}

func (s *myServer) probe(ctx context.Context) error {
	var local int
	row := s.admin.QueryRowContext(ctx, "SELECT VERSION(), @@max_allowed_packet, @@local_infile")
	if err := row.Scan(&s.version, &s.maxPacket, &local); err != nil {
		return err
	}
	s.mariaDB = strings.Contains(s.version, "MariaDB")
	s.localData.Store(local == 1)
	return nil
}

// sessionStatement sets what the two servers name differently.
func (s *myServer) sessionStatement(limit time.Duration) string {
	if s.mariaDB {
		set := "SET SESSION tx_isolation = 'READ-COMMITTED'"
		if limit > 0 {
			set += fmt.Sprintf(", max_statement_time = %.3f", limit.Seconds())
		}
		return set
	}
	set := "SET SESSION transaction_isolation = 'READ-COMMITTED'"
	if limit > 0 {
		set += fmt.Sprintf(", max_execution_time = %d", max(limit.Milliseconds(), 1)) // SELECT only on MySQL
	}
	return set
}

// connectError says which server could not be reached or would not let us in.
func (db *DB) connectError(ctx context.Context, err error) error {
	mapped := mapError(ctx, err)
	if db.dialect != MySQL {
		return mapped
	}
	switch errors.KindOf(mapped) {
	case errors.Unavailable, errors.Internal:
		if _, ok := errors.AsType[*mysql.MySQLError](err); !ok {
			return errors.Wrap(err, errors.Unavailable, reasonUnavailable, "cannot reach the database server %s; check that it runs and that the address is right", db.target)
		}
	case errors.PermissionDenied:
		return errors.Wrap(err, errors.PermissionDenied, reasonDenied, "the database server refuses %s; check user name, password and grants", db.target)
	}
	return mapped
}

// sessionConnector completes every new connection's session and makes abandoned statements stop.
type sessionConnector struct {
	driver.Connector
	server *myServer
}

// Connect implements driver.Connector.
func (c *sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := newSession(ctx, conn, c.server)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// driverConn is everything database/sql looks for in the driver's connection.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// session is a connection that knows its number in the server. When a context ends the driver closes the socket, but the
// server goes on computing and holding locks; so the connection is killed there as well.
type session struct {
	driverConn
	server *myServer
	id     int64
	last   driver.Result // of the latest statement that returned no rows
}

func newSession(ctx context.Context, conn driver.Conn, server *myServer) (*session, error) {
	dc, ok := conn.(driverConn)
	if !ok {
		return nil, errors.New(errors.Internal, reasonUse, "the MySQL driver's connection lost an interface; this version of it cannot be used")
	}
	s := &session{driverConn: dc, server: server}
	if _, err := dc.ExecContext(ctx, server.settings, nil); err != nil {
		return nil, err
	}
	rows, err := dc.QueryContext(ctx, "SELECT CONNECTION_ID()", nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	id := make([]driver.Value, 1)
	if err := rows.Next(id); err != nil {
		return nil, err
	}
	switch v := id[0].(type) {
	case int64:
		s.id = v
	case uint64:
		s.id = int64(v)
	}
	return s, nil
}

// ExecContext implements driver.ExecerContext.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := s.driverConn.ExecContext(ctx, query, args)
	s.killIfAbandoned(ctx, err)
	s.last = res
	return res, err
}

// QueryContext implements driver.QueryerContext.
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.driverConn.QueryContext(ctx, query, args)
	if err != nil {
		s.killIfAbandoned(ctx, err)
		return nil, err
	}
	return &sessionRows{Rows: rows, failed: func(err error) { s.killIfAbandoned(ctx, err) }}, nil
}

func (s *session) killIfAbandoned(ctx context.Context, err error) {
	if err == nil || ctx.Err() == nil || errors.Is(err, driver.ErrBadConn) || errors.Is(err, driver.ErrSkip) {
		return
	}
	killCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	// Failing is fine: the connection has usually noticed by itself.
	_, _ = s.server.admin.ExecContext(killCtx, fmt.Sprintf("KILL %d", s.id))
}

// sessionRows watches for the context ending between rows.
type sessionRows struct {
	driver.Rows
	failed func(err error)
}

// Next implements driver.Rows.
func (r *sessionRows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err != nil {
		r.failed(err)
	}
	return err
}

// driverLog passes the driver's complaints on; they accompany errors that are returned anyway.
type driverLog struct{ db *DB }

// Print implements mysql.Logger.
func (l driverLog) Print(v ...any) {
	l.db.log.Debug("mysql driver", "message", strings.TrimSpace(fmt.Sprint(v...)))
}
