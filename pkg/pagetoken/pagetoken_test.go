package pagetoken_test

import (
	"testing"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		query := rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "query")
		position := rapid.SliceOfN(rapid.StringMatching(`[ -~é字]{0,20}`), 1, 3).Draw(t, "position")
		got, err := pagetoken.Decode(pagetoken.Encode(query, position...), query, len(position))
		if err != nil || !cmp.Equal(got, position) {
			t.Fatalf("got %q, %v; want %q", got, err, position)
		}
	})
}

func TestRefusals(t *testing.T) {
	good := pagetoken.Encode([]string{"ListModels", "a"}, "x")
	for name, text := range map[string]string{
		"other query": pagetoken.Encode([]string{"ListModels", "b"}, "x"),
		"more fields": pagetoken.Encode([]string{"ListModels", "a"}, "x", "y"),
		"cut":         good[:len(good)-3],
		"not base64":  "%%%",
		"not JSON":    "aGVsbG8",
	} {
		if _, err := pagetoken.Decode(text, []string{"ListModels", "a"}, 1); errors.KindOf(err) != errors.InvalidArgument {
			t.Errorf("%s: got %v, want InvalidArgument", name, err)
		}
	}
	if got, err := pagetoken.Decode("", []string{"q"}, 1); got != nil || err != nil {
		t.Errorf("empty token: got %v, %v", got, err)
	}
}

func TestSize(t *testing.T) {
	for asked, want := range map[int32]int{0: 100, -1: 100, 1: 1, 1000: 1000, 5000: 1000} {
		if got := pagetoken.Size(asked); got != want {
			t.Errorf("Size(%d) = %d, want %d", asked, got, want)
		}
	}
}
