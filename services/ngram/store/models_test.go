package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

var whitespace = ngram.Settings{Order: 2, Tokenizer: ngram.TokenizerWhitespace, Normalization: ngram.NormalizationNFC, UnkPolicy: ngram.UnkReserved}

func TestCreateModel(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		s := store.New(db, store.Options{})
		if _, err := s.Model(ctx, tenant, "m"); errors.KindOf(err) != errors.NotFound || errors.ReasonOf(err) != "MODEL_NOT_FOUND" {
			t.Errorf("error %v", err)
		}
		m, created, err := s.CreateModel(ctx, tenant, "m", ngram.Settings{})
		if err != nil || !created || m.Settings.Order != 3 || m.Settings.Tokenizer != ngram.TokenizerWords || m.VocabularySize != 3 || !m.Stale || m.Published != 0 {
			t.Fatalf("%+v, created %t, error %v", m, created, err)
		}
		if again, created, err := s.CreateModel(ctx, tenant, "m", ngram.Settings{Order: 3}); err != nil || created || again.ID != m.ID {
			t.Errorf("%+v, created %t, error %v", again, created, err)
		}
		for field, settings := range map[string]ngram.Settings{
			"order": {Order: 4}, "tokeniser": {Tokenizer: ngram.TokenizerBytes}, "normalisation": {Normalization: ngram.NormalizationNFKC},
			"policy": {UnkPolicy: ngram.UnkLiteral}, "parameters": {TokenizerParameters: `{"lines":"sentences"}`},
		} {
			_, _, err := s.CreateModel(ctx, tenant, "m", settings)
			if errors.KindOf(err) != errors.AlreadyExists && field != "parameters" || err == nil {
				t.Errorf("%s: error %v", field, err)
			}
		}
		for _, settings := range []ngram.Settings{{Order: -1}, {Order: 256}, {Tokenizer: "bpe"}, {Normalization: "x"}, {UnkPolicy: "x"}, {TokenizerParameters: "{"}} {
			if _, _, err := s.CreateModel(ctx, tenant, "other", settings); errors.KindOf(err) != errors.InvalidArgument {
				t.Errorf("%+v: error %v", settings, err)
			}
		}
		// Names and tenants are kept apart by every byte of them.
		for _, name := range []string{"M", "m.", "a", "z"} {
			if _, created, err := s.CreateModel(ctx, tenant, name, ngram.Settings{}); err != nil || !created {
				t.Errorf("%q: created %t, error %v", name, created, err)
			}
		}
		if _, created, err := s.CreateModel(ctx, "other", "m", ngram.Settings{}); err != nil || !created {
			t.Errorf("created %t, error %v", created, err)
		}
		if _, _, err := s.CreateModel(ctx, "other ", "m", ngram.Settings{}); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("error %v", err)
		}
		if _, err := s.Model(ctx, "other ", "m"); errors.KindOf(err) != errors.NotFound {
			t.Errorf("error %v", err)
		}
		models, err := s.Models(ctx, tenant, "M", 2)
		var names []string
		for _, m := range models {
			names = append(names, m.Name)
		}
		if diff := cmp.Diff([]string{"a", "m"}, names); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
}

func TestManyCreateOneModel(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		var wait sync.WaitGroup
		made := make([]bool, 8)
		ids := make([]ngram.ModelID, len(made))
		for i := range made {
			wait.Go(func() {
				m, created, err := s.CreateModel(t.Context(), tenant, "m", whitespace)
				if err != nil {
					t.Error(err)
				}
				made[i], ids[i] = created, m.ID
			})
		}
		wait.Wait()
		count := 0
		for i := range made {
			if made[i] {
				count++
			}
			if ids[i] != ids[0] {
				t.Errorf("two models: %v", ids)
			}
		}
		if count != 1 {
			t.Errorf("%d calls created the model", count)
		}
	})
}

