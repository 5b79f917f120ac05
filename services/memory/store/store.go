// Package store keeps level 2 in relational tables, on MySQL and on embedded SQLite. It is the only package of the memory
// service that speaks SQL.
//
//	conversations.go  a conversation's row: its figures, and the lock under which its messages and turns are written
//	messages.go       messages in their total order; window and pages are one indexed range each
//	prepare.go        PrepareTurn in one transaction; bearing.go: what bears on a text
//	turns.go          what ends a turn
//	corrections.go    record, supersede, revoke; scopes.go: the lock of a scope
//	facts.go, biases.go, traces.go
//	erase.go          everything about a person goes; forgetting.go: what forgotten builds wrote
//
// Locks are taken in one order: scope, then conversation; only withTurn locks a turn before its conversation. Every decision is
// made after the lock, from rows read under it. Methods take the time as a parameter; a request that changes nothing but must close an expired turn commits
// that first and refuses afterwards. Errors are of package errors.
package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

// Store is safe for concurrent use.
type Store struct {
	db      *database.DB
	packer  *zstd.Encoder
	opener  *zstd.Decoder
	lockRow string // ends a SELECT whose row is to be changed

	shareRow string // ends a SELECT whose row is not to change before the transaction ends
}

// New returns a store over a migrated schema. It keeps nothing in memory between calls.
func New(db *database.DB) (*Store, error) {
	packer, err := zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "ZSTD", "the compressor cannot be set up")
	}
	opener, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxTraceBytes))
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "ZSTD", "the decompressor cannot be set up")
	}
	return &Store{db: db, packer: packer, opener: opener, lockRow: db.Dialect().ForUpdate(), shareRow: db.Dialect().ForShare()}, nil
}

// Ready returns nil when the store answers and its tables are those this program knows.
func (s *Store) Ready(ctx context.Context) error { return s.db.CheckSchema(ctx) }

// Close releases what New made; the database stays open.
func (s *Store) Close() error {
	s.opener.Close()
	return s.packer.Close()
}

// newID is a UUIDv7: its order is roughly that of creation, which keeps neighbours together in an index.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", errors.Wrap(err, errors.Internal, "NO_RANDOMNESS", "no new id can be made: the system gives no random numbers")
	}
	return id.String(), nil
}

// inTxAgain is for transactions that look for a request id and insert it when it is absent: of two that do so at once, the
// second meets the first one's key and runs again, now finding the row.
func (s *Store) inTxAgain(ctx context.Context, f func(tx *database.Tx) error) error {
	err := s.db.InTx(ctx, f)
	if database.IsDuplicate(err) {
		err = s.db.InTx(ctx, f)
	}
	return err
}

// Times are stored as microseconds since 1970; a time that is not there is NULL and read as 0.

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func nullMicros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func nullDuration(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.Microseconds()
}

func nullString(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// rows walks a result and closes it.
func rows(result *database.Rows, err error, scan func(database.Scanner) error) error {
	if err != nil {
		return err
	}
	defer result.Close()
	for result.Next() {
		if err := scan(result); err != nil {
			return err
		}
	}
	return result.Err()
}
