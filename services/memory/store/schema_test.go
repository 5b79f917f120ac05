package store

import (
	"testing"

	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
)

func TestMigrations(t *testing.T) {
	databasetest.CheckMigrations(t, Schema)
	each(t, func(t *testing.T, s *Store) {
		if applied, err := s.db.Migrate(t.Context()); err != nil || applied != 0 {
			t.Errorf("migrating again applied %d files, error %v", applied, err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func testOneActiveEntryPerSubject(t *testing.T, s *Store) {
	insert := func(id string, key any) error {
		_, err := s.db.Exec(t.Context(), insertCorrection, "t", id, nil, "model", "m:x", nil, "", "x", nil, nil, "", " p ", "{}", "s", key, "", 1, nil, 1, nil, nil, nil, nil)
		return err
	}
	if err := insert("a", "k"); err != nil {
		t.Fatal(err)
	}
	wantError(t, insert("b", "k"), errors.AlreadyExists, "DATABASE_DUPLICATE_KEY")
	for _, ended := range []string{"c", "d"} { // any number of ended ones
		if err := insert(ended, nil); err != nil {
			t.Error(err)
		}
	}
}
