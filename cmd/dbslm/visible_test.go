package main

import (
	"strings"
	"testing"
)

// A text is shown alike however it is cut into writes.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":            "plain\ttext\n",
		"two\r\nlines\r\n":         "two\r\nlines\r\n",
		"over\rwritten":            "over␍written",
		"\x1b[31mred\x1b[0m":       "␛[31mred␛[0m",
		"bell\x07 nul\x00 del\x7f": "bell␇ nul␀ del␡",
		"one\u009b31m":             "one\uFFFD31m",
		"bytes \x9b31m \xc3(":      "bytes \uFFFD31m \uFFFD(",
		"é 漢 👩‍👩‍👧 שלום \uFFFD":    "é 漢 👩‍👩‍👧 שלום \uFFFD",
	} {
		for size := 1; size <= len(text); size++ {
			var screen strings.Builder
			v := &visible{to: &screen}
			for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
				part := rest[:min(size, len(rest))]
				if n, err := v.Write([]byte(part)); n != len(part) || err != nil {
					t.Fatalf("%q: %d bytes, error %v", part, n, err)
				}
			}
			if screen.String() != want {
				t.Errorf("%q in writes of %d: %q, want %q", text, size, screen.String(), want)
			}
		}
	}
}
