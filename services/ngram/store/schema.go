package store

import (
	"embed"
	"io/fs"

	"dbslm/pkg/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the set of tables of the ngram service.
var Schema = database.Schema{Name: "dbslm_ngram", Migrations: below(migrations, "migrations"), Placements: []database.Placement{
	{Table: "tbl_l1_ng_counts_n", On: database.OnAria},
	{Table: "tbl_l1_ng_probs_n", On: database.OnAria},
	{Table: "tbl_l1_ng_topk_n", On: database.OnAria},
}}

func below(files fs.FS, folder string) fs.FS {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // fs.Sub only refuses names that are no paths
	}
	return sub
}
