package database

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"dbslm/pkg/errors"
)

// Engine is how a server store keeps its tables. It is a property of the tables themselves: a program that names none works
// with what is there.
type Engine string

const (
	// InnoDB keeps every table on InnoDB.
	InnoDB Engine = "innodb"
	// Hybrid keeps the tables that a Schema places on other engines there. It needs MariaDB.
	Hybrid Engine = "mariadb-hybrid"
)

// Placement puts a table of a hybrid store on an engine of its own.
type Placement struct {
	Table string
	// On is the engine: OnAria or OnRocksDB.
	On string
	// Fallback lets the table stay on InnoDB where the server does not have the engine, or not what it needs.
	Fallback bool
}

// Names of engines as a server lists them.
const (
	onInnoDB = "InnoDB"
	// OnAria keeps every statement by itself: it survives a crash whole or not at all, but no transaction takes it back.
	OnAria = "Aria"
	// OnRocksDB is MyRocks, which is not used; see unfit.
	OnRocksDB = "ROCKSDB"
)

// tableOptions move a table to an engine.
var tableOptions = map[string]string{
	onInnoDB: "ENGINE=InnoDB ROW_FORMAT=DYNAMIC TRANSACTIONAL=DEFAULT PAGE_CHECKSUM=DEFAULT",
	OnAria:   "ENGINE=Aria ROW_FORMAT=PAGE TRANSACTIONAL=1 PAGE_CHECKSUM=1",
}

// unfit says of engines that no table is put on them, and why.
var unfit = map[string]string{
	OnRocksDB: "MyRocks and InnoDB do not commit as one: after kills of the server, acknowledged rows were missing (docs/decisions/0072)",
}

const reasonEngine = "DATABASE_ENGINE" // the engine that is asked for is not that of the tables, or not the server's

// chooseEngine refuses an engine that the server does not have, and says where tables stay behind.
func (db *DB) chooseEngine(ctx context.Context) error {
	if db.target.engine != Hybrid {
		return nil
	}
	rows, err := db.my.admin.QueryContext(ctx, "SELECT engine FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT')")
	if err != nil {
		return err
	}
	defer rows.Close()
	db.my.engines = map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		db.my.engines[strings.ToUpper(name)] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := refuseHybrid(db.my.mariaDB, db.my.version, db.my.engines); err != nil {
		return err
	}
	for _, p := range db.schema.Placements {
		if why := db.my.keepsOff(p.On); why != "" {
			db.log.WarnContext(ctx, "a table that mariadb-hybrid has on another engine stays on InnoDB", "table", p.Table, "engine", p.On, "why", why)
		}
	}
	return nil
}

// keepsOff says why no table is put on an engine; "" if it can be used.
func (s *myServer) keepsOff(engine string) string {
	if why := unfit[engine]; why != "" {
		return why
	}
	if !s.engines[strings.ToUpper(engine)] {
		return "the server does not have it"
	}
	return ""
}

// refuseHybrid says why a server cannot hold a hybrid store: nil if it can.
func refuseHybrid(mariaDB bool, version string, engines map[string]bool) error {
	if !mariaDB {
		return errors.New(errors.FailedPrecondition, reasonEngine, "engine=%s needs MariaDB, and this server is MySQL %s; leave engine= out to keep all tables on InnoDB", Hybrid, version)
	}
	if !engines[strings.ToUpper(OnAria)] {
		return errors.New(errors.FailedPrecondition, reasonEngine, "engine=%s needs the engine Aria, and this MariaDB (%s) runs without it; leave engine= out to keep all tables on InnoDB", Hybrid, version)
	}
	return nil
}

// wanted is the engine that the target asks for a table, "" if it does not care.
func (db *DB) wanted(p Placement) string {
	switch {
	case db.target.engine == InnoDB, db.target.engine == Hybrid && p.Fallback && db.my.keepsOff(p.On) != "":
		return onInnoDB
	case db.target.engine == Hybrid:
		return p.On
	}
	return ""
}

const selectEngines = `SELECT t.table_name, COALESCE(t.engine, ''), COALESCE(e.transactions, 'NO') FROM information_schema.tables t
LEFT JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = ?`

// place is where a table is.
type place struct {
	engine       string
	transactions bool
}

