package digest_test

import (
	"strings"
	"testing"

	"dbslm/services/concept/digest"

	"pgregory.net/rapid"
)

func TestSummarise(t *testing.T) {
	for want, turns := range map[string][]string{
		"": {"", "and the of", "?!"},
		"you said “I want to mend my radio”.": {"I want to mend my radio."},
	} {
		if got := digest.Summarise(turns, ""); got != want {
			t.Errorf("%q: got %q, want %q", turns, got, want)
		}
	}
	got := digest.Summarise([]string{"I want to mend my radio.", "Good morning. The radio hums and the lamp flickers. Thanks.", "Is the lamp safe near the radio?"}, "en")
	want := "you said “I want to mend my radio”, then “The radio hums and the lamp flickers”, then “Is the lamp safe near the radio?”; you came back to radio, lamp."
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := rapid.SliceOfN(rapid.StringMatching(`([a-zé字]{1,9}[ .?!%]){0,30}`), 0, 40).Draw(t, "turns")
		got := digest.Summarise(turns, rapid.SampledFrom([]string{"", "de", "pt-BR", "xx"}).Draw(t, "language"))
		if len(got) > digest.MaxBytes {
			t.Fatalf("%d bytes", len(got))
		}
		if strings.Contains(got, "%!") {
			t.Fatalf("a percent sign was taken for a verb: %q", got)
		}
	})
}
