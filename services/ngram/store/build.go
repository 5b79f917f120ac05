package store

import (
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/quant"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/smoothing"
)

const insertBuild = `INSERT INTO tbl_l1_builds (build_id, model_id, tenant, name, state, swept, smoothing, kenlm_quirk, storage, max_order, vocabulary_end,
  vocabulary_size, counts_version, tokens, rows_added, rows_closed, unigram_codebook, logprob_codebook, backoff_codebook, warnings, failure, created_at)
VALUES (?, ?, ?, ?, 'building', 0, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, '', ?)`

const (
	failBuild     = `UPDATE tbl_l1_builds SET state = 'failed', failure = ?, finished_at = ? WHERE build_id = ? AND state = 'building'`
	finishBuild   = `UPDATE tbl_l1_builds SET state = 'ready', rows_added = ?, rows_closed = ?, finished_at = ? WHERE build_id = ? AND state = 'building'`
	selectOpenRow = `SELECT n FROM tbl_l1_ng_topk_n WHERE model_id = ? LIMIT 1`
	lastBooks     = `SELECT u.lo, l.lo, b.lo FROM tbl_l1_builds x JOIN tbl_quant_meta u ON u.codebook_id = x.unigram_codebook
JOIN tbl_quant_meta l ON l.codebook_id = x.logprob_codebook JOIN tbl_quant_meta b ON b.codebook_id = x.backoff_codebook WHERE x.model_id = ? AND x.state = 'ready' AND x.storage = ? ORDER BY x.build_id DESC LIMIT 1`
)

// maxBuilds is what since_build (MEDIUMINT UNSIGNED) holds: a build a minute for 31 years.
const maxBuilds = 1<<24 - 1

// Build derives a build from the counts. It is invisible until it is published; a failed or killed one is removed by the
// next. With IfChanged it returns the published build if that was derived from the same counts with the same options.
func (t *Trainer) Build(ctx context.Context, options ngram.BuildOptions, progress ngram.Progress) (ngram.Build, error) {
	options = options.WithDefaults()
	if err := options.Validate(t.model.Settings.Order); err != nil {
		return ngram.Build{}, err
	}
	if err := t.Countable(); err != nil {
		return ngram.Build{}, err
	}
	if _, err := t.Count(ctx, nil); err != nil { // a build never sees half a document
		return ngram.Build{}, err
	}
	totals, err := readTotals(ctx, t.store.db, t.model.ID, t.model.Settings.Order)
	if err != nil {
		return ngram.Build{}, err
	}
	if totals[0].NGrams == 0 || t.model.Tokens == 0 {
		return ngram.Build{}, errors.New(errors.FailedPrecondition, "MODEL_EMPTY", "model %q has no counted text; train it before deriving a build", t.model.Name).
			With("model", t.model.Name)
	}
	if options.IfChanged {
		build, same, err := t.unchanged(ctx, options)
		if err != nil || same {
			return build, err
		}
	}
	if err := t.sweepFailed(ctx); err != nil {
		return ngram.Build{}, err
	}
	held, err := t.heldOut(ctx)
	if err != nil {
		return ngram.Build{}, err
	}
	prepared, err := t.prepare(ctx, options, totals, held, progress)
	if err != nil {
		return ngram.Build{}, err
	}
	lo, err := t.lastRanges(ctx, options.Storage)
	if err != nil {
		return ngram.Build{}, err
	}
	for retried := false; ; {
		d, need, err := prepared.derive(ctx, lo)
		if errors.ReasonOf(err) == reasonInconsistent && d.packed && !retried {
			retried = true // the packed integers may be wrong; the rows tell
			t.store.options.Logger.WarnContext(ctx, "the packed counts contradict the model's totals; the build is derived from the rows", "model", t.model.Name, "error", err)
			if err := t.store.db.InTx(ctx, func(tx *database.Tx) error { return dropAllSegments(ctx, tx, t.model.ID) }); err != nil {
				return ngram.Build{}, err
			}
			if err := t.sweepFailed(ctx); err != nil {
				return ngram.Build{}, err
			}
			continue
		}
		if err != nil || need == lo {
			return d.build, err
		}
		lo = need // some value does not fit, or the ranges of the last build are wider than what this one needs
	}
}

