package packed_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dbslm/services/ngram/packed"
)

// A walk, a search and an index say what Decode says, of one chunk and of chunks put together.
func TestWalkFindAndIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]packed.Width{packed.Width8, packed.Width16, packed.WidthExact}).Draw(t, "width")
		ids := rapid.SampledFrom([]uint32{40, 5000, 1<<24 - 2, 1<<24 - 1, 1<<31 - 1}).Draw(t, "ids")
		tokens := rapid.SliceOfNDistinct(rapid.Uint32Range(0, ids), 1, 300, rapid.ID[uint32]).Draw(t, "tokens")
		followers := make([]packed.Follower, len(tokens))
		for i, token := range tokens {
			followers[i] = packed.Follower{Code: rapid.Uint64Range(0, 40).Draw(t, "code"), Token: token}
		}
		slices.SortFunc(followers, packed.Before)
		cut := rapid.IntRange(0, len(followers)).Draw(t, "cut")
		var blob []byte
		for _, chunk := range [][]packed.Follower{followers[:cut], followers[cut:]} {
			next, err := packed.Append(nil, width, chunk)
			if err != nil {
				t.Fatal(err)
			}
			if err := packed.Check(next, width); err != nil {
				t.Fatal(err)
			}
			blob = append(blob, next...)
		}
		if count := packed.Count(blob, width); count != len(followers) {
			t.Fatalf("%d followers, want %d", count, len(followers))
		}
		var walked []packed.Follower
		walk := packed.NewWalk(blob, width)
		for {
			peeked, more := walk.Peek()
			code, group, ok := walk.Next(nil)
			if more != ok || ok && peeked != code {
				t.Fatalf("Peek says %d %v, Next %d %v", peeked, more, code, ok)
			}
			if !ok {
				break
			}
			for _, token := range group {
				walked = append(walked, packed.Follower{Code: code, Token: token})
			}
		}
		if !slices.Equal(walked, followers) {
			t.Fatalf("walked %v, want %v", walked, followers)
		}
		index := packed.AppendIndex([]byte("before"), blob, width)[len("before"):]
		codes := map[uint32]uint64{}
		for _, f := range followers {
			codes[f.Token] = f.Code
		}
		for _, token := range append(tokens, rapid.SliceOfN(rapid.Uint32Range(0, ids), 0, 50).Draw(t, "others")...) {
			want, known := codes[token]
			if code, found := packed.Find(blob, width, token); found != known || found && code != want {
				t.Fatalf("Find(%d) is %d %v, want %d %v", token, code, found, want, known)
			}
			if code, found := packed.FindIndexed(index, width, token); found != known || found && code != want {
				t.Fatalf("FindIndexed(%d) is %d %v, want %d %v", token, code, found, want, known)
			}
		}
	})
}
