package store

import (
	"embed"
	"io/fs"

	"dbslm/pkg/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the set of tables of the memory service.
var Schema = database.Schema{Name: "dbslm_memory", Migrations: below(migrations, "migrations")}

func below(files fs.FS, folder string) fs.FS {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // fs.Sub only refuses names that are no paths
	}
	return sub
}
