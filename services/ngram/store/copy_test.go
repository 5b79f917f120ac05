package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// A copy says what the original says, in the same store or on another engine, and goes its own way from there.
func TestCopy(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		other := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
		if db.Dialect() == database.SQLite {
			other = databasetest.Open(t, databasetest.MySQLTarget(t), store.Schema, database.Options{})
		}
		ctx := t.Context()
		s := store.New(db, small)
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords, Order: 4}
		build(t, s, "m", ngram.BuildOptions{}, mustTrain(t, s, settings, sentences(1, 40)))
		mustReceive(t, s, "m", settings, source("gone", "The quokka.\n"), source("kept", "Ünïcode \\N 'x' dog.\n"))
		build(t, s, "m", ngram.BuildOptions{Storage: ngram.StorageExact}, true)
		if _, err := forget(ctx, s, "m", store.Forgetting{Label: "gone"}); err != nil {
			t.Fatal(err)
		}
		mustReceive(t, s, "m", settings, source("later", "The dog saw a later day.\n")) // not in the build that serves
		original, err := s.Model(ctx, tenant, "m")
		if err != nil {
			t.Fatal(err)
		}
		want := read(t, db, "m", original.Published)
		for _, place := range []struct {
			db *database.DB
		}{{db}, {other}} {
			to := store.New(place.db, small)
			rows := int64(0)
			copied, err := s.CopyTo(ctx, to, tenant, "m", "copy", func(_ string, n int64) { rows += n })
			if err != nil || rows == 0 || copied.Published == 0 || !copied.Stale {
				t.Fatalf("%+v, %d rows, error %v", copied, rows, err)
			}
			if diff := cmp.Diff(want, read(t, place.db, "copy", copied.Published)); diff != "" {
				t.Error(diff)
			}
			documents, err := to.Documents(ctx, tenant, "copy", "", 10)
			originals, originalErr := s.Documents(ctx, tenant, "m", "", 10)
			for i := range documents {
				documents[i].Model, originals[i].Model = 0, 0
			}
			if diff := cmp.Diff(originals, documents); diff != "" || err != nil || originalErr != nil {
				t.Error(diff, err, originalErr)
			}
			if _, err := s.CopyTo(ctx, to, tenant, "m", "copy", nil); errors.ReasonOf(err) != "MODEL_EXISTS" {
				t.Errorf("copied onto a model: error %v", err)
			}
			// What is done to the copy does not touch the original, and works as on the original.
			if _, err := forget(ctx, to, "copy", store.Forgetting{Label: "kept"}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read(t, db, "m", original.Published)); diff != "" {
				t.Errorf("forgetting in the copy changed the original: %s", diff)
			}
			mustReceive(t, to, "never", settings, source("first", text(settings.Tokenizer, sentences(1, 40))), source("later", "The dog saw a later day.\n"))
			if diff := cmp.Diff(words(read(t, place.db, "never", 0)), words(read(t, place.db, "copy", 0))); diff != "" {
				t.Error(diff)
			}
			build(t, to, "copy", ngram.BuildOptions{}, true)
		}
		if _, err := s.CopyTo(ctx, s, tenant, "nothing", "copy 2", nil); errors.KindOf(err) != errors.NotFound {
			t.Errorf("error %v", err)
		}
	})
}

func mustTrain(t testing.TB, s *store.Store, settings ngram.Settings, lines []string) bool {
	t.Helper()
	mustReceive(t, s, "m", settings, source("first", text(settings.Tokenizer, lines)))
	return true
}

// A copy that is killed leaves no model, and its rows are removed.
func TestKilledCopy(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		observer := &killer{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: observer})
		now := time.Now()
		s := store.New(db, store.Options{Clock: func() time.Time { return now }})
		train(t, s, "m", whitespace, ngram.BuildOptions{}, strings.Join(sentences(3, 30), "\n"))
		model, err := s.Model(t.Context(), tenant, "m")
		if err != nil {
			t.Fatal(err)
		}
		want := read(t, db, "m", model.Published)
		killed := 0
		for pause := int64(4); ; pause += 9 {
			ctx, cancel := context.WithCancel(t.Context())
			observer.cancel.Store(&cancel)
			observer.after.Store(observer.statements.Load() + pause)
			_, err := s.CopyTo(ctx, s, tenant, "m", "copy", nil)
			cancel()
			observer.after.Store(0)
			if err == nil {
				break
			}
			killed++
			now = now.Add(time.Hour) // the lease of the killed one runs out, and it is long abandoned
			if _, err := s.Model(t.Context(), tenant, "copy"); err == nil {
				break // killed after its last transaction: it must be complete
			} else if errors.KindOf(err) != errors.NotFound {
				t.Fatal(err)
			}
		}
		if killed < 5 {
			t.Errorf("only %d copies were killed", killed)
		}
		copied, err := s.Model(t.Context(), tenant, "copy")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, read(t, db, "copy", copied.Published)); diff != "" {
			t.Error(diff)
		}
		now = now.Add(time.Hour)
		if _, err := s.Purge(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var generations, rows int64
		if err := db.QueryRow(t.Context(), `SELECT (SELECT COUNT(*) FROM tbl_l1_models), (SELECT COUNT(DISTINCT model_id) FROM tbl_l1_ng_counts_n)`).Scan(&generations, &rows); err != nil || generations != 2 || rows != 2 {
			t.Errorf("%d generations, counts of %d, error %v; want the original and the copy", generations, rows, err)
		}
	})
}

