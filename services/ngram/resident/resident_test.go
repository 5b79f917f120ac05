package resident_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/resident"
)

// stored is a context as the tables hold it.
type stored struct {
	order  int
	hash   int64
	weight lookup.Weight
	blob   []byte
	tokens map[uint32]uint64
}

func books(width packed.Width) (followers, weights *lookup.Book) {
	if width == packed.WidthExact {
		return &lookup.Book{Width: width}, &lookup.Book{Width: width}
	}
	values := func(scale float64) *lookup.Book {
		book := &lookup.Book{Width: width, Log10: make([]float64, 256), Mass: make([]float64, 256)}
		for i := range book.Log10 {
			book.Log10[i], book.Mass[i] = scale*float64(i-255), 1/float64(256-i)
		}
		return book
	}
	return values(0.01), values(0.02)
}

func drawContexts(t *rapid.T, width packed.Width) []stored {
	hash := rapid.Custom(func(t *rapid.T) int64 { // many share their first bits
		return rapid.Int64().Draw(t, "hash") >> rapid.SampledFrom([]int{0, 0, 20, 50}).Draw(t, "narrow")
	})
	var all []stored
	for _, order := range []int{2, 3, 5, 255} {
		hashes := rapid.SliceOfNDistinct(hash, 0, 300, rapid.ID[int64]).Draw(t, "hashes")
		slices.Sort(hashes)
		for _, h := range hashes {
			context := stored{order: order, hash: h, tokens: map[uint32]uint64{}}
			switch kind := lookup.WeightKind(rapid.IntRange(0, 2).Draw(t, "weight")); {
			case kind == lookup.ExactWeight:
				context.weight = lookup.Weight{Kind: kind, Log10: rapid.Float64Range(-3, 0).Draw(t, "log10")}
			case kind == lookup.CodedWeight && width != packed.WidthExact:
				context.weight = lookup.Weight{Kind: kind, Code: uint16(rapid.IntRange(0, 255).Draw(t, "code"))}
			}
			size := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 3, 20, 200}).Draw(t, "followers")
			var followers []packed.Follower
			token := uint32(0)
			for range size {
				token += rapid.Uint32Range(1, 1000).Draw(t, "step")
				code := rapid.Uint64Range(0, 255).Draw(t, "code")
				if width == packed.WidthExact {
					code = packed.Code(-float64(code))
				}
				followers = append(followers, packed.Follower{Code: code, Token: token})
				context.tokens[token] = code
			}
			slices.SortFunc(followers, packed.Before)
			var err error
			if context.blob, err = packed.Append(nil, width, followers); err != nil {
				t.Fatal(err)
			}
			all = append(all, context)
		}
	}
	return all
}

func write(out io.Writer, width packed.Width, identity string, contexts []stored, expected int64) error {
	w := resident.NewWriter(out, width, identity)
	order := 0
	for _, c := range contexts {
		if c.order != order {
			order = c.order
			if err := w.Order(order, expected); err != nil {
				return err
			}
		}
		if err := w.Add(c.hash, c.weight, c.blob); err != nil {
			return err
		}
	}
	return w.Close()
}

// A table finds what was written and nothing else, whatever was expected of its size.
func TestTableHoldsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]packed.Width{packed.Width8, packed.Width16, packed.WidthExact}).Draw(t, "width")
		contexts := drawContexts(t, width)
		var file bytes.Buffer
		if err := write(&file, width, "me", contexts, rapid.SampledFrom([]int64{0, 10, 5000, 1 << 17}).Draw(t, "expected")); err != nil {
			t.Fatal(err)
		}
		followers, weights := books(width)
		table, err := resident.Open(file.Bytes(), "me", followers, weights, nil)
		if err != nil {
			t.Fatal(err)
		}
		if table.Contexts() != int64(len(contexts)) {
			t.Fatalf("%d contexts, want %d", table.Contexts(), len(contexts))
		}
		for _, c := range contexts {
			found, known := table.Context(table.Seek(c.order, c.hash))
			mass, log10, _ := c.weight.Values(weights)
			if !known || found.Backoff != mass || found.LogBackoff != log10 {
				t.Fatalf("context %d of order %d: %v, weight %g, want %g", c.hash, c.order, known, found.LogBackoff, log10)
			}
			want := lookup.New(mass, log10, followers, c.blob, nil, nil)
			for _, token := range []uint32{0, 1, 500, 100_000} {
				compare(t, table, c, &found, &want, token)
			}
			for token := range c.tokens {
				compare(t, table, c, &found, &want, token)
			}
			for _, other := range []int{2, 4, 5} {
				if _, known := table.Context(table.Seek(other, c.hash^1<<40)); known && !slices.ContainsFunc(contexts, func(s stored) bool { return s.order == other && s.hash == c.hash^1<<40 }) {
					t.Fatalf("a context is found that was never written")
				}
			}
		}
	})
}

