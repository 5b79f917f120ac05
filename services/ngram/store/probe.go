package store

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/exactmath"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/smoothing"
)

// Probing has Count measure the counts on a text while they grow.
type Probing struct {
	Text      []byte
	Documents int64                   // after every so many documents counted to their end; 0 for never
	Tokens    int64                   // after the sentence with which so many tokens are counted; 0 for never
	Tell      func(ngram.Probe) error // called between two transactions

	documents, tokens int64 // counted since the last one
}

// due says whether it is time to measure.
func (p *Probing) due() bool {
	return p != nil && (p.Documents > 0 && p.documents >= p.Documents || p.Tokens > 0 && p.tokens >= p.Tokens)
}

// Probe has Count measure from now on. A text without tokens is InvalidArgument.
func (t *Trainer) Probe(p Probing) error {
	t.probing = &p
	sentences, err := t.probeSentences(map[string]uint32{})
	if err != nil {
		return errors.Wrap(err, errors.InvalidArgument, "INVALID_TEXT", "the text to probe with cannot be cut into tokens: %s", errors.Public(err)).Field("probe.text", errors.Public(err))
	}
	if !slices.ContainsFunc(sentences, func(s []uint32) bool { return len(s) > 0 }) {
		return errors.New(errors.InvalidArgument, "TEXT_EMPTY", "the text to probe with holds no token").Field("probe.text", "must hold text")
	}
	return nil
}

// ProbeLast measures once more, if something was counted since the last time.
func (t *Trainer) ProbeLast(ctx context.Context) error {
	if p := t.probing; p == nil || p.documents+p.tokens == 0 || t.model.Tokens == 0 {
		return nil
	}
	return t.probe(ctx)
}

// probe measures and tells.
func (t *Trainer) probe(ctx context.Context) error {
	p := t.probing
	p.documents, p.tokens = 0, 0
	measured, err := t.measure(ctx)
	if err != nil {
		return err
	}
	return p.Tell(measured)
}

func (t *Trainer) probeSentences(ids map[string]uint32) (sentences [][]uint32, err error) {
	from := text.NewReader(text.Normalization(t.model.Settings.Normalization), bytes.NewReader(t.probing.Text))
	err = t.tokenizer.Sentences(from, func(sentence text.Sentence) error {
		tokens := make([]uint32, len(sentence.Tokens))
		for i, token := range sentence.Tokens {
			if id, known := ids[string(token.Text)]; known {
				tokens[i] = id
			}
		}
		sentences = append(sentences, tokens)
		return nil
	})
	return sentences, err
}

// probedEvent is a token of the text after its context.
type probedEvent struct {
	at, context int // the token's place, and how many tokens before it count
	p           float64
}

// measure computes what an exact build of modified Kneser-Ney of the counts as they stand would give for the text, from the rows that
// it needs and no others: discounts from the counts of counts, and for each order the sums of the text's contexts and the counts
// of its n-grams. Nobody counts meanwhile, since the trainer holds the model.
func (t *Trainer) measure(ctx context.Context) (ngram.Probe, error) {
	result := ngram.Probe{Documents: t.model.Documents, Tokens: t.model.Tokens, CountsVersion: t.model.CountsVersion}
	if t.words == nil {
		var err error
		if t.words, err = t.loadVocabulary(ctx); err != nil {
			return result, err
		}
	}
	sentences, err := t.probeSentences(t.words.ids)
	if err != nil {
		return result, err
	}
	order := t.model.Settings.Order
	totals, err := readTotals(ctx, t.store.db, t.model.ID, order)
	if err != nil {
		return result, err
	}
	m := &probeText{t: t, params: smoothing.Params{Order: order, Smoothing: ngram.ModifiedKneserNey, VocabularySize: totals[0].NGrams + 1}}
	for i, o := range totals {
		m.params.Discounts = append(m.params.Discounts, smoothing.Discounts(i+1, o.CountsOfCounts))
	}
	for _, sentence := range sentences {
		m.add(sentence)
		result.Sentences++
	}
	for n := 1; n <= order; n++ {
		if err := m.order(ctx, n); err != nil {
			return result, err
		}
	}
	for _, e := range m.events {
		log10 := float64(smoothing.Zero)
		if e.p > 0 {
			log10 = min(0, exactmath.Log10(e.p))
		}
		result.Events++
		result.Log10 += log10
		if m.tokens[e.at] == lookup.Unknown {
			result.OOV++
			result.Log10OOV += log10
		}
	}
	return result, nil
}

// probeText is a text while it is measured, order by order.
type probeText struct {
	t      *Trainer
	params smoothing.Params
	tokens []uint32
	events []probedEvent
}

