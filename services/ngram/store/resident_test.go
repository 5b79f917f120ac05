package store_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/store"
)

// scored is every record of a fixed text.
func scored(t testing.TB, view *store.View) []scoring.Record {
	t.Helper()
	return recordsOf(t, view, sentences(9, 60))
}

// recordsOf is every record of some sentences, each with a word that no model has.
func recordsOf(t testing.TB, view *store.View, lines []string) []scoring.Record {
	t.Helper()
	var ids [][]uint32
	for _, line := range lines {
		sentence := []uint32{ngram.SentenceStart}
		for _, word := range strings.Fields(line + " unheard") {
			sentence = append(sentence, view.Token([]byte(word)))
		}
		ids = append(ids, append(sentence, ngram.SentenceEnd))
	}
	var records []scoring.Record
	err := view.Score(t.Context(), ids, func(_, _ int, _ []uint32, record scoring.Record) { records = append(records, record) })
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func opened(t testing.TB, r *store.Reader, id ngram.BuildID) *store.View {
	t.Helper()
	view, err := r.Open(context.Background(), ngram.DefaultTenant, "m", id)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func prepared(t testing.TB, r *store.Reader) *store.View {
	t.Helper()
	if ready, err := r.Prepare(context.Background(), ngram.DefaultTenant, "m"); err != nil || !ready {
		t.Fatalf("resident: %v, error %v", ready, err)
	}
	view := opened(t, r, 0)
	if !view.Resident() {
		t.Fatal("the view is not resident")
	}
	return view
}

func residentFiles(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A local file follows what serves; who reads the build before goes on reading it.
func TestLocalFilesFollowWhatServes(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		dir := t.TempDir()
		reader := store.NewReader(db, store.ReaderOptions{ResidentBytes: 1 << 20, ResidentDir: dir})
		defer reader.Close()
		s := store.New(db, store.Options{Served: func(ctx context.Context) {
			if _, err := reader.Sweep(ctx); err != nil {
				t.Error(err)
			}
		}})
		train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 300)))
		rows := store.NewReader(db, store.ReaderOptions{CacheBytes: -1})
		before := prepared(t, reader)
		want := scored(t, opened(t, rows, 0))
		if !slices.Equal(scored(t, before), want) {
			t.Fatal("the table scores otherwise than the rows")
		}
		first := residentFiles(t, dir)
		if listed, err := reader.Files(before.Build.ID); err != nil || len(first) != 1 || !slices.Equal(listed, []string{filepath.Join(dir, first[0])}) {
			t.Fatalf("files %v, listed %v, error %v", first, listed, err)
		}

		if _, err := receive(t, s, "m", whitespace, source("more", text(whitespace.Tokenizer, sentences(2, 100)))); err != nil {
			t.Fatal(err)
		}
		build, err := tryTrain(t.Context(), s, "m", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Publish(t.Context(), ngram.DefaultTenant, "m", build.ID); err != nil {
			t.Fatal(err)
		}
		if left := residentFiles(t, dir); len(left) != 0 {
			t.Errorf("left after a publication: %v", left)
		}
		if opened(t, reader, 0).Resident() || !before.Resident() {
			t.Error("the build that serves is resident too early, or the one before is not any more")
		}
		if !slices.Equal(scored(t, before), want) {
			t.Error("a view does not finish on its build")
		}
		now := prepared(t, reader)
		if !slices.Equal(scored(t, now), scored(t, opened(t, rows, 0))) || now.Build.ID != build.ID {
			t.Error("the new table scores otherwise than the rows")
		}

		if _, err := s.Rollback(t.Context(), ngram.DefaultTenant, "m", 0); err != nil {
			t.Fatal(err)
		}
		if back := prepared(t, reader); back.Build.ID != before.Build.ID || !slices.Equal(scored(t, back), want) || !slices.Equal(residentFiles(t, dir), first) {
			t.Errorf("after a rollback build %d serves from %v", back.Build.ID, residentFiles(t, dir))
		}
		if err := s.DeleteModel(t.Context(), ngram.DefaultTenant, "m"); err != nil {
			t.Fatal(err)
		}
		if left := residentFiles(t, dir); len(left) != 0 {
			t.Errorf("left after the model was deleted: %v", left)
		}
	})
}

