package matching

import "testing"

// BenchmarkKey measures what a candidate costs: its key, and comparing it.
func BenchmarkKey(b *testing.B) {
	t := NewText("What's the capital of France again, please?")
	for b.Loop() {
		NewKey("The capital of Australia is Sydney", "Australia", "capital", "What is the capital of Australia?").Match(t, Frequencies{"": 9})
	}
}
