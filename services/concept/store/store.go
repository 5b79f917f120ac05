// Package store keeps level 3 in tables: bots with their concepts, templates and examples, the counts derived from
// the examples, and signals. It is the only package of the service that speaks SQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"strconv"
	"strings"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/concept"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the schema of the concept service.
var Schema = database.Schema{Name: "dbslm_concept", Migrations: sub(migrations, "migrations")}

func sub(f fs.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		return f // the directory is embedded, so this cannot happen
	}
	return s
}

// Store is safe for concurrent use.
type Store struct{ db *database.DB }

// New returns a store over an open, migrated schema.
func New(db *database.DB) *Store { return &Store{db} }

// Ready reports whether the database answers with a schema that this program knows.
func (s *Store) Ready(ctx context.Context) error { return s.db.CheckSchema(ctx) }

const selectBots = `SELECT bot FROM tbl_l3_bots WHERE tenant = ? AND version > 0 ORDER BY bot LIMIT 11`

// NeedBot refuses a bot that was never given anything; the default one always has the built-in concepts. NotFound names the
// bots that there are.
func (s *Store) NeedBot(ctx context.Context, bot concept.Bot) error {
	if bot.Name == concept.DefaultBot {
		return nil
	}
	state, err := s.State(ctx, bot)
	if err != nil || state.Version > 0 {
		return err
	}
	return s.NoBot(ctx, bot)
}

// NoBot is the error for a bot that was never given anything.
func (s *Store) NoBot(ctx context.Context, bot concept.Bot) error {
	rows, err := s.db.Query(ctx, selectBots, bot.Tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, strconv.Quote(name))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	known := "there is none yet"
	switch {
	case len(names) > 10:
		known = "some that there are: " + strings.Join(names[:10], ", ")
	case len(names) > 0:
		known = "there is: " + strings.Join(names, ", ")
	}
	return errors.New(errors.NotFound, "BOT_NOT_FOUND", "there is no bot %q (%s); give it concepts and examples first", bot.Name, known).With("bot", bot.Name)
}

const selectBotVersion = `SELECT version FROM tbl_l3_bots WHERE tenant = ? AND bot = ?`

// touch locks the bot for this transaction and raises its version. Every change of a bot begins with it, so that
// changes of one bot are serial.
func touch(ctx context.Context, tx *database.Tx, bot concept.Bot) error {
	return tx.Upsert(ctx, "tbl_l3_bots", []string{"tenant", "bot", "version"}, []string{"tenant", "bot"},
		[]database.Assign{{Column: "version", Add: true}}, [][]any{{bot.Tenant, bot.Name, int64(1)}})
}
