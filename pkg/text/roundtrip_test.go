package text

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestRoundTripFixtures: well-formed text comes back as it was, up to white space.
func TestRoundTripFixtures(t *testing.T) {
	for _, name := range []string{"prose.txt", "dialogue.txt"} {
		t.Run(name, func(t *testing.T) {
			s := fixture(t, name)
			tokenizer := mustTokenizer(t, Words, "", NFC)
			for _, sentence := range mustSplit(t, tokenizer, s) {
				want := collapse(s[sentence.Start:sentence.End])
				got := asWritten(tokenizer, sentence)
				if got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				again := mustSplit(t, tokenizer, got)
				if a, b := shown(again), shown([]Sentence{sentence}); !slices.Equal(a, b) {
					t.Errorf("the same tokens come back:\ngot  %q\nwant %q", a, b)
				}
			}
		})
	}
}

// TestRoundTripCorpora measures the same on real books. DBSLM_DATA_DIR names the folder that has them;
// without it these books are no part of the suite, with it a missing one is a failure.
func TestRoundTripCorpora(t *testing.T) {
	dir := os.Getenv("DBSLM_DATA_DIR")
	if dir == "" {
		return
	}
	for name, atLeast := range map[string]float64{"warandpeace.raw.txt": 0.997, "shakespeare.raw.txt": 0.985} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			tokenizer := mustTokenizer(t, Words, "", NFC)
			same, tokens, stable := 0, 0, 0
			vocabulary := map[string]bool{}
			sentences := mustSplit(t, tokenizer, string(data))
			for _, sentence := range sentences {
				tokens += len(sentence.Tokens)
				for _, token := range sentence.Texts() {
					vocabulary[token] = true
				}
				written := asWritten(tokenizer, sentence)
				if written == collapse(string(data[sentence.Start:sentence.End])) {
					same++
				}
				if slices.Equal(shown(mustSplit(t, tokenizer, written)), shown([]Sentence{sentence})) {
					stable++
				}
			}
			share := float64(same) / float64(len(sentences))
			t.Logf("%d sentences, %d tokens, %d different; %.2f %% of the sentences come back exactly, %.2f %% give the same tokens again",
				len(sentences), tokens, len(vocabulary), 100*share, 100*float64(stable)/float64(len(sentences)))
			if share < atLeast {
				t.Errorf("%.4f of the sentences come back exactly; want at least %.4f", share, atLeast)
			}
		})
	}
}
