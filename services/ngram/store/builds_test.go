package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A list of builds says of each what asking for it alone says, in as many statements for ten as for one.
func TestListOfBuilds(t *testing.T) {
	observer := &killer{}
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{Observer: observer})
	s := store.New(db, store.Options{})
	settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWhitespace}
	var statements [2]int64
	for round, smoothing := range []ngram.Smoothing{ngram.JelinekMercer, ngram.ModifiedKneserNey} {
		for i := range 1 + 3*round {
			options := ngram.BuildOptions{Smoothing: smoothing, Pruning: ngram.Pruning{Cutoffs: []int64{0, int64(i)}}}
			train(t, s, "m", settings, options, "a b c\nb c a\n")
		}
		begin := observer.statements.Load()
		builds, err := s.Builds(t.Context(), tenant, "m", 1<<24, 100, true)
		statements[round] = observer.statements.Load() - begin
		if err != nil || len(builds) != 1+4*round {
			t.Fatalf("%d builds, error %v", len(builds), err)
		}
		for _, b := range builds {
			alone, err := s.BuildOf(t.Context(), tenant, "m", b.ID)
			if diff := cmp.Diff(alone, b); err != nil || diff != "" {
				t.Errorf("build %d: error %v, %s", b.ID, err, diff)
			}
			if len(b.Discounts) != 3 || len(b.NGrams) != 3 || (b.Smoothing == ngram.JelinekMercer) != (len(b.Weights) > 0) {
				t.Errorf("build %d: %+v", b.ID, b)
			}
		}
	}
	if statements[0] != statements[1] {
		t.Errorf("%d statements for one build, %d for five", statements[0], statements[1])
	}
}
