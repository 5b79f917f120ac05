package store

import (
	"embed"
	"io/fs"

	"dbslm/pkg/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the set of tables of the memory service. The concept document has messages on MyRocks; see decision 72.
var Schema = database.Schema{Name: "dbslm_memory", Migrations: below(migrations, "migrations"), Placements: []database.Placement{
	{Table: "tbl_l2_messages", On: database.OnRocksDB, Fallback: true},
}}

func below(files fs.FS, folder string) fs.FS {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // fs.Sub only refuses names that are no paths
	}
	return sub
}
