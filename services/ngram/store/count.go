package store

import (
	"context"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

// Counted tells of the progress of counting: the label of the document at hand, and of it the bytes and tokens counted.
type Counted func(label string, bytes, tokens int64)

// Count counts every stored document that is not wholly counted, those that just arrived and those that a killed training
// left, in the order of their arrival, and then subtracts those that leave. It returns the documents that are wholly counted
// now. Every batch is one transaction; killed between any two, Count goes on where it stopped. What is new is added before
// what leaves is subtracted, so that no word falls to zero and comes back.
func (t *Trainer) Count(ctx context.Context, progress Counted) ([]ngram.Document, error) {
	if err := t.storePending(ctx); err != nil {
		return nil, err
	}
	counted, err := t.count(ctx, progress, false)
	if refused(err) { // which document of the batch it is shows when each has its own
		counted, err = t.count(ctx, progress, true)
	}
	return counted, err
}

// count is Count of what is stored; alone gives every document batches of its own, and takes back the first that is refused.
func (t *Trainer) count(ctx context.Context, progress Counted, alone bool) ([]ngram.Document, error) {
	arriving, leaving, err := t.unfinished(ctx)
	if err != nil || len(arriving)+len(leaving) == 0 {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	c := &batcher{ctx: ctx, t: t, progress: progress}
	var withdrawn *stored
	for _, documents := range [][]stored{arriving, leaving} {
		for i := range documents {
			if err == nil {
				err = t.paused()
			}
			if err == nil {
				err = c.document(&documents[i], decoder)
			}
			if err == nil && alone {
				err = c.apply()
			}
			if alone && refused(err) && withdrawn == nil && !documents[i].leaves() {
				withdrawn = &documents[i]
			}
		}
	}
	if err == nil || errors.Is(err, ErrPaused) {
		if applyErr := c.apply(); applyErr != nil {
			err = applyErr
		}
	}
	if err != nil {
		t.words = nil // it may hold words that are not stored
		if withdrawn != nil {
			err = t.withdraw(ctx, withdrawn, decoder, err)
		}
		if !errors.Is(err, ErrPaused) {
			return nil, err
		}
	}
	if removeErr := t.discardLeft(ctx, leaving); removeErr != nil {
		return nil, removeErr
	}
	var counted []ngram.Document
	for _, d := range arriving {
		if d.complete {
			d.State = ngram.DocumentCounted
			counted = append(counted, d.Document)
		}
	}
	return counted, err
}

// ReasonPaused is the reason of ErrPaused.
const ReasonPaused = "JOB_PAUSED"

// ErrPaused is what Count returns when it stopped at a checkpoint, and nothing is wrong.
var ErrPaused = errors.New(errors.Aborted, ReasonPaused, "the time was up; what is counted stays counted, and the same call goes on from there")

// PauseAt has Count stop at the first checkpoint after that time.
func (t *Trainer) PauseAt(at time.Time) { t.pauseAt = at }

// paused is ErrPaused when it is time to stop.
func (t *Trainer) paused() error {
	if !t.pauseAt.IsZero() && !t.store.options.Clock().Before(t.pauseAt) {
		return ErrPaused
	}
	return nil
}

// Unfinished lists the labels of documents that an earlier training stored and did not count, or subtract, to their end.
func (t *Trainer) Unfinished(ctx context.Context) ([]string, error) {
	arriving, leaving, err := t.unfinished(ctx)
	labels := make([]string, 0, len(arriving)+len(leaving))
	for _, d := range slices.Concat(arriving, leaving) {
		labels = append(labels, d.Label)
	}
	return labels, err
}

// batcher fills batches and applies them.
type batcher struct {
	ctx      context.Context
	t        *Trainer
	progress Counted
	batch    *counting.Batch
	cursors  []cursor
	ids      []uint32
}

// cursor is how far a document is counted, or subtracted, when the batch at hand is.
type cursor struct {
	document *stored
	done     int64
	tokens   int64
	complete bool
}

func (b *batcher) document(d *stored, decoder *zstd.Decoder) error {
	t := b.t
	if t.words == nil {
		var err error
		if t.words, err = t.loadVocabulary(b.ctx); err != nil {
			return err
		}
	}
	if d.leaves() {
		return b.leaving(d, decoder)
	}
	from, tokens, ended := d.done, int64(0), false
	reader := &textReader{ctx: b.ctx, store: t.store, decoder: decoder, model: t.model.ID, id: d.ID, offset: from, size: d.size}
	err := t.tokenizer.Sentences(reader, func(sentence text.Sentence) error {
		if b.batch == nil {
			b.batch = counting.NewBatch(t.model.Settings.Order, t.store.options.Hash)
		}
		b.ids = t.words.add(b.ids[:0], sentence, d.Weight)
		b.batch.Add(b.ids, d.Weight)
		tokens += int64(len(b.ids))
		if p := t.probing; p != nil {
			p.tokens += int64(len(b.ids))
		}
		if b.batch.Len()*t.model.Settings.Order < t.windows && !t.probing.due() {
			return nil
		}
		done := from + sentence.End
		ended = done == d.size // a cursor at the end says that all is counted
		b.cursors = append(b.cursors, cursor{document: d, done: done, tokens: tokens, complete: ended})
		if err := b.apply(); err != nil {
			return err
		}
		return t.paused()
	})
	if err != nil {
		return err
	}
	if !ended {
		b.cursors = append(b.cursors, cursor{document: d, done: d.size, tokens: tokens, complete: true})
	}
	if p := t.probing; p != nil {
		if p.documents++; p.due() {
			return b.apply()
		}
	}
	return nil
}

const (
	moveCursor = `UPDATE tbl_corpus SET bytes_done = ?, state = ?, first_version = COALESCE(first_version, ?)
WHERE model_id = ? AND document_id = ? AND bytes_done = ? AND state = 'stored'`
	moveOut        = `UPDATE tbl_corpus_aside SET bytes_out = ?, last_version = ? WHERE model_id = ? AND document_id = ? AND bytes_out = ? AND last_version IS NULL`
	advanceVersion = `UPDATE tbl_l1_models SET counts_version = counts_version + 1, vocabulary_size = ?, documents = documents + ?, sentences = sentences + ?,
  tokens = tokens + ? WHERE model_id = ? AND counts_version = ? AND state = 'live'`
	refreshFrequencies = `UPDATE tbl_l1_vocabulary SET freq_global = COALESCE((SELECT c.c FROM tbl_l1_ng_counts_n c WHERE c.model_id = tbl_l1_vocabulary.model_id
  AND c.n = 1 AND c.context_hash = ? AND c.next_token_id = tbl_l1_vocabulary.token_id), 0) WHERE model_id = ? AND token_id IN `
)

// apply counts the batch: one transaction that also moves the cursors.
func (b *batcher) apply() error {
	if len(b.cursors) == 0 {
		return nil
	}
	t := b.t
	batch := b.batch
	if batch == nil {
		batch = counting.NewBatch(t.model.Settings.Order, t.store.options.Hash)
	}
	complete := int64(0)
	for _, c := range b.cursors {
		switch {
		case c.complete && !c.document.leaves():
			complete++
		case c.complete && c.done == c.document.size: // all of it was counted
			complete--
		}
	}
	if size := t.words.size(); size > ngram.MaxTokens {
		return errors.New(errors.ResourceExhausted, reasonVocabulary, "model %q would have %d different tokens, and %d is the most; the text of this batch is not counted", t.model.Name, size, ngram.MaxTokens).
			With("model", t.model.Name)
	}
	err := t.store.db.InTx(b.ctx, func(tx *database.Tx) error {
		if err := t.stillMine(b.ctx, tx); err != nil {
			return err
		}
		if err := t.addCounts(b.ctx, tx, batch); err != nil {
			return err
		}
		for _, c := range b.cursors {
			if err := t.move(b.ctx, tx, c); err != nil {
				return err
			}
		}
		sums := batch.Totals()
		matched, err := tx.Exec(b.ctx, advanceVersion, int64(t.words.size()), complete, sums.Sentences, sums.Tokens, int64(t.model.ID), t.model.CountsVersion)
		if err == nil && matched != 1 {
			err = t.changed()
		}
		return err
	})
	if err == nil && t.immediate {
		err = t.store.settle(b.ctx, t.model.ID)
	}
	if err != nil {
		return t.named(err)
	}
	t.words.commit()
	t.model.CountsVersion++
	t.model.TokenEnd = int64(t.words.size())
	t.model.Documents += complete
	t.model.Sentences += batch.Totals().Sentences
	t.model.Tokens += batch.Totals().Tokens
	for _, c := range b.cursors {
		if c.document.leaves() {
			c.document.out, c.document.complete = c.done, c.complete
		} else {
			c.document.done, c.document.complete = c.done, c.complete
		}
		if b.progress != nil {
			b.progress(c.document.Label, c.done, c.tokens)
		}
	}
	b.batch, b.cursors = nil, b.cursors[:0]
	if t.probing.due() {
		return t.probe(b.ctx)
	}
	return nil
}

const selectVersion = `SELECT counts_version FROM tbl_l1_models WHERE model_id = ? AND state = ?`

// stillMine checks that nobody else counted since this trainer did.
func (t *Trainer) stillMine(ctx context.Context, tx *database.Tx) error {
	var version int64
	state := generationLive
	if t.hidden {
		state = generationRetired
	}
	err := tx.QueryRow(ctx, selectVersion, int64(t.model.ID), state).Scan(&version)
	if errors.Is(err, database.ErrNoRows) || err == nil && version != t.model.CountsVersion {
		return t.changed()
	}
	return err
}

func (t *Trainer) changed() error {
	return errors.New(errors.Aborted, reasonLeaseLost, "model %q was changed by somebody else; start the training again", t.model.Name).With("model", t.model.Name)
}

func (t *Trainer) move(ctx context.Context, tx *database.Tx, c cursor) error {
	if c.document.leaves() {
		var last any
		if c.complete {
			last = t.model.CountsVersion + 1
		}
		return moved(c, func() (int64, error) {
			return tx.Exec(ctx, moveOut, c.done, last, int64(t.model.ID), c.document.ID, c.document.out)
		})
	}
	state := ngram.DocumentStored
	if c.complete {
		state = ngram.DocumentCounted
		if !c.document.TextKept {
			if _, err := tx.Exec(ctx, deletePieces, int64(t.model.ID), c.document.ID); err != nil {
				return err
			}
		}
	}
	return moved(c, func() (int64, error) {
		return tx.Exec(ctx, moveCursor, c.done, string(state), t.model.CountsVersion, int64(t.model.ID), c.document.ID, c.document.done)
	})
}

// moved runs the statement that moves a cursor, which must find it where it was.
func moved(c cursor, move func() (int64, error)) error {
	matched, err := move()
	if err == nil && matched != 1 {
		err = errors.New(errors.Aborted, reasonLeaseLost, "document %q was changed by somebody else; start the training again", c.document.Label)
	}
	return err
}