func (m *probeText) add(sentence []uint32) {
	first := len(m.tokens)
	m.tokens = append(append(append(m.tokens, lookup.Start), sentence...), lookup.End)
	whole := m.tokens[first:]
	for i := 1; i < len(whole); i++ {
		m.events = append(m.events, probedEvent{at: first + i, context: len(scoring.ContextAt(whole, i, m.params.Order)), p: 1 / float64(m.params.VocabularySize)})
	}
}

// order turns p(w|h') of every event into p(w|h) of order n.
func (m *probeText) order(ctx context.Context, n int) error {
	wanted := map[int64][]int{} // events by hash of their context
	for i, e := range m.events {
		if e.context >= n-1 {
			hash := m.t.store.options.Hash(m.tokens[e.at-(n-1) : e.at])
			wanted[hash] = append(wanted[hash], i)
		}
	}
	base := []any{int64(m.t.model.ID), n}
	known := map[int64]smoothing.Counts{}
	hashes := slices.Sorted(maps.Keys(wanted))
	for some := range slices.Chunk(hashes, idsPerQuery) {
		args := slices.Clone(base)
		for _, hash := range some {
			args = append(args, hash)
		}
		err := m.t.store.db.Stream(ctx, selectRegistry+inContexts+database.In(len(some)), args, func(row database.Row) error {
			known[row.Int(0)] = smoothing.Counts{N: n, AdjustedTotal: row.Int(3), Followers: [3]int64{row.Int(4), row.Int(5), row.Int(6)}}
			return nil
		})
		if err != nil {
			return err
		}
	}
	counts, err := m.counts(ctx, base, hashes, wanted, known)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		context, there := known[hash]
		if !there {
			continue
		}
		for _, i := range wanted[hash] {
			e := &m.events[i]
			c := context
			c.Raw, c.Adjusted = counts[probedGram{hash, m.tokens[e.at]}].raw, counts[probedGram{hash, m.tokens[e.at]}].adjusted
			own, gamma := smoothing.Term(m.params, c)
			below := float64(gamma * e.p)
			if n == 1 {
				below = float64(gamma / float64(m.params.VocabularySize))
			}
			e.p = own + below
		}
	}
	return nil
}

type probedGram struct {
	hash  int64
	token uint32
}

type gramCounts struct{ raw, adjusted int64 }

// counts reads the counts of the events' n-grams: contexts with few followers whole and many at once, those with many followers
// by token.
func (m *probeText) counts(ctx context.Context, base []any, hashes []int64, wanted map[int64][]int, known map[int64]smoothing.Counts) (map[probedGram]gramCounts, error) {
	counts := map[probedGram]gramCounts{}
	needed := map[probedGram]bool{}
	for _, hash := range hashes {
		for _, i := range wanted[hash] {
			needed[probedGram{hash, m.tokens[m.events[i].at]}] = true
		}
	}
	row := func(row database.Row) error {
		if g := (probedGram{row.Int(0), uint32(row.Int(1))}); needed[g] {
			counts[g] = gramCounts{row.Int(2), row.Int(3)}
		}
		return nil
	}
	var whole []any
	rows := int64(0)
	flush := func() error {
		if len(whole) == 0 {
			return nil
		}
		args := append(slices.Clone(base), whole...)
		err := m.t.store.db.Stream(ctx, selectCounts+inContexts+database.In(len(whole)), args, row)
		whole, rows = whole[:0], 0
		return err
	}
	for _, hash := range hashes {
		context, there := known[hash]
		if !there {
			continue
		}
		followers := context.Followers[0] + context.Followers[1] + context.Followers[2]
		if followers > manyFollowers {
			if err := m.some(ctx, base, hash, wanted[hash], row); err != nil {
				return nil, err
			}
			continue
		}
		if rows+followers > rowsPerQuery || len(whole) == idsPerQuery {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		whole = append(whole, hash)
		rows += followers
	}
	return counts, flush()
}

// some reads the counts of the events after one context.
func (m *probeText) some(ctx context.Context, base []any, hash int64, events []int, row func(database.Row) error) error {
	var tokens []uint32
	for _, i := range events {
		tokens = append(tokens, m.tokens[m.events[i].at])
	}
	slices.Sort(tokens)
	for some := range slices.Chunk(slices.Compact(tokens), idsPerQuery) {
		args := append(slices.Clone(base), hash)
		for _, token := range some {
			args = append(args, int64(token))
		}
		if err := m.t.store.db.Stream(ctx, selectCounts+inFollowers+database.In(len(some)), args, row); err != nil {
			return err
		}
	}
	return nil
}
