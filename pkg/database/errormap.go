package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reasons, stable for programs.
const (
	reasonTarget      = "DATABASE_TARGET"         // the --db text or what it names cannot be used
	reasonMissing     = "DATABASE_NOT_FOUND"      // nothing was ever stored there
	reasonForeign     = "DATABASE_FOREIGN"        // somebody else's file
	reasonOlder       = "DATABASE_SCHEMA_OLDER"   // tables to be migrated
	reasonNewer       = "DATABASE_SCHEMA_NEWER"   // tables of a later program
	reasonUnknown     = "DATABASE_SCHEMA_UNKNOWN" // tables of another program
	reasonUnavailable = "DATABASE_UNAVAILABLE"    // server gone
	reasonOutcome     = "DATABASE_OUTCOME"        // connection lost, unknown whether the statement took effect
	reasonBusy        = "DATABASE_BUSY"           // lock waits ran out
	reasonConflict    = "DATABASE_CONFLICT"       // deadlocks went on beyond the retries
	reasonDuplicate   = "DATABASE_DUPLICATE_KEY"  // unique key taken
	reasonReference   = "DATABASE_REFERENCE"      // foreign key
	reasonFull        = "DATABASE_FULL"           // no room on the disk
	reasonReadOnly    = "DATABASE_READ_ONLY"      // store cannot be written
	reasonDenied      = "DATABASE_ACCESS_DENIED"  // user, password or grant
	reasonTimeout     = "DATABASE_TIMEOUT"        // a limit of time
	reasonCanceled    = "DATABASE_CANCELED"       // the caller gave up
	reasonDamaged     = "DATABASE_DAMAGED"        // file corrupt
	reasonValue       = "DATABASE_VALUE"          // value outside its column
	reasonStatement   = "DATABASE_STATEMENT"      // our SQL is wrong
	reasonLoad        = "DATABASE_LOAD"           // bulk load not exact
	reasonUse         = "DATABASE_USE"            // this package was used wrongly
)

// IsDuplicate reports whether err comes from a unique key that is already taken.
func IsDuplicate(err error) bool { return errors.ReasonOf(err) == reasonDuplicate }

// mapError gives a driver's error a kind and a text; mapped errors and ErrNoRows pass. ctx tells a deadline of the caller
// from one of the server.
func mapError(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if _, ok := errors.AsType[*errors.Error](err); ok {
		return err
	}
	if mapped := mapContext(ctx, err); mapped != nil {
		return mapped
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return mapMySQL(e)
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return mapSQLite(e)
	}
	return mapTransport(err)
}

func mapContext(ctx context.Context, err error) error {
	cause := ctx.Err()
	if cause == nil {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			cause = context.DeadlineExceeded
		case errors.Is(err, context.Canceled):
			cause = context.Canceled
		default:
			return nil
		}
	}
	if cause == context.DeadlineExceeded {
		return errors.Wrap(errors.Join(context.DeadlineExceeded, err), errors.DeadlineExceeded, reasonTimeout, "the time limit passed while the database was working; nothing of the open transaction was kept")
	}
	return errors.Wrap(errors.Join(context.Canceled, err), errors.Canceled, reasonCanceled, "canceled while the database was working; nothing of the open transaction was kept")
}

func mapMySQL(e *mysql.MySQLError) error {
	switch e.Number {
	case 1062, 1586: // ER_DUP_ENTRY, ER_DUP_ENTRY_WITH_KEY_NAME
		return errors.Wrap(e, errors.AlreadyExists, reasonDuplicate, "an entry with this key exists already")
	case 1213, 1020: // ER_LOCK_DEADLOCK, ER_CHECKREAD (MariaDB: row changed since the snapshot)
		return errors.Wrap(e, errors.Aborted, reasonConflict, "another transaction wanted the same rows at the same time; try again")
	case 1205: // ER_LOCK_WAIT_TIMEOUT
		return errors.Wrap(e, errors.Aborted, reasonBusy, "another transaction held the rows too long; try again")
	case 1969, 3024: // ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT (MySQL)
		return errors.Wrap(e, errors.DeadlineExceeded, reasonTimeout, "the statement ran into the database's time limit")
	case 1317, 1927: // ER_QUERY_INTERRUPTED, ER_CONNECTION_KILLED
		return errors.Wrap(e, errors.Unavailable, reasonUnavailable, "the statement was killed in the database; try again")
	case 1451, 1452, 1216, 1217: // foreign keys
		return errors.Wrap(e, errors.FailedPrecondition, reasonReference, "the entry refers to something that does not exist, or something still refers to it")
	case 1114, 1021, 1041, 3: // ER_RECORD_FILE_FULL, ER_DISK_FULL, ER_OUT_OF_RESOURCES, EE_WRITE
		return errors.Wrap(e, errors.ResourceExhausted, reasonFull, "the database server has no room left; free disk space there")
	case 1153: // ER_NET_PACKET_TOO_LARGE
		return errors.Wrap(e, errors.ResourceExhausted, reasonValue, "a value is larger than the server's max_allowed_packet")
	case 1036, 1290, 1792, 1836: // ER_OPEN_AS_READONLY, ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE
		return errors.Wrap(e, errors.FailedPrecondition, reasonReadOnly, "the database server is read-only (a replica?); connect to the one that takes writes")
	case 1044, 1045, 1142, 1143, 1227, 1370, 1698:
		return errors.Wrap(e, errors.PermissionDenied, reasonDenied, "the database refuses this user; check user, password and grants")
	case 1040, 1203, 1226, 1129: // too many connections, host blocked
		return errors.Wrap(e, errors.Unavailable, reasonUnavailable, "the database server takes no more connections; try again later")
	case 1053, 1077, 1079, 1158, 1159, 1160, 1161: // shutting down, network
		return errors.Wrap(e, errors.Unavailable, reasonUnavailable, "the database server is shutting down or lost the connection; try again later")
	case 1264, 1265, 1366, 1406, 1048, 1292, 1690, 1364, 1138, 3819, 4025:
		return errors.Wrap(e, errors.InvalidArgument, reasonValue, "a value does not fit its column")
	case 1049, 1146: // ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE
		return errors.Wrap(e, errors.FailedPrecondition, reasonMissing, "the database has no such tables; run: dbslm migrate")
	case 1194, 1195, 1034, 1712, 1877, 126, 127, 1030:
		return errors.Wrap(e, errors.DataLoss, reasonDamaged, "the database reports a damaged table or a failing disk; see the server's log")
	}
	return errors.Wrap(e, errors.Internal, reasonStatement, "the database refused a statement of this program")
}

