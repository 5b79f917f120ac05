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

// addCounts adds a batch to every table of counts.
func (t *Trainer) addCounts(ctx context.Context, tx *database.Tx, batch *counting.Batch) error {
	totals, err := readTotals(ctx, tx, t.model.ID, t.model.Settings.Order)
	if err != nil {
		return err
	}
	var resolved []*counting.Delta
	for deltas := batch.Deltas(); ; {
		delta, err := deltas.Next()
		if err != nil {
			return err
		}
		if delta == nil {
			break
		}
		resolved = append(resolved, delta)
		if err := tell(ctx, tx, t.model.ID, t.store.options.Hash(nil), delta, totals[delta.N-1]); err != nil {
			return err
		}
		change, err := delta.Resolve()
		if err != nil {
			return err
		}
		totals[delta.N-1].add(change)
	}
	// Counting goes from the highest order down, but keys begin with the order: rows loaded in key order fill their pages.
	slices.Reverse(resolved)
	for _, delta := range resolved {
		if err := t.saveCounts(ctx, tx, delta); err != nil {
			return err
		}
	}
	if err := dropSegments(ctx, tx, t.model.ID, resolved); err != nil {
		return err
	}
	if err := t.saveWords(ctx, tx, resolved[0]); err != nil {
		return err
	}
	return saveTotals(ctx, tx, t.model.ID, totals)
}

func (o *orderTotals) add(change counting.Change) {
	o.NGrams += change.NGrams
	o.Contexts += change.Contexts
	o.Raw += change.Raw
	o.Adjusted += change.Adjusted
	for k := range o.CountsOfCounts {
		o.CountsOfCounts[k] += change.CountsOfCounts[k]
	}
}

func saveTotals(ctx context.Context, tx *database.Tx, model ngram.ModelID, totals []orderTotals) error {
	columns := []string{"model_id", "n", "ngrams", "contexts", "raw_total", "adjusted_total", "t1", "t2", "t3", "t4"}
	var replace []database.Assign
	for _, column := range columns[2:] {
		replace = append(replace, database.Assign{Column: column})
	}
	var rows [][]any
	for i, o := range totals {
		t := o.CountsOfCounts
		rows = append(rows, []any{int64(model), i + 1, o.NGrams, o.Contexts, o.Raw, o.Adjusted, t[0], t[1], t[2], t[3]})
	}
	return tx.Upsert(ctx, "tbl_l1_model_orders", columns, columns[:2], replace, rows)
}

var (
	countColumns    = []string{"model_id", "n", "context_hash", "next_token_id", "c", "a"}
	registryColumns = []string{"model_id", "n", "context_hash", "parent_hash", "oldest_token_id", "n1", "n2", "n3", "a3"}
)

// saveCounts stores a resolved delta: new rows in bulk, changed ones as upserts, all in key order.
func (t *Trainer) saveCounts(ctx context.Context, tx *database.Tx, delta *counting.Delta) error {
	save := saveRows
	if t.immediate {
		save = journalCounts
	}
	if err := save(ctx, tx, t.model.ID, delta); err != nil {
		return err
	}
	return saveContexts(ctx, tx, t.model.ID, delta)
}

func saveRows(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	_, err := tx.Load(ctx, "tbl_l1_ng_counts_n", countColumns, func(w database.RowWriter) error {
		return delta.Rows(counting.New, func(row counting.Row) error {
			w.Int(int64(model))
			w.Int(int64(delta.N))
			w.Int(row.Hash)
			w.Int(int64(row.Token))
			w.Int(row.Raw)
			if row.Adjusted == row.Raw {
				w.Null()
			} else {
				w.Int(row.Adjusted)
			}
			return w.EndRow()
		})
	})
	if err != nil {
		return err
	}
	var rows [][]any
	err = delta.Rows(counting.Changed, func(row counting.Row) error {
		var adjusted any
		if row.Adjusted != row.Raw {
			adjusted = row.Adjusted
		}
		rows = append(rows, []any{int64(model), delta.N, row.Hash, int64(row.Token), row.Raw, adjusted})
		return nil
	})
	if err != nil {
		return err
	}
	if err := tx.Upsert(ctx, "tbl_l1_ng_counts_n", countColumns, countColumns[:4], []database.Assign{{Column: "c"}, {Column: "a"}}, rows); err != nil {
		return err
	}
	return removeRows(ctx, tx, model, delta)
}

func saveContexts(ctx context.Context, tx *database.Tx, model ngram.ModelID, delta *counting.Delta) error {
	_, err := tx.Load(ctx, "tbl_l1_context_registry", registryColumns, func(w database.RowWriter) error {
		return delta.Registry(counting.New, func(row counting.RegistryRow) error {
			w.Int(int64(model))
			w.Int(int64(delta.N))
			writeIdentity(w, delta.N, row.Hash, row.Parent, row.Oldest)
			writeSums(w, row.Adjusted, [3]int64{int64(row.Followers[0]), int64(row.Followers[1]), int64(row.Followers[2])})
			return w.EndRow()
		})
	})
	if err != nil {
		return err
	}
	var rows [][]any
	err = delta.Registry(counting.Changed, func(row counting.RegistryRow) error {
		f := row.Followers
		rows = append(rows, []any{int64(model), delta.N, row.Hash, orNull(int64(f[0])), orNull(int64(f[1])), orNull(int64(f[2])), orNull(row.Adjusted - int64(f[0]) - 2*int64(f[1]))})
		return nil
	})
	if err != nil {
		return err
	}
	columns := slices.Concat(registryColumns[:3], registryColumns[5:])
	sums := []database.Assign{{Column: "n1"}, {Column: "n2"}, {Column: "n3"}, {Column: "a3"}}
	if err := tx.Upsert(ctx, "tbl_l1_context_registry", columns, columns[:3], sums, rows); err != nil {
		return err
	}
	return removeContexts(ctx, tx, model, delta)
}

// saveWords stores the tokens that are new and refreshes how often the others occurred.
func (t *Trainer) saveWords(ctx context.Context, tx *database.Tx, delta *counting.Delta) error {
	w := t.words
	counts := make([]int64, len(w.fresh))
	var changed []any
	collect := func(row counting.Row) error {
		if row.Token >= w.committed {
			counts[row.Token-w.committed] = row.Raw
		} else {
			changed = append(changed, int64(row.Token))
		}
		return nil
	}
	for _, fate := range []counting.Fate{counting.New, counting.Changed, counting.Gone} {
		if err := delta.Rows(fate, collect); err != nil {
			return err
		}
	}
	if len(w.fresh) > 0 {
		err := loadWords(ctx, tx, t.model.ID, w.committed, func(yield func(string, bool, int64) error) error {
			for i, token := range w.fresh {
				if err := yield(token, false, counts[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !t.immediate { // else the counts are not in their rows yet
		if err := t.store.refreshWords(ctx, tx, t.model.ID, changed); err != nil {
			return err
		}
	}
	return w.saveForms(ctx, tx, t.model.ID)
}

// refreshWords takes the frequencies of tokens from their counts.
func (s *Store) refreshWords(ctx context.Context, tx *database.Tx, model ngram.ModelID, tokens []any) error {
	empty := s.options.Hash(nil)
	for some := range slices.Chunk(tokens, idsPerQuery) {
		args := append([]any{empty, int64(model)}, some...)
		if _, err := tx.Exec(ctx, refreshFrequencies+database.In(len(some)), args...); err != nil {
			return err
		}
	}
	return nil
}
