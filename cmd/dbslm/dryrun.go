package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/rehearsal"
)

// dryRun is what train --dry-run prints.
type dryRun struct {
	DryRun    bool       `json:"dry_run"`
	Tokenizer string     `json:"tokenizer"`
	Storage   string     `json:"storage"`
	Documents int        `json:"documents"`
	Sentences int64      `json:"sentences"`
	Tokens    int64      `json:"tokens"`
	Words     int64      `json:"vocabulary"`
	NGrams    int64      `json:"ngrams"`
	Rows      int64      `json:"rows"`
	TextBytes int64      `json:"text_bytes"`
	SQLite    int64      `json:"store_bytes_sqlite"`
	MySQL     int64      `json:"store_bytes_mysql"`
	Orders    []dryOrder `json:"orders"`
	HeldOut   *dryScore  `json:"held_out,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
	Seconds   drySeconds `json:"seconds"`
}

type dryOrder struct {
	Order    int        `json:"order"`
	NGrams   int64      `json:"ngrams"`
	Contexts int64      `json:"contexts"`
	Discount [3]float64 `json:"discounts"`
	Fallback bool       `json:"fallback,omitempty"`
}

type dryScore struct {
	Tokens     int64  `json:"tokens"`
	OOV        int64  `json:"oov"`
	Perplexity figure `json:"perplexity_including_oov"`
	Exact      figure `json:"perplexity_before_rounding"`
}

// drySeconds are by the clock.
type drySeconds struct {
	Read     float64 `json:"read"`
	Count    float64 `json:"count"`
	Estimate float64 `json:"estimate"`
}

// dryTrain counts and estimates the inputs in memory and says what a training of them would store. It opens no store.
func (a *app) dryTrain(ctx context.Context, header *gatewayv1.TrainHeader, inputs []input, probed input, o trainOptions) error {
	if header.Smoothing > ngramv1.Smoothing_SMOOTHING_MODIFIED_KNESER_NEY || header.Pruning != nil {
		return usagef("--dry-run estimates modified Kneser-Ney without pruning; leave --smoothing and the flags of pruning out")
	}
	if o.probe.every != "" || o.probe.metrics != "" {
		return usagef("--dry-run measures --probe once, at the end; leave --every and --metrics out")
	}
	settings := settingsFor(header, nil, true)
	normalization := text.Normalization(cmp.Or(o.normalization, string(text.NFC)))
	tokenizer, err := text.NewTokenizer(cmp.Or(o.tokenizer, text.Words), "", normalization)
	if err != nil {
		return err
	}
	inputs = laidOut(inputs, settings.Tokenizer)
	if err := checkTokens(ctx, inputs, settings, o.encoding); err != nil {
		return err
	}
	order := orderFor(header, nil, true)
	r := rehearsal.New(order, int64(o.memory))
	d := dryRun{DryRun: true, Tokenizer: tokenizer.Kind(), Storage: o.storage, Documents: len(inputs)}
	sentences := func(in input, add func(text.Sentence) error) error {
		from, err := in.open(o.encoding)
		if err != nil {
			return err
		}
		defer from.Close()
		err = tokenizer.Sentences(text.NewReader(normalization, from), func(sentence text.Sentence) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return add(sentence)
		})
		if err != nil && errors.ReasonOf(err) == "" && ctx.Err() == nil {
			err = textError(err, in.label)
		}
		return err
	}
	begin := time.Now()
	lap := func(seconds *float64) {
		now := time.Now()
		*seconds, begin = math.Round(now.Sub(begin).Seconds()*1e3)/1e3, now
	}
	for _, in := range inputs {
		d.TextBytes += in.text
		if err := sentences(in, func(s text.Sentence) error { return r.Add(s, int64(o.weight)) }); err != nil {
			return err
		}
	}
	d.Sentences, d.Tokens, d.Words = r.Totals()
	lap(&d.Seconds.Read)
	if err := r.Count(); err != nil {
		return err
	}
	lap(&d.Seconds.Count)
	if o.probe.file != "" {
		if err := sentences(probed, func(s text.Sentence) error { r.Probe(s); return nil }); err != nil {
			return err
		}
	}
	score, err := r.Estimate(ngram.Storage(o.storage))
	if err != nil {
		return err
	}
	lap(&d.Seconds.Estimate)
	if score.Tokens > 0 {
		perplexity := func(log10 float64) figure { return figure(math.Pow(10, -log10/float64(score.Tokens))) }
		d.HeldOut = &dryScore{score.Tokens, score.OOV, perplexity(score.Stored), perplexity(score.Exact)}
	}
	d.fill(r)
	if o.json {
		return printJSON(a.out, d)
	}
	return a.printDryRun(&d)
}

func (d *dryRun) fill(r *rehearsal.Rehearsal) {
	for n, o := range r.Orders() {
		x := o.Discounts
		d.Orders = append(d.Orders, dryOrder{n + 1, o.NGrams, o.Contexts, [3]float64{x.D1, x.D2, x.D3}, x.Fallback})
		d.NGrams += o.NGrams
		if x.Fallback {
			d.Warnings = append(d.Warnings, fmt.Sprintf("Too few n-grams of order %d for discounts of its own, so 0.5, 1 and 1.5 were used.", n+1))
		}
	}
	size := r.Size(ngram.Storage(d.Storage), d.TextBytes)
	d.Rows, d.SQLite, d.MySQL = size.Rows, size.SQLite, size.MySQL
}

func (a *app) printDryRun(d *dryRun) error {
	fmt.Fprintf(a.out, "dry run: %s, %s, %s different; nothing was stored\n",
		plural(uint64(d.Documents), "document", "documents"), plural(uint64(d.Tokens), "token", "tokens"), count(uint64(d.Words)))
	rows := [][]string{{"order", "n-grams", "contexts", "D1", "D2", "D3"}}
	for _, o := range d.Orders {
		row := []string{strconv.Itoa(o.Order), count(uint64(o.NGrams)), count(uint64(o.Contexts))}
		for _, discount := range o.Discount {
			row = append(row, strconv.FormatFloat(discount, 'f', 4, 64))
		}
		rows = append(rows, row)
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	megabytes := func(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
	fmt.Fprintf(a.out, "the store would take about %s rows: %s on SQLite, %s on MySQL or MariaDB\n", count(uint64(d.Rows)), megabytes(d.SQLite), megabytes(d.MySQL))
	if h := d.HeldOut; h != nil {
		fmt.Fprintf(a.out, "held-out text: %s, %s of them unknown, perplexity %.3f (%.3f before rounding)\n",
			plural(uint64(h.Tokens), "token", "tokens"), count(uint64(h.OOV)), float64(h.Perplexity), float64(h.Exact))
	}
	a.warn(d.Warnings)
	return nil
}