// What a copy and an import left whose process was killed goes when the same is done again, not only after a while.
func TestLeftByADeadProcess(t *testing.T) {
	golden, err := os.ReadFile("../testdata/golden/tiny.arpa")
	if err != nil {
		t.Fatal(err)
	}
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{PartRows: 5})
		train(t, s, "m", whitespace, ngram.BuildOptions{}, strings.Join(sentences(3, 30), "\n"))
		makes := map[string]func(name string, progress func()) error{
			"copy": func(name string, progress func()) error {
				_, err := s.CopyTo(t.Context(), s, tenant, "m", name, func(string, int64) { progress() })
				return err
			},
			"import": func(name string, progress func()) error {
				_, _, err := s.Import(t.Context(), tenant, name, store.Import{Format: store.FormatARPA, File: bytes.NewReader(golden)}, func(phase string, _, _ int64) {
					if phase == "write" {
						progress()
					}
				})
				return err
			},
		}
		generations := func(name string) (all, live int64) {
			t.Helper()
			if err := db.QueryRow(t.Context(), `SELECT COUNT(*), SUM(CASE WHEN state = 'live' THEN 1 ELSE 0 END) FROM tbl_l1_models WHERE name = ?`, name).Scan(&all, &live); err != nil {
				t.Fatal(err)
			}
			return all, live
		}
		for i, what := range []string{"copy", "import", "copy", "import"} {
			name, begin := fmt.Sprint(what, i), makes[what]
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: it was not killed", name)
					}
				}()
				steps := 0
				_ = begin(name, func() {
					if steps++; steps > 3 {
						panic("killed")
					}
				})
			}()
			if all, live := generations(name); all != 1 || live != 0 {
				t.Fatalf("%s: %d generations, %d live, after the kill", name, all, live)
			}
			var holder string
			if err := db.QueryRow(t.Context(), `SELECT request_id FROM tbl_l1_models WHERE name = ?`, name).Scan(&holder); err != nil {
				t.Fatal(err)
			}
			if i < 2 { // the pid of whoever made it is another process's by now; else this one lives, and could not clean up
				fields := strings.Fields(holder)
				fields[3] = "1"
				if _, err := db.Exec(t.Context(), `UPDATE tbl_l1_models SET request_id = ? WHERE name = ?`, strings.Join(fields, " "), name); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.Exec(t.Context(), `UPDATE tbl_l1_model_names SET lease_until = 0`); err != nil {
				t.Fatal(err)
			}
			if err := begin(name, func() {}); err != nil {
				t.Fatal(err)
			}
			if all, live := generations(name); all != 1 || live != 1 {
				t.Errorf("%s: %d generations, %d live", name, all, live)
			}
		}
	})
}

// notCopied says why a table, or a column of one that is copied, stays behind.
var notCopied = map[string]string{
	"tbl_l1_counters": "of the store", "tbl_l1_model_names": "made anew", "tbl_l1_jobs": "of the store", "tbl_l1_lease_holders": "who trains the original", "tbl_l1_evaluations": "measured on the original",
	"tbl_l1_evaluation_orders": "measured on the original", "tbl_l1_gate_measures": "measured again when a gate compares", "tbl_l1_build_policies": "of the original", "tbl_l1_held_out": "of the original",
	"tbl_l1_count_segments": "made anew by builds", "tbl_l1_count_journal": "empty while a model is copied", "tbl_l1_context_hotness": "uses of the original", "tbl_corpus_aside": "empty while a model is copied",
	"until_build": "open", "model_id": "the copy's own", "build_id": "the copy's own", "since_build": "the copy's own", "tenant": "the copy's own", "name": "the copy's own",
	"state": "the copy's own", "swept": "the copy's own", "failure": "the copy's own", "served_seq": "the copy's own", "request_id": "the copy's own", "retired_at": "the copy's own",
	"tbl_l1_models.created_at": "the copy's own", "codebook_id": "the key",
}

// Every column of every table is copied, or said not to be and why: a column that is added is not forgotten.
func TestCopyTakesEveryColumn(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	copied := store.CopiedColumns()
	for table, columns := range tablesOf(t, db) {
		if table == "tbl_schema_migrations" || notCopied[table] != "" {
			continue
		}
		for _, column := range columns {
			if !slices.Contains(copied[table], column) && notCopied[column] == "" && notCopied[table+"."+column] == "" {
				t.Errorf("%s.%s is not copied; add it to copy.go, or say here why not", table, column)
			}
		}
	}
}