func TestOneTrainerAtATime(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		var mutex sync.Mutex
		clock := func() time.Time { mutex.Lock(); defer mutex.Unlock(); return now }
		s := store.New(db, store.Options{Clock: clock, LeaseTime: time.Hour})
		if _, _, err := s.CreateModel(ctx, tenant, "m", whitespace); err != nil {
			t.Fatal(err)
		}
		err := s.Train(ctx, tenant, "m", "ada@host", func(ctx context.Context, first *store.Trainer) error {
			if m, err := s.Model(ctx, tenant, "m"); err != nil || m.TrainingBy != "ada@host" {
				t.Errorf("%+v, error %v", m, err)
			}
			refused := s.Train(ctx, tenant, "m", "bob", func(context.Context, *store.Trainer) error { t.Error("two trainers"); return nil })
			if errors.KindOf(refused) != errors.Aborted || !strings.Contains(errors.Public(refused), "ada@host") || !strings.Contains(errors.Public(refused), "13:00:00") {
				t.Errorf("error %v", refused)
			}
			if err := s.DeleteModel(ctx, tenant, "m"); errors.KindOf(err) != errors.Aborted {
				t.Errorf("deleted in training: error %v", err)
			}
			if _, err := s.ResetModel(ctx, tenant, "m", ngram.Settings{}, ""); errors.KindOf(err) != errors.Aborted {
				t.Errorf("reset in training: error %v", err)
			}
			// The first trainer sleeps through its lease; a second one trains; the first one wakes up and must not count.
			mutex.Lock()
			now = now.Add(2 * time.Hour)
			mutex.Unlock()
			if _, err := receive(t, s, "m", ngram.Settings{}, source("second", "x y\n")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := first.Receive(ctx, source("first", "x z\n")); err != nil {
				return err
			}
			_, err := first.Count(ctx, nil)
			return err
		})
		if errors.KindOf(err) != errors.Aborted {
			t.Errorf("error %v", err)
		}
		if got := read(t, db, "m", 0).Grams; got["x y"] == "" || got["x z"] != "" {
			t.Errorf("counts %v", got)
		}
		if m, err := s.Model(ctx, tenant, "m"); err != nil || m.TrainingBy != "" {
			t.Errorf("%+v, error %v", m, err)
		}
	})
}

func TestLostLeaseEndsTheTraining(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{LeaseTime: 80 * time.Millisecond})
		if _, _, err := s.CreateModel(t.Context(), tenant, "m", whitespace); err != nil {
			t.Fatal(err)
		}
		err := s.Train(t.Context(), tenant, "m", "test", func(ctx context.Context, trainer *store.Trainer) error {
			if _, err := db.Exec(ctx, `UPDATE tbl_l1_model_names SET lease_token = 'another'`); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if errors.ReasonOf(err) != "TRAINING_LEASE_LOST" {
			t.Errorf("error %v", err)
		}
	})
}

