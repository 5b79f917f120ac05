// Package store keeps level 1 in relational tables, on MySQL and on embedded SQLite. It is the only package of the ngram
// service that speaks SQL.
//
//	Store    models, publication, removal            models.go publish.go purge.go
//	Trainer  one trainer of a model at a time        lease.go: stored text → counts → build
//	           Receive   text, piece by piece        receive.go corpus.go
//	           Count     text → counts               count.go known.go words.go: one transaction a batch
//	           Build     counts → rows of a build    build.go derive.go merge.go sweep.go
//	Reader   answers from builds                     reader*.go
//
// A name of a model points to a generation that is trained (a row of tbl_l1_models, named by model_id, the first column of
// every key) and to the build that serves. A reset begins a new generation under the same name and leaves the serving one
// alone; publishing a build of the new generation retires the old one, whose rows are deleted later in bounded batches.
// Exactness under failure rests on two rules: the transaction that counts text also moves the cursors of its documents, and
// a build is invisible until one pointer moves.
package store

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/ngram/contexthash"
)

// Store changes models. It is safe for concurrent use.
type Store struct {
	db       *database.DB
	options  Options
	instance string   // tells this store from others of the process
	leases   sync.Map // tokens of the leases that trainers of this store hold, and generations that it copies or imports
}

// Options of a Store. The zero value is right for a service.
type Options struct {
	// Logger receives what nobody waits for: leases lost, rows purged. nil: discarded.
	Logger *slog.Logger
	// Clock is time.Now unless a test sets it.
	Clock func() time.Time
	// LeaseTime is how long a trainer that went silent holds a model. Default one minute.
	LeaseTime time.Duration
	// BatchWindows bounds the n-gram events (tokens times order) that one transaction counts, and with them its memory
	// (about 60 bytes each). Default 3,145,728. A single longer sentence is counted whole.
	BatchWindows int
	// PartRows bounds the n-grams that one transaction of a build writes; a context is never cut. Default 200,000.
	PartRows int
	// Served is called after a build began or ceased to serve, or was dropped, before the call that did it returns. nil: not.
	Served func(ctx context.Context)
	// Hash names contexts; contexthash.Sum unless a test wants collisions.
	Hash contexthash.Func
}

// New returns a store over a migrated schema.
func New(db *database.DB, options Options) *Store {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.LeaseTime <= 0 {
		options.LeaseTime = time.Minute
	}
	if options.BatchWindows <= 0 {
		options.BatchWindows = 3 << 20
	}
	if options.PartRows <= 0 {
		options.PartRows = 200_000
	}
	if options.Served == nil {
		options.Served = func(context.Context) {}
	}
	if options.Hash == nil {
		options.Hash = contexthash.Sum
	}
	return &Store{db: db, options: options, instance: strconv.FormatUint(rand.Uint64(), 36)}
}

// now is the present as it is stored: microseconds since 1970.
func (s *Store) now() int64 { return s.options.Clock().UnixMicro() }

func toTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// The counters.
const (
	counterModel  = "model_id"
	counterBuild  = "build_id"
	counterServed = "served_seq"
)

const (
	updateCounter = `UPDATE tbl_l1_counters SET value = value + 1 WHERE name = ?`
	insertCounter = `INSERT INTO tbl_l1_counters (name, value) VALUES (?, 1)`
	selectCounter = `SELECT value FROM tbl_l1_counters WHERE name = ?`
)

// nextNumber counts a counter up. Two first users of a counter collide on its key, and one of them runs again.
func nextNumber(ctx context.Context, tx *database.Tx, counter string) (int64, error) {
	matched, err := tx.Exec(ctx, updateCounter, counter)
	if err != nil {
		return 0, err
	}
	if matched == 0 {
		if _, err := tx.Exec(ctx, insertCounter, counter); err != nil {
			return 0, err
		}
	}
	var value int64
	if err := tx.QueryRow(ctx, selectCounter, counter).Scan(&value); err != nil {
		return 0, err
	}
	return value, nil
}
