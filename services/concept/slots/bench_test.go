package slots

import (
	"strings"
	"testing"
)

// BenchmarkRead reads a message of 18 words, and the longest text, for a concept with 5,000 names, a pattern, a date, a time and a number.
func BenchmarkRead(b *testing.B) {
	set, err := New([]Slot{
		{Slot: "name", Values: manyValues(5000)}, {Slot: "code", Pattern: `\b[A-Z]{2}\d{4}\b`}, {Slot: "day", Kind: Date}, {Slot: "at", Kind: Time}, {Slot: "n", Kind: Number},
	})
	if err != nil {
		b.Fatal(err)
	}
	message := "could you please keep v4711 for me on the 12th of December at 3 pm, AB1234, both of the two"
	for name, said := range map[string]string{"message": message, "8 KiB": strings.Repeat(message+" ", 8192/len(message))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if len(set.Read(said, Reading{Now: monday})) != 5 {
					b.Fatal(set.Read(said, Reading{Now: monday}))
				}
			}
		})
	}
}
