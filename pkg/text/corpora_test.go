package text

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestWhitespaceCountsOfCorpora: the published figures of the tokenised books (see roundtrip_test.go for
// DBSLM_DATA_DIR).
func TestWhitespaceCountsOfCorpora(t *testing.T) {
	dir := os.Getenv("DBSLM_DATA_DIR")
	if dir == "" {
		return
	}
	for name, want := range map[string][2]int{
		"shakespeare.train.txt": {29499, 238125}, "shakespeare.test.txt": {3278, 24802},
		"warandpeace.train.txt": {10897, 610164}, "warandpeace.test.txt": {1211, 73780},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var got [2]int
		err = mustTokenizer(t, Whitespace, "", NFC).Sentences(bytes.NewReader(data), func(s Sentence) error {
			got[0]++
			got[1] += len(s.Tokens)
			return nil
		})
		if err != nil || got != want {
			t.Errorf("%s: %v sentences and tokens, %v; want %v", name, got, err, want)
		}
	}
}
