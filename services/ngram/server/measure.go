package server

import (
	"context"
	"crypto/sha256"
	"io"
	"math"
	"slices"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/scoring"
)

const (
	defaultSampleSeed = 1
	// massBatch is how many sampled contexts are summed between two reports of progress.
	massBatch = 256
	// batchTokens is how many tokens are collected before they are scored.
	batchTokens = 8192
	// timedSentences is how many sampled sentences, of at most timedTokens tokens, are scored again one by one for the
	// percentiles of their times.
	timedSentences = 256
	timedTokens    = 1024
)

// measureOptions choose what a measurement does. The functions may be nil.
type measureOptions struct {
	ngram.EvaluationOptions
	// records is told the scores of every batch of sentences, token by token.
	records func(*records) error
	// progress is told the phase ("score", "mass") and the units done: bytes of text, contexts; total is 0 when unknown.
	progress func(phase string, done, total uint64) error
	now      func() time.Time
}

// measure scores a text with the build, in bounded memory, as it is read. It is what Evaluate streams, and what a build is
// judged by on held-out text.
func (o opened) measure(ctx context.Context, from io.Reader, options measureOptions) (ngram.Evaluation, error) {
	if options.SampleSeed == 0 {
		options.SampleSeed = defaultSampleSeed
	}
	if options.now == nil {
		options.now = time.Now
	}
	m := &measurement{
		build: o, options: options, from: from,
		mass:      scoring.NewSampler[[]uint32](options.SampleSeed, int(options.CheckMass)),
		positions: scoring.NewSampler[sampledPosition](options.SampleSeed, int(options.Renormalise)),
		timed:     scoring.NewSampler[sentenceTokens](options.SampleSeed, timedSentences),
	}
	if err := m.text(ctx); err != nil {
		return ngram.Evaluation{}, err
	}
	if err := m.masses(ctx); err != nil {
		return ngram.Evaluation{}, err
	}
	if err := m.time(ctx); err != nil {
		return ngram.Evaluation{}, err
	}
	return m.result(), nil
}

// measurement is a text being measured.
type measurement struct {
	build   opened
	options measureOptions
	from    io.Reader
	bytes   uint64
	sum     [32]byte

	batch        []sentenceTokens
	size         int
	tally        scoring.Tally
	mass         *scoring.Sampler[[]uint32]
	positions    *scoring.Sampler[sampledPosition]
	summed       scoring.Masses
	renormalised scoring.Renormalised

	timed *scoring.Sampler[sentenceTokens]
	times []float64 // microseconds, ascending
}

// sampledPosition is a place in the text that is scored again with the true mass of its context.
type sampledPosition struct {
	context []uint32
	log10   float64
}

