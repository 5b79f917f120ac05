package store

import (
	"context"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// reasonTooGreat is that of counting.MaxCount, the others are of this package.
const (
	reasonTooGreat   = "COUNT_TOO_GREAT"
	reasonCollision  = "CONTEXT_HASH_COLLISION"
	reasonVocabulary = "VOCABULARY_FULL"
)

// refused says that a text cannot be counted, now or ever: trying again would end in the same way.
func refused(err error) bool {
	switch errors.ReasonOf(err) {
	case reasonTooGreat, reasonCollision, reasonVocabulary:
		return true
	}
	return false
}

const (
	selectReplaced = `AND label = ? AND state = 'leaving' ORDER BY document_id DESC LIMIT 1`
	putBack        = `INSERT INTO tbl_corpus (model_id, label, document_id, content_hash, weight, state, text_bytes, sentences, tokens, ngrams,
  bytes_done, text_kept, stored_bytes, first_version, created_at)
SELECT model_id, label, document_id, content_hash, weight, CASE WHEN bytes_done = stored_bytes THEN 'counted' ELSE 'stored' END, text_bytes, sentences, tokens, ngrams,
  bytes_done, text_kept, stored_bytes, first_version, created_at FROM tbl_corpus_aside WHERE model_id = ? AND document_id = ?`
)

// withdraw takes a document back that was refused, as if it had not been sent: what it was to replace is in its place again, and
// what was counted of it is subtracted. It would stop every later training otherwise. cause is why; the result tells it by name.
func (t *Trainer) withdraw(ctx context.Context, d *stored, decoder *zstd.Decoder, cause error) error {
	left := *d
	left.State, left.complete = ngram.DocumentLeaving, false
	if d.done == 0 {
		left.State = ngram.DocumentReceiving // nothing to subtract
	}
	err := t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := t.stillMine(ctx, tx); err != nil {
			return err
		}
		if err := remove(ctx, tx, deleteDocument, d); err != nil {
			return err
		}
		replaced, err := readAside(ctx, tx, t.model.ID, selectReplaced, []byte(d.Label))
		if err != nil {
			return err
		}
		if len(replaced) > 0 && replaced[0].out == 0 && replaced[0].last == nil {
			if _, err := tx.Exec(ctx, putBack, int64(t.model.ID), replaced[0].ID); err != nil {
				return err
			}
			if err := remove(ctx, tx, deleteAside, &replaced[0]); err != nil {
				return err
			}
		}
		return setAside(ctx, tx, d, left.State)
	})
	if err == nil && left.leaves() {
		b := &batcher{ctx: ctx, t: t}
		if err = b.document(&left, decoder); err == nil {
			err = b.apply()
		}
		if err == nil {
			err = t.sweepWords(ctx)
		}
	}
	if err == nil {
		err = t.store.discard(ctx, t.model.ID, d.ID)
	}
	if err != nil {
		return err // the next training goes on with it
	}
	return errors.Wrap(cause, errors.KindOf(cause), errors.ReasonOf(cause), "document %q was not taken: %s", d.Label, errors.Public(cause)).With("label", d.Label)
}
