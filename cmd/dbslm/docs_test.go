package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repository is the root of the project, whatever directory a test works in.
var repository = func() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return filepath.Dir(filepath.Dir(dir))
}()

// checkSection compares the generated part of a document with what a test found out, or rewrites it under -update. The
// part stands between two comments with its name.
func checkSection(t *testing.T, document, name, got string) {
	t.Helper()
	if t.Failed() {
		return
	}
	path := filepath.Join(repository, document)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": go test ./cmd/dbslm -update -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(string(data), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part between %q and %q", document, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+got+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, got); diff != "" {
		t.Errorf("%s is out of date (-document +now); run: go test ./cmd/dbslm -update\n%s", document, diff)
	}
}