// A transaction longer than the lease keeps the only writer of an embedded store, so that renewals fail until it ends.
func TestLongTransactionKeepsTheLease(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{WriteWait: 20 * time.Millisecond})
	s := store.New(db, store.Options{LeaseTime: 80 * time.Millisecond})
	if _, _, err := s.CreateModel(t.Context(), tenant, "m", whitespace); err != nil {
		t.Fatal(err)
	}
	err := s.Train(t.Context(), tenant, "m", "test", func(ctx context.Context, trainer *store.Trainer) error {
		return db.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE tbl_l1_model_names SET lease_until = lease_until + 1`)
			time.Sleep(400 * time.Millisecond)
			return errors.Join(err, ctx.Err())
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEmptyModelHasNoBuild(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		if _, err := receive(t, s, "m", whitespace, source("a", "\n\n")); err != nil {
			t.Fatal(err)
		}
		err := s.Train(t.Context(), tenant, "m", "test", func(ctx context.Context, trainer *store.Trainer) error {
			_, err := trainer.Build(ctx, ngram.BuildOptions{}, nil)
			return err
		})
		if errors.KindOf(err) != errors.FailedPrecondition || errors.ReasonOf(err) != "MODEL_EMPTY" {
			t.Errorf("error %v", err)
		}
	})
}

func TestPublishAndRollback(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		s := store.New(db, store.Options{})
		var builds []ngram.BuildID
		var texts []string
		for i := range 3 {
			texts = append(texts, fmt.Sprintf("a b c%d\n", i))
			builds = append(builds, train(t, s, "m", whitespace, ngram.BuildOptions{}, texts...).ID)
		}
		rollback := func(from, want ngram.BuildID) {
			t.Helper()
			build, err := s.Rollback(ctx, tenant, "m", from)
			if err != nil || build.ID != want || !build.Published {
				t.Errorf("rolled back to %+v, error %v; want %d", build, err, want)
			}
		}
		rollback(0, builds[1])
		if _, err := s.Rollback(ctx, tenant, "m", builds[2]); errors.ReasonOf(err) != "BUILD_NOT_PUBLISHED" {
			t.Errorf("rolled back twice from one build: error %v", err)
		}
		rollback(builds[1], builds[0])
		if _, err := s.Rollback(ctx, tenant, "m", 0); errors.ReasonOf(err) != "NO_EARLIER_BUILD" {
			t.Errorf("error %v", err)
		}
		build, previous, err := s.Publish(ctx, tenant, "m", builds[2])
		if err != nil || previous != builds[0] || !build.Published {
			t.Errorf("%+v instead of %d, error %v", build, previous, err)
		}
		rollback(0, builds[0])
		if _, _, err := s.Publish(ctx, tenant, "m", 99); errors.ReasonOf(err) != "BUILD_NOT_FOUND" {
			t.Errorf("error %v", err)
		}
		if m, err := s.Model(ctx, tenant, "m"); err != nil || !m.Stale || m.Published != builds[0] || m.Serving != m.ID {
			t.Errorf("%+v, error %v", m, err)
		}
		list, err := s.Builds(ctx, tenant, "m", 1<<30, 2, false)
		if err != nil || len(list) != 2 || list[0].ID != builds[2] || list[1].ID != builds[1] || len(list[0].Discounts) != 2 || list[0].Tokens != 9 {
			t.Errorf("%+v, error %v", list, err)
		}
	})
}

func TestIfChanged(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		options := ngram.BuildOptions{IfChanged: true}
		first := train(t, s, "m", whitespace, options, "a b\n")
		if again := train(t, s, "m", whitespace, options, "a b\n"); again.ID != first.ID {
			t.Errorf("nothing changed, and build %d was made", again.ID)
		}
		options.Storage = ngram.Storage16
		second := train(t, s, "m", whitespace, options, "a b\n")
		if second.ID == first.ID {
			t.Error("another storage, and no build was made")
		}
		if third := train(t, s, "m", whitespace, options, "a b\n", "a c\n"); third.ID == second.ID {
			t.Error("counts changed, and no build was made")
		}
		// The same counts again write no rows but those of the empty context's chunk, if at all.
		same := train(t, s, "m", whitespace, ngram.BuildOptions{Storage: ngram.Storage16}, "a b\n", "a c\n")
		if same.RowsAdded != 0 || same.RowsClosed != 0 {
			t.Errorf("a build of the same counts added %d rows and closed %d", same.RowsAdded, same.RowsClosed)
		}
	})
}

// count is the number of rows of a model generation in a table.
func count(t *testing.T, db *database.DB, table string, model ngram.ModelID) int64 {
	t.Helper()
	var rows int64
	if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE model_id = ?", int64(model)).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

var generationTables = []string{
	"tbl_l1_models", "tbl_l1_model_orders", "tbl_corpus", "tbl_corpus_text", "tbl_l1_vocabulary", "tbl_l1_surface_forms", "tbl_l1_forms",
	"tbl_l1_ng_counts_n", "tbl_l1_context_registry", "tbl_l1_ng_probs_n", "tbl_l1_ng_topk_n",
}

func TestResetServesTheOldBuildUntilTheNewOne(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		s := store.New(db, small)
		words := ngram.Settings{Order: 3, Tokenizer: ngram.TokenizerWords}
		other := train(t, s, "other", words, ngram.BuildOptions{}, text(words.Tokenizer, sentences(3, 50)))
		wantOther := read(t, db, "other", other.ID)
		old := train(t, s, "m", words, ngram.BuildOptions{}, text(words.Tokenizer, sentences(5, 50)))
		oldModel, _ := s.Model(ctx, tenant, "m")

		reset, err := s.ResetModel(ctx, tenant, "m", whitespace, "request-1")
		if err != nil || reset.ID == oldModel.ID || reset.Tokens != 0 || reset.Published != old.ID || reset.Serving != oldModel.ID ||
			reset.Settings.Order != 2 || reset.ServingSettings.Order != 3 || !reset.Stale {
			t.Fatalf("%+v, error %v", reset, err)
		}
		if again, err := s.ResetModel(ctx, tenant, "m", whitespace, "request-1"); err != nil || again.ID != reset.ID {
			t.Errorf("the same request made generation %d after %d, error %v", again.ID, reset.ID, err)
		}
		if gone, err := s.Purge(ctx, 0); err != nil || gone != 0 || count(t, db, "tbl_l1_ng_probs_n", oldModel.ID) == 0 {
			t.Errorf("%d generations purged while they serve, error %v", gone, err)
		}
		// A reset that is reset: the generation between is nobody's.
		second, err := s.ResetModel(ctx, tenant, "m", whitespace, "request-2")
		if err != nil || second.ID == reset.ID || second.Published != old.ID {
			t.Errorf("%+v, error %v", second, err)
		}
		build := train(t, s, "m", ngram.Settings{}, ngram.BuildOptions{}, "a b\n")
		if m, err := s.Model(ctx, tenant, "m"); err != nil || m.Published != build.ID || m.Serving != second.ID || m.ID != second.ID || m.Stale {
			t.Errorf("%+v, error %v", m, err)
		}
		if b, err := s.BuildOf(ctx, tenant, "m", old.ID); err != nil || b.State != ngram.BuildDropped {
			t.Errorf("the old build is %s, error %v", b.State, err)
		}
		if _, err := s.Rollback(ctx, tenant, "m", 0); errors.ReasonOf(err) != "NO_EARLIER_BUILD" {
			t.Errorf("rolled back into the generation before: error %v", err)
		}
		if gone, err := s.Purge(ctx, time.Hour); err != nil || gone != 0 {
			t.Errorf("%d generations purged within the grace, error %v", gone, err)
		}
		if gone, err := s.Purge(ctx, 0); err != nil || gone != 2 {
			t.Errorf("%d generations purged, error %v", gone, err)
		}
		for _, table := range generationTables {
			for _, id := range []ngram.ModelID{oldModel.ID, reset.ID} {
				if rows := count(t, db, table, id); rows != 0 {
					t.Errorf("%s has %d rows of generation %d", table, rows, id)
				}
			}
		}
		if diff := cmp.Diff(wantOther, read(t, db, "other", other.ID)); diff != "" {
			t.Errorf("another model changed: %s", diff)
		}
	})
}

func TestDeleteModel(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		s := store.New(db, small)
		first := train(t, s, "m", ngram.Settings{}, ngram.BuildOptions{}, "Some text. And more.\n")
		m, _ := s.Model(ctx, tenant, "m")
		if err := s.DeleteModel(ctx, tenant, "m"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Model(ctx, tenant, "m"); errors.KindOf(err) != errors.NotFound {
			t.Errorf("error %v", err)
		}
		if err := s.DeleteModel(ctx, tenant, "m"); errors.KindOf(err) != errors.NotFound {
			t.Errorf("error %v", err)
		}
		if again := train(t, s, "m", whitespace, ngram.BuildOptions{}, "a b\n"); again.ID <= first.ID {
			t.Errorf("build ids %d and %d", first.ID, again.ID)
		}
		if gone, err := s.Purge(ctx, 0); err != nil || gone != 1 {
			t.Errorf("%d generations purged, error %v", gone, err)
		}
		for _, table := range generationTables {
			if rows := count(t, db, table, m.ID); rows != 0 {
				t.Errorf("%s has %d rows left", table, rows)
			}
		}
	})
}

// A deleted model is purged at once on demand, with progress, and a purge that was killed is completed by the next. A model that
// took the name meanwhile stays.
func TestPurgeNow(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		observer := &killer{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: observer})
		ctx := t.Context()
		s := store.New(db, small)
		for kills := range int64(4) {
			train(t, s, "m", ngram.Settings{}, ngram.BuildOptions{}, "Some text. And more.\n")
			m, _ := s.Model(ctx, tenant, "m")
			if err := s.DeleteModel(ctx, tenant, "m"); err != nil {
				t.Fatal(err)
			}
			successor := train(t, s, "m", whitespace, ngram.BuildOptions{}, "a b\n")
			want := read(t, db, "m", successor.ID)
			for kill := range kills {
				killed, cancel := context.WithCancel(ctx)
				observer.cancel.Store(&cancel)
				observer.after.Store(observer.statements.Load() + 4 + 7*kill)
				if err := s.PurgeNow(killed, tenant, "m", nil); err == nil {
					t.Error("it was not killed")
				}
				observer.after.Store(0)
				cancel()
			}
			var steps, last int64
			err := s.PurgeNow(ctx, tenant, "m", func(phase string, done, total int64) {
				if steps++; phase != "remove" || done < last || done > total || total < 10 {
					t.Errorf("%s: %d of %d", phase, done, total)
				}
				last = done
			})
			if err != nil || steps < 2 {
				t.Errorf("%d steps, error %v", steps, err)
			}
			for _, table := range append([]string{"tbl_l1_models"}, generationTables...) {
				if rows := count(t, db, table, m.ID); rows != 0 {
					t.Errorf("%s has %d rows left after %d kills", table, rows, kills)
				}
			}
			if diff := cmp.Diff(want, read(t, db, "m", successor.ID)); diff != "" {
				t.Errorf("its successor changed: %s", diff)
			}
			if err := s.PurgeNow(ctx, tenant, "m", func(string, int64, int64) { t.Error("there is nothing to purge") }); err != nil {
				t.Error(err)
			}
			if err := s.DeleteModel(ctx, tenant, "m"); err != nil {
				t.Fatal(err)
			}
			if err := s.PurgeNow(ctx, tenant, "m", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDropBuild(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		s := store.New(db, small)
		lines := sentences(11, 100)
		var texts []string
		var builds []ngram.BuildID
		dumps := map[ngram.BuildID]dump{}
		for i := range 5 {
			texts = append(texts, text(whitespace.Tokenizer, lines[20*i:20*i+20]))
			build := train(t, s, "m", whitespace, ngram.BuildOptions{}, texts...)
			builds = append(builds, build.ID)
			dumps[build.ID] = read(t, db, "m", build.ID)
		}
		drop := func(id ngram.BuildID) (rows int64, err error) {
			return rows, s.Train(ctx, tenant, "m", "test", func(ctx context.Context, trainer *store.Trainer) error {
				rows, err = trainer.Drop(ctx, id)
				return err
			})
		}
		if _, err := drop(builds[4]); errors.ReasonOf(err) != "BUILD_SERVES" {
			t.Errorf("error %v", err)
		}
		if _, _, err := s.Publish(ctx, tenant, "m", builds[0]); err != nil {
			t.Fatal(err)
		}
		model, _ := s.Model(ctx, tenant, "m")
		before := count(t, db, "tbl_l1_ng_probs_n", model.ID)
		for _, id := range []ngram.BuildID{builds[2], builds[4], builds[1]} {
			if rows, err := drop(id); err != nil || rows == 0 && id != builds[4] {
				t.Errorf("dropping build %d removed %d rows, error %v", id, rows, err)
			}
			if b, err := s.BuildOf(ctx, tenant, "m", id); err != nil || b.State != ngram.BuildDropped {
				t.Errorf("build %d is %s, error %v", id, b.State, err)
			}
		}
		if after := count(t, db, "tbl_l1_ng_probs_n", model.ID); after >= before {
			t.Errorf("%d rows of %d are left", after, before)
		}
		for _, id := range []ngram.BuildID{builds[0], builds[3]} {
			for gram, row := range read(t, db, "m", id).Grams {
				_, now, _ := strings.Cut(row, " p ")
				_, then, _ := strings.Cut(dumps[id].Grams[gram], " p ")
				if now != then {
					t.Fatalf("build %d: %q had code %q and has %q", id, gram, then, now)
				}
			}
		}
		// The next build is written as the difference from rows of a dropped one.
		texts = append(texts, text(whitespace.Tokenizer, sentences(12, 30)))
		next := train(t, s, "m", whitespace, ngram.BuildOptions{}, texts...)
		fresh := train(t, s, "fresh", whitespace, ngram.BuildOptions{}, texts...)
		if diff := cmp.Diff(read(t, db, "fresh", fresh.ID), read(t, db, "m", next.ID)); diff != "" {
			t.Error(diff)
		}
	})
}
