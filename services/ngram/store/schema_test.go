package store_test

import (
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram/store"
)

func TestMigrations(t *testing.T) {
	databasetest.CheckMigrations(t, store.Schema)
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		if applied, err := db.Migrate(t.Context()); err != nil || applied != 0 {
			t.Errorf("migrating again applied %d files, error %v", applied, err)
		}
	})
}