// unchanged returns the published build if it is what Build would derive.
func (t *Trainer) unchanged(ctx context.Context, options ngram.BuildOptions) (ngram.Build, bool, error) {
	model, err := t.store.Model(ctx, t.model.Tenant, t.model.Name)
	if err != nil || model.Published == 0 || model.Stale {
		return ngram.Build{}, false, err
	}
	build, err := t.store.BuildOf(ctx, model.Tenant, model.Name, model.Published)
	same := build.Storage == options.Storage && build.Smoothing == options.Smoothing && build.KenLMQuirk == options.KenLMQuirk && build.Pruning.Equal(options.Pruning)
	return build, same && err == nil, err
}

// lastRanges guesses from the build before; a wrong guess costs a second pass, never another result.
func (t *Trainer) lastRanges(ctx context.Context, storage ngram.Storage) (smoothing.Least, error) {
	lo := smoothing.Ranges(storage, smoothing.Least{})
	if storage.Bits() == 0 {
		return lo, nil
	}
	err := t.store.db.QueryRow(ctx, lastBooks, int64(t.model.ID), string(storage)).Scan(&lo.Unigram, &lo.Logprob, &lo.Backoff)
	if errors.Is(err, database.ErrNoRows) {
		err = nil
	}
	return lo, err
}

// derive makes one build of what was prepared with the given ranges. If the ranges that the model needs are others, the build
// is failed and need says which.
func (d derivation) derive(ctx context.Context, lo smoothing.Least) (made *derivation, need smoothing.Least, err error) {
	build := &d.build
	build.Created = toTime(d.t.store.now())
	params := &d.params
	if params.Unigram, params.Logprob, params.Backoff, err = smoothing.Books(build.Storage, lo); err != nil {
		return &d, lo, err
	}
	d.books = [3]*quant.Book{params.Unigram, params.Logprob, params.Backoff}
	d.estimator = smoothing.NewEstimator(*params)
	d.estimator.Within(d.t.space, d.sizes())
	defer func() { // what is kept of two orders is not needed any more
		d.estimator.Close()
		d.parents.close()
		d.spelled.close()
	}()
	d.startProbe(d.held)
	if err := d.begin(ctx); err != nil {
		return &d, lo, err
	}
	defer func() {
		if err != nil || need != lo {
			d.abandon(ctx, err)
		}
	}()
	for n := 1; n <= build.Order; n++ {
		if d.probe != nil {
			d.probe.Begin(n)
		}
		if err := d.order(ctx, n); err != nil {
			return &d, lo, err
		}
	}
	if need = smoothing.Ranges(build.Storage, d.estimator.Least()); need != lo {
		return &d, need, nil
	}
	return &d, lo, d.finish(ctx)
}

// sizes are the levels of the estimator, as far as they are known before the n-grams are pruned.
func (d *derivation) sizes() []smoothing.LevelSize {
	sizes := make([]smoothing.LevelSize, len(d.totals))
	for i, o := range d.totals {
		sizes[i] = smoothing.LevelSize{NGrams: o.NGrams + 1, Contexts: o.Contexts} // <unk>
	}
	return sizes
}

// derivation is a build in the making.
type derivation struct {
	t         *Trainer
	build     ngram.Build
	bits      int
	totals    []orderTotals
	params    smoothing.Params // without codebooks until derive
	estimator *smoothing.Estimator
	books     [3]*quant.Book // of unigrams, n-grams and backoff weights; nil for exact storage
	open      bool           // the model has rows of earlier builds
	packed    bool           // some integers were read packed
	raw       bool           // raw counts and oldest tokens are needed too
	parents   contextTokens  // contexts of the order below the one that is read
	spelled   contextTokens  // those of the order that is read; not of the highest, and not where raw counts are needed
	progress  ngram.Progress
	grams     int64 // derived so far
	blobBytes int64 // of packed followers, so far
	held      *heldOut
	probe     *scoring.Probe // of the held-out text; nil without one
}

// begin enters the build, so that its rows can be told from others whatever happens.
func (d *derivation) begin(ctx context.Context) error {
	warnings, err := json.Marshal(d.build.Warnings)
	if err != nil {
		return err
	}
	b := &d.build
	return d.t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := d.t.stillMine(ctx, tx); err != nil {
			return err
		}
		number, err := nextNumber(ctx, tx, counterBuild)
		if err != nil {
			return err
		}
		if number > maxBuilds {
			return errors.New(errors.ResourceExhausted, "TOO_MANY_BUILDS", "the store has used up its %d build ids; copy the models to a new store", maxBuilds)
		}
		var ids [3]any
		for i, target := range []*int64{&b.UnigramCodebook, &b.LogprobCodebook, &b.BackoffCodebook} {
			if book := d.books[i]; book != nil {
				if err := saveBook(ctx, tx, book); err != nil {
					return err
				}
				*target = book.ID()
				ids[i] = *target
			}
		}
		var n int64
		err = tx.QueryRow(ctx, selectOpenRow, int64(b.Model)).Scan(&n)
		if d.open = err == nil; err != nil && !errors.Is(err, database.ErrNoRows) {
			return err
		}
		b.ID = ngram.BuildID(number)
		_, err = tx.Exec(ctx, insertBuild, number, int64(b.Model), b.Tenant, b.Name, string(b.Smoothing), b.KenLMQuirk, string(b.Storage), b.Order,
			int64(b.VocabularyEnd), b.VocabularySize, b.CountsVersion, b.Tokens, ids[0], ids[1], ids[2], string(warnings), b.Created.UnixMicro())
		return err
	})
}

