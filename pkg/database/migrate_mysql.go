package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"hash/fnv"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
)

// lockMySQLSchema creates the database and holds a named lock, which ends with its connection, on the admin pool.
func (db *DB) lockMySQLSchema(ctx context.Context) (*sql.DB, func(), error) {
	conn, err := db.my.admin.Conn(ctx)
	if err != nil {
		return nil, nil, db.connectError(ctx, err)
	}
	fail := func(err error) (*sql.DB, func(), error) {
		_ = conn.Close()
		return nil, nil, mapError(ctx, err)
	}
	lock := lockName(db.name())
	rows, err := db.queryOn(ctx, conn, "SELECT GET_LOCK(?, ?)", []any{lock, int(migrateWait.Seconds())}, nil)
	var got sql.NullInt64
	if err := (scanner{rows, err}).Scan(&got); err != nil {
		return fail(err)
	}
	if got.Int64 != 1 {
		return fail(errors.New(errors.Unavailable, reasonBusy, "another process has been migrating %s for %s; wait for it to end and try again", db.name(), migrateWait))
	}
	if err := db.createDatabase(ctx, conn); err != nil {
		return fail(err)
	}
	cfg := db.target.server.Clone()
	cfg.DBName = db.name()
	cfg.Collation = "utf8mb4_bin"
	cfg.Params = sessionSettings
	cfg.Logger = driverLog{db}
	cfg.InterpolateParams = true
	cfg.ParseTime = true // goose reads its own timestamps
	if err := cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return fail(err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return fail(err)
	}
	pool := sql.OpenDB(&restartConnector{Connector: connector, db: db})
	pool.SetMaxOpenConns(1)
	return pool, func() {
		_ = pool.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
		defer cancel()
		if _, err := db.execOn(ctx, conn, "DO RELEASE_LOCK(?)", []any{lock}); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // closing the connection releases it too
		}
		_ = conn.Close()
	}, nil
}

func (db *DB) createDatabase(ctx context.Context, conn *sql.Conn) error {
	// Asking first: a user who may not create databases can still use one that an administrator made.
	var there int
	rows, err := db.queryOn(ctx, conn, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", []any{db.name()}, nil)
	if err := (scanner{rows, err}).Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return nil
	}
	_, err = db.execOn(ctx, conn, "CREATE DATABASE IF NOT EXISTS "+db.name()+" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", nil)
	if errors.KindOf(err) == errors.PermissionDenied {
		return errors.Wrap(err, errors.PermissionDenied, reasonDenied, "this user may not create the database %s, nor see one of that name; ask an administrator for all rights on it (GRANT ALL ON %s.* TO …) and, if it does not exist, for: CREATE DATABASE %s CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", db.name(), db.name(), db.name())
	}
	return err
}

// lockName stays below the 64 characters of a lock's name.
func lockName(schema string) string {
	if len(schema) <= 48 {
		return "dbslm_migrate:" + schema
	}
	h := fnv.New64a()
	h.Write([]byte(schema))
	return fmt.Sprintf("dbslm_migrate:%s%016x", schema[:32], h.Sum64())
}

// restartConnector makes steps repeatable that MySQL has no IF NOT EXISTS for: after an interruption between a statement and
// its record, adding the same index or column again, or dropping it again, counts as done.
type restartConnector struct {
	driver.Connector
	db *DB
}

// Connect implements driver.Connector.
func (c *restartConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	dc, ok := conn.(driverConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New(errors.Internal, reasonUse, "the MySQL driver's connection lost an interface; this version of it cannot be used")
	}
	return &restartConn{driverConn: dc, db: c.db}, nil
}

type restartConn struct {
	driverConn
	db *DB
}

// ExecContext implements driver.ExecerContext.
func (c *restartConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := c.driverConn.ExecContext(ctx, query, args)
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch e.Number {
		case 1060, 1061, 1091: // ER_DUP_FIELDNAME, ER_DUP_KEYNAME, ER_CANT_DROP_FIELD_OR_KEY
			c.db.log.InfoContext(ctx, "migration step was done before", "error", err)
			return driver.RowsAffected(0), nil
		}
	}
	return res, err
}
