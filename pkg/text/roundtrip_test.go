package text

import (
	"os"
	"path/filepath"
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
				if got := asWritten(tokenizer, sentence); got != want {
					t.Errorf("got  %q\nwant %q", got, want)
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
			same, tokens := 0, 0
			vocabulary := map[string]bool{}
			sentences := mustSplit(t, tokenizer, string(data))
			for _, sentence := range sentences {
				tokens += len(sentence.Tokens)
				for _, token := range sentence.Texts() {
					vocabulary[token] = true
				}
				if asWritten(tokenizer, sentence) == collapse(string(data[sentence.Start:sentence.End])) {
					same++
				}
			}
			share := float64(same) / float64(len(sentences))
			t.Logf("%d sentences, %d tokens, %d different; %.2f %% of the sentences come back exactly", len(sentences), tokens, len(vocabulary), 100*share)
			if share < atLeast {
				t.Errorf("%.4f of the sentences come back exactly; want at least %.4f", share, atLeast)
			}
		})
	}
}
