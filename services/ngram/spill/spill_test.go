package spill

import (
	"os"
	"runtime"
	"testing"
)

type pair struct {
	key   uint64
	value uint16
}

// What exceeds the budget is in a file without a name, and holds what is put into it; what is given back can be used again.
func TestBeyondTheBudgetIsAFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	space := New(16 << 10)
	small, freeSmall, err := Make[pair](space, 1000) // 16 bytes each
	if err != nil || space.Mapped() != 0 {
		t.Fatal(err, space.Mapped())
	}
	large, freeLarge, err := Make[pair](space, 5000)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(80_000); runtime.GOOS == "linux" && space.Mapped() != want {
		t.Errorf("%d bytes are mapped, want %d", space.Mapped(), want)
	}
	for i := range uint64(5000) {
		if i < 1000 {
			small = append(small, pair{i, uint16(i)})
		}
		large = append(large, pair{i * i, uint16(i)})
	}
	if len(large) != 5000 || cap(large) != 5000 {
		t.Errorf("%d of %d", len(large), cap(large))
	}
	for i, p := range large {
		if p != (pair{uint64(i * i), uint16(i)}) {
			t.Fatalf("%d: %v", i, p)
		}
	}
	if files, err := os.ReadDir(os.TempDir()); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, error %v", files, err)
	}
	freeSmall()
	freeLarge()
	if _, _, err := Make[pair](space, 1024); err != nil || space.Mapped() != 0 {
		t.Errorf("what was given back cannot be used: %d mapped, error %v", space.Mapped(), err)
	}
}

// Without a place for the file there is an error, before anything is written.
func TestNoPlaceForTheFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	if _, _, err := Make[pair](New(0), 10); err == nil && runtime.GOOS == "linux" {
		t.Error("no error")
	}
}
