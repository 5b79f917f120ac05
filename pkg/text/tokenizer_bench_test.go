package text

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// benchmarkText is 3 MB of prose: War and Peace where DBSLM_DATA_DIR has it, else the fixture repeated.
func benchmarkText(b *testing.B) []byte {
	if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
		data, err := os.ReadFile(filepath.Join(dir, "warandpeace.raw.txt"))
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	data, err := os.ReadFile(filepath.Join("testdata", "prose.txt"))
	if err != nil {
		b.Fatal(err)
	}
	return bytes.Repeat(data, 3<<20/len(data)+1)
}

func BenchmarkSentences(b *testing.B) {
	data := benchmarkText(b)
	for _, kind := range []string{Words, Whitespace, Bytes} {
		b.Run(kind, func(b *testing.B) {
			t, err := NewTokenizer(kind, "", NFC)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			tokens := 0
			for b.Loop() {
				tokens = 0
				err := t.Sentences(bytes.NewReader(data), func(s Sentence) error {
					tokens += len(s.Tokens)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(tokens), "tokens/op")
		})
	}
}
