package store_test

import (
	"os"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/ngramtest"
	"dbslm/services/ngram/store"
)

func TestSmoke(t *testing.T) {
	text, _ := os.ReadFile("../testdata/golden/tiny.txt")
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		b := ngramtest.Train(t, db, "m", ngram.Settings{Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{}, string(text))
		t.Logf("%+v", b)
		b = ngramtest.Train(t, db, "m", ngram.Settings{Tokenizer: ngram.TokenizerWhitespace}, ngram.BuildOptions{Storage: ngram.StorageExact}, string(text))
		t.Logf("%+v", b)
		b = ngramtest.Train(t, db, "w", ngram.Settings{}, ngram.BuildOptions{}, string(text))
		t.Logf("%+v", b)
	})
}
