package database_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
)

// What is deleted is in no file afterwards. SQLite overwrites the row, but leaves what pages held before they were divided, so it
// takes many rows in disorder.
func TestOverwrite(t *testing.T) {
	at := databasetest.SQLiteTarget(t)
	db := databasetest.Open(t, at, testSchema(), database.Options{})
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that repeats itself
	for i := range 4000 {
		token := fmt.Sprintf("%08x kept", random.Uint32())
		if i%4 == 0 {
			token = fmt.Sprintf("%08x quokka", random.Uint32())
		}
		if _, err := db.Exec(t.Context(), `INSERT INTO tbl_tokens (id, token, label) VALUES (?, ?, ?)`, random.Uint32(), []byte(token), token); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(t.Context(), `DELETE FROM tbl_tokens WHERE label LIKE '%quokka'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Overwrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(at.String(), "*"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte("quokka")) {
			t.Errorf("%s still holds the word %d times", file, bytes.Count(data, []byte("quokka")))
		}
	}
	var left int
	if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tbl_tokens`).Scan(&left); err != nil || left != 3000 {
		t.Errorf("%d rows are left, error %v", left, err)
	}
}

// A copy that failed leaves the connection as it was: what it sorts later stays in memory.
func TestOverwriteThatFails(t *testing.T) {
	at := databasetest.SQLiteTarget(t)
	db := databasetest.Open(t, at, testSchema(), database.Options{WriteWait: 50 * time.Millisecond})
	files, err := filepath.Glob(filepath.Join(at.String(), "*.sqlite3"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	other, err := sql.Open("sqlite", files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := db.Overwrite(t.Context()); err == nil {
		t.Fatal("the file was written anew although somebody else was writing")
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	err = db.InTx(t.Context(), func(tx *database.Tx) error {
		var store int
		if err := tx.QueryRow(t.Context(), "PRAGMA temp_store").Scan(&store); err != nil || store != 2 {
			t.Errorf("temp_store is %d, error %v; want 2, the memory", store, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
