package store

import (
	"strings"
	"testing"

	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
)

// BenchmarkMegabyteMessage measures what a message of a mebibyte costs before its transaction: folding, terms, index words.
func BenchmarkMegabyteMessage(b *testing.B) {
	for name, text := range map[string]string{"chinese": "我们昨天讨论了港口的开放时间和价格。", "english": "We discussed the opening hours of the harbour yesterday. "} {
		said := strings.Repeat(text, 1<<20/len(text))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				matching.NewText(said)
				folding.Text(said)
				messageWords(said)
			}
		})
	}
}
