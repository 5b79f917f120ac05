package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// forget forgets a document, as the only trainer.
func forget(ctx context.Context, s *store.Store, name string, f store.Forgetting) (gone store.Forgotten, err error) {
	err = s.Train(ctx, tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) error {
		gone, err = trainer.Forget(ctx, f, nil)
		return err
	})
	return gone, err
}

// build derives a build, and publishes it if asked to.
func build(t testing.TB, s *store.Store, name string, options ngram.BuildOptions, publish bool) ngram.Build {
	t.Helper()
	var made ngram.Build
	err := s.Train(t.Context(), tenant, name, "test", func(ctx context.Context, trainer *store.Trainer) (err error) {
		made, err = trainer.Build(ctx, options, nil)
		return err
	})
	if err == nil && publish {
		made, _, err = s.Publish(t.Context(), tenant, name, made.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// found lists where the tables hold a text, in the clear or compressed: every column of every table.
func found(t testing.TB, db *database.DB, what string) (places []string) {
	t.Helper()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	for table, columns := range tablesOf(t, db) {
		rows, err := db.Query(context.Background(), "SELECT "+strings.Join(columns, ", ")+" FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			for i, value := range values {
				raw, _ := value.([]byte)
				if raw == nil {
					raw = fmt.Append(nil, value)
				}
				if plain, err := decoder.DecodeAll(raw, nil); err == nil && len(plain) > 0 {
					raw = plain
				}
				if bytes.Contains(bytes.ToLower(raw), []byte(strings.ToLower(what))) {
					places = append(places, table+"."+columns[i])
				}
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return places
}

// tablesOf lists the columns of every table, by table.
func tablesOf(t testing.TB, db *database.DB) map[string][]string {
	t.Helper()
	query := `SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name LIKE 'tbl_%' ORDER BY t.name, c.cid`
	if db.Dialect() == database.MySQL {
		query = `SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t
ON t.table_schema = c.table_schema AND t.table_name = c.table_name WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' AND c.table_name LIKE 'tbl_%' ORDER BY c.table_name, c.ordinal_position`
	}
	tables := map[string][]string{}
	err := db.Stream(context.Background(), query, nil, func(row database.Row) error {
		table := string(row.Bytes(0))
		tables[table] = append(tables[table], string(row.Bytes(1)))
		return nil
	})
	if err != nil || len(tables) < 20 {
		t.Fatalf("%d tables, error %v", len(tables), err)
	}
	return tables
}

// A forgotten document was never there: counts, builds, words, forms, uses and texts are those of a model that never saw it.
func TestForget(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		ctx := t.Context()
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords}
		options := ngram.BuildOptions{Storage: ngram.StorageExact}
		shared := text(settings.Tokenizer, sentences(1, 40))
		secret := text(settings.Tokenizer, sentences(2, 20)) + "The Quokka saw a dog. Then the quokka saw the Xylophone!\n\n"
		mustReceive(t, s, "m", settings, source("kept", shared))
		before := build(t, s, "m", options, true)
		mustReceive(t, s, "m", settings, source("secret", secret), source("later", "The dog saw a later day.\n"))
		saw := build(t, s, "m", options, true)
		alsoSaw := build(t, s, "m", ngram.BuildOptions{}, false)
		if _, err := db.Exec(ctx, `INSERT INTO tbl_l1_context_hotness (model_id, n, context_hash, hotness, last_seen)
SELECT model_id, n, context_hash, 1, 0 FROM tbl_l1_context_registry`); err != nil {
			t.Fatal(err)
		}
		if places := found(t, db, "quokka"); len(places) < 3 {
			t.Fatalf("the word is only in %q before it is forgotten", places)
		}
		want := store.Forgotten{Builds: []ngram.BuildID{saw.ID, alsoSaw.ID}, Published: saw.ID}
		dry, err := s.Forgettable(ctx, tenant, "m", "secret")
		if err != nil || dry.Document.Label != "secret" || !slices.Equal(dry.Builds, want.Builds) || dry.Published != want.Published {
			t.Errorf("would forget %+v, error %v; want %+v", dry, err, want)
		}
		gone, err := forget(ctx, s, "m", store.Forgetting{Label: "secret"})
		if err != nil || !slices.Equal(gone.Builds, want.Builds) || gone.Published != saw.ID || gone.Successor <= alsoSaw.ID {
			t.Fatalf("forgot %+v, error %v; want %+v", gone, err, want)
		}
		for _, word := range []string{"quokka", "xylophone", "secret"} {
			if places := found(t, db, word); len(places) > 0 {
				t.Errorf("%q is still in %q", word, places)
			}
		}
		mustReceive(t, s, "never", settings, source("kept", shared), source("later", "The dog saw a later day.\n"))
		never := build(t, s, "never", options, false)
		if diff := cmp.Diff(read(t, db, "never", never.ID), read(t, db, "m", gone.Successor)); diff != "" {
			t.Error(diff)
		}
		checkNothingLeft(t, db, "m")
		checkTotals(t, s, "never", "m")
		if m, err := s.Model(ctx, tenant, "m"); err != nil || m.Published != gone.Successor || m.Stale || m.Documents != 2 {
			t.Errorf("%+v, error %v", m, err)
		}
		if kept, err := s.BuildOf(ctx, tenant, "m", before.ID); err != nil || kept.State != ngram.BuildReady {
			t.Errorf("the build from before the document is %+v, error %v", kept, err)
		}
		if dropped, err := s.BuildOf(ctx, tenant, "m", saw.ID); err != nil || dropped.State != ngram.BuildDropped || dropped.Failure != store.ForgottenBuild {
			t.Errorf("the build that saw it is %+v, error %v", dropped, err)
		}
		var orphans int64
		if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_l1_context_hotness h WHERE NOT EXISTS (SELECT 1 FROM tbl_l1_context_registry r
WHERE r.model_id = h.model_id AND r.n = h.n AND r.context_hash = h.context_hash)`).Scan(&orphans); err != nil || orphans != 0 {
			t.Errorf("%d uses of contexts that are gone, error %v", orphans, err)
		}
		if _, err := forget(ctx, s, "m", store.Forgetting{Label: "secret"}); errors.ReasonOf(err) != "DOCUMENT_NOT_FOUND" {
			t.Errorf("forgotten twice: error %v", err)
		}
		// The ids of the forgotten words are free, and the model goes on.
		mustReceive(t, s, "m", settings, source("secret", secret))
		again := build(t, s, "m", options, true)
		mustReceive(t, s, "never", settings, source("secret", secret))
		if diff := cmp.Diff(read(t, db, "never", build(t, s, "never", options, false).ID), read(t, db, "m", again.ID)); diff != "" {
			t.Error(diff)
		}
	})
}

func mustReceive(t testing.TB, s *store.Store, name string, settings ngram.Settings, sources ...store.Source) {
	t.Helper()
	if _, err := receive(t, s, name, settings, sources...); err != nil {
		t.Fatal(err)
	}
}

// checkTotals compares what two models say of themselves.
func checkTotals(t testing.TB, s *store.Store, names ...string) {
	t.Helper()
	type totals struct {
		Documents, Sentences, Tokens, VocabularySize int64
		NGrams                                       []int64
	}
	var all []totals
	for _, name := range names {
		m, err := s.Model(context.Background(), tenant, name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, totals{m.Documents, m.Sentences, m.Tokens, m.VocabularySize, m.NGrams})
	}
	if diff := cmp.Diff(all[0], all[1]); diff != "" {
		t.Error(diff)
	}
}

// With its last document a model forgets everything, and nothing serves.
func TestForgetEverything(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		first := train(t, s, "m", whitespace, ngram.BuildOptions{}, "quokka dog\n", "dog saw quokka\n")
		for _, label := range []string{"text 0", "text 1"} {
			if _, err := forget(t.Context(), s, "m", store.Forgetting{Label: label}); err != nil {
				t.Fatal(err)
			}
		}
		if places := found(t, db, "quokka"); len(places) > 0 {
			t.Errorf("the word is still in %q", places)
		}
		m, err := s.Model(t.Context(), tenant, "m")
		if err != nil || m.Published != 0 || m.Documents != 0 || m.Tokens != 0 || m.VocabularySize != int64(ngram.FirstWord) {
			t.Errorf("%+v, error %v", m, err)
		}
		if _, err := store.NewReader(db, store.ReaderOptions{}).Open(t.Context(), tenant, "m", first.ID); errors.ReasonOf(err) != "BUILD_DROPPED" {
			t.Errorf("error %v", err)
		}
		var rows int64
		if err := db.QueryRow(t.Context(), `SELECT (SELECT COUNT(*) FROM tbl_l1_ng_probs_n) + (SELECT COUNT(*) FROM tbl_l1_ng_topk_n) + (SELECT COUNT(*) FROM tbl_l1_ng_counts_n)
+ (SELECT COUNT(*) FROM tbl_l1_context_registry) + (SELECT COUNT(*) FROM tbl_corpus_text) + (SELECT COUNT(*) FROM tbl_corpus_aside)`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows are left, error %v", rows, err)
		}
		again := train(t, s, "m", whitespace, ngram.BuildOptions{}, "dog saw\n")
		other := train(t, s, "other", whitespace, ngram.BuildOptions{}, "dog saw\n")
		if diff := cmp.Diff(read(t, db, "other", other.ID), read(t, db, "m", again.ID)); diff != "" {
			t.Error(diff)
		}
	})
}

// A text that was held out, and trained on after all, is forgotten in both places; another held-out text stays.
func TestForgetWhatWasHeldOut(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		for held, want := range map[string]int{"x quokka\n": 0, "y x\n": 1} {
			mustReceive(t, s, "m", whitespace, source("kept", "x y\n"))
			if _, _, err := s.SetHeldOut(t.Context(), tenant, "m", []byte(held)); err != nil {
				t.Fatal(err)
			}
			mustReceive(t, s, "m", whitespace, source("secret", "x quokka\n"))
			if _, err := forget(t.Context(), s, "m", store.Forgetting{Label: "secret"}); err != nil {
				t.Fatal(err)
			}
			var rows int
			if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_l1_held_out`).Scan(&rows); err != nil || rows != want {
				t.Errorf("%q: %d held-out texts are left, error %v", held, rows, err)
			}
		}
	})
}

