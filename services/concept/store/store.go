// Package store keeps level 3 in tables: bots with their concepts, templates and examples, the counts derived from
// the examples, and signals. It is the only package of the service that speaks SQL.
package store

import (
	"context"
	"embed"
	"io/fs"

	"dbslm/pkg/database"
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

const selectBotVersion = `SELECT version FROM tbl_l3_bots WHERE tenant = ? AND bot = ?`

// touch locks the bot for this transaction and raises its version. Every change of a bot begins with it, so that
// changes of one bot are serial.
func touch(ctx context.Context, tx *database.Tx, bot concept.Bot) error {
	return tx.Upsert(ctx, "tbl_l3_bots", []string{"tenant", "bot", "version"}, []string{"tenant", "bot"},
		[]database.Assign{{Column: "version", Add: true}}, [][]any{{bot.Tenant, bot.Name, int64(1)}})
}
