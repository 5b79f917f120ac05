package store

import (
	"embed"
	"io/fs"

	"dbslm/pkg/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the set of tables of the ngram service.
func Schema() database.Schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded above, so this cannot happen
	}
	return database.Schema{Name: "dbslm_ngram", Migrations: files}
}
