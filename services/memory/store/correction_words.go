package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/services/memory"
)

// The inverted index of a scope's active corrections: their words, and how many of them have each. It changes under the
// scope's lock.

const (
	insertCorrectionWords  = `INSERT INTO tbl_l2_correction_words (tenant, scope_key, word, correction_id) VALUES `
	selectWordsOfOne       = `SELECT word FROM tbl_l2_correction_words WHERE tenant = ? AND correction_id = ? ORDER BY word`
	deleteCorrectionWords  = `DELETE FROM tbl_l2_correction_words WHERE tenant = ? AND correction_id = ?`
	correctionWordCounts   = `tbl_l2_correction_word_counts`
	dropUncountedWords     = `DELETE FROM tbl_l2_correction_word_counts WHERE tenant = ? AND scope_key = ? AND corrections <= 0 AND word IN `
	everyCorrection        = "" // the word that counts all of a scope's corrections
	correctionWordsAtATime = 300
)

// fileCorrection adds a correction to the index under its words, which are sorted.
func fileCorrection(ctx context.Context, tx *database.Tx, k memory.Correction, words []string) error {
	scope := k.Place.Key()
	for begin := 0; begin < len(words); begin += correctionWordsAtATime {
		part := words[begin:min(begin+correctionWordsAtATime, len(words))]
		args := make([]any, 0, 4*len(part))
		for _, word := range part {
			args = append(args, k.Tenant, scope, word, k.ID)
		}
		if _, err := tx.Exec(ctx, insertCorrectionWords+database.Values(len(part), 4), args...); err != nil {
			return err
		}
	}
	return countWords(ctx, tx, k.Tenant, scope, words, 1)
}

// unfileCorrection takes a correction out of the index. A word that no other one has is in no table afterwards.
func unfileCorrection(ctx context.Context, tx *database.Tx, k memory.Correction) error {
	var words []string
	result, err := tx.Query(ctx, selectWordsOfOne, k.Tenant, k.ID)
	err = rows(result, err, func(row database.Scanner) error {
		var word string
		err := row.Scan(&word)
		words = append(words, word)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, deleteCorrectionWords, k.Tenant, k.ID); err != nil {
		return err
	}
	if err := countWords(ctx, tx, k.Tenant, k.Place.Key(), words, -1); err != nil || len(words) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, dropUncountedWords+database.In(len(words)), append([]any{k.Tenant, k.Place.Key()}, anys(words)...)...)
	return err
}

func anys(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}

func countWords(ctx context.Context, tx *database.Tx, tenant, scope string, words []string, change int64) error {
	changes := [][]any{{tenant, scope, everyCorrection, change}}
	for _, word := range words {
		changes = append(changes, []any{tenant, scope, word, change})
	}
	return tx.Upsert(ctx, correctionWordCounts, []string{"tenant", "scope_key", "word", "corrections"}, []string{"tenant", "scope_key", "word"},
		[]database.Assign{{Column: "corrections", Add: true}}, changes)
}
