package packed_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dbslm/services/ngram/packed"
)

func TestCountsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []packed.Counts
		var segment []byte
		for range rapid.IntRange(0, 9).Draw(t, "contexts") {
			c := packed.Counts{Hash: rapid.Int64().Draw(t, "hash"), Parent: rapid.Int64().Draw(t, "parent")}
			token := uint32(0)
			for range rapid.IntRange(1, 5).Draw(t, "followers") {
				token += rapid.Uint32Range(1, 1<<20).Draw(t, "step")
				c.Tokens, c.Adjusted = append(c.Tokens, token), append(c.Adjusted, rapid.Int64Range(1, math.MaxInt32).Draw(t, "adjusted"))
			}
			want, segment = append(want, c), packed.AppendCounts(segment, &c)
		}
		var got []packed.Counts
		err := packed.EachCounts(segment, &packed.Counts{}, func(c *packed.Counts) error {
			got = append(got, packed.Counts{Hash: c.Hash, Parent: c.Parent, Tokens: append([]uint32(nil), c.Tokens...), Adjusted: append([]int64(nil), c.Adjusted...)})
			return nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("error %v, %s", err, diff)
		}
	})
}

// FuzzEachCounts: damaged segments are refused, never a panic.
func FuzzEachCounts(f *testing.F) {
	f.Add([]byte{})
	f.Add(packed.AppendCounts(nil, &packed.Counts{Hash: -1, Parent: 7, Tokens: []uint32{3, 9}, Adjusted: []int64{1, 200}}))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 15, 1})
	f.Fuzz(func(t *testing.T, segment []byte) {
		_ = packed.EachCounts(segment, &packed.Counts{}, func(c *packed.Counts) error {
			if len(c.Tokens) != len(c.Adjusted) {
				t.Error("a follower without a count")
			}
			return nil
		})
	})
}