// Without its text, a document is forgotten by who has it: the text is asked for, checked, and kept no longer than needed.
func TestForgetWithoutKeptText(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, store.Options{})
		ctx := t.Context()
		mustReceive(t, s, "never", whitespace, source("kept", "x y\n"))
		want := read(t, db, "never", 0)
		var long strings.Builder // spills, in few tokens
		for i, letters := 0, strings.NewReplacer(" ", "", "\n", "").Replace(incompressible(7<<20)); i+900 < len(letters); i += 900 {
			long.WriteString(letters[i:i+900] + "\n")
		}
		long.WriteString("quokka\n")
		for _, secret := range []string{"x quokka\nx y\n", long.String()} {
			dropped := store.Source{Label: "secret", Text: strings.NewReader(secret), DropText: true, Weight: 3}
			mustReceive(t, s, "m", whitespace, source("kept", "x y\n"), dropped)
			counted := read(t, db, "m", 0)
			for reason, f := range map[string]store.Forgetting{
				"TEXT_NOT_KEPT":      {Label: "secret"},
				"DOCUMENT_DIFFERS":   {Label: "secret", Text: strings.NewReader("x quokka\nx y")},
				"INVALID_ENCODING":   {Label: "secret", Text: strings.NewReader("\xff")},
				"DOCUMENT_NOT_FOUND": {Label: "secrets", Text: strings.NewReader(secret)},
			} {
				if _, err := forget(ctx, s, "m", f); errors.ReasonOf(err) != reason {
					t.Errorf("error %v (%s), want %s", err, errors.ReasonOf(err), reason)
				}
			}
			if _, err := receive(t, s, "m", whitespace, store.Source{Label: "secret", Text: strings.NewReader("other\n"), Replace: true}); errors.ReasonOf(err) != "TEXT_NOT_KEPT" {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(counted, read(t, db, "m", 0)); diff != "" {
				t.Fatalf("a refused request changed the model: %s", diff)
			}
			if _, err := forget(ctx, s, "m", store.Forgetting{Label: "secret", Text: strings.NewReader(secret)}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read(t, db, "m", 0)); diff != "" {
				t.Error(diff)
			}
			if places := found(t, db, "quokka"); len(places) > 0 {
				t.Errorf("the word is still in %q", places)
			}
		}
	})
}