func mapSQLite(e *sqlite.Error) error {
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return errors.Wrap(e, errors.AlreadyExists, reasonDuplicate, "an entry with this key exists already")
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return errors.Wrap(e, errors.FailedPrecondition, reasonReference, "the entry refers to something that does not exist, or something still refers to it")
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return errors.Wrap(e, errors.Unavailable, reasonBusy, "another process is writing to this store and did not finish in time; try again later")
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return errors.Wrap(e, errors.InvalidArgument, reasonValue, "a value does not fit its column")
	case sqlite3.SQLITE_FULL:
		return errors.Wrap(e, errors.ResourceExhausted, reasonFull, "the disk that holds the store is full; free space and try again")
	case sqlite3.SQLITE_READONLY:
		return errors.Wrap(e, errors.FailedPrecondition, reasonReadOnly, "the store cannot be written; check the permissions of its directory and files")
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return errors.Wrap(e, errors.FailedPrecondition, reasonReadOnly, "the store's file cannot be opened; check that it exists and who may read it, or create it with: dbslm migrate")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return errors.Wrap(e, errors.DataLoss, reasonDamaged, "the store's file is damaged or no SQLite file; restore it from a backup")
	case sqlite3.SQLITE_IOERR:
		return errors.Wrap(e, errors.Unavailable, reasonUnavailable, "reading or writing the store's file failed; check the disk")
	case sqlite3.SQLITE_NOMEM:
		return errors.Wrap(e, errors.ResourceExhausted, reasonFull, "not enough memory for the store")
	case sqlite3.SQLITE_INTERRUPT:
		return errors.Wrap(e, errors.Canceled, reasonCanceled, "canceled while the database was working")
	}
	if strings.Contains(e.Error(), "no such table") { // plain SQLITE_ERROR has no finer code
		return errors.Wrap(e, errors.FailedPrecondition, reasonMissing, "the database has no such tables; run: dbslm migrate")
	}
	return errors.Wrap(e, errors.Internal, reasonStatement, "the database refused a statement of this program")
}

// mapTransport names what went wrong between here and the server.
func mapTransport(err error) error {
	var netErr net.Error
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, mysql.ErrInvalidConn):
		return errors.Wrap(err, errors.Unavailable, reasonOutcome, "the connection to the database broke in the middle of a statement; whether it took effect is unknown")
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.As(err, &netErr):
		return errors.Wrap(err, errors.Unavailable, reasonUnavailable, "the database server cannot be reached; check that it runs and its address")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errors.Wrap(err, errors.ResourceExhausted, reasonFull, "the disk that holds the store is full; free space and try again")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errors.Wrap(err, errors.FailedPrecondition, reasonReadOnly, "no permission to write the store; check the owner and mode of its directory")
	case errors.Is(err, mysql.ErrPktTooLarge):
		return errors.Wrap(err, errors.ResourceExhausted, reasonValue, "a value is larger than the server's max_allowed_packet")
	case errors.As(err, &pathErr):
		return errors.Wrap(err, errors.Unavailable, reasonUnavailable, "the store's files cannot be used")
	}
	return errors.Wrap(err, errors.Internal, reasonStatement, "the database failed unexpectedly")
}

// retryable reports whether the whole transaction may simply be run again: it was surely rolled back, and running it again
// may go better. Losing the connection counts only before COMMIT was sent; the caller knows.
func retryable(err error, beforeCommit bool) bool {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch e.Number {
		case 1213, 1205, 1020:
			return true
		case 1927, 1053: // killed or shutting down: the server rolled back
			return beforeCommit
		}
		return false
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return true
		}
		return false
	}
	return beforeCommit && (errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn))
}

// noTransaction recognises a ROLLBACK that came after the engine had rolled back by itself.
func noTransaction(err error) bool {
	return strings.Contains(err.Error(), "no transaction is active")
}
