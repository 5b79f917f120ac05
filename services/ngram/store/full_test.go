package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A disk that is full in the middle of a build: the build is abandoned, what serves stays, and the next build cleans up and
// has the rows of one that was not disturbed. The limit is SQLite's own on the pages of its file.
func TestFullDisk(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	s := store.New(db, small)
	settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}
	documents := []weighted{{"a", text(settings.Tokenizer, sentences(1, 300)), 1}, {"b", text(settings.Tokenizer, sentences(2, 900)), 1}}
	for _, name := range []string{"full", "whole"} {
		if _, _, err := s.CreateModel(t.Context(), tenant, name, settings); err != nil {
			t.Fatal(err)
		}
	}
	want := read(t, db, "whole", add(t, s, "whole", ngram.BuildOptions{Storage: ngram.StorageExact}, documents...).ID)
	first := add(t, s, "full", ngram.BuildOptions{Storage: ngram.StorageExact}, documents[0])
	if _, _, err := s.Publish(t.Context(), tenant, "full", first.ID); err != nil {
		t.Fatal(err)
	}
	err := s.Train(t.Context(), tenant, "full", "test", func(ctx context.Context, trainer *store.Trainer) error {
		if _, _, err := trainer.Receive(ctx, source(documents[1].label, documents[1].text)); err != nil {
			return err
		}
		_, err := trainer.Count(ctx, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for room := int64(0); ; room += 8 {
		var pages int64
		if err := db.QueryRow(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
			t.Fatal(err)
		}
		limit(t, db, pages+room)
		var build ngram.Build
		err := s.Train(t.Context(), tenant, "full", "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
			build, err = trainer.Build(ctx, ngram.BuildOptions{Storage: ngram.StorageExact}, nil)
			return err
		})
		limit(t, db, 1<<30)
		if err == nil {
			if diff := cmp.Diff(want, read(t, db, "full", build.ID)); diff != "" {
				t.Error(diff)
			}
			break
		}
		failures++
		if kind := errors.KindOf(err); kind != errors.ResourceExhausted && kind != errors.Unavailable {
			t.Fatalf("with %d pages of room: %v (%v)", room, err, kind)
		}
		model, err := s.Model(t.Context(), tenant, "full")
		if err != nil || model.Published != first.ID {
			t.Fatalf("build %d serves, error %v", model.Published, err)
		}
		if failures > 200 {
			t.Fatal("the disk never has room enough")
		}
	}
	if failures == 0 {
		t.Error("the disk was never full")
	}
	checkNothingLeft(t, db, "full")
}

// limit bounds the pages of the store's file.
func limit(t *testing.T, db *database.DB, pages int64) {
	t.Helper()
	if _, err := db.Exec(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
		t.Fatal(err)
	}
}
