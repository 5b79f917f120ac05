package extsort

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Any records come back in order, twice, whatever fits in memory, and no file is left.
func TestSorted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 9).Draw(t, "width")
		records := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), width, width), 0, 200).Draw(t, "records")
		s := New(width, rapid.IntRange(1, 2000).Draw(t, "limit"))
		defer s.Close()
		for _, record := range records {
			if err := s.Add(record); err != nil {
				t.Fatal(err)
			}
		}
		if s.Len() != int64(len(records)) {
			t.Fatalf("%d records of %d", s.Len(), len(records))
		}
		slices.SortFunc(records, bytes.Compare)
		for range 2 {
			r, err := s.Sorted()
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range records {
				if got, err := r.Next(); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("record %d is %x, %v; want %x", i, got, err, want)
				}
			}
			for range 2 {
				if _, err := r.Next(); err != io.EOF {
					t.Fatalf("after the end: %v", err)
				}
			}
		}
	})
}
