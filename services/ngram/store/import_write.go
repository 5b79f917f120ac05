package store

import (
	"cmp"
	"context"
	"math"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/exchange"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/quant"
	"dbslm/services/ngram/smoothing"
)

const (
	hideGeneration = `UPDATE tbl_l1_models SET state = 'retired', retired_at = ?, vocabulary_size = ?, request_id = ? WHERE model_id = ?`
	keepHidden     = `UPDATE tbl_l1_models SET retired_at = ? WHERE model_id = ? AND state = 'retired'`
	setImported    = `UPDATE tbl_l1_models SET counts_version = ?, sentences = ?, tokens = ? WHERE model_id = ? AND state = 'retired'`
	reveal         = `UPDATE tbl_l1_models SET state = 'live', retired_at = NULL WHERE model_id = ? AND state = 'retired'`
)

// write stores what was read and gives it its name.
func (i *importer) write(ctx context.Context) (build ngram.BuildID, err error) {
	model := &i.trainer.model
	if err := i.hide(ctx); err != nil {
		return 0, err
	}
	defer i.store.leases.Delete(model.ID)
	defer func() {
		if err != nil {
			i.discard(ctx)
		}
	}()
	const wordsPerTx = 50_000
	for from := 0; from < len(i.words); from += wordsPerTx {
		err := i.store.db.InTx(ctx, func(tx *database.Tx) error {
			return loadWords(ctx, tx, model.ID, uint32(from)+ngram.FirstWord, func(yield func(string, bool, int64) error) error {
				for w := from; w < min(from+wordsPerTx, len(i.words)); w++ {
					if err := yield(i.words[w], false, i.counts[w]); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return 0, err
		}
	}
	if i.counted {
		build, err = i.derive(ctx)
	} else {
		build, err = i.copy(ctx)
	}
	if err != nil {
		return 0, err
	}
	return build, i.name(ctx, build)
}

// hide begins the generation.
func (i *importer) hide(ctx context.Context) error {
	model := &i.trainer.model
	model.VocabularySize = int64(len(i.words)) + int64(ngram.FirstWord)
	model.TokenEnd = model.VocabularySize
	if err := i.store.clearDead(ctx, model.Tenant, model.Name); err != nil {
		return err
	}
	return i.store.db.InTx(ctx, func(tx *database.Tx) error {
		id, err := i.store.newGeneration(ctx, tx, model.Tenant, model.Name, model.Settings, "")
		if err != nil {
			return err
		}
		model.ID = id
		i.store.leases.Store(id, nil)
		if _, err := tx.Exec(ctx, hideGeneration, i.expiry(), model.VocabularySize, i.store.holder(), int64(id)); err != nil {
			return err
		}
		return saveTotals(ctx, tx, id, i.totals) // what Purge goes by
	})
}

func (i *importer) expiry() int64 { return i.store.now() + abandonedAfter.Microseconds() }

// alive puts the removal of an abandoned import off.
func (i *importer) alive(ctx context.Context, tx *database.Tx) error {
	matched, err := tx.Exec(ctx, keepHidden, i.expiry(), int64(i.trainer.model.ID))
	if err == nil && matched != 1 {
		err = errors.New(errors.Aborted, reasonLeaseLost, "the import stood still for so long that it was given up; start it again")
	}
	return err
}

// discard removes what a failed import wrote. What it cannot remove now, Purge does later.
func (i *importer) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := i.store.purge(ctx, i.trainer.model.ID, func() {}); err != nil {
		i.store.options.Logger.WarnContext(ctx, "removing a failed import failed; it is tried again later", "model", i.trainer.model.Name, "error", err)
	}
}

// name makes the model appear, with its build published.
func (i *importer) name(ctx context.Context, build ngram.BuildID) error {
	model := i.trainer.model
	err := i.store.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, insertName, model.Tenant, model.Name, int64(model.ID), i.store.now()); err != nil {
			return err
		}
		matched, err := tx.Exec(ctx, reveal, int64(model.ID))
		if err == nil && matched != 1 {
			err = errors.New(errors.Aborted, reasonLeaseLost, "the import stood still for so long that it was given up; start it again")
		}
		if err != nil {
			return err
		}
		served, err := nextNumber(ctx, tx, counterServed)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setServed, served, int64(build)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, pointServing, int64(build), model.Tenant, model.Name)
		return err
	})
	if database.IsDuplicate(err) {
		return taken(model.Name)
	}
	return err
}

