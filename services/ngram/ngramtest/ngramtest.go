// Package ngramtest trains small models for tests.
package ngramtest

import (
	"context"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// Train makes the model of the default tenant if there is none, counts the text under the label "text" (weight 1), derives
// a build and publishes it.
func Train(t testing.TB, db *database.DB, name string, settings ngram.Settings, options ngram.BuildOptions, text string) ngram.Build {
	t.Helper()
	return TrainWith(t, store.New(db, store.Options{}), name, settings, options, map[string]string{"text": text})
}

// TrainWith is Train for a store with options and any number of texts by label, which arrive in no fixed order.
func TrainWith(t testing.TB, s *store.Store, name string, settings ngram.Settings, options ngram.BuildOptions, texts map[string]string) ngram.Build {
	t.Helper()
	ctx := context.Background()
	if _, _, err := s.CreateModel(ctx, ngram.DefaultTenant, name, settings); err != nil {
		t.Fatalf("making model %q: %v", name, err)
	}
	var build ngram.Build
	err := s.Train(ctx, ngram.DefaultTenant, name, "a test", func(ctx context.Context, trainer *store.Trainer) error {
		for label, text := range texts {
			if _, _, err := trainer.Receive(ctx, store.Source{Label: label, Text: strings.NewReader(text)}); err != nil {
				return err
			}
		}
		if _, err := trainer.Count(ctx, nil); err != nil {
			return err
		}
		var err error
		build, err = trainer.Build(ctx, options, nil)
		return err
	})
	if err != nil {
		t.Fatalf("training model %q: %v", name, err)
	}
	build, _, err = s.Publish(ctx, ngram.DefaultTenant, name, build.ID)
	if err != nil {
		t.Fatalf("publishing build %d of model %q: %v", build.ID, name, err)
	}
	return build
}
