package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A text that cannot be counted, alone or among others, as the first under its label or in place of another text, wholly
// uncounted or in part, leaves the model as it was, and later texts are trained as ever.
func TestRefusedTextIsWithdrawn(t *testing.T) {
	heavy := func(label string) store.Source {
		s := source(label, strings.Repeat("x\n", 2200)) // the 2,148th is too many
		s.Weight, s.Replace = 1_000_000, true
		return s
	}
	databasetest.EachEngine(t, func(t *testing.T, target database.Target) {
		db := databasetest.Open(t, target, store.Schema, database.Options{})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		for name, options := range map[string]store.Options{"whole": {}, "in parts": {BatchWindows: 1000}} {
			t.Run(name, func(t *testing.T) {
				s := store.New(db, options)
				if _, err := receive(t, s, name, settings, source("kept", "one two\nthree\n")); err != nil {
					t.Fatal(err)
				}
				before := read(t, db, name, 0)
				for _, sources := range [][]store.Source{{heavy("new")}, {heavy("kept")}} {
					label := sources[0].Label
					if _, err := receive(t, s, name, settings, sources...); errors.ReasonOf(err) != "COUNT_TOO_GREAT" || !strings.Contains(errors.Public(err), `"`+label+`"`) {
						t.Errorf("%s: error %v", label, err)
					}
					if diff := cmp.Diff(before, read(t, db, name, 0)); diff != "" {
						t.Errorf("%s: not withdrawn: %s", label, diff)
					}
				}
				if _, err := receive(t, s, name, settings, source("before", "four five\n"), heavy("new"), source("after", "five six\n")); errors.ReasonOf(err) != "COUNT_TOO_GREAT" {
					t.Errorf("error %v", err)
				}
				if _, err := receive(t, s, name, settings, source("before", "four five\n"), source("after", "five six\n")); err != nil {
					t.Errorf("the others: %v", err)
				}
				if _, err := receive(t, s, "all "+name, settings, source("kept", "one two\nthree\n"), source("before", "four five\n"), source("after", "five six\n")); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(read(t, db, "all "+name, 0), read(t, db, name, 0)); diff != "" {
					t.Errorf("not what the others make: %s", diff)
				}
				model, err := s.Model(t.Context(), tenant, name)
				if err != nil || model.Documents != 3 {
					t.Errorf("%d documents, error %v", model.Documents, err)
				}
			})
		}
	})
}

// A document whose last sentence fills a batch is counted as a whole, however the training ends after it.
func TestDocumentEndsWithABatch(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{BatchWindows: 1})
		settings := ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace}
		ctx, stop := context.WithCancel(t.Context())
		if _, _, err := s.CreateModel(ctx, tenant, "m", settings); err != nil {
			t.Fatal(err)
		}
		err := s.Train(ctx, tenant, "m", "test", func(ctx context.Context, tr *store.Trainer) error {
			if _, _, err := tr.Receive(ctx, source("a", "one two\nthree\n")); err != nil {
				return err
			}
			batches := 0
			_, err := tr.Count(ctx, func(string, int64, int64) {
				if batches++; batches == 2 {
					stop()
				}
			})
			return err
		})
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		replacement := source("a", "four\n")
		replacement.Replace = true
		if _, err := receive(t, s, "m", settings, replacement); err != nil {
			t.Fatal(err)
		}
		if model, err := s.Model(t.Context(), tenant, "m"); err != nil || model.Documents != 1 {
			t.Errorf("%d documents, not 1; error %v", model.Documents, err)
		}
	})
}