// text scores the text.
func (m *measurement) text(ctx context.Context) error {
	hash := sha256.New()
	counted := readerFunc(func(p []byte) (int, error) {
		n, err := m.from.Read(p)
		m.bytes += uint64(n)
		hash.Write(p[:n])
		return n, err
	})
	err := m.build.tokenizer.Sentences(counted, func(sentence text.Sentence) error {
		m.batch = append(m.batch, m.build.prepare(sentence, m.options.records != nil))
		if m.size += len(sentence.Tokens) + 1; m.size < batchTokens {
			return nil
		}
		return m.flush(ctx)
	})
	if err != nil {
		return err
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	hash.Sum(m.sum[:0])
	if m.tally.Tokens == 0 {
		return errors.New(errors.InvalidArgument, "TEXT_EMPTY", "the text holds no tokens; there is nothing to evaluate").
			Field("chunk", "must hold text")
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (m *measurement) flush(ctx context.Context) error {
	if len(m.batch) == 0 {
		return nil
	}
	scores := m.build.newRecords(m.batch, m.options.records != nil)
	err := m.build.score(ctx, m.batch, func(sentence, place int, context []uint32, record scoring.Record) {
		m.positions.Offer(m.tally.Tokens, func() sampledPosition { return sampledPosition{slices.Clone(context), record.Log10} })
		m.mass.Offer(uint64(contexthash.Sum(context)), func() []uint32 { return slices.Clone(context) })
		m.tally.Add(record)
		scores.add(sentence, place, record)
	})
	if err != nil {
		return err
	}
	for i, sentence := range m.batch {
		if len(sentence.ids) <= timedTokens {
			m.timed.Offer(m.tally.Sentences+uint64(i), func() sentenceTokens { return sentence })
		}
	}
	m.tally.Sentences += uint64(len(m.batch))
	if m.options.records != nil {
		if err := m.options.records(scores); err != nil {
			return err
		}
	}
	clear(m.batch)
	m.batch, m.size = m.batch[:0], 0
	return m.report("score", m.bytes, 0)
}

// masses sums the probabilities of all tokens after the sampled contexts.
func (m *measurement) masses(ctx context.Context) error {
	contexts, positions := m.mass.Values(), m.positions.Values()
	total := len(contexts) + len(positions)
	if total == 0 {
		return nil
	}
	distribution := decoding.NewDistribution(m.build.Unigrams)
	for begin := 0; begin < total; begin += massBatch {
		var batch [][]uint32
		for i := begin; i < min(begin+massBatch, total); i++ {
			if i < len(contexts) {
				batch = append(batch, contexts[i])
			} else {
				batch = append(batch, positions[i-len(contexts)].context)
			}
		}
		chains, err := m.build.Read(ctx, batch)
		if err != nil {
			return err
		}
		for i, chain := range chains {
			distribution.Base(chain)
			if at := begin + i; at < len(contexts) {
				m.summed.Add(distribution.Total())
			} else {
				m.renormalised.Add(positions[at-len(contexts)].log10, distribution.Total())
			}
		}
		if err := m.report("mass", uint64(begin+len(batch)), uint64(total)); err != nil {
			return err
		}
	}
	return nil
}

// time scores sampled sentences one by one, as a caller with one sentence would wait for it, the way over the network aside.
func (m *measurement) time(ctx context.Context) error {
	for _, sentence := range m.timed.Values() {
		begin := m.options.now()
		err := m.build.score(ctx, []sentenceTokens{sentence}, func(int, int, []uint32, scoring.Record) {})
		if err != nil {
			return err
		}
		m.times = append(m.times, float64(m.options.now().Sub(begin).Nanoseconds()/100)/10)
	}
	slices.Sort(m.times)
	return nil
}

// percentile is the least time that the share of the sentences does not exceed.
func (m *measurement) percentile(share float64) float64 {
	return m.times[max(0, int(math.Ceil(share*float64(len(m.times))))-1)]
}

func (m *measurement) report(phase string, done, total uint64) error {
	if m.options.progress == nil {
		return nil
	}
	return m.options.progress(phase, done, total)
}

func (m *measurement) result() ngram.Evaluation {
	build := m.build.Build
	e := ngram.Evaluation{
		Tenant: build.Tenant, Name: build.Name, Build: build.ID, TextSHA256: m.sum, TextBytes: m.bytes, Sentences: m.tally.Sentences,
		Options: m.options.EvaluationOptions,
		Details: ngram.EvaluationDetails{
			MassContexts: m.summed.Contexts, MassErrorMax: m.summed.ErrorMax, RenormalisedPositions: m.renormalised.Positions,
			TimedSentences: uint64(len(m.times)),
		},
	}
	for i, known := range m.tally.Known {
		if i == 0 && m.tally.OOV > 0 {
			e.Orders = append(e.Orders, ngram.EvaluatedOrder{N: 1, OOV: true, Tokens: m.tally.OOV, Log10: m.tally.LogOOV})
		}
		if known.Tokens > 0 {
			e.Orders = append(e.Orders, ngram.EvaluatedOrder{N: i + 1, Tokens: known.Tokens, Log10: known.Log10})
		}
	}
	d := &e.Details
	if m.renormalised.Positions > 0 {
		d.SampledPerplexity, d.RenormalisedPerplexity = m.renormalised.Sampled(), m.renormalised.Perplexity()
	}
	if len(m.times) > 0 {
		d.P50, d.P90, d.P99, d.Slowest = m.percentile(0.50), m.percentile(0.90), m.percentile(0.99), m.percentile(1)
	}
	return e
}