// saveBook stores a codebook once.
func saveBook(ctx context.Context, tx *database.Tx, book *quant.Book) error {
	id := book.ID()
	var codes int64
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tbl_q_to_mass WHERE codebook_id = ?`, id).Scan(&codes); err != nil || codes == int64(len(book.Log10)) {
		return err
	}
	columns := []string{"codebook_id", "kind", "bits", "lo", "hi"}
	if err := tx.Upsert(ctx, "tbl_quant_meta", columns, columns[:1], nil, [][]any{{id, string(book.Kind), book.Bits, book.Lo, book.Hi}}); err != nil {
		return err
	}
	columns = []string{"codebook_id", "code", "log10_value", "mass"}
	rows := make([][]any, len(book.Log10))
	for code := range rows {
		rows[code] = []any{id, code, book.Log10[code], book.Mass[code]}
	}
	return tx.Upsert(ctx, "tbl_q_to_mass", columns, columns[:2], nil, rows)
}

// finish makes the build ready, if nothing was counted meanwhile.
func (d *derivation) finish(ctx context.Context) error {
	b := &d.build
	rowsAdded, rowsClosed := b.RowsAdded, b.RowsClosed
	return d.t.store.db.InTx(ctx, func(tx *database.Tx) error {
		added, closed, err := d.saveForms(ctx, tx)
		if err != nil {
			return err
		}
		b.RowsAdded, b.RowsClosed = rowsAdded+added, rowsClosed+closed
		var tallies, params [][]any
		for _, o := range b.Discounts {
			for k, t := range o.CountsOfCounts {
				tallies = append(tallies, []any{int64(b.ID), o.Order, k + 1, t})
			}
			params = append(params, []any{int64(b.ID), o.Order, o.D1, o.D2, o.D3, o.Fallback, b.NGrams[o.Order-1]})
		}
		columns := []string{"build_id", "n", "k", "t"}
		if err := tx.Upsert(ctx, "tbl_l1_counts_of_counts", columns, columns[:3], nil, tallies); err != nil {
			return err
		}
		columns = []string{"build_id", "n", "d1", "d2", "d3", "fallback", "ngrams"}
		if err := tx.Upsert(ctx, "tbl_l1_mkn_params", columns, columns[:2], nil, params); err != nil {
			return err
		}
		if err := d.saveMeasure(ctx, tx); err != nil {
			return err
		}
		if err := saveParameters(ctx, tx, b); err != nil {
			return err
		}
		if err := d.t.stillMine(ctx, tx); err != nil {
			return err
		}
		finished := d.t.store.now()
		matched, err := tx.Exec(ctx, finishBuild, b.RowsAdded, b.RowsClosed, finished, int64(b.ID))
		if err == nil && matched != 1 {
			err = errors.New(errors.Aborted, reasonLeaseLost, "build %d was ended by somebody else; derive it again", b.ID)
		}
		b.State, b.Finished = ngram.BuildReady, toTime(finished)
		return err
	})
}

// abandon records why the build failed. If even that fails, the next build finds it in state building.
func (d *derivation) abandon(ctx context.Context, cause error) {
	reason := "its codebooks do not fit the model; another build follows"
	if cause != nil {
		reason = errors.Public(cause)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := d.t.store.db.Exec(ctx, failBuild, reason, d.t.store.now(), int64(d.build.ID)); err != nil {
		d.t.store.options.Logger.WarnContext(ctx, "recording a failed build failed", "build", d.build.ID, "error", err)
	}
	if cause == nil {
		if err := d.t.sweepFailed(ctx); err != nil {
			d.t.store.options.Logger.WarnContext(ctx, "removing a build with unfit codebooks failed; the next build does it", "build", d.build.ID, "error", err)
		}
	}
}