// Replacing a document, or its weight, is training with the new one only. A build shows all of the old or all of the new.
func TestReplace(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		s := store.New(db, small)
		ctx := t.Context()
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords}
		old := text(settings.Tokenizer, sentences(5, 30)) + "The quokka.\n"
		mustReceive(t, s, "m", settings, source("a", old), source("b", "The dog saw.\n"))
		saw := build(t, s, "m", ngram.BuildOptions{}, true)
		shown := func() float64 {
			view, err := store.NewReader(db, store.ReaderOptions{}).Open(ctx, tenant, "m", saw.ID)
			if err != nil {
				t.Fatal(err)
			}
			value, _ := view.Unigrams.Log10(view.Token([]byte("quokka")))
			return value
		}
		before := shown()
		for i, c := range []struct {
			text   string
			weight int64
			want   ngram.Outcome
		}{
			{old, 3, ngram.OutcomeReplaced},
			{old, 3, ngram.OutcomeUnchanged},
			{old, 1, ngram.OutcomeReplaced},
			{text(settings.Tokenizer, sentences(6, 30)), 2, ngram.OutcomeReplaced},
			{incompressible(1 << 10), 1, ngram.OutcomeReplaced},
			{"A dog saw it.\n", 1, ngram.OutcomeReplaced},
		} {
			fresh := func() store.Source {
				return store.Source{Label: "a", Text: strings.NewReader(c.text), Weight: c.weight, Replace: true}
			}
			outcomes, err := receive(t, s, "m", settings, fresh())
			if err != nil || outcomes[0] != c.want {
				t.Fatalf("case %d: outcomes %v, error %v", i, outcomes, err)
			}
			name := fmt.Sprint("fresh", i)
			mustReceive(t, s, name, settings, source("b", "The dog saw.\n"), fresh())
			if diff := cmp.Diff(words(read(t, db, name, 0)), words(read(t, db, "m", 0))); diff != "" {
				t.Fatalf("case %d: %s", i, diff)
			}
			checkTotals(t, s, name, "m")
			if err := s.DeleteModel(ctx, tenant, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Purge(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if after := shown(); after != before {
			t.Errorf("the kept build changed from %g to %g", before, after)
		}
		if _, err := receive(t, s, "m", settings, store.Source{Label: "a", Text: strings.NewReader(" \n"), Replace: true}); errors.ReasonOf(err) != "REPLACEMENT_EMPTY" {
			t.Errorf("error %v", err)
		}
		// What was under a label before is forgotten with it.
		if places := found(t, db, "quokka"); len(places) == 0 {
			t.Error("the kept build has lost its word")
		}
		if gone, err := forget(ctx, s, "m", store.Forgetting{Label: "a"}); err != nil || !slices.Equal(gone.Builds, []ngram.BuildID{saw.ID}) || gone.Successor == 0 {
			t.Errorf("%+v, error %v", gone, err)
		}
		if places := found(t, db, "quokka"); len(places) > 0 {
			t.Errorf("the word is still in %q", places)
		}
	})
}

