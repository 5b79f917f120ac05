package store_test

import (
	"context"
	"flag"
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
