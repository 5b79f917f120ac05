package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A model goes out as ARPA and as counts, plain and compressed, and comes back the same, in one process and through a server.
func TestExchange(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt", "--storage", "exact")...)
		read := func(file string) string {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		for _, file := range []string{"m.arpa", "m.arpa.gz", "m.arpa.zst", "m.tsv", "m.tsv.zst"} {
			summary := decode[exportSummary](t, succeed(t, p.on("export", file, "--json")...))
			if summary.File != file || summary.Bytes == 0 || summary.Format != map[bool]string{true: "arpa", false: "counts"}[strings.Contains(file, "arpa")] {
				t.Errorf("%+v", summary)
			}
			name := strings.ReplaceAll(file, ".", "-")
			b := decode[buildSummary](t, succeed(t, p.on("import", file, "--model", name, "--storage", "exact", "--tokenizer", "words", "--normalization", "nfc", "--json")...))
			if !b.Published || b.Order != 3 || b.Storage != "exact" {
				t.Errorf("%+v", b)
			}
			succeed(t, p.on("export", "again.arpa", "--model", name)...)
			if diff := cmp.Diff(read("m.arpa"), read("again.arpa")); diff != "" {
				t.Errorf("%s (-out +back):\n%s", file, diff)
			}
			if out := succeed(t, p.on("export", "-", "--model", name)...); out != read("m.arpa") {
				t.Error("on standard output it is another file")
			}
		}
		if r := invokeReading(t, read("m.arpa"), p.on("import", "-", "--model", "piped")...); r.code != exitOK || !strings.HasPrefix(r.out, `model "piped": order 3, `) {
			t.Errorf("%+v", r)
		}
		if entries, err := os.ReadDir("."); err != nil || len(entries) > 9 {
			t.Errorf("files are left: %v, %v", entries, err)
		}
	})
}
