package pagetoken

import (
	"testing"

	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type place struct {
	At int64
	ID string
}

func TestRoundTripAndBinding(t *testing.T) {
	parts := rapid.SliceOfN(rapid.String(), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		query, other := Query(parts.Draw(t, "query")), Query(parts.Draw(t, "other"))
		want := place{rapid.Int64().Draw(t, "at"), rapid.StringMatching(`[a-z0-9"\\ é-]*`).Draw(t, "id")}
		token, err := Encode(query, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode[place](query, token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Fatal(diff)
		}
		_, err = Decode[place](other, token)
		if same := cmp.Equal([]string(query), []string(other)) || len(query)+len(other) == 0; same != (err == nil) {
			t.Fatalf("token of %q decoded as one of %q: %v", query, other, err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	query := Query{"a", "bc"}
	if p, err := Decode[place](query, ""); p != nil || err != nil {
		t.Errorf("the first page: %v, %v", p, err)
	}
	moved, err := Encode(Query{"ab", "c"}, place{})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := Encode(query, "no object")
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"x", "!", "AAAAAAAAAAA", moved, broken, moved[:5]} {
		if _, err := Decode[place](query, token); errors.KindOf(err) != errors.InvalidArgument || errors.ReasonOf(err) != "PAGE_TOKEN" {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAB7fQ")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := Decode[place](Query{"q"}, token); err != nil && errors.KindOf(err) != errors.InvalidArgument {
			t.Fatal(err)
		}
	})
}
