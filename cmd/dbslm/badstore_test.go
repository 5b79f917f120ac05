package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dbslm/pkg/database"
	memorystore "dbslm/services/memory/store"
)

// A damaged store is said to be damaged.
func TestDamagedStore(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	for _, name := range []string{"dbslm_ngram", "dbslm_memory", "dbslm_concept"} {
		path := filepath.Join("store", name+".sqlite3")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append(append([]byte{}, whole[:4096]...), make([]byte, len(whole)-4096)...)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"models"}, {"train", "harbour.txt"}, {"chat", "--prompt", "Hello."}} {
			refuse(t, "damaged", append(args, "--db", "store")...)
		}
		if name == "dbslm_ngram" { // found out late, while a service works
			damaged = append(append([]byte{}, whole[:len(whole)/4096/3*4096]...), make([]byte, len(whole)-len(whole)/4096/3*4096)...)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			refuse(t, "damaged", "builds", "create", "--db", "store")
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	succeed(t, "chat", "--prompt", "Hello.", "--db", "store")
}

// A store made by a newer program is refused, and so is one that an older program left on a database server.
func TestOtherVersions(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	target, err := database.ParseTarget("store")
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), target, memorystore.Schema, database.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "INSERT INTO tbl_schema_migrations (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"models"}, {"chat", "--prompt", "Hello."}, {"train", "harbour.txt"}, {"migrate"}, {"serve", "--listen", "127.0.0.1:0"}} {
		r := invoke(t, append(args, "--db", "store")...)
		if r.code != exitUsage || !strings.Contains(r.complaint(), "newer") {
			t.Errorf("%v: exit code %d, %q", args, r.code, r.complaint())
		}
	}
}

// A store in a directory where nothing can be written is refused.
func TestUnwritableStore(t *testing.T) {
	inHarbour(t)
	if err := os.WriteFile("store", nil, 0o400); err != nil {
		t.Fatal(err)
	}
	refuse(t, "store is a file; --db takes a directory", "train", "harbour.txt", "--db", "store")
}
