package store

import (
	"bytes"
	"context"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
)

const (
	selectSurfaces = `SELECT f.token_id, f.form, f.inner_count, f.start_count, v.token FROM tbl_l1_surface_forms f
JOIN tbl_l1_vocabulary v ON v.model_id = f.model_id AND v.token_id = f.token_id
WHERE f.model_id = ? AND f.token_id < ? ORDER BY f.token_id, f.form`
	selectOpenForms = `SELECT token_id, since_build, form FROM tbl_l1_forms WHERE model_id = ? AND until_build IS NULL ORDER BY token_id`
)

// chosen is how a token is written, where that is not as it is.
type chosen struct {
	token int64
	form  []byte
}

// saveForms chooses how each token is written: as most often away from the start of a sentence, or if it never stood
// there, as most often at all; the first in byte order wins a tie. Like probabilities, choices are rows of builds.
func (d *derivation) saveForms(ctx context.Context, tx *database.Tx) (added, closed int64, err error) {
	if d.t.model.Settings.Tokenizer != ngram.TokenizerWords {
		return 0, 0, nil
	}
	wanted, err := d.chooseForms(ctx, tx)
	if err != nil {
		return 0, 0, err
	}
	var closing [][]any
	at := 0
	keep := make([]bool, len(wanted))
	err = tx.Stream(ctx, selectOpenForms, []any{int64(d.build.Model)}, func(row database.Row) error {
		token := row.Int(0)
		for at < len(wanted) && wanted[at].token < token {
			at++
		}
		if at < len(wanted) && wanted[at].token == token && bytes.Equal(wanted[at].form, row.Bytes(2)) {
			keep[at] = true
		} else {
			closing = append(closing, []any{int64(d.build.Model), token, row.Int(1), int64(d.build.ID)})
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	columns := []string{"model_id", "token_id", "since_build", "until_build"}
	if err := tx.Upsert(ctx, "tbl_l1_forms", columns, columns[:3], []database.Assign{{Column: "until_build"}}, closing); err != nil {
		return 0, 0, err
	}
	added, err = tx.Load(ctx, "tbl_l1_forms", []string{"model_id", "token_id", "since_build", "form"}, func(w database.RowWriter) error {
		for i, c := range wanted {
			if keep[i] {
				continue
			}
			w.Int(int64(d.build.Model))
			w.Int(c.token)
			w.Int(int64(d.build.ID))
			w.Bytes(c.form)
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	return added, int64(len(closing)), err
}

func (d *derivation) chooseForms(ctx context.Context, tx *database.Tx) ([]chosen, error) {
	var wanted []chosen
	last := int64(-1)
	var word, best []byte
	var inner, start int64
	end := func() {
		if last >= 0 && !bytes.Equal(word, best) {
			wanted = append(wanted, chosen{token: last, form: bytes.Clone(best)})
		}
	}
	err := tx.Stream(ctx, selectSurfaces, []any{int64(d.build.Model), int64(d.build.VocabularyEnd)}, func(row database.Row) error {
		if token := row.Int(0); token != last {
			end()
			last, inner, start = token, -1, -1
			word = append(word[:0], row.Bytes(4)...)
		}
		if i, s := row.Int(2), row.Int(3); i > inner || i == inner && i == 0 && s > start {
			inner, start = i, s
			best = append(best[:0], row.Bytes(1)...)
		}
		return nil
	})
	end()
	return wanted, err
}