// A build that saw a forgotten document has no local file left when forgetting returns, and is mapped by nobody once its readers
// have ended; the file of its successor knows the words of the document as little as the rows do.
func TestNoLocalFileOfForgottenWords(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		dir := t.TempDir()
		reader := store.NewReader(db, store.ReaderOptions{ResidentBytes: 1 << 20, ResidentDir: dir})
		defer reader.Close()
		s := store.New(db, store.Options{Served: func(ctx context.Context) {
			if _, err := reader.Sweep(ctx); err != nil {
				t.Error(err)
			}
		}})
		stays := text(whitespace.Tokenizer, sentences(1, 60))
		train(t, s, "m", whitespace, ngram.BuildOptions{}, stays, "the quokka hides\nnobody saw the quokka\n")
		saw := prepared(t, reader)
		id := saw.Token([]byte("quokka"))
		before := residentFiles(t, dir)
		if id == lookup.Unknown || len(before) != 1 {
			t.Fatalf("token %d, files %v", id, before)
		}
		gone, err := forget(t.Context(), s, "m", store.Forgetting{Label: "text 1"})
		if err != nil || !slices.Contains(gone.Builds, saw.Build.ID) {
			t.Fatalf("%+v, error %v", gone, err)
		}
		if left := residentFiles(t, dir); slices.Contains(left, before[0]) {
			t.Errorf("left after forgetting: %v", left)
		}
		old := saw.Build.ID
		saw = nil
		now := prepared(t, reader)
		for end := time.Now().Add(5 * time.Second); mapped(t, before[0]); time.Sleep(10 * time.Millisecond) {
			if runtime.GC(); time.Now().After(end) {
				t.Fatalf("the file of build %d is still mapped", old)
			}
		}
		if token := now.Token([]byte("quokka")); token != lookup.Unknown || now.Build.ID == old {
			t.Errorf("build %d knows the word as %d", now.Build.ID, token)
		}
		for _, name := range residentFiles(t, dir) {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(data, []byte("quokka")) {
				t.Errorf("%s holds the word, or error %v", name, err)
			}
		}
		alone := store.New(db, store.Options{})
		train(t, alone, "never", whitespace, ngram.BuildOptions{}, stays)
		view, err := store.NewReader(db, store.ReaderOptions{CacheBytes: -1}).Open(t.Context(), ngram.DefaultTenant, "never", 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(scored(t, now), scored(t, view)) {
			t.Error("the file scores otherwise than a model that never saw the document")
		}
	})
}

// mapped reports whether this process maps a file of that name.
func mapped(t *testing.T, name string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if os.IsNotExist(err) {
		return false // a system that does not tell
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(maps, []byte(name))
}

// A file that is damaged, cut, of another build or of a killed process never answers: it is made again, or removed.
func TestDamagedLocalFiles(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	s := store.New(db, store.Options{})
	train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 300)))
	dir := t.TempDir()
	options := store.ReaderOptions{ResidentBytes: 1 << 20, ResidentDir: dir}
	reader := store.NewReader(db, options)
	want := scored(t, prepared(t, reader))
	reader.Close()
	path := filepath.Join(dir, residentFiles(t, dir)[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "empty": {}, "flipped": flipped, "something else": []byte("hello")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		reader := store.NewReader(db, options)
		if view := opened(t, reader, 0); view.Resident() || !slices.Equal(scored(t, view), want) {
			t.Errorf("%s: resident %v, or other scores", name, view.Resident())
		}
		if !slices.Equal(scored(t, prepared(t, reader)), want) {
			t.Errorf("%s: other scores after it was made again", name)
		}
		reader.Close()
		if again, err := os.ReadFile(path); err != nil || !slices.Equal(again, whole) {
			t.Errorf("%s: the file was not made again: %v", name, err)
		}
	}
	old := filepath.Join(dir, "."+filepath.Base(path)+".writing-1")
	fresh := filepath.Join(dir, "."+filepath.Base(path)+".writing-2")
	gone := filepath.Join(dir, ".build-77-0123456789abcdef.resident.writing-3")
	other := filepath.Join(dir, "build-1-0123456789abcdef.resident")
	for _, name := range []string{old, fresh, gone, other} {
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hours := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, hours, hours); err != nil {
		t.Fatal(err)
	}
	sweeper := store.NewReader(db, options)
	removed, err := sweeper.Sweep(t.Context())
	slices.Sort(removed)
	wanted := []string{gone, old, other}
	slices.Sort(wanted)
	if err != nil || !slices.Equal(removed, wanted) {
		t.Errorf("removed %v, want %v, error %v", removed, wanted, err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("a file that is being written was removed")
	}
	if opened(t, sweeper, 0).Resident() != true {
		t.Error("a good file is not used")
	}
}

// What does not fit the budget, and a directory that cannot be written, take no answer away.
func TestBudgetAndDirectory(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	s := store.New(db, store.Options{})
	train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 300)))
	want := scored(t, opened(t, store.NewReader(db, store.ReaderOptions{CacheBytes: -1}), 0))
	small := store.NewReader(db, store.ReaderOptions{ResidentBytes: 100})
	defer small.Close()
	if ready, err := small.Prepare(t.Context(), ngram.DefaultTenant, "m"); ready || err != nil {
		t.Errorf("a budget of 100 bytes holds the model: %v, error %v", ready, err)
	}
	if !slices.Equal(scored(t, opened(t, small, 0)), want) {
		t.Error("other scores without the budget")
	}
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := store.NewReader(db, store.ReaderOptions{ResidentBytes: 1 << 20, ResidentDir: filepath.Join(occupied, "below")})
	defer blocked.Close()
	if !slices.Equal(scored(t, prepared(t, blocked)), want) {
		t.Error("other scores from memory")
	}
}

