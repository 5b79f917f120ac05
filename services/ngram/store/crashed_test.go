package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// loads calls hit when so many statements have loaded rows of probabilities.
type loads struct {
	left atomic.Int64
	hit  func()
}

// Statement implements database.Observer.
func (l *loads) Statement(_ context.Context, s database.Statement) {
	if strings.HasPrefix(s.SQL, "LOAD DATA") && strings.Contains(s.SQL, "tbl_l1_ng_probs_n") && l.left.Add(-1) == 0 {
		l.hit()
	}
}

// A server that is killed in the middle of a load, and stays down until the trainer has given up: the build is abandoned, what
// served serves, and as soon as the server is back, the same process trains again, cleans up and has the rows of a build that
// was not disturbed. The lease that could not be given back meanwhile stands in nobody's way.
func TestDatabaseKilledInALoad(t *testing.T) {
	server := databasetest.Start(t)
	observer := &loads{}
	db := databasetest.Open(t, server.Target(t), store.Schema, database.Options{Observer: observer})
	s := store.New(db, small)
	documents := []weighted{{"a", text(whitespace.Tokenizer, sentences(1, 60)), 1}, {"b", text(whitespace.Tokenizer, sentences(2, 90)), 2}}
	for _, name := range []string{"m", "whole"} {
		if _, _, err := s.CreateModel(t.Context(), tenant, name, whitespace); err != nil {
			t.Fatal(err)
		}
	}
	want := read(t, db, "whole", add(t, s, "whole", ngram.BuildOptions{}, documents...).ID)
	first := add(t, s, "m", ngram.BuildOptions{}, documents[0])
	if _, _, err := s.Publish(t.Context(), tenant, "m", first.ID); err != nil {
		t.Fatal(err)
	}
	served := read(t, db, "m", first.ID)
	observer.hit = func() { server.Kill(t) }
	observer.left.Store(5)
	err := s.Train(t.Context(), tenant, "m", "test", func(ctx context.Context, trainer *store.Trainer) error {
		if _, _, err := trainer.Receive(ctx, store.Source{Label: "b", Weight: 2, Text: strings.NewReader(documents[1].text)}); err != nil {
			return err
		}
		if _, err := trainer.Count(ctx, nil); err != nil {
			return err
		}
		_, err := trainer.Build(ctx, ngram.BuildOptions{}, nil)
		return err
	})
	if observer.left.Load() > 0 || errors.KindOf(err) != errors.Unavailable {
		t.Fatalf("the server was not killed, or %v", err)
	}
	server.Restart(t)
	m, err := s.Model(t.Context(), tenant, "m")
	if err != nil || m.Published != first.ID {
		t.Fatalf("%+v, error %v", m, err)
	}
	var abandoned int64
	if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_l1_ng_probs_n WHERE since_build > ?`, int64(first.ID)).Scan(&abandoned); err != nil || abandoned == 0 {
		t.Errorf("the killed build left %d rows, error %v", abandoned, err)
	}
	now := read(t, db, "m", first.ID)
	for gram, row := range served.Grams {
		_, before, _ := strings.Cut(row, " p ")
		if _, after, _ := strings.Cut(now.Grams[gram], " p "); before != after {
			t.Fatalf("%q had code %s and has %s", gram, before, after)
		}
	}
	if diff := cmp.Diff(want, read(t, db, "m", add(t, s, "m", ngram.BuildOptions{}).ID)); diff != "" {
		t.Error(diff)
	}
	checkNothingLeft(t, db, "m")
}

// A server whose disk is full in the middle of counting or of a build, again and again, with a little more room each time: the
// error says so, what served serves, and once there is room the same training completes and has the rows of one that was not
// disturbed. The limit is InnoDB's own on its one file.
func TestFullServer(t *testing.T) {
	limit := func(megabytes int64) string {
		return fmt.Sprintf("--innodb-data-file-path=ibdata1:12M:autoextend:max:%dM", megabytes)
	}
	server := databasetest.Start(t, "--innodb-file-per-table=0", "--innodb-autoextend-increment=1", limit(500))
	db := databasetest.Open(t, server.Target(t), store.Schema, database.Options{})
	s := store.New(db, store.Options{})
	texts := []string{text(whitespace.Tokenizer, sentences(1, 60)), text(whitespace.Tokenizer, sentences(2, 4000))}
	var options ngram.BuildOptions
	elsewhere := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	settings := ngram.Settings{Order: 4, Tokenizer: ngram.TokenizerWhitespace}
	want := read(t, elsewhere, "m", train(t, store.New(elsewhere, store.Options{}), "m", settings, options, texts...).ID)
	first := train(t, s, "m", settings, options, texts[0])
	info, err := os.Stat(filepath.Join(server.DataDir(), "ibdata1"))
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for room := info.Size()>>20 + 1; ; room += 2 {
		server.Stop(t)
		server.Restart(t, "--innodb-file-per-table=0", "--innodb-autoextend-increment=1", limit(room))
		build, err := tryTrain(t.Context(), s, "m", texts)
		if err == nil {
			if diff := cmp.Diff(want, read(t, db, "m", build.ID)); diff != "" {
				t.Error(diff)
			}
			break
		}
		failures++
		if kind := errors.KindOf(err); kind != errors.ResourceExhausted || failures > 20 {
			t.Fatalf("with %d MB in all: %v (%v)", room, err, kind)
		}
		if m, err := s.Model(t.Context(), tenant, "m"); err != nil || m.Published != first.ID {
			t.Fatalf("%+v, error %v", m, err)
		}
	}
	if failures == 0 {
		t.Error("the server was never full")
	}
	t.Logf("the server was full %d times", failures)
	checkNothingLeft(t, db, "m")
}
