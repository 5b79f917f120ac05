package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A hybrid store has what a portable one has, in every table and in the same words, and both can be made of the other.
func TestHybridStore(t *testing.T) {
	settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
	lines := sentences(11, 80)
	texts := []string{text(settings.Tokenizer, lines[:50]), text(settings.Tokenizer, lines[30:])}
	plain := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	want := read(t, plain, "m", train(t, store.New(plain, store.Options{}), "m", settings, ngram.BuildOptions{}, texts...).ID)

	target := databasetest.HybridTarget(t)
	for _, engine := range []database.Engine{database.Hybrid, database.InnoDB, database.Hybrid} {
		db, err := database.Open(t.Context(), target.WithEngine(engine), store.Schema, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		engines, err := db.Engines(t.Context())
		if err != nil || len(engines) != len(store.Schema.Placements) {
			t.Errorf("tables on %v, error %v", engines, err)
		}
		for table, at := range engines {
			if (at == database.OnAria) != (engine == database.Hybrid) {
				t.Errorf("engine %s: %s is on %s", engine, table, at)
			}
		}
		// The model of the store before it moved is forgotten and trained again where it is now.
		name := fmt.Sprintf("on %s", engine)
		s := store.New(db, small)
		if _, err := s.Model(t.Context(), tenant, name); err != nil {
			build := train(t, s, name, settings, ngram.BuildOptions{}, texts...)
			if diff := cmp.Diff(want, read(t, db, name, build.ID)); diff != "" {
				t.Errorf("engine %s: %s", engine, diff)
			}
		} else if build := add(t, s, name, ngram.BuildOptions{}); true {
			if diff := cmp.Diff(want, read(t, db, name, build.ID)); diff != "" {
				t.Errorf("engine %s, moved: %s", engine, diff)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The server of a hybrid store is killed while text is counted and a build is derived, again and again: what the training
// repeats itself to is what an undisturbed one leaves.
func TestHybridSurvivesKillsOfTheServer(t *testing.T) {
	server := databasetest.Start(t)
	db := databasetest.Open(t, server.Target(t).WithEngine(database.Hybrid), store.Schema, database.Options{Observer: ignore{}})
	settings := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
	lines := sentences(5, 400)
	texts := []string{text(settings.Tokenizer, lines[:150]), text(settings.Tokenizer, lines[150:])}
	options := store.Options{BatchWindows: 1500, PartRows: 400, LeaseTime: 300 * time.Millisecond}
	begun := time.Now()
	want := read(t, db, "whole", train(t, store.New(db, options), "whole", settings, ngram.BuildOptions{}, texts...).ID)
	took := time.Since(begun)

	rounds, kills := 2, 0
	if databasetest.Whole() {
		rounds = 25
	}
	for round := range rounds {
		name := fmt.Sprintf("killed-%d", round)
		train(t, store.New(db, options), name, settings, ngram.BuildOptions{}, texts[0])
		for trial := 0; ; trial++ {
			if trial > 60 {
				t.Fatal("it is never done")
			}
			done := make(chan error, 1)
			var build ngram.Build
			go func() {
				var err error
				build, err = tryTrain(context.Background(), store.New(db, options), name, texts)
				done <- err
			}()
			if trial < 3 {
				time.Sleep(time.Duration(rand.Int64N(int64(took))))
				server.Kill(t)
				kills++
				server.Restart(t)
			}
			if err := <-done; err != nil {
				time.Sleep(50 * time.Millisecond)
				continue // the lease of the one before may not have ended
			}
			if diff := cmp.Diff(want, read(t, db, name, build.ID)); diff != "" {
				t.Fatalf("round %d: %s", round, diff)
			}
			checkNothingLeft(t, db, name)
			break
		}
	}
	if kills == 0 {
		t.Error("nothing was killed")
	}
}
