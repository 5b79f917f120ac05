package store

import (
	"bytes"
	"context"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
)

// words is the vocabulary of the generation in training, resident, with what the batch at hand adds to it. When a batch
// fails it is thrown away and read again.
type words struct {
	ids       map[string]uint32
	committed uint32   // ids below are stored
	fresh     []string // tokens of the ids from committed on
	forms     [][]form // by token id: forms in the batch; nil unless the tokeniser keeps surfaces
	touched   []uint32 // token ids with forms
	surfaces  bool
}

// form counts how a token was written.
type form struct {
	written      []byte
	inner, start int64
}

const selectWords = `SELECT token_id, token FROM tbl_l1_vocabulary WHERE model_id = ? AND is_control = 0 ORDER BY token_id`

func (t *Trainer) loadVocabulary(ctx context.Context) (*words, error) {
	w := &words{
		ids:       make(map[string]uint32, t.model.VocabularySize),
		committed: uint32(t.model.TokenEnd),
		surfaces:  t.model.Settings.Tokenizer == ngram.TokenizerWords,
	}
	err := t.store.db.Stream(ctx, selectWords, []any{int64(t.model.ID)}, func(row database.Row) error {
		w.ids[string(row.Bytes(1))] = uint32(row.Int(0))
		return nil
	})
	return w, err
}

// add appends the ids of a sentence's tokens; unknown tokens get the next ids.
func (w *words) add(ids []uint32, sentence text.Sentence, weight int64) []uint32 {
	for _, token := range sentence.Tokens {
		id, known := w.ids[string(token.Text)]
		if !known {
			id = w.committed + uint32(len(w.fresh))
			word := string(token.Text)
			w.ids[word] = id
			w.fresh = append(w.fresh, word)
		}
		if w.surfaces {
			w.note(id, token, weight)
		}
		ids = append(ids, id)
	}
	return ids
}

// take appends the ids of a sentence's tokens that is to be subtracted weight times.
func (w *words) take(ids []uint32, sentence text.Sentence, weight int64) ([]uint32, error) {
	for _, token := range sentence.Tokens {
		id, known := w.ids[string(token.Text)]
		if !known {
			return nil, errors.New(errors.FailedPrecondition, "NEVER_COUNTED",
				"the text to be taken out has the token %q, which the model never counted: this text was not counted, or not in this way", token.Text)
		}
		if w.surfaces {
			w.note(id, token, -weight)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (w *words) note(id uint32, token text.Token, weight int64) {
	if int(id) >= len(w.forms) {
		w.forms = append(w.forms, make([][]form, max(int(id)+1-len(w.forms), len(w.forms)/2))...)
	}
	written := token.Written()
	forms := w.forms[id]
	if len(forms) == 0 {
		w.touched = append(w.touched, id)
	}
	at := -1
	for i := range forms {
		if bytes.Equal(forms[i].written, written) {
			at = i
			break
		}
	}
	if at < 0 {
		at = len(forms)
		forms = append(forms, form{written: bytes.Clone(written)})
		w.forms[id] = forms
	}
	if token.Initial {
		forms[at].start += weight
	} else {
		forms[at].inner += weight
	}
}

// size is the number of token ids, control tokens included.
func (w *words) size() uint32 { return w.committed + uint32(len(w.fresh)) }

// commit is called when what the batch added is stored.
func (w *words) commit() {
	w.committed = w.size()
	w.fresh = w.fresh[:0]
	for _, id := range w.touched {
		w.forms[id] = nil
	}
	w.touched = w.touched[:0]
}

// loadWords inserts tokens with ids from first on.
func loadWords(ctx context.Context, tx *database.Tx, model ngram.ModelID, first uint32, each func(yield func(token string, control bool, count int64) error) error) error {
	_, err := tx.Load(ctx, "tbl_l1_vocabulary", []string{"model_id", "token_id", "token", "is_control", "freq_global"}, func(w database.RowWriter) error {
		id := int64(first)
		return each(func(token string, control bool, count int64) error {
			w.Int(int64(model))
			w.Int(id)
			w.Bytes([]byte(token))
			if control {
				w.Int(1)
			} else {
				w.Int(0)
			}
			w.Int(count)
			id++
			return w.EndRow()
		})
	})
	return err
}

var formColumns = []string{"model_id", "token_id", "form", "inner_count", "start_count"}

// saveForms adds the forms of a batch to the stored ones. Tokens that are new have no stored forms.
func (w *words) saveForms(ctx context.Context, tx *database.Tx, model ngram.ModelID) error {
	slices.Sort(w.touched)
	split, _ := slices.BinarySearch(w.touched, w.committed)
	var rows [][]any
	for _, id := range w.touched[:split] {
		for _, f := range sortedForms(w.forms[id]) {
			rows = append(rows, []any{int64(model), int64(id), f.written, f.inner, f.start})
		}
	}
	add := []database.Assign{{Column: "inner_count", Add: true}, {Column: "start_count", Add: true}}
	if err := tx.Upsert(ctx, "tbl_l1_surface_forms", formColumns, formColumns[:3], add, rows); err != nil {
		return err
	}
	if err := w.removeForms(ctx, tx, model, w.touched[:split]); err != nil || split == len(w.touched) {
		return err
	}
	_, err := tx.Load(ctx, "tbl_l1_surface_forms", formColumns, func(writer database.RowWriter) error {
		for _, id := range w.touched[split:] {
			for _, f := range sortedForms(w.forms[id]) {
				if f.inner == 0 && f.start == 0 { // it came and went within the batch
					continue
				}
				writer.Int(int64(model))
				writer.Int(int64(id))
				writer.Bytes(f.written)
				writer.Int(f.inner)
				writer.Int(f.start)
				if err := writer.EndRow(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}

const (
	countNegative = `SELECT COUNT(*) FROM tbl_l1_surface_forms WHERE model_id = ? AND (inner_count < 0 OR start_count < 0) AND token_id IN `
	deleteNoForms = `DELETE FROM tbl_l1_surface_forms WHERE model_id = ? AND inner_count = 0 AND start_count = 0 AND token_id IN `
)

// removeForms removes the forms of tokens that were subtracted to nothing.
func (w *words) removeForms(ctx context.Context, tx *database.Tx, model ngram.ModelID, tokens []uint32) error {
	var losing []any
	for _, id := range tokens {
		if slices.ContainsFunc(w.forms[id], func(f form) bool { return f.inner < 0 || f.start < 0 }) {
			losing = append(losing, int64(id))
		}
	}
	for some := range slices.Chunk(losing, idsPerQuery) {
		args := append([]any{int64(model)}, some...)
		var negative int64
		if err := tx.QueryRow(ctx, countNegative+database.In(len(some)), args...).Scan(&negative); err != nil {
			return err
		}
		if negative > 0 {
			return errors.New(errors.FailedPrecondition, "NEVER_COUNTED",
				"the text to be taken out writes a word as the model never counted it: this text was not counted, or not in this way")
		}
		if _, err := tx.Exec(ctx, deleteNoForms+database.In(len(some)), args...); err != nil {
			return err
		}
	}
	return nil
}

func sortedForms(forms []form) []form {
	slices.SortFunc(forms, func(a, b form) int { return bytes.Compare(a.written, b.written) })
	return forms
}
