package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A link to a directory is the directory; the labels keep the name that was given.
func TestLinkedDirectory(t *testing.T) {
	dir := t.TempDir()
	dirPath, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.MkdirAll(filepath.Join(dirPath, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.txt", "below/b.txt"} {
		if err := os.WriteFile(filepath.Join(dirPath, name), []byte("text\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dirPath, link); err != nil {
		t.Fatal(err)
	}
	for recursive, want := range map[bool]int{false: 1, true: 2} {
		found, err := findInputs([]string{link}, recursive, reading{})
		if err != nil || len(found) != want || found[0].label != filepath.ToSlash(link)+"/a.txt" {
			t.Errorf("recursive %v: %v, %v", recursive, found, err)
		}
	}
}
