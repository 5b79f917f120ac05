package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/pkg/database"
	ngramstore "dbslm/services/ngram/store"
)

// Documents are listed, replaced, weighted and forgotten; what is refused changes nothing.
func TestDocumentsAndForget(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("secret.txt", "The quokka counts the boats. Nobody saw the quokka.\n")
		succeed(t, p.on("train", "harbour.txt")...)
		before := succeed(t, p.on("eval", "harbour.txt", "--json")...)
		succeed(t, p.on("train", "secret.txt", "--weight", "2")...)
		if out := succeed(t, p.on("documents")...); !strings.Contains(out, "secret.txt   2") || !strings.Contains(out, "kept") {
			t.Errorf("documents:\n%s", out)
		}
		refuse(t, "replace it", p.on("train", "secret.txt", "--weight", "3")...)
		if out := succeed(t, p.on("train", "secret.txt", "--weight", "3", "--replace")...); !strings.Contains(out, "replaced secret.txt") {
			t.Errorf("train --replace:\n%s", out)
		}
		var listed []storedDocument
		if err := json.Unmarshal([]byte(succeed(t, p.on("documents", "--json")...)), &listed); err != nil || len(listed) != 2 || listed[1].Weight != 3 || !listed[1].TextKept {
			t.Errorf("%+v, error %v", listed, err)
		}
		refuse(t, "no document \"secrets.txt\"", p.on("forget", "secrets.txt")...)
		refuse(t, "no model \"quay\"", p.on("forget", "secret.txt", "--model", "quay")...)
		refuse(t, "the document's label is missing", p.on("forget")...)
		refuse(t, "--weight 0 is impossible", p.on("train", "secret.txt", "--weight", "0")...)
		if out := succeed(t, p.on("forget", "secret.txt", "--dry-run")...); !strings.Contains(out, "would drop build 2, 3") || !strings.Contains(out, "instead of build 3") {
			t.Errorf("forget --dry-run:\n%s", out)
		}
		var s forgetSummary
		if err := json.Unmarshal([]byte(succeed(t, p.on("forget", "secret.txt", "--json", "--yes")...)), &s); err != nil || s.Successor != 4 || len(s.Dropped) != 2 || s.Document.Label != "secret.txt" {
			t.Errorf("%+v, error %v", s, err)
		}
		if after := succeed(t, p.on("eval", "harbour.txt", "--json")...); perplexityOf(t, after) != perplexityOf(t, before) {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		refuse(t, "no document \"secret.txt\"", p.on("forget", "secret.txt")...)
		if p.flags[0] == "--db" && !strings.Contains(p.flags[1], "://") {
			notInFiles(t, p.flags[1], "quokka")
		}

		// Without its text a document is forgotten by who has it.
		succeed(t, p.on("train", "secret.txt", "--drop-text")...)
		write("other.txt", "This is not the secret.\n")
		refuse(t, "was not kept", p.on("forget", "secret.txt", "--yes")...)
		refuse(t, "nothing was changed", p.on("forget", "secret.txt", "--yes", "--text", "other.txt")...)
		refuse(t, "cannot read missing.txt", p.on("forget", "secret.txt", "--yes", "--text", "missing.txt")...)
		succeed(t, p.on("forget", "secret.txt", "--yes", "--text", "secret.txt")...)
	})
}

func perplexityOf(t *testing.T, out string) float64 {
	t.Helper()
	var report struct {
		Perplexity float64 `json:"perplexity_including_oov"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Perplexity == 0 {
		t.Fatalf("error %v in %s", err, out)
	}
	return report.Perplexity
}

// notInFiles looks for a word in every file below a directory.
func notInFiles(t *testing.T, dir, word string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(bytes.ToLower(data), []byte(word)) {
			t.Errorf("%s still holds %q", path, word)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Models are made, copied under another name and to another store, and deleted; one never touches another.
func TestCopyAndDelete(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		if out := succeed(t, p.on("models", "create", "empty", "--order", "5")...); !strings.Contains(out, "order 5") {
			t.Errorf("models create:\n%s", out)
		}
		refuse(t, "order 5, not 4", p.on("models", "create", "empty", "--order", "4")...)
		succeed(t, p.on("train", "harbour.txt")...)
		want := perplexityOf(t, succeed(t, p.on("eval", "harbour.txt", "--json")...))
		succeed(t, p.on("copy", "default", "twin")...)
		refuse(t, "already", p.on("copy", "default", "twin")...)
		refuse(t, "needs a name of its own", p.on("copy", "default")...)
		refuse(t, "no model \"nothing\"", p.on("copy", "nothing", "else")...)
		refuse(t, "cannot name a model", p.on("copy", "default", "a/b")...)
		succeed(t, p.on("forget", "harbour.txt", "--model", "twin", "--yes")...)
		if got := perplexityOf(t, succeed(t, p.on("eval", "harbour.txt", "--json")...)); got != want {
			t.Errorf("forgetting in the copy moved the original from %g to %g", want, got)
		}
		if p.flags[0] == "--db" {
			out := succeed(t, p.on("copy", "default", "--to-db", "elsewhere", "--json")...)
			if !strings.Contains(out, `"name": "default"`) {
				t.Errorf("copy --to-db:\n%s", out)
			}
			if got := perplexityOf(t, succeed(t, "eval", "harbour.txt", "--json", "--db", "elsewhere")); got != want {
				t.Errorf("the copy has the perplexity %g, the original %g", got, want)
			}
			for _, db := range []string{p.flags[1], "elsewhere"} {
				same := []string{"chat", "--prompt", "Who counts the boats?", "--seed", "7", "--db", db}
				_, a, _ := strings.Cut(succeed(t, same...), "\n") // after the conversation's id
				_, b, _ := strings.Cut(succeed(t, "chat", "--prompt", "Who counts the boats?", "--seed", "7", "--db", p.flags[1]), "\n")
				if a != b || !strings.Contains(a, "assistant> ") {
					t.Errorf("the copy says\n%s\nthe original\n%s", a, b)
				}
			}
		} else {
			refuse(t, "exclude each other", p.on("copy", "default", "--to-db", "elsewhere")...)
		}
		if out := succeed(t, p.on("models", "delete", "twin", "--yes")...); !strings.Contains(out, `deleted model "twin"`) {
			t.Errorf("models delete:\n%s", out)
		}
		if p.flags[0] == "--db" { // the command removed the rows itself
			if rows := rowsOf(t, p.flags[1], "twin"); rows != 0 {
				t.Errorf("%d rows of the deleted model are left", rows)
			}
		}
		refuse(t, "no model \"twin\"", p.on("models", "delete", "twin", "--yes")...)
		if out := succeed(t, p.on("models")...); strings.Contains(out, "twin") || !strings.Contains(out, "default") {
			t.Errorf("models:\n%s", out)
		}
	})
}

// rowsOf counts the generations of a model, dead ones included, and their n-grams.
func rowsOf(t *testing.T, dsn, model string) (rows int64) {
	t.Helper()
	db := openLevelOne(t, dsn)
	err := db.QueryRow(t.Context(), `SELECT (SELECT COUNT(*) FROM tbl_l1_models WHERE name = ?) + (SELECT COUNT(*) FROM tbl_l1_ng_counts_n c JOIN tbl_l1_models m ON m.model_id = c.model_id WHERE m.name = ?)`, model, model).Scan(&rows)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// openLevelOne opens the tables of level 1 for reading, until the test ends.
func openLevelOne(t *testing.T, dsn string) *database.DB {
	t.Helper()
	target, err := database.ParseTarget(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), target, ngramstore.Schema, database.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
