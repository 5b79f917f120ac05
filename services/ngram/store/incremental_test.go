package store_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// cases is how many random cases a property of the store gets: few by default, as many as -rapid.checks says in the long run.
func cases(t *testing.T, few int) int {
	t.Helper()
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() != f.DefValue {
		n, err := strconv.Atoi(f.Value.String())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return few
}

// weighted is a document of a random corpus.
type weighted struct {
	label, text string
	weight      int64
}

// add trains some documents and derives a build.
func add(t *testing.T, s *store.Store, name string, options ngram.BuildOptions, documents ...weighted) ngram.Build {
	t.Helper()
	var build ngram.Build
	err := s.Train(t.Context(), tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
		for _, d := range documents {
			if _, _, err := trainer.Receive(ctx, store.Source{Label: d.label, Weight: d.weight, Text: strings.NewReader(d.text)}); err != nil {
				return err
			}
		}
		if _, err := trainer.Count(ctx, nil); err != nil {
			return err
		}
		build, err = trainer.Build(ctx, options, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return build
}

// remove forgets a document.
func remove(t *testing.T, s *store.Store, name, label string) {
	t.Helper()
	err := s.Train(t.Context(), tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) error {
		_, err := trainer.Forget(ctx, store.Forgetting{Label: label}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A model that grew by random documents with random weights and lost one again, with a build after each step, has the rows of a model that was
// built once; and a build that reads packed integers writes what one that reads rows writes.
func TestIncrementalIsFull(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		for c := range cases(t, 8) {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			settings := ngram.Settings{Order: 1 + random.IntN(5), Tokenizer: ngram.TokenizerWhitespace}
			options := ngram.BuildOptions{Storage: []ngram.Storage{ngram.Storage8, ngram.Storage16, ngram.StorageExact}[random.IntN(3)]}
			s := store.New(db, store.Options{BatchWindows: 20 + random.IntN(200), PartRows: 5 + random.IntN(60)})
			var documents []weighted
			for i := range 3 + random.IntN(3) {
				lines := sentences(random.Uint64(), 1+random.IntN(25))
				documents = append(documents, weighted{fmt.Sprint("text ", i), text(settings.Tokenizer, append(lines, "a b")), 1 + int64(random.IntN(4))})
			}
			grown, whole := fmt.Sprint("grown ", c), fmt.Sprint("whole ", c)
			for _, name := range []string{grown, whole} {
				if _, _, err := s.CreateModel(t.Context(), tenant, strings.ReplaceAll(name, " ", "-"), settings); err != nil {
					t.Fatal(err)
				}
			}
			grown, whole = strings.ReplaceAll(grown, " ", "-"), strings.ReplaceAll(whole, " ", "-")
			var build ngram.Build
			gone := weighted{"gone", text(settings.Tokenizer, sentences(random.Uint64(), 1+random.IntN(25))) + "c gone\n", 1 + int64(random.IntN(4))}
			add(t, s, grown, options, gone)
			forgotten := random.IntN(len(documents))
			for i, d := range documents {
				build = add(t, s, grown, options, d)
				if i == forgotten {
					remove(t, s, grown, gone.label)
				}
			}
			build = add(t, s, grown, options)
			random.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
			full := add(t, s, whole, options, documents...)
			if diff := cmp.Diff(read(t, db, whole, full.ID), read(t, db, grown, build.ID)); diff != "" {
				t.Fatalf("case %d, order %d, storage %s: %s", c, settings.Order, options.Storage, diff)
			}
			if _, err := db.Exec(t.Context(), `DELETE FROM tbl_l1_count_segments WHERE model_id = ?`, int64(build.Model)); err != nil {
				t.Fatal(err)
			}
			for _, from := range []string{"rows", "segments"} {
				if again := add(t, s, grown, options); again.RowsAdded != 0 || again.RowsClosed != 0 {
					t.Fatalf("case %d: a build from the same counts, read from %s, wrote %d rows and closed %d", c, from, again.RowsAdded, again.RowsClosed)
				}
			}
		}
	})
}

// Packed integers that contradict the totals of the model are thrown away, and the build is derived from the rows.
func TestDamagedSegmentsAreReplaced(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}
		want := train(t, s, "m", settings, ngram.BuildOptions{}, text(settings.Tokenizer, sentences(3, 60)))
		before := read(t, db, "m", want.ID)
		var n int64
		for what, change := range map[string]string{
			"lost":    `UPDATE tbl_l1_count_segments SET packed = ? WHERE model_id = ? AND n = 3 AND segment = 0`,
			"damaged": `UPDATE tbl_l1_count_segments SET packed = ? WHERE model_id = ? AND n = 2 AND segment = 0`,
		} {
			damage := []byte{}
			if what == "damaged" {
				damage = []byte("seventeen bytes or more of nonsense")
			}
			if _, err := db.Exec(t.Context(), change, damage, int64(want.Model)); err != nil {
				t.Fatal(err)
			}
			again := add(t, s, "m", ngram.BuildOptions{})
			if diff := cmp.Diff(before, read(t, db, "m", again.ID)); diff != "" || again.RowsAdded != 0 {
				t.Fatalf("%s: %d rows, %s", what, again.RowsAdded, diff)
			}
		}
		if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_l1_count_segments WHERE model_id = ?`, int64(want.Model)).Scan(&n); err != nil || n == 0 {
			t.Errorf("%d segments, error %v", n, err)
		}
	})
}
