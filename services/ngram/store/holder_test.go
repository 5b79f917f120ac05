package store_test

import (
	"context"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A model whose trainer was killed is free at once for others on the same machine; one whose trainer lives, or may live
// elsewhere, is not. And a trainer that was thought dead cannot count any more.
func TestModelOfADeadProcessIsFree(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		if _, _, err := s.CreateModel(t.Context(), tenant, "m", ngram.Settings{Tokenizer: ngram.TokenizerWhitespace}); err != nil {
			t.Fatal(err)
		}
		second := func() error {
			return s.Train(t.Context(), tenant, "m", "second", func(ctx context.Context, trainer *store.Trainer) error {
				if _, _, err := trainer.Receive(ctx, source("b", "b a b\n")); err != nil {
					return err
				}
				_, err := trainer.Count(ctx, nil)
				return err
			})
		}
		err := s.Train(t.Context(), tenant, "m", "first", func(ctx context.Context, trainer *store.Trainer) error {
			if _, _, err := trainer.Receive(ctx, source("a", "a b a\n")); err != nil {
				return err
			}
			if err := second(); errors.ReasonOf(err) != "MODEL_IN_TRAINING" {
				t.Errorf("beside a living trainer: %v", err)
			}
			var mine string
			if err := db.QueryRow(ctx, `SELECT holder FROM tbl_l1_lease_holders WHERE name = 'm'`).Scan(&mine); err != nil {
				return err
			}
			fields := strings.Fields(mine)
			if len(fields) != 5 {
				t.Fatalf("the holder is %q", mine)
			}
			become := func(boot, namespace, pid, began string) {
				if _, err := db.Exec(ctx, `UPDATE tbl_l1_lease_holders SET holder = ? WHERE name = 'm'`, strings.Join([]string{boot, namespace, pid, began}, " ")); err != nil {
					t.Fatal(err)
				}
			}
			become("another-boot", fields[1], fields[2], "1")
			if err := second(); errors.ReasonOf(err) != "MODEL_IN_TRAINING" {
				t.Errorf("beside a trainer elsewhere: %v", err)
			}
			become(fields[0], "pid:[1]", fields[2], "1")
			if err := second(); errors.ReasonOf(err) != "MODEL_IN_TRAINING" {
				t.Errorf("beside a trainer in another container: %v", err)
			}
			become(fields[0], fields[1], fields[2], "1") // the pid is another process's by now
			if err := second(); err != nil {
				t.Errorf("after a dead trainer: %v", err)
			}
			_, err := trainer.Count(ctx, nil)
			return err
		})
		if errors.KindOf(err) != errors.Aborted {
			t.Errorf("the first trainer goes on: %v", err)
		}
		model, err := s.Model(t.Context(), tenant, "m")
		if err != nil || model.Documents != 1 || model.Tokens != 3 {
			t.Errorf("%+v, error %v", model, err)
		}
		// One of this process that could not give the model back, as when the database was down at that moment.
		func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer func() { cancel(); _ = recover() }()
			_ = s.Train(ctx, tenant, "m", "lost", func(context.Context, *store.Trainer) error { panic("ended without a word") })
		}()
		if model, err := s.Model(t.Context(), tenant, "m"); err != nil || model.TrainingBy != "lost" {
			t.Errorf("%+v, error %v", model, err)
		}
		if err := second(); err != nil {
			t.Errorf("after a trainer that did not give the model back: %v", err)
		}
	})
}
