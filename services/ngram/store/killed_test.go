package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// killer cancels a context when the wanted statement has run.
type killer struct {
	statements atomic.Int64
	after      atomic.Int64
	cancel     atomic.Pointer[context.CancelFunc]
}

// Statement implements database.Observer.
func (k *killer) Statement(context.Context, database.Statement) {
	if k.statements.Add(1) == k.after.Load() {
		if cancel := k.cancel.Load(); cancel != nil {
			(*cancel)()
		}
	}
}

// A training that is killed at any statement, and started again until it gets through, leaves what an undisturbed one
// leaves.
func TestKilledTrainingIsCompletedByTheNext(t *testing.T) {
	databasetest.EachEngine(t, func(t *testing.T, target database.Target) {
		observer := &killer{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: observer})
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords}
		lines := sentences(7, 60)
		texts := []string{text(settings.Tokenizer, lines[:25]), text(settings.Tokenizer, lines[25:])}
		// The lease of a killed training is given back in most cases; where it is not, the next one waits for its end.
		options := small
		options.LeaseTime = 300 * time.Millisecond

		first := train(t, store.New(db, options), "undisturbed", settings, ngram.BuildOptions{}, texts[0])
		begin := observer.statements.Load()
		build := train(t, store.New(db, options), "undisturbed", settings, ngram.BuildOptions{}, texts...)
		whole := observer.statements.Load() - begin
		want := read(t, db, "undisturbed", build.ID)
		if first.ID == build.ID {
			t.Fatal("one build for two texts")
		}

		rounds := int64(min(cases(t, 4), 60))
		for round := range rounds {
			name := fmt.Sprintf("killed-%d", round)
			train(t, store.New(db, options), name, settings, ngram.BuildOptions{}, texts[0])
			kills := 0
			for pause := 3 + whole*round/rounds; ; pause += pause/2 + 5 {
				ctx, cancel := context.WithCancel(context.Background())
				observer.cancel.Store(&cancel)
				observer.after.Store(observer.statements.Load() + pause)
				build, err := tryTrain(ctx, store.New(db, options), name, texts)
				cancel()
				observer.after.Store(0)
				if err == nil {
					if diff := cmp.Diff(want, read(t, db, name, build.ID)); diff != "" {
						t.Fatalf("round %d, %d kills: %s", round, kills, diff)
					}
					checkNothingLeft(t, db, name)
					break
				}
				kills++
				if kills > 60 {
					t.Fatalf("round %d: still failing after %d trials: %v", round, kills, err)
				}
			}
			if kills == 0 {
				t.Errorf("round %d: nothing was killed", round)
			}
		}
	})
}

// tryTrain is train with a context, and without a publication.
func tryTrain(ctx context.Context, s *store.Store, name string, texts []string) (build ngram.Build, err error) {
	err = s.Train(ctx, tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
		for i, text := range texts {
			if _, _, err := trainer.Receive(ctx, source(fmt.Sprint("text ", i), text)); err != nil {
				return err
			}
		}
		if _, err := trainer.Count(ctx, nil); err != nil {
			return err
		}
		build, err = trainer.Build(ctx, ngram.BuildOptions{}, nil)
		return err
	})
	return build, err
}

// checkNothingLeft checks that killed builds left no rows that a kept one would not show, and no document is half done.
func checkNothingLeft(t *testing.T, db *database.DB, name string) {
	t.Helper()
	for query, what := range map[string]string{
		`SELECT COUNT(*) FROM tbl_l1_ng_probs_n p JOIN tbl_l1_builds b ON b.build_id = p.since_build WHERE b.name = ? AND b.state NOT IN ('ready', 'dropped')`:             "rows of probabilities of failed builds",
		`SELECT COUNT(*) FROM tbl_l1_ng_topk_n p JOIN tbl_l1_builds b ON b.build_id = p.since_build WHERE b.name = ? AND b.state NOT IN ('ready', 'dropped')`:              "packed rows of failed builds",
		`SELECT COUNT(*) FROM tbl_l1_ng_probs_n p JOIN tbl_l1_builds b ON b.build_id = p.until_build WHERE b.name = ? AND b.state NOT IN ('ready', 'dropped')`:             "rows closed by failed builds",
		`SELECT COUNT(*) FROM tbl_corpus c JOIN tbl_l1_model_names n ON n.model_id = c.model_id WHERE n.name = ? AND (c.state <> 'counted' OR bytes_done <> stored_bytes)`: "documents that are not counted",
		`SELECT COUNT(*) FROM tbl_l1_count_journal j JOIN tbl_l1_model_names n ON n.model_id = j.model_id WHERE n.name = ?`:                                                "counts that are decided and not in their rows",
		`SELECT COUNT(*) FROM tbl_l1_builds b WHERE b.name = ? AND b.state = 'building'`:                                                                                   "builds that nobody makes",
	} {
		var count int64
		if err := db.QueryRow(context.Background(), query, name).Scan(&count); err != nil {
			t.Fatal(err)
		}
		if count != 0 {
			t.Errorf("%s: %d %s are left", name, count, what)
		}
	}
}