// copy writes the probabilities of the file as the rows of a build.
func (i *importer) copy(ctx context.Context) (ngram.BuildID, error) {
	model := i.trainer.model
	least := smoothing.Ranges(i.in.Storage, smoothing.Least{Unigram: i.least[0], Logprob: i.least[1], Backoff: i.least[2]})
	d := &derivation{t: &i.trainer, totals: i.totals, bits: i.in.Storage.Bits(), progress: i.progress}
	d.build = ngram.Build{
		Model: model.ID, Tenant: model.Tenant, Name: model.Name, State: ngram.BuildBuilding, Order: model.Settings.Order,
		Smoothing: ngram.Imported, Storage: i.in.Storage, VocabularyEnd: uint32(model.VocabularySize), VocabularySize: i.totals[0].NGrams,
		Warnings: i.warn, Created: toTime(i.store.now()),
	}
	for n, totals := range i.totals {
		d.build.Discounts = append(d.build.Discounts, ngram.Discounts{Order: n + 1})
		d.build.NGrams = append(d.build.NGrams, totals.NGrams)
	}
	var err error
	if d.books[0], d.books[1], d.books[2], err = smoothing.Books(i.in.Storage, least); err != nil {
		return 0, err
	}
	if err := d.begin(ctx); err != nil {
		return 0, err
	}
	for n := 1; n <= model.Settings.Order; n++ {
		if err := i.copyOrder(ctx, d, n); err != nil {
			return 0, err
		}
	}
	return d.build.ID, d.finish(ctx)
}

