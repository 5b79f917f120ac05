package decoding

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStopper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.StringMatching(`[ab ]{0,30}`)
		whole := alphabet.Draw(t, "text")
		stops := rapid.SliceOfN(rapid.StringMatching(`[ab ]{1,4}`), 0, 3).Draw(t, "stops")
		s := stopper{stops: stops}
		sent, stopped := "", false
		for rest := whole; rest != "" && !stopped; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			var piece string
			piece, stopped = s.push(rest[:n])
			sent += piece
			rest = rest[n:]
		}
		if !stopped {
			sent += s.flush()
		}
		want, met := whole, false
		for _, stop := range stops {
			if at := strings.Index(whole, stop); at >= 0 {
				met = true
				want = want[:min(at, len(want))]
			}
		}
		if stopped != met {
			t.Fatalf("stopped %v at %q in %q", stopped, stops, whole)
		}
		// A longer stop that begins earlier may be complete only after a shorter one was met; both are honoured.
		if len(sent) < len(want) || !strings.HasPrefix(whole, sent) {
			t.Fatalf("sent %q of %q with stops %q, want at least %q", sent, whole, stops, want)
		}
		for _, stop := range stops {
			if strings.Contains(sent, stop) {
				t.Fatalf("sent %q, which holds the stop sequence %q", sent, stop)
			}
		}
	})
}
