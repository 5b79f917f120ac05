package counting_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/pkg/errors"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/counting"
)

// history is a model to which documents are added and from which they are taken, in random batches.
type history struct {
	*memory
	t          *rapid.T
	vocabulary *vocabulary
	batch      *counting.Batch
}

func newHistory(t *rapid.T, order int) *history {
	return &history{newMemory(order), t, newVocabulary(), counting.NewBatch(order, contexthash.Sum)}
}

// count adds sentences times weight, in batches cut anywhere.
func (h *history) count(sentences []weighted, weight int64) {
	for _, s := range sentences {
		h.batch.Add(h.vocabulary.ids(s.words, names), weight*s.weight)
		if rapid.IntRange(0, 4).Draw(h.t, "cut") == 0 {
			h.flush()
		}
	}
}

func (h *history) flush() {
	h.t.Helper()
	if err := h.apply(h.batch); err != nil {
		h.t.Fatal(err)
	}
	h.batch = counting.NewBatch(h.order, contexthash.Sum)
}

func (h *history) want(sentences []weighted) {
	h.t.Helper()
	h.flush()
	if diff := cmp.Diff(bruteForce(h.order, sentences, names), h.spelled(h.vocabulary.words)); diff != "" {
		h.t.Fatal(diff)
	}
	h.checkTotals(h.t)
}

// A text that was added and taken out, in whatever batches and between whatever others, was never there.
func TestForgottenIsNeverSeen(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		h := newHistory(t, rapid.IntRange(1, 6).Draw(t, "order"))
		kept, gone, later := drawSentences(t), drawSentences(t), drawSentences(t)
		for _, part := range rapid.Permutation([][]weighted{kept, gone}).Draw(t, "arrival") {
			h.count(part, 1)
		}
		h.count(rapid.Permutation(gone).Draw(t, "departure"), -1)
		h.want(kept)
		h.count(later, 1)
		h.want(slices.Concat(kept, later))
		h.count(kept, -1)
		h.count(later, -1)
		h.want(nil)
		for n := range h.rows {
			if len(h.rows[n]) > 0 || len(h.registry[n]) > 0 {
				t.Fatalf("an empty model has rows of order %d", n)
			}
		}
	})
}

// Replacing a text, or the weight of a text, is training with the new one only: the new one is added before the old one
// leaves, so that no count falls below 0 on the way.
func TestReplacedIsTrainedWithTheNewOnly(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		h := newHistory(t, rapid.IntRange(1, 6).Draw(t, "order"))
		others, before, after := drawSentences(t), drawSentences(t), drawSentences(t)
		if rapid.Bool().Draw(t, "only the weight") {
			after = slices.Clone(before)
		}
		old, fresh := rapid.Int64Range(1, 9).Draw(t, "old weight"), rapid.Int64Range(1, 9).Draw(t, "new weight")
		h.count(before, old)
		h.count(others, 1)
		h.count(after, fresh)
		h.count(before, -old)
		for i := range after {
			after[i].weight *= fresh
		}
		h.want(slices.Concat(others, after))
	})
}

// What was never counted cannot be taken out, and the attempt is refused before anything is stored.
func TestNothingIsTakenOutThatWasNotCounted(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		h := newHistory(t, rapid.IntRange(1, 4).Draw(t, "order"))
		kept, other := drawSentences(t), drawSentences(t)
		h.count(kept, 1)
		h.want(kept)
		there := map[string]int64{}
		for gram, c := range bruteForce(h.order, kept, names) {
			there[gram] = c.Raw
		}
		enough := true
		for gram, c := range bruteForce(h.order, other, names) {
			enough = enough && there[gram] >= c.Raw
		}
		batch := counting.NewBatch(h.order, contexthash.Sum)
		for _, s := range other {
			batch.Add(h.vocabulary.ids(s.words, names), -s.weight)
		}
		switch err := newCopy(h.memory).apply(batch); {
		case enough && err != nil:
			t.Fatal(err)
		case !enough && errors.ReasonOf(err) != "NEVER_COUNTED":
			t.Fatalf("error %v", err)
		}
	})
}

// newCopy copies a store, so that a refused batch does not spoil it.
func newCopy(m *memory) *memory {
	out := newMemory(m.order)
	for n := range m.rows {
		for hash, followers := range m.rows[n] {
			out.rows[n][hash] = map[uint32]counting.Row{}
			for token, row := range followers {
				out.rows[n][hash][token] = row
			}
		}
		for hash, row := range m.registry[n] {
			out.registry[n][hash] = row
		}
		out.totals[n] = m.totals[n]
	}
	return out
}
