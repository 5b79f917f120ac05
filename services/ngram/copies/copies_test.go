package copies

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// An index finds what a search from the first token to the last finds, for tokens of every length in bytes.
func TestFollowingIsASearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := []uint32{0, 1, 3, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 1<<21 - 1, 1 << 21, MaxToken}
		token := rapid.SampledFrom(alphabet[:rapid.IntRange(2, len(alphabet)).Draw(t, "alphabet")])
		documents := rapid.SliceOfN(rapid.SliceOfN(token, 0, 30), 0, 4).Draw(t, "documents")
		var builder Builder
		for _, document := range documents {
			for _, token := range document {
				builder.Add(token)
			}
			builder.EndDocument()
		}
		index := builder.Build()
		for range 5 {
			pattern := rapid.SliceOfN(token, 0, 4).Draw(t, "pattern")
			want := map[uint32]int{}
			for _, document := range documents {
				for at := 0; at+len(pattern) < len(document); at++ {
					if slices.Equal(document[at:at+len(pattern)], pattern) {
						want[document[at+len(pattern)]]++
					}
				}
			}
			got := map[uint32]int{}
			index.Following(pattern, func(token uint32) { got[token]++ })
			if !maps.Equal(got, want) {
				t.Fatalf("after %v of %v: %v, want %v", pattern, documents, got, want)
			}
		}
	})
}