func compare(t *rapid.T, table *resident.Table, c stored, found, want *lookup.Context, token uint32) {
	group, has := found.Find(token)
	expected, should := want.Find(token)
	if has != should || group != expected {
		t.Fatalf("token %d: %v %v, want %v %v", token, group, has, expected, should)
	}
	place := table.Seek(c.order, c.hash)
	table.Touch(place)
	log10, has := table.Log10(place, token)
	if !should {
		expected.Log10 = want.LogBackoff
	}
	if has != should || log10 != expected.Log10 {
		t.Fatalf("log10 of token %d: %g %v, want %g %v", token, log10, has, expected.Log10, should)
	}
}

// A table with any bit wrong, cut anywhere, of another build or of another width is refused.
func TestDamage(t *testing.T) {
	var file bytes.Buffer
	contexts := []stored{{order: 2, hash: -5, blob: []byte{200, 14}}, {order: 2, hash: 7, blob: []byte{200, 14}}}
	if err := write(&file, packed.Width8, "me", contexts, 2); err != nil {
		t.Fatal(err)
	}
	followers, weights := books(packed.Width8)
	if _, err := resident.Open(file.Bytes(), "me", followers, weights, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := resident.Open(file.Bytes(), "you", followers, weights, nil); err == nil {
		t.Error("the table of another build was opened")
	}
	wide, _ := books(packed.Width16)
	if _, err := resident.Open(file.Bytes(), "me", wide, weights, nil); err == nil {
		t.Error("a table of other codes was opened")
	}
	for at := range file.Len() {
		damaged := bytes.Clone(file.Bytes())
		damaged[at] ^= 1 << (at % 8)
		if _, err := resident.Open(damaged, "me", followers, weights, nil); err == nil {
			t.Fatalf("a table with a wrong bit in byte %d was opened", at)
		}
		if _, err := resident.Open(file.Bytes()[:at], "me", followers, weights, nil); err == nil {
			t.Fatalf("a table cut to %d bytes was opened", at)
		}
	}
	if err := write(io.Discard, packed.Width8, "me", []stored{contexts[1], contexts[0]}, 2); err == nil {
		t.Error("contexts out of order were written")
	}
}

// A file appears whole or not at all, replaces the one before, and stays readable where it was mapped.
func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "er")
	path := filepath.Join(dir, "x")
	fill := func(content string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, content)
			return err
		}
	}
	if err := resident.WriteFile(path, fill("one", nil)); err != nil {
		t.Fatal(err)
	}
	old, err := resident.Map(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no more")
	if err := resident.WriteFile(path, fill("half", failed)); !errors.Is(err, failed) {
		t.Errorf("a failed fill gives %v", err)
	}
	if err := resident.WriteFile(path, fill("second", nil)); err != nil {
		t.Fatal(err)
	}
	now, err := resident.Map(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if string(old.Bytes()) != "one" || string(now.Bytes()) != "second" {
		t.Errorf("mapped %q and %q", old.Bytes(), now.Bytes())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := resident.Map(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if err := resident.WriteFile(path, fill("", nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := resident.Map(path); err == nil {
		t.Error("an empty file was mapped")
	}
}

// A file that somebody writes is told from one that a killed process left, however old.
func TestLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build-1-x.resident")
	age := func(name string, age time.Duration) {
		t.Helper()
		if err := os.Chtimes(name, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	err := resident.WriteFile(path, func(out io.Writer) error {
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+resident.TempMark+"*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		for _, old := range []time.Duration{0, time.Minute} {
			age(names[0], old)
			if resident.Left(names[0]) {
				t.Errorf("the writer of a file of %v is taken for dead", old)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	killed := path + resident.TempMark + "7"
	if err := os.WriteFile(killed, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if resident.Left(killed) {
		t.Error("a file that was begun this moment is taken for left")
	}
	age(killed, time.Minute)
	if !resident.Left(killed) || resident.Left(killed+"0") {
		t.Error("a file that a killed process left is not found")
	}
}
