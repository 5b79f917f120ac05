package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/store"
)

const tenant = ngram.DefaultTenant

// small cuts work into many transactions.
var small = store.Options{BatchWindows: 60, PartRows: 25}

// train receives texts by label in the given order, counts after each, and derives and publishes one build at the end.
func train(t testing.TB, s *store.Store, name string, settings ngram.Settings, options ngram.BuildOptions, texts ...string) ngram.Build {
	t.Helper()
	ctx := context.Background()
	if _, _, err := s.CreateModel(ctx, tenant, name, settings); err != nil {
		t.Fatal(err)
	}
	var build ngram.Build
	err := s.Train(ctx, tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
		for i, text := range texts {
			if _, _, err := trainer.Receive(ctx, store.Source{Label: fmt.Sprint("text ", i), Text: strings.NewReader(text)}); err != nil {
				return err
			}
			if _, err := trainer.Count(ctx, nil); err != nil {
				return err
			}
		}
		build, err = trainer.Build(ctx, options, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if build, _, err = s.Publish(ctx, tenant, name, build.ID); err != nil {
		t.Fatal(err)
	}
	return build
}

// Earlier builds stay what they were, whatever is built after them.
func TestKeptBuildsDoNotChange(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords}
		lines := sentences(42, 90)
		var texts []string
		var builds []ngram.BuildID
		var dumps []dump
		for i, storage := range []ngram.Storage{ngram.Storage8, ngram.Storage8, ngram.StorageExact, ngram.Storage16, ngram.Storage8} {
			texts = append(texts, text(settings.Tokenizer, lines[18*i:18*(i+1)]))
			build := train(t, s, "m", settings, ngram.BuildOptions{Storage: storage}, texts...)
			builds, dumps = append(builds, build.ID), append(dumps, read(t, db, "m", build.ID))
		}
		for i, build := range builds {
			now := read(t, db, "m", build)
			for gram, row := range dumps[i].Grams {
				_, before, _ := strings.Cut(row, " p ")
				_, after, _ := strings.Cut(now.Grams[gram], " p ")
				if before != after {
					t.Fatalf("build %d: %q had code %s and has %s", build, gram, before, after)
				}
			}
			if diff := cmp.Diff(dumps[i].Params, now.Params); diff != "" {
				t.Errorf("build %d: %s", build, diff)
			}
		}
	})
}

// The rows of the exact build are the numbers that KenLM printed.
func TestGoldenRows(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for _, c := range goldentest.Cases(t) {
			if c.ARPA == "" {
				continue // the corpora are scored in the tests of package server
			}
			var corpus strings.Builder
			for _, s := range c.Train {
				corpus.WriteString(strings.Join(s, " ") + "\n")
			}
			settings := ngram.Settings{Order: c.Order, Tokenizer: ngram.TokenizerWhitespace}
			build := train(t, store.New(db, small), c.Name, settings, ngram.BuildOptions{Storage: ngram.StorageExact, KenLMQuirk: true}, corpus.String())
			got := read(t, db, c.Name, build.ID)
			for words, entry := range goldentest.ReadARPA(t, c.ARPA) {
				if words == "<s>" {
					continue
				}
				checkRow(t, got, words, c.Order, entry)
			}
			for i, want := range c.Golden.NGramCounts {
				have := build.NGrams[i]
				if i == 0 {
					have += 2 // <unk> and <s>
				}
				if have != want {
					t.Errorf("%s: %d n-grams of order %d, KenLM has %d", c.Name, have, i+1, want)
				}
			}
			if fallback := build.Discounts[2].Fallback; fallback != c.Golden.FallbackUsed || fallback != (len(build.Warnings) > 0) {
				t.Errorf("%s: fallback %t, warnings %q", c.Name, fallback, build.Warnings)
			}
		}
	})
}

func checkRow(t *testing.T, got dump, words string, order int, entry goldentest.Entry) {
	t.Helper()
	spelled := strings.NewReplacer("<s>", "<S>", "</s>", "</S>", "<unk>", "<UNK>").Replace(words)
	_, code, _ := strings.Cut(got.Grams[spelled], "p ")
	if value := float(t, code); value > entry.Log10+2e-6 || value < entry.Log10-2e-6 {
		t.Errorf("%q has log10 p %.7f, KenLM says %.7f", words, value, entry.Log10)
	}
	n := 1 + strings.Count(words, " ")
	backoff := 0.0
	if _, stored, found := strings.Cut(got.Contexts[fmt.Sprint(n+1, " ", spelled, " ")], " b "); found {
		if _, err := fmt.Sscan(stored, &backoff); err != nil {
			t.Fatal(err)
		}
	}
	if n < order && (backoff > entry.Backoff+2e-6 || backoff < entry.Backoff-2e-6) {
		t.Errorf("%q has backoff %.7f, KenLM says %.7f", words, backoff, entry.Backoff)
	}
}
