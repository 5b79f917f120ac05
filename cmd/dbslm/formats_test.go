package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"dbslm/pkg/dialogue"
)

func packedGzip(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func packedZstd(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// hashes are the documents of a model with the hash of their text.
func hashes(t *testing.T, store string) map[string]string {
	t.Helper()
	var documents []storedDocument
	if err := json.Unmarshal([]byte(succeed(t, "documents", "--json", "--db", store)), &documents); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range documents {
		found[d.Label] = d.SHA256
	}
	return found
}

// What is packed, and whatever it is called, is the text inside; dialogues are the text that their mapping makes of them.
func TestFormats(t *testing.T) {
	inNewDir(t)
	const qa = `{"q": "Is the harbour open?", "a": "It opens at six."}` + "\n"
	const text = "Is the harbour open?\n\nIt opens at six.\n\n"
	write(t, "plain.txt", text)
	write(t, "packed", packedGzip(t, text))
	write(t, "packed.txt", packedZstd(t, text))
	write(t, "wide.txt", utf16le(text))
	write(t, "d.ndjson", qa)
	write(t, "d.mapping.yaml", mappingQA)
	write(t, "e.jsonl.zst", packedZstd(t, qa))
	write(t, "e.jsonl.mapping.json", `{"prompt": "q", "response": "a"}`)
	write(t, "f.csv", "q;a\nIs the harbour open?;It opens at six.\n")
	write(t, "m.yaml", mappingQA+"delimiter: ;\n")
	write(t, "records", "["+qa+"]")
	succeed(t, "train", ".", "packed", "--db", "store", "--no-build")
	succeed(t, "train", "f.csv", "--mapping", "m.yaml", "--db", "store", "--no-build")
	succeed(t, "train", "records", "--format", "json", "--mapping", "d.mapping.yaml", "--db", "store")
	r := invokeReading(t, packedGzip(t, qa), "train", "--stdin", "--format", "ndjson", "--mapping", "d.mapping.yaml", "--db", "store", "--no-build")
	if r.code != exitOK {
		t.Fatal(r.err)
	}
	found := hashes(t, "store")
	for _, label := range []string{"packed", "packed.txt", "wide.txt", "d.ndjson", "e.jsonl.zst", "f.csv", "records", "<stdin>"} {
		if found[label] == "" || found[label] != found["plain.txt"] {
			t.Errorf("%s is %q, not as plain.txt %q", label, found[label], found["plain.txt"])
		}
	}
	if len(found) != 9 {
		t.Errorf("documents %v", found)
	}
	if got := succeed(t, "eval", "d.ndjson", "--json", "--no-store", "--db", "store"); !strings.Contains(got, `"text_bytes": 40,`) {
		t.Error(got)
	}
}

// The documents that records name are what texts under their labels would be.
func TestDividedDialogues(t *testing.T) {
	inNewDir(t)
	write(t, "d.ndjson", `{"id": "a", "t": "The boat is here.", "w": 2}
{"id": "a", "t": "The tide is out.", "w": 2}
{"id": "b", "t": "The slip is free.", "w": 1}
`)
	write(t, "d.mapping.yaml", "text: t\ndocument: id\nweight: w\n")
	r := succeed(t, "train", "d.ndjson", "--db", "store", "--tokenizer", "whitespace", "--drop-text")
	if !strings.Contains(r, "documents of d.ndjson: 2 ingested; 12 tokens, ") {
		t.Error(r)
	}
	write(t, "d.ndjson#a", "The boat is here.\nThe tide is out.\n")
	succeed(t, "train", "d.ndjson#a", "--weight", "2", "--tokenizer", "whitespace", "--db", "other")
	write(t, "d.ndjson#b", "The slip is free.\n")
	succeed(t, "train", "d.ndjson#b", "--tokenizer", "whitespace", "--db", "other")
	if diff := cmp.Diff(hashes(t, "other"), hashes(t, "store")); diff != "" {
		t.Error(diff)
	}
	if got, want := succeed(t, "models", "--json", "--db", "store"), succeed(t, "models", "--json", "--db", "other"); got[:strings.Index(got, `"published_build"`)] != want[:strings.Index(want, `"published_build"`)] ||
		got[strings.Index(got, `"stale"`):] != want[strings.Index(want, `"stale"`):] {
		t.Errorf("%s\n%s", got, want)
	}
	succeed(t, "forget", "d.ndjson#a", "--text", "d.ndjson", "--yes", "--db", "store")
	if found := hashes(t, "store"); len(found) != 1 || found["d.ndjson#b"] == "" {
		t.Error(found)
	}
}

// Any dialogues cut into documents in any way give back, document by document, what stands in the file.
func TestDocumentsOfDialogues(t *testing.T) {
	inNewDir(t)
	rapid.Check(t, func(t *rapid.T) {
		type row struct {
			ID string `json:"id"`
			T  string `json:"t"`
		}
		want := map[string]string{}
		var order []string
		var file strings.Builder
		for i := range rapid.IntRange(0, 5).Draw(t, "documents") {
			id := string(rune('a' + i))
			for range rapid.IntRange(1, 4).Draw(t, "records") {
				said := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "text")
				line, err := json.Marshal(row{id, said})
				if err != nil {
					t.Fatal(err)
				}
				file.Write(append(line, '\n'))
				want["d#"+id] += said + "\n"
			}
			order = append(order, "d#"+id)
		}
		if err := os.WriteFile("d", []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		in := input{label: "d", path: "d", dialogues: &dialogues{
			mapping: &dialogue.Mapping{Text: "t", Document: "id"}, format: dialogue.NDJSON, layout: dialogue.Lines,
		}}
		got := map[string]string{}
		var labels []string
		read := rapid.IntRange(0, 9).Draw(t, "read")
		err := in.documents("utf-8", func(label string, weight uint32, from io.Reader) error {
			labels = append(labels, label)
			buf := make([]byte, 1+read)
			for {
				n, err := from.Read(buf)
				got[label] += string(buf[:n])
				if err != nil || read == 9 && n > 0 { // some are left before their end
					if read == 9 {
						got[label] = want[label]
					}
					return nil
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(order, labels); diff != "" {
			t.Fatal(diff)
		}
	})
}
