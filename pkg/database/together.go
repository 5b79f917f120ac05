package database

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"dbslm/pkg/errors"

	"github.com/go-sql-driver/mysql"
)

// A server is asked as seldom as possible: a transaction begins with its first statement, and writes that wait for nothing of each
// other go together. The statements are joined by semicolons, which is why connections of MySQL take several statements at once;
// their texts are constants, and no argument becomes part of a text unescaped. An embedded store has no way to go, so there every
// statement stands by itself.

// Command is one of several writes.
type Command struct {
	SQL  string
	Args []any
}

// togetherBytes bounds the bytes and texts among the arguments of writes that go together, far below what a server takes at once.
const togetherBytes = 512 << 10

// ExecAll runs writes in order, on a server in one round trip, and says for each how many rows it matched or inserted, as Exec
// does. Where one fails, those after it do not run.
func (tx *Tx) ExecAll(ctx context.Context, commands ...Command) (affected []int64, err error) {
	if err := tx.ready(true); err != nil {
		return nil, err
	}
	if tx.db.dialect == MySQL && len(commands) > 1 {
		texts, args := make([]string, len(commands)), []any(nil)
		for i, c := range commands {
			texts[i], args = c.SQL, append(args, c.Args...)
		}
		if bytesOf(args) <= togetherBytes {
			return tx.together(ctx, texts, args)
		}
	}
	for _, c := range commands {
		n, err := tx.Exec(ctx, c.SQL, c.Args...)
		if err != nil {
			return nil, err
		}
		affected = append(affected, n)
	}
	return affected, nil
}

func bytesOf(args []any) (n int) {
	for _, arg := range args {
		switch v := arg.(type) {
		case []byte:
			n += len(v)
		case string:
			n += len(v)
		}
	}
	return n
}

func (tx *Tx) together(ctx context.Context, texts []string, args []any) (affected []int64, err error) {
	begins := !tx.begun
	start := time.Now()
	limited, cancel := tx.db.limit(ctx)
	defer cancel()
	if _, err = tx.on().ExecContext(limited, strings.Join(texts, "; "), args...); err == nil {
		err = tx.conn.Raw(func(dc any) error {
			affected = dc.(*session).last.(mysql.Result).AllRowsAffected()
			return nil
		})
	}
	if err == nil && begins {
		affected = affected[1:]
	}
	if err == nil && len(affected) != len(texts) {
		err = errors.New(errors.Internal, reasonUse, "%d statements were sent together and %d answered", len(texts), len(affected))
	}
	if err = mapError(limited, err); err != nil {
		tx.db.observe(ctx, texts[0], start, 0, err) // which of them failed, the error's own text says
		return nil, tx.fail(err)
	}
	share := time.Since(start) / time.Duration(len(texts))
	for i, text := range texts { // each its share of the way
		tx.db.observe(ctx, text, time.Now().Add(-share), affected[i], nil)
	}
	return affected, nil
}

// on is where the statements of a transaction go: the first one takes its beginning along.
func (tx *Tx) on() sqlQuerier {
	if tx.begun {
		return tx.conn
	}
	return beginning{tx}
}

// opened begins the transaction by itself, for statements that cannot take its beginning along.
func (tx *Tx) opened(ctx context.Context) error {
	if tx.begun {
		return nil
	}
	return tx.fail(tx.begin(ctx))
}

// beginning is the connection of a transaction that has not begun.
type beginning struct{ tx *Tx }

// QueryContext implements sqlQuerier.
func (b beginning) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query, err := b.with(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return b.tx.conn.QueryContext(ctx, query, args...)
}

// ExecContext implements sqlQuerier.
func (b beginning) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	query, err := b.with(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return b.tx.conn.ExecContext(ctx, query, args...)
}

// with returns the beginning and a statement in one text. A very long one goes alone: the driver sends it as a prepared statement,
// which can be only one.
func (b beginning) with(ctx context.Context, query string, args []any) (string, error) {
	if bytesOf(args) > togetherBytes {
		return query, b.tx.begin(ctx)
	}
	b.tx.begun = true
	b.tx.db.observe(ctx, startTransaction, time.Now(), 0, nil)
	return startTransaction + "; " + query, nil
}
