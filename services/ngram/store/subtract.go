package store

import (
	"context"
	"slices"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

// unfinished returns the documents that are stored and not wholly counted, and those that are not wholly subtracted.
func (t *Trainer) unfinished(ctx context.Context) (arriving, leaving []stored, err error) {
	arriving, err = readDocuments(ctx, t.store.db, t.model.ID, byState, string(ngram.DocumentStored))
	for _, state := range []ngram.DocumentState{ngram.DocumentLeaving, ngram.DocumentForgetting} {
		if err != nil {
			return nil, nil, err
		}
		var aside []stored
		aside, err = readAside(ctx, t.store.db, t.model.ID, byState, string(state))
		for _, d := range aside {
			if state == ngram.DocumentLeaving || d.last == nil {
				leaving = append(leaving, d)
			}
		}
	}
	return arriving, leaving, err
}

// discardLeft removes what is left of documents that are wholly subtracted.
func (t *Trainer) discardLeft(ctx context.Context, leaving []stored) error {
	for _, d := range leaving {
		var err error
		switch {
		case !d.complete && d.last == nil:
		case d.State == ngram.DocumentLeaving:
			err = t.store.discard(ctx, t.model.ID, d.ID)
		default: // Forget removes the row, when nothing else is left of the document
			err = t.store.discardText(ctx, t.model.ID, d.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errCounted ends the reading of a text of which no more was counted.
var errCounted = errors.New(errors.Internal, "NO_MORE_COUNTED", "the rest of the text was not counted")

// leaving subtracts what was counted of a document.
func (b *batcher) leaving(d *stored, decoder *zstd.Decoder) error {
	if d.last != nil { // only its text and row are left
		return nil
	}
	t := b.t
	from, tokens := d.out, int64(0)
	reader := &textReader{ctx: b.ctx, store: t.store, decoder: decoder, model: t.model.ID, id: d.ID, offset: from, size: d.size}
	err := t.tokenizer.Sentences(reader, func(sentence text.Sentence) (err error) {
		if from+sentence.End > d.done {
			return errCounted
		}
		if b.batch == nil {
			b.batch = counting.NewBatch(t.model.Settings.Order, t.store.options.Hash)
		}
		if b.ids, err = t.words.take(b.ids[:0], sentence, d.Weight); err != nil {
			return err
		}
		b.batch.Add(b.ids, -d.Weight)
		tokens += int64(len(b.ids))
		if b.batch.Len()*t.model.Settings.Order < t.windows {
			return nil
		}
		b.cursors = append(b.cursors, cursor{document: d, done: from + sentence.End, tokens: tokens})
		if err := b.apply(); err != nil {
			return err
		}
		return b.t.paused()
	})
	if err == nil || errors.Is(err, errCounted) {
		b.cursors = append(b.cursors, cursor{document: d, done: d.done, tokens: tokens, complete: true})
		err = nil
	}
	return err
}

const (
	deleteContexts  = `DELETE FROM tbl_l1_context_registry WHERE model_id = ? AND n = ? AND context_hash IN `
	deleteHotness   = `DELETE FROM tbl_l1_context_hotness WHERE model_id = ? AND n = ? AND context_hash IN `
	deleteAll       = `DELETE FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash IN `
	deleteMarked    = `DELETE FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND c = 0 AND context_hash IN `
	deleteFollowers = `DELETE FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash = ? AND next_token_id IN `
)

// removeRows deletes the rows of a delta that are gone. Contexts without a follower go whole. Of the others, the rows that
// are gone are first marked by a count of 0 and then deleted many contexts at a time, which costs a tenth of a statement per
// context; where a context has many followers, its rows are named instead.
func removeRows(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	var whole, parts []any
	var marks [][]any
	var gone int64
	err := delta.Losses(func(c *counting.Context, tokens []uint32, all bool) error {
		gone += int64(len(tokens))
		switch {
		case all:
			whole = append(whole, c.Hash)
		case c.Stored() <= manyFollowers:
			parts = append(parts, c.Hash)
			for _, token := range tokens {
				marks = append(marks, []any{int64(model), delta.N, c.Hash, int64(token), 0, nil})
			}
		default:
			for some := range slices.Chunk(tokens, idsPerQuery) {
				args := []any{int64(model), delta.N, c.Hash}
				for _, token := range some {
					args = append(args, int64(token))
				}
				deleted, err := tx.Exec(ctx, deleteFollowers+database.In(len(some)), args...)
				if err != nil {
					return err
				}
				gone -= deleted
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := tx.Upsert(ctx, "tbl_l1_ng_counts_n", countColumns, countColumns[:4], []database.Assign{{Column: "c"}, {Column: "a"}}, marks); err != nil {
		return err
	}
	for _, step := range []struct {
		query string
		keys  []any
	}{{deleteMarked, parts}, {deleteAll, whole}} {
		deleted, err := deleteKeys(ctx, tx, step.query, model, delta.N, step.keys)
		if err != nil {
			return err
		}
		gone -= deleted
	}
	if gone != 0 {
		return errors.New(errors.DataLoss, "COUNTS_INCONSISTENT",
			"the counts of the model contradict its contexts, so nothing was subtracted; reset the model and train again")
	}
	return nil
}

// removeContexts deletes the contexts of a delta that have no followers any more.
func removeContexts(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	var gone []any
	err := delta.Registry(counting.Gone, func(row counting.RegistryRow) error {
		gone = append(gone, row.Hash)
		return nil
	})
	for _, query := range []string{deleteContexts, deleteHotness} {
		if err == nil {
			_, err = deleteKeys(ctx, tx, query, model, delta.N, gone)
		}
	}
	return err
}

func deleteKeys(ctx context.Context, tx *database.Tx, query string, model ngram.ModelID, n int, keys []any) (deleted int64, err error) {
	for some := range slices.Chunk(keys, idsPerQuery) {
		gone, err := tx.Exec(ctx, query+database.In(len(some)), append([]any{int64(model), n}, some...)...)
		if err != nil {
			return deleted, err
		}
		deleted += gone
	}
	return deleted, nil
}
