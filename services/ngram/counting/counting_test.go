package counting_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/counting"
)

// memory is the smallest store: what one transaction does to it is what the tables hold.
type memory struct {
	order    int
	rows     map[int]map[int64]map[uint32]counting.Row
	registry map[int]map[int64]counting.RegistryRow
	totals   map[int]counting.Change
}

func newMemory(order int) *memory {
	m := &memory{order: order, rows: map[int]map[int64]map[uint32]counting.Row{}, registry: map[int]map[int64]counting.RegistryRow{}, totals: map[int]counting.Change{}}
	for n := 1; n <= order; n++ {
		m.rows[n], m.registry[n] = map[int64]map[uint32]counting.Row{}, map[int64]counting.RegistryRow{}
	}
	return m
}

func (m *memory) apply(batch *counting.Batch) error {
	deltas := batch.Deltas()
	for {
		delta, err := deltas.Next()
		if err != nil || delta == nil {
			return err
		}
		n := delta.N
		for hash, row := range m.registry[n] {
			if err := delta.SetContext(hash, row.Parent, row.Oldest, row.Sums); err != nil {
				return err
			}
		}
		for _, i := range delta.Known() {
			hash := delta.Contexts[i].Hash
			if got := int64(len(m.rows[n][hash])); got != delta.Contexts[i].Stored() {
				return fmt.Errorf("context %d has %d followers, its sums say %d", hash, got, delta.Contexts[i].Stored())
			}
			for token, row := range m.rows[n][hash] {
				delta.SetEntry(hash, token, row.Raw, row.Adjusted)
			}
		}
		change, err := delta.Resolve()
		if err != nil {
			return err
		}
		old := m.totals[n]
		old.NGrams += change.NGrams
		old.Contexts += change.Contexts
		old.Raw += change.Raw
		old.Adjusted += change.Adjusted
		for k := range old.CountsOfCounts {
			old.CountsOfCounts[k] += change.CountsOfCounts[k]
		}
		m.totals[n] = old
		for _, fate := range []counting.Fate{counting.New, counting.Changed, counting.Gone} {
			isNew := fate == counting.New
			var last counting.Row
			first := true
			_ = delta.Rows(fate, func(row counting.Row) error {
				if !first && (row.Hash < last.Hash || row.Hash == last.Hash && row.Token <= last.Token) {
					panic("rows are not in key order")
				}
				first, last = false, row
				if m.rows[n][row.Hash] == nil {
					m.rows[n][row.Hash] = map[uint32]counting.Row{}
				}
				if before, there := m.rows[n][row.Hash][row.Token]; there == isNew || there && before == row {
					panic("a row is new and stored, or changed and the same")
				}
				m.rows[n][row.Hash][row.Token] = row
				if fate == counting.Gone {
					delete(m.rows[n][row.Hash], row.Token)
				}
				return nil
			})
			_ = delta.Registry(fate, func(row counting.RegistryRow) error {
				if before, there := m.registry[n][row.Hash]; there == isNew || there && before == row {
					panic("a context is new and stored, or changed and the same")
				}
				m.registry[n][row.Hash] = row
				if fate == counting.Gone {
					delete(m.registry[n], row.Hash)
					if len(m.rows[n][row.Hash]) > 0 {
						panic("a context is gone and has followers")
					}
					delete(m.rows[n], row.Hash)
				}
				return nil
			})
		}
	}
}

// gram is what is counted about an n-gram spelled out in words.
type gram struct{ Raw, Adjusted int64 }

// spelled returns every n-gram in words, found through the registry, the way an auditor would.
func (m *memory) spelled(words []string) map[string]gram {
	var context func(n int, hash int64) string
	context = func(n int, hash int64) string {
		row := m.registry[n][hash]
		if n == 1 {
			return ""
		}
		return words[row.Oldest] + " " + context(n-1, row.Parent)
	}
	out := map[string]gram{}
	for n, contexts := range m.rows {
		for hash, followers := range contexts {
			for token, row := range followers {
				out[context(n, hash)+words[token]] = gram{row.Raw, row.Adjusted}
			}
		}
	}
	return out
}

type weighted struct {
	words  []int // numbers of words, from 0
	weight int64
}

// bruteForce counts by the definition.
func bruteForce(order int, sentences []weighted, words []string) map[string]gram {
	raw := map[string]int64{}
	before := map[string]map[string]bool{}
	starts := map[string]bool{}
	length := map[string]int{}
	for _, s := range sentences {
		tokens := []string{"<s>"}
		for _, w := range s.words {
			tokens = append(tokens, words[w+3])
		}
		tokens = append(tokens, "</s>")
		for end := 1; end < len(tokens); end++ {
			for n := 1; n <= order && n <= end+1; n++ {
				from := end - n + 1
				key := ""
				for i := from; i < end; i++ {
					key += tokens[i] + " "
				}
				key += tokens[end]
				raw[key] += s.weight
				length[key] = n
				starts[key] = from == 0
				if from > 0 {
					if before[key] == nil {
						before[key] = map[string]bool{}
					}
					before[key][tokens[from-1]] = true
				}
			}
		}
	}
	out := map[string]gram{}
	for key, c := range raw {
		a := c
		if length[key] < order && !starts[key] {
			a = int64(len(before[key]))
		}
		out[key] = gram{c, a}
	}
	return out
}