func (i *importer) copyOrder(ctx context.Context, d *derivation, n int) error {
	p := part{n: n}
	var owners []owner
	scratch := &smoothing.Scratch{}
	flush := func() error {
		if len(p.contexts) == 0 {
			return nil
		}
		p.from, p.to = p.contexts[0].hash, p.contexts[len(p.contexts)-1].hash
		err := i.store.db.InTx(ctx, func(tx *database.Tx) error {
			if err := i.alive(ctx, tx); err != nil || n == 1 {
				return err
			}
			return saveOwners(ctx, tx, d.build.Model, n, owners)
		})
		if err == nil {
			err = d.write(ctx, &p)
		}
		p = part{n: n, contexts: p.contexts[:0], tokens: p.tokens[:0], codes: p.codes[:0], chunks: p.chunks[:0], blobs: p.blobs[:0]}
		owners = owners[:0]
		return err
	}
	err := i.grams.each(n, i.grams.orders[n-1].byContext, true, func(o owner, followers []gram) error {
		if err := d.given(&p, o, followers, scratch); err != nil {
			return err
		}
		if owners = append(owners, o); len(p.tokens) < i.store.options.PartRows {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// given takes a context as a file has it: values are rounded to the nearest codes, and weights greater than 1, which no
// codebook has, stay exact.
func (d *derivation) given(p *part, o owner, followers []gram, scratch *smoothing.Scratch) error {
	row := derived{hash: o.own, first: len(p.tokens), chunk: len(p.chunks), backoffCode: -1}
	if p.n > 1 {
		row.backoff = math.Float64frombits(o.weight)
		if d.bits > 0 && row.backoff <= 0 {
			row.backoffCode = d.books[2].Code(row.backoff)
		}
	}
	book := d.books[1]
	if p.n == 1 {
		book = d.books[0]
	}
	for _, f := range followers {
		value := math.Float64frombits(f.value)
		p.tokens, p.codes = append(p.tokens, f.token), append(p.codes, code(book, value))
	}
	row.end = len(p.tokens)
	result := &smoothing.Result{Tokens: p.tokens[row.first:], Codes: p.codes[row.first:]}
	err := smoothing.Chunks(result, d.width(p.n), scratch, func(_, followers int, blob []byte) error {
		p.chunks = append(p.chunks, chunkRow{followers, len(p.blobs), len(p.blobs) + len(blob)})
		p.blobs = append(p.blobs, blob...)
		return nil
	})
	if len(followers) == 0 {
		p.chunks = append(p.chunks, chunkRow{0, len(p.blobs), len(p.blobs)})
	}
	row.last = len(p.chunks)
	p.contexts = append(p.contexts, row)
	d.grams += int64(len(followers))
	return err
}

func code(book *quant.Book, log10 float64) uint64 {
	if book == nil {
		return packed.Code(log10)
	}
	return uint64(book.Code(log10))
}

// saveOwners enters contexts in the registry, without sums: they were not counted.
func saveOwners(ctx context.Context, tx *database.Tx, model ngram.ModelID, n int, owners []owner) error {
	_, err := tx.Load(ctx, "tbl_l1_context_registry", registryColumns, func(w database.RowWriter) error {
		for _, o := range owners {
			w.Int(int64(model))
			w.Int(int64(n))
			writeIdentity(w, n, o.own, o.parent, o.oldest)
			writeSums(w, 0, [3]int64{})
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// derive writes the counts of the file and derives a build from them.
func (i *importer) derive(ctx context.Context) (ngram.BuildID, error) {
	model := &i.trainer.model
	for n := 1; n <= model.Settings.Order; n++ {
		if err := i.countOrder(ctx, n); err != nil {
			return 0, err
		}
	}
	err := i.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := saveTotals(ctx, tx, model.ID, i.totals); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, setImported, 1, i.sentences, i.tokens, int64(model.ID))
		return err
	})
	if err != nil {
		return 0, err
	}
	model.CountsVersion, model.Sentences, model.Tokens = 1, i.sentences, i.tokens
	build, err := i.trainer.Build(ctx, ngram.BuildOptions{Storage: i.in.Storage}, i.progress)
	return build.ID, err
}

func (i *importer) countOrder(ctx context.Context, n int) error {
	o := i.grams.orders[n-1]
	adjusted := o.byContext // they are the counts themselves at the highest order
	if n < len(i.grams.orders) {
		var err error
		adjusted, err = i.grams.adjusted(n)
		if err != nil {
			return errors.Join(err, adjusted.Close())
		}
		defer adjusted.Close()
	}
	rows := &countRows{importer: i, n: n, raw: pullFrom(o.byContext, gramOf), totals: orderTotals{}}
	err := i.grams.each(n, adjusted, false, func(o owner, followers []gram) error {
		if err := rows.add(o, followers); err != nil {
			return err
		}
		if len(rows.grams) < i.store.options.PartRows {
			return nil
		}
		return rows.flush(ctx)
	})
	if err == nil {
		err = cmp.Or(rows.raw.err, rows.flush(ctx))
	}
	if err != nil {
		return err
	}
	if rows.totals.NGrams != i.totals[n-1].NGrams {
		return errors.New(errors.Internal, "IMPORT_INCOMPLETE", "%d n-grams of order %d of %d were stored", rows.totals.NGrams, n, i.totals[n-1].NGrams)
	}
	i.totals[n-1] = rows.totals
	return nil
}

// countRows are rows of one order on their way into the tables.
type countRows struct {
	*importer
	n        int
	raw      *pull[gram]
	grams    []countedGram
	contexts []countedContext
	totals   orderTotals
}

type countedGram struct {
	context       int64
	token         uint32
	raw, adjusted int64
}

type countedContext struct {
	owner
	total     int64
	followers [3]int64
}

func (r *countRows) add(o owner, followers []gram) error {
	context := countedContext{owner: o}
	for _, f := range followers {
		if !r.raw.ok || r.raw.at.context != o.own || r.raw.at.token != f.token {
			return cmp.Or(r.raw.err, error(inconsistentCounts("their adjusted counts")))
		}
		a := int64(f.value)
		r.grams = append(r.grams, countedGram{o.own, f.token, int64(r.raw.at.value), a})
		r.totals.Raw += int64(r.raw.at.value)
		r.totals.Adjusted += a
		r.totals.NGrams++
		if a <= 4 {
			r.totals.CountsOfCounts[a-1]++
		}
		context.total += a
		context.followers[min(a, 3)-1]++
		if context.total > math.MaxInt32 {
			return exchange.Malformed(position(f.place), "counts that add up to at most 2147483647 behind the same words", "more")
		}
		r.raw.next()
	}
	r.totals.Contexts++
	r.contexts = append(r.contexts, context)
	return nil
}

func (r *countRows) flush(ctx context.Context) error {
	if len(r.contexts) == 0 {
		return nil
	}
	model := int64(r.trainer.model.ID)
	err := r.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := r.alive(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Load(ctx, "tbl_l1_ng_counts_n", countColumns, func(w database.RowWriter) error {
			for _, g := range r.grams {
				w.Int(model)
				w.Int(int64(r.n))
				w.Int(g.context)
				w.Int(int64(g.token))
				w.Int(g.raw)
				if g.raw == g.adjusted {
					w.Null()
				} else {
					w.Int(g.adjusted)
				}
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = tx.Load(ctx, "tbl_l1_context_registry", registryColumns, func(w database.RowWriter) error {
			for _, c := range r.contexts {
				w.Int(model)
				w.Int(int64(r.n))
				writeIdentity(w, r.n, c.own, c.parent, c.oldest)
				writeSums(w, c.total, c.followers)
				if err := w.EndRow(); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	r.progress.Report("store", r.totals.NGrams, r.read)
	r.grams, r.contexts = r.grams[:0], r.contexts[:0]
	return err
}