// places lists where the tables are that the schema places: none where there is no choice.
func (db *DB) places(ctx context.Context) (map[string]place, error) {
	found := map[string]place{}
	if db.my == nil || !db.my.mariaDB || len(db.schema.Placements) == 0 {
		return found, nil
	}
	args := []any{db.name()}
	for _, p := range db.schema.Placements {
		args = append(args, p.Table)
	}
	rows, err := db.queryOn(ctx, db.my.admin, selectEngines+" AND t.table_name IN "+In(len(args)-1), args, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table, engine, transactions string
		if err := rows.Scan(&table, &engine, &transactions); err != nil {
			return nil, err
		}
		found[table] = place{engine, transactions == "YES"}
	}
	return found, rows.Err()
}

// Engines says on which engine each of the placed tables is; empty where the store has only one.
func (db *DB) Engines(ctx context.Context) (map[string]string, error) {
	found, err := db.places(ctx)
	engines := map[string]string{}
	for table, place := range found {
		engines[table] = place.engine
	}
	return engines, err
}

// RollsBack reports whether a failed transaction takes back what it wrote to these tables: always, but in a hybrid store for
// tables on an engine without transactions, which keep every statement at once.
func (db *DB) RollsBack(ctx context.Context, tables ...string) (bool, error) {
	found, err := db.places(ctx)
	for _, table := range tables {
		if place, placed := found[table]; placed && !place.transactions {
			return false, err
		}
	}
	return true, err
}

// checkEngine compares where the tables are with what the target asks for.
func (db *DB) checkEngine(ctx context.Context) error {
	if db.target.engine == "" {
		return nil
	}
	found, err := db.places(ctx)
	if err != nil {
		return err
	}
	for _, p := range db.schema.Placements {
		at, there := found[p.Table]
		if want := db.wanted(p); there && !strings.EqualFold(at.engine, want) {
			return errors.New(errors.FailedPrecondition, reasonEngine,
				"%s in %s keeps %s on %s, but engine=%s wants it on %s; leave engine= out to use the store as it is, or stop all services and move it with: dbslm migrate --db '%s'",
				db.name(), db.target, p.Table, at.engine, db.target.engine, want, db.target)
		}
	}
	return nil
}

// move puts every table where the target wants it, one after the other; killed, the same call goes on. Tables with rows are
// only moved while nobody else is connected: a running trainer would not know that its transactions have changed.
func (db *DB) move(ctx context.Context, pool *sql.DB) error {
	if !db.my.mariaDB {
		return nil // InnoDB is all there is
	}
	found, err := db.places(ctx)
	if err != nil {
		return err
	}
	alone := false
	for _, p := range db.schema.Placements {
		at, want := found[p.Table].engine, db.wanted(p)
		if want == "" || strings.EqualFold(at, want) {
			continue
		}
		if !alone {
			if alone, err = db.aloneWith(ctx, pool, p.Table); err != nil {
				return err
			}
		}
		start := time.Now()
		if _, err := pool.ExecContext(ctx, "ALTER TABLE "+p.Table+" "+tableOptions[want]); err != nil {
			mapped := mapError(ctx, err)
			return errors.Wrap(mapped, errors.KindOf(mapped), errors.ReasonOf(mapped), "moving %s to %s stopped: %s; the table is whole, and running dbslm migrate again goes on",
				p.Table, want, errors.Public(mapped))
		}
		db.log.InfoContext(ctx, "table moved", "table", p.Table, "from", at, "to", want, "duration", time.Since(start))
	}
	return nil
}

// aloneWith refuses to go on if a table has rows and somebody else is connected to the schema.
func (db *DB) aloneWith(ctx context.Context, pool *sql.DB, table string) (bool, error) {
	var rows int
	if err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+table+" LIMIT 1) t").Scan(&rows); err != nil || rows == 0 {
		return false, mapError(ctx, err)
	}
	db.write.SetMaxIdleConns(-1) // our own connections but the pool's one
	defer db.write.SetMaxIdleConns(defaultMySQLConns)
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var others int
		err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()", db.name()).Scan(&others)
		if err != nil || others == 0 {
			return err == nil, mapError(ctx, err)
		}
		if time.Now().After(deadline) {
			return false, errors.New(errors.FailedPrecondition, reasonEngine,
				"%s in %s cannot be moved to another engine while it is in use (connections: %d); stop all services and try again", db.name(), db.target, others)
		}
	}
}