// A model that is asked often becomes resident by itself, and answers the same before and after.
func TestRentedBuildBecomesResident(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	s := store.New(db, store.Options{})
	train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 300)))
	reader := store.NewReader(db, store.ReaderOptions{CacheBytes: -1, ResidentBytes: 1 << 20, ResidentDir: t.TempDir()})
	defer reader.Close()
	want := scored(t, opened(t, reader, 0))
	for range 10_000 {
		view := opened(t, reader, 0)
		if view.Resident() {
			if !slices.Equal(scored(t, view), want) {
				t.Error("other scores once it is resident")
			}
			return
		}
		if _, err := view.Read(t.Context(), [][]uint32{{ngram.SentenceStart}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the model never became resident")
}

// The probabilities of all tokens after any context sum to 1 on the resident table.
func TestResidentMassIsOne(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLiteTarget(t), store.Schema, database.Options{})
	s := store.New(db, store.Options{})
	train(t, s, "m", whitespace, ngram.BuildOptions{Storage: ngram.StorageExact}, text(whitespace.Tokenizer, sentences(1, 300)))
	reader := store.NewReader(db, store.ReaderOptions{ResidentBytes: 1 << 20})
	defer reader.Close()
	view := prepared(t, reader)
	distribution := decoding.NewDistribution(view.Unigrams)
	for a := range uint32(view.Unigrams.Bound()) {
		for b := range uint32(view.Unigrams.Bound()) {
			chains, err := view.Read(t.Context(), [][]uint32{{a, b}})
			if err != nil {
				t.Fatal(err)
			}
			distribution.Base(chains[0])
			if mass := distribution.Total(); math.Abs(mass-1) > 1e-9 {
				t.Fatalf("the mass after %d %d is %g", a, b, mass)
			}
		}
	}
}

// Views score while builds are published, rolled back and dropped, by two readers over one directory: every view answers as
// the rows of its build did, or finds out that the build was dropped.
func TestPublishingWhileViewsRead(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		dir := t.TempDir()
		var readers []*store.Reader
		for range 2 {
			reader := store.NewReader(db, store.ReaderOptions{ResidentBytes: 1 << 20, ResidentDir: dir})
			defer reader.Close()
			readers = append(readers, reader)
		}
		s := store.New(db, store.Options{Served: func(ctx context.Context) { _, _ = readers[0].Sweep(ctx) }})
		train(t, s, "m", whitespace, ngram.BuildOptions{}, text(whitespace.Tokenizer, sentences(1, 40)))
		var mu sync.Mutex
		want := map[ngram.BuildID][]scoring.Record{}
		learn := func(id ngram.BuildID) {
			records := scored(t, opened(t, store.NewReader(db, store.ReaderOptions{CacheBytes: -1}), id))
			mu.Lock()
			defer mu.Unlock()
			want[id] = records
		}
		learn(opened(t, readers[0], 0).Build.ID)
		done := make(chan struct{})
		var readings sync.WaitGroup
		for _, reader := range readers {
			for range 2 {
				readings.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						_, _ = reader.Prepare(context.Background(), ngram.DefaultTenant, "m")
						view, err := reader.Open(context.Background(), ngram.DefaultTenant, "m", 0)
						if err != nil {
							t.Error(err)
							return
						}
						records := scored(t, view)
						mu.Lock()
						expected := want[view.Build.ID]
						mu.Unlock()
						if view.Verify(context.Background()) == nil && !slices.Equal(records, expected) {
							t.Errorf("a view of build %d answers otherwise", view.Build.ID)
							return
						}
					}
				})
			}
		}
		for round := range 4 {
			if _, err := receive(t, s, "m", whitespace, source(fmt.Sprint("more", round), text(whitespace.Tokenizer, sentences(uint64(round+5), 20)))); err != nil {
				t.Error(err)
				break
			}
			build, err := tryTrain(t.Context(), s, "m", nil)
			if err != nil {
				t.Error(err)
				break
			}
			learn(build.ID)
			before := opened(t, readers[0], 0).Build.ID
			if _, _, err := s.Publish(t.Context(), ngram.DefaultTenant, "m", build.ID); err != nil {
				t.Error(err)
			}
			err = s.Train(t.Context(), ngram.DefaultTenant, "m", "a test", func(ctx context.Context, trainer *store.Trainer) error {
				_, err := trainer.Drop(ctx, before)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		close(done)
		readings.Wait()
	})
}
