package packed_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/services/ngram/packed"
)

func TestCountsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []packed.Counts
		var segment []byte
		length := rapid.IntRange(0, 4).Draw(t, "length")
		greatest := rapid.SampledFrom([]int64{1, 3, math.MaxInt32}).Draw(t, "greatest count")
		for range rapid.IntRange(0, 9).Draw(t, "contexts") {
			c := packed.Counts{Context: rapid.SliceOfN(rapid.Uint32Range(0, math.MaxInt32), length, length).Draw(t, "context")}
			token := rapid.Uint32Range(0, 3).Draw(t, "first")
			for range rapid.IntRange(1, 5).Draw(t, "followers") {
				c.Tokens, c.Adjusted = append(c.Tokens, token), append(c.Adjusted, rapid.Int64Range(1, greatest).Draw(t, "adjusted"))
				token += rapid.Uint32Range(1, 1<<20).Draw(t, "step")
			}
			want, segment = append(want, c), packed.AppendCounts(segment, &c)
		}
		var got []packed.Counts
		err := packed.EachCounts(segment, length, &packed.Counts{}, func(c *packed.Counts) error {
			got = append(got, packed.Counts{Context: append([]uint32{}, c.Context...), Tokens: slices.Clone(c.Tokens), Adjusted: slices.Clone(c.Adjusted)})
			return nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("error %v, %s", err, diff)
		}
	})
}

// TestCountsAreSmall pins what the layout promises: a trigram that occurs once behind a bigram of frequent words.
func TestCountsAreSmall(t *testing.T) {
	c := packed.Counts{Context: []uint32{90, 700}, Tokens: []uint32{5000}, Adjusted: []int64{1}}
	if got := packed.AppendCounts(nil, &c); len(got) != 6 {
		t.Errorf("%d bytes: %x", len(got), got)
	}
}

// FuzzEachCounts: damaged segments are refused, never a panic.
func FuzzEachCounts(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add(packed.AppendCounts(nil, &packed.Counts{Context: []uint32{7, 8}, Tokens: []uint32{3, 9}, Adjusted: []int64{1, 200}}), 2)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 15, 1}, 0)
	f.Fuzz(func(t *testing.T, segment []byte, length int) {
		_ = packed.EachCounts(segment, length&7, &packed.Counts{}, func(c *packed.Counts) error {
			if len(c.Tokens) != len(c.Adjusted) || !slices.IsSorted(c.Tokens) {
				t.Error("followers without counts, or out of order")
			}
			return nil
		})
	})
}