// words leaves out the words that occur no more, which a kept build may still need.
func words(d dump) dump {
	for word, frequency := range d.Words {
		if frequency == "0" && !slices.Contains([]string{"<UNK>", "<S>"}, word) {
			delete(d.Words, word)
		}
	}
	return d
}

// A forgetting that is killed at any statement and repeated until it gets through leaves what an undisturbed one leaves.
func TestKilledForgettingIsCompletedByTheNext(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		observer := &killer{}
		db := databasetest.Open(t, target, store.Schema, database.Options{Observer: observer})
		settings := ngram.Settings{Tokenizer: ngram.TokenizerWords}
		options := small
		options.LeaseTime = 300 * time.Millisecond
		kept := text(settings.Tokenizer, sentences(7, 30))
		secret := text(settings.Tokenizer, sentences(8, 30)) + "The quokka.\n"
		want := train(t, store.New(db, options), "never", settings, ngram.BuildOptions{}, kept)
		wanted := read(t, db, "never", want.ID)
		train(t, store.New(db, options), "undisturbed", settings, ngram.BuildOptions{}, kept, secret)
		begin := observer.statements.Load()
		if _, err := forget(t.Context(), store.New(db, options), "undisturbed", store.Forgetting{Label: "text 1"}); err != nil {
			t.Fatal(err)
		}
		whole := observer.statements.Load() - begin
		rounds := int64(min(cases(t, 4), 60))
		for round := range rounds {
			name := fmt.Sprintf("killed-%d", round)
			train(t, store.New(db, options), name, settings, ngram.BuildOptions{}, kept, secret)
			kills := 0
			for pause := 3 + whole*round/rounds; ; pause += pause/2 + 5 {
				ctx, cancel := context.WithCancel(context.Background())
				observer.cancel.Store(&cancel)
				observer.after.Store(observer.statements.Load() + pause)
				_, err := forget(ctx, store.New(db, options), name, store.Forgetting{Label: "text 1"})
				cancel()
				observer.after.Store(0)
				if err == nil || errors.ReasonOf(err) == "DOCUMENT_NOT_FOUND" && kills > 0 {
					break
				}
				if kills++; kills > 60 {
					t.Fatalf("round %d: still failing after %d trials: %v", round, kills, err)
				}
			}
			m, err := store.New(db, options).Model(t.Context(), tenant, name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, read(t, db, name, m.Published)); diff != "" {
				t.Fatalf("round %d, %d kills: %s", round, kills, diff)
			}
			checkNothingLeft(t, db, name)
			if kills == 0 && round < rounds-1 {
				t.Errorf("round %d: nothing was killed", round)
			}
		}
		if places := found(t, db, "quokka"); len(places) > 0 {
			t.Errorf("the word is still in %q", places)
		}
	})
}
