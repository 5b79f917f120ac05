package store

import (
	"context"
	"fmt"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/smoothing"
)

// prepare finds everything that a build pins before its first probability: discounts or weights, and what is pruned. Weights
// and pruning take a pass over all counts each.
func (t *Trainer) prepare(ctx context.Context, options ngram.BuildOptions, totals []orderTotals, held *heldOut, progress ngram.Progress) (*derivation, error) {
	d := &derivation{t: t, totals: totals, held: held, progress: progress, bits: options.Storage.Bits()}
	d.build = ngram.Build{
		Model: t.model.ID, Tenant: t.model.Tenant, Name: t.model.Name, State: ngram.BuildBuilding, Order: t.model.Settings.Order,
		Smoothing: options.Smoothing, KenLMQuirk: options.KenLMQuirk, Storage: options.Storage, Pruning: options.Pruning,
		VocabularyEnd: uint32(t.model.TokenEnd), VocabularySize: totals[0].NGrams + 1,
		CountsVersion: t.model.CountsVersion, Tokens: t.model.Tokens,
	}
	d.raw = options.Smoothing != ngram.ModifiedKneserNey || !options.Pruning.IsZero()
	if err := d.discounts(ctx, options); err != nil {
		return nil, err
	}
	if options.Smoothing == ngram.JelinekMercer {
		if err := d.weigh(ctx); err != nil {
			return nil, err
		}
	}
	d.params = smoothing.Params{
		Order: d.build.Order, Smoothing: options.Smoothing, Discounts: d.build.Discounts, Weights: d.build.Weights, VocabularySize: d.build.VocabularySize,
	}
	if !options.Pruning.IsZero() {
		if err := d.plan(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// discounts tallies every order, and for modified Kneser-Ney computes the discounts and what is to be said about them.
func (d *derivation) discounts(ctx context.Context, options ngram.BuildOptions) error {
	tallies := make([][4]int64, len(d.totals))
	for i, o := range d.totals {
		tallies[i] = o.CountsOfCounts
	}
	if options.KenLMQuirk {
		if err := d.t.retally(ctx, tallies); err != nil {
			return err
		}
	}
	for i, tally := range tallies {
		discounts := ngram.Discounts{Order: i + 1, CountsOfCounts: tally}
		if options.Smoothing == ngram.ModifiedKneserNey {
			discounts = smoothing.Discounts(i+1, tally)
		}
		d.build.Discounts = append(d.build.Discounts, discounts)
		d.build.NGrams = append(d.build.NGrams, d.totals[i].NGrams)
		if discounts.Fallback {
			d.build.Warnings = append(d.build.Warnings, fallbackWarning(discounts))
		}
	}
	return nil
}

func fallbackWarning(d ngram.Discounts) string {
	return fmt.Sprintf("Too few n-grams of order %d for discounts of its own (%d, %d, %d and %d of them have the adjusted counts 1 to 4), so 0.5, 1 and 1.5 were used.",
		d.Order, d.CountsOfCounts[0], d.CountsOfCounts[1], d.CountsOfCounts[2], d.CountsOfCounts[3])
}

// every calls visit for every context of every order, from order 1 up.
func (d *derivation) every(ctx context.Context, phase string, visit func(smoothing.Identified) error) error {
	d.grams = 0
	for n := 1; n <= d.build.Order; n++ {
		each := func(_ *part, c smoothing.Identified) error {
			d.advance(phase, len(c.Tokens))
			return visit(c)
		}
		if err := d.visit(ctx, n, each, func(context.Context, *part) error { return nil }); err != nil {
			return err
		}
	}
	d.grams = 0
	return nil
}

// weigh estimates the weights of Jelinek-Mercer.
func (d *derivation) weigh(ctx context.Context) error {
	heldOut := smoothing.NewHeldOut(d.build.Order, d.build.VocabularySize)
	if err := d.every(ctx, "weigh", func(c smoothing.Identified) error { return heldOut.Context(c.Context) }); err != nil {
		return err
	}
	events := make([]int64, d.build.Order+1)
	for _, weight := range heldOut.Weights() {
		d.build.Weights = append(d.build.Weights, weight)
		events[weight.Order] += weight.Events
	}
	for n, seen := range events[1:] {
		if seen == 0 {
			d.build.Warnings = append(d.build.Warnings, fmt.Sprintf("No context of order %d was seen twice, so nothing could be held out and its weight is 1/2.", n+1))
		}
	}
	return nil
}

// sizesOf is about what an n-gram and a context take: a row each, and the follower in the packed row of its context.
func sizesOf(storage ngram.Storage) smoothing.Sizes {
	follower := map[ngram.Storage]int64{ngram.Storage8: 3, ngram.Storage16: 4, ngram.StorageExact: 10}[storage]
	return smoothing.Sizes{NGram: rowBytes + follower, Context: rowBytes}
}

// plan decides what is pruned.
func (d *derivation) plan(ctx context.Context) error {
	planner := smoothing.NewPlanner(d.params, d.build.Pruning, d.t.store.options.Hash)
	if err := d.every(ctx, "prune", planner.Context); err != nil {
		return err
	}
	plan, err := planner.Plan(sizesOf(d.build.Storage))
	if err != nil {
		return err
	}
	d.params.Plan = plan
	d.build.Threshold, d.build.Pruned = plan.Threshold, plan.Pruned
	for i, pruned := range plan.Pruned {
		d.build.NGrams[i] -= pruned
	}
	return nil
}

// saveParameters stores the parameters of a build that not every build has.
func saveParameters(ctx context.Context, tx *database.Tx, b *ngram.Build) error {
	var weights, orders [][]any
	for _, w := range b.Weights {
		weights = append(weights, []any{int64(b.ID), w.Order, w.Class, w.Lambda, w.Events})
	}
	columns := []string{"build_id", "n", "class", "lambda", "events"}
	if err := tx.Upsert(ctx, "tbl_l1_jm_weights", columns, columns[:3], nil, weights); err != nil || b.Pruned == nil {
		return err
	}
	p := b.Pruning
	columns = []string{"build_id", "threshold", "target_ngrams", "target_bytes", "applied_threshold", "cutoffs"}
	row := [][]any{{int64(b.ID), p.Threshold, p.TargetNGrams, p.TargetBytes, b.Threshold, len(p.Cutoffs)}}
	if err := tx.Upsert(ctx, "tbl_l1_pruning", columns, columns[:1], nil, row); err != nil {
		return err
	}
	for i, pruned := range b.Pruned {
		orders = append(orders, []any{int64(b.ID), i + 1, p.Cutoff(i + 1), pruned})
	}
	columns = []string{"build_id", "n", "cutoff", "pruned"}
	return tx.Upsert(ctx, "tbl_l1_pruning_orders", columns, columns[:2], nil, orders)
}

const (
	selectWeights    = `SELECT build_id, n, class, lambda, events FROM tbl_l1_jm_weights WHERE build_id IN `
	inOrderOfWeights = ` ORDER BY build_id, n, class`
	selectPruning    = `SELECT p.build_id, p.threshold, p.target_ngrams, p.target_bytes, p.applied_threshold, p.cutoffs, o.cutoff, o.pruned
FROM tbl_l1_pruning p JOIN tbl_l1_pruning_orders o ON o.build_id = p.build_id WHERE p.build_id IN `
	inOrderOfPruning = ` ORDER BY p.build_id, o.n`
)

// readWeights and readPruning read what saveParameters stored.
func readWeights(ctx context.Context, of buildRows) error {
	return of.each(ctx, selectWeights, inOrderOfWeights, func(b *ngram.Build, row database.Row) error {
		b.Weights = append(b.Weights, ngram.Weight{Order: int(row.Int(1)), Class: int(row.Int(2)), Lambda: row.Float(3), Events: row.Int(4)})
		return nil
	})
}

func readPruning(ctx context.Context, of buildRows) error {
	return of.each(ctx, selectPruning, inOrderOfPruning, func(b *ngram.Build, row database.Row) error {
		b.Pruning.Threshold, b.Pruning.TargetNGrams, b.Pruning.TargetBytes, b.Threshold = row.Float(1), row.Int(2), row.Int(3), row.Float(4)
		if int64(len(b.Pruning.Cutoffs)) < row.Int(5) {
			b.Pruning.Cutoffs = append(b.Pruning.Cutoffs, row.Int(6))
		}
		b.Pruned = append(b.Pruned, row.Int(7))
		return nil
	})
}
