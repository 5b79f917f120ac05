package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A training with hardly any memory counts in more transactions and builds from files, and has the same rows.
func TestMemoryChangesNothing(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		settings := ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWhitespace}
		train := func(name string, memory int64) (dump, int64) {
			if _, _, err := s.CreateModel(t.Context(), tenant, name, settings); err != nil {
				t.Fatal(err)
			}
			var build ngram.Build
			var steps int64
			err := s.Train(t.Context(), tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
				trainer.Within(memory)
				if _, _, err := trainer.Receive(ctx, source("a", text(settings.Tokenizer, sentences(1, 300)))); err != nil {
					return err
				}
				if _, err := trainer.Count(ctx, func(string, int64, int64) { steps++ }); err != nil {
					return err
				}
				build, err = trainer.Build(ctx, ngram.BuildOptions{Storage: ngram.Storage8}, nil)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return read(t, db, name, build.ID), steps
		}
		want, steps := train("ample", 0)
		got, more := train("scarce", 8000)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if more <= steps {
			t.Errorf("%d steps with little memory, %d with much", more, steps)
		}
	})
}
