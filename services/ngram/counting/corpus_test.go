package counting_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/counting"
)

// A corpus counted at once, in any number of ranges, has the rows that one batch gives.
func TestCorpusIsABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.IntRange(1, 6).Draw(t, "order")
		batch := counting.NewBatch(order, contexthash.Sum)
		corpus := counting.NewCorpus(order, contexthash.Sum, rapid.IntRange(1, 50).Draw(t, "windows"))
		for range rapid.IntRange(1, 12).Draw(t, "sentences") {
			sentence := rapid.SliceOfN(rapid.Uint32Range(3, 7), 0, 9).Draw(t, "sentence")
			weight := rapid.Int64Range(1, 3).Draw(t, "weight")
			batch.Add(sentence, weight)
			corpus.Add(sentence, weight)
		}
		type row struct {
			n int
			counting.Row
		}
		var want, got []row
		deltas := batch.Deltas()
		for {
			delta, err := deltas.Next()
			if err != nil {
				t.Fatal(err)
			}
			if delta == nil {
				break
			}
			if _, err := delta.Resolve(); err != nil {
				t.Fatal(err)
			}
			if err := delta.Rows(counting.New, func(r counting.Row) error { want = append(want, row{delta.N, r}); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		err := corpus.Count(func(n int, c *counting.Counted) error {
			if c.Hash != contexthash.Sum(c.Tokens) || len(c.Tokens) != n-1 {
				t.Errorf("order %d: context %v has the hash %d", n, c.Tokens, c.Hash)
			}
			for i, token := range c.Followers {
				got = append(got, row{n, counting.Row{Hash: c.Hash, Token: token, Raw: c.Raw[i], Adjusted: c.Adjusted[i]}})
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("error %v\ngot  %v\nwant %v", err, got, want)
		}
	})
}