func drawSentences(t *rapid.T) []weighted {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) weighted {
		return weighted{
			words:  rapid.SliceOfN(rapid.IntRange(0, 6), 0, 7).Draw(t, "words"),
			weight: rapid.SampledFrom([]int64{1, 1, 1, 2, 5}).Draw(t, "weight"),
		}
	}), 1, 30).Draw(t, "sentences")
}

// vocabulary numbers words by first appearance, as the store does.
type vocabulary struct {
	id    map[int]uint32
	words []string
}

func newVocabulary() *vocabulary {
	return &vocabulary{id: map[int]uint32{}, words: []string{"<unk>", "<s>", "</s>"}}
}

func (v *vocabulary) ids(words []int, names []string) []uint32 {
	var out []uint32
	for _, w := range words {
		if _, there := v.id[w]; !there {
			v.id[w] = uint32(len(v.words))
			v.words = append(v.words, names[w+3])
		}
		out = append(out, v.id[w])
	}
	return out
}

var names = []string{"", "", "", "a", "b", "c", "d", "e", "f", "g"}

func TestAnySplitAndOrderGivesTheBruteForceCounts(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		order := rapid.IntRange(1, 6).Draw(t, "order")
		sentences := drawSentences(t)
		want := bruteForce(order, sentences, names)
		shuffled := rapid.Permutation(sentences).Draw(t, "shuffled")

		store, vocabulary := newMemory(order), newVocabulary()
		batch := counting.NewBatch(order, contexthash.Sum)
		for _, s := range shuffled {
			batch.Add(vocabulary.ids(s.words, names), s.weight)
			if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
				if err := store.apply(batch); err != nil {
					t.Fatal(err)
				}
				batch = counting.NewBatch(order, contexthash.Sum)
			}
		}
		if err := store.apply(batch); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, store.spelled(vocabulary.words)); diff != "" {
			t.Fatal(diff)
		}
		store.checkTotals(t)
	})
}

// checkTotals compares sums and counts of counts with the rows.
func (m *memory) checkTotals(t *rapid.T) {
	for n := 1; n <= m.order; n++ {
		var want counting.Change
		for hash, followers := range m.rows[n] {
			want.Contexts++
			var sums counting.Sums
			for _, row := range followers {
				want.NGrams++
				want.Raw += row.Raw
				want.Adjusted += row.Adjusted
				sums.Adjusted += row.Adjusted
				sums.Followers[min(row.Adjusted, 3)-1]++
				if row.Adjusted <= 4 {
					want.CountsOfCounts[row.Adjusted-1]++
				}
			}
			if got := m.registry[n][hash].Sums; got != sums {
				t.Fatalf("order %d, context %d: registry says %+v, rows say %+v", n, hash, got, sums)
			}
		}
		if m.totals[n] != want {
			t.Fatalf("order %d: totals %+v, rows say %+v", n, m.totals[n], want)
		}
	}
}

func TestCollisionIsRefused(t *testing.T) {
	sentence := func(from, to uint32) []uint32 {
		var s []uint32
		for id := from; id < to; id++ {
			s = append(s, ngram.FirstWord+id)
		}
		return s
	}
	apply := func(store *memory, s []uint32) error {
		batch := counting.NewBatch(3, contexthash.Narrow(4))
		batch.Add(s, 1)
		return store.apply(batch)
	}
	var collision *counting.Collision
	if err := apply(newMemory(3), sentence(0, 40)); !errors.As(err, &collision) || collision.Other == nil {
		t.Errorf("40 contexts in 4 bits within a batch: error %v", err)
	}
	store := newMemory(3)
	found := false
	for i := uint32(0); i < 40 && !found; i++ {
		if err := apply(store, sentence(i, i+1)); err != nil {
			found = errors.As(err, &collision) && len(collision.Context) > 0
			if !found {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Error("40 contexts in 4 bits, one batch each: no collision")
	}
}

func TestOverflowIsRefused(t *testing.T) {
	batch := counting.NewBatch(2, contexthash.Sum)
	batch.Add([]uint32{3}, counting.MaxCount)
	store := newMemory(2)
	if err := store.apply(batch); err != nil {
		t.Fatal(err)
	}
	more := counting.NewBatch(2, contexthash.Sum)
	more.Add([]uint32{3}, 1)
	if err := store.apply(more); errors.KindOf(err) != errors.OutOfRange {
		t.Errorf("error %v", err)
	}
}

func TestEvents(t *testing.T) {
	for _, c := range []struct {
		order, length int
		want          int64
	}{{1, 0, 1}, {3, 0, 2}, {2, 1, 4}, {3, 1, 5}, {3, 2, 8}, {5, 2, 9}, {3, 10, 32}} {
		if got := counting.Events(c.order, c.length); got != c.want {
			t.Errorf("Events(%d, %d) = %d, want %d", c.order, c.length, got, c.want)
		}
	}
}

// checkMany is rapid.Check, but with eight times a hundred cases where it was not said how many.
func checkMany(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	rounds := 8
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() != f.DefValue {
		rounds = 1
	}
	for range rounds {
		rapid.Check(t, property)
	}
}
