package smoothing_test

import (
	"slices"

	"dbslm/pkg/exactmath"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/counting"
	"dbslm/services/ngram/goldentest"
	"dbslm/services/ngram/packed"
	"dbslm/services/ngram/smoothing"
)

// model is a whole model in memory: counted in one batch, estimated, and scored by plain backoff.
type model struct {
	order     int
	ids       map[string]uint32
	words     []string
	counts    []counting.Change // by order
	discounts []ngram.Discounts
	size      int64
	probs     map[int]map[int64]map[uint32]float64 // log10
	backoffs  map[int]map[int64]float64            // log10
	masses    map[int]map[int64]float64
	codes     map[int]map[int64]map[uint32]uint64
	choice    choice
	weights   []ngram.Weight
	plan      *smoothing.Plan
	params    smoothing.Params
	estimator *smoothing.Estimator
}

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatal(...any)
}

// choice is how a model is estimated.
type choice struct {
	quirk     bool
	storage   ngram.Storage // the zero value is exact
	smoothing ngram.Smoothing
	pruning   ngram.Pruning
}

func (m *model) sentence(words []string, learn bool) []uint32 {
	var ids []uint32
	for _, w := range words {
		id, known := m.ids[w]
		if !known && learn {
			id = uint32(len(m.words))
			m.ids[w] = id
			m.words = append(m.words, w)
		}
		ids = append(ids, id)
	}
	return ids
}

type counted struct {
	rows     []counting.Row
	registry []counting.RegistryRow
}

func count(t failer, m *model, sentences [][]string) []counted {
	t.Helper()
	m.ids, m.words = map[string]uint32{}, []string{"<unk>", "<s>", "</s>"}
	batch := counting.NewBatch(m.order, contexthash.Sum)
	for _, s := range sentences {
		batch.Add(m.sentence(s, true), 1)
	}
	m.counts = make([]counting.Change, m.order)
	all := make([]counted, m.order)
	for deltas := batch.Deltas(); ; {
		delta, err := deltas.Next()
		if err != nil {
			t.Fatal(err)
		}
		if delta == nil {
			return all
		}
		change, err := delta.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		m.counts[delta.N-1] = change
		c := &all[delta.N-1]
		_ = delta.Rows(counting.New, func(r counting.Row) error { c.rows = append(c.rows, r); return nil })
		_ = delta.Registry(counting.New, func(r counting.RegistryRow) error { c.registry = append(c.registry, r); return nil })
	}
}

func train(t failer, order int, sentences [][]string, choice choice) *model {
	t.Helper()
	if choice.storage == "" {
		choice.storage = ngram.StorageExact
	}
	m := &model{order: order, choice: choice}
	all := count(t, m, sentences)
	tallies := make([][4]int64, order)
	for i, change := range m.counts {
		tallies[i] = change.CountsOfCounts
	}
	if choice.quirk {
		retally(m, all, tallies)
	}
	for i, tally := range tallies {
		m.discounts = append(m.discounts, smoothing.Discounts(i+1, tally))
	}
	m.size = int64(len(all[0].rows)) + 1
	params := smoothing.Params{Order: order, Smoothing: choice.smoothing, Discounts: m.discounts, VocabularySize: m.size}
	if choice.smoothing == ngram.JelinekMercer {
		heldOut := smoothing.NewHeldOut(order, m.size)
		eachContext(t, all, func(c smoothing.Identified) error { return heldOut.Context(c.Context) })
		params.Weights = heldOut.Weights()
		m.weights = params.Weights
	}
	if !choice.pruning.IsZero() {
		planner := smoothing.NewPlanner(params, choice.pruning, contexthash.Sum)
		eachContext(t, all, planner.Context)
		var err error
		if params.Plan, err = planner.Plan(smoothing.Sizes{NGram: 40, Context: 50}); err != nil {
			t.Fatal(err)
		}
		m.plan = params.Plan
	}
	// The codebooks as a build finds them: wider ones, if the least values do not fit.
	for lo := smoothing.Ranges(choice.storage, smoothing.Least{}); ; {
		var err error
		if params.Unigram, params.Logprob, params.Backoff, err = smoothing.Books(choice.storage, lo); err != nil {
			t.Fatal(err)
		}
		m.estimate(t, params, all)
		need := smoothing.Ranges(choice.storage, m.estimator.Least())
		if need == lo {
			return m
		}
		lo = need
	}
}

func eachContext(t failer, all []counted, visit func(smoothing.Identified) error) {
	t.Helper()
	for i, c := range all {
		rows := c.rows
		for _, context := range c.registry {
			in := smoothing.Identified{Context: smoothing.Context{N: i + 1, Hash: context.Hash, Parent: context.Parent}, Oldest: context.Oldest}
			for len(rows) > 0 && rows[0].Hash == context.Hash {
				in.Tokens, in.Adjusted, in.Raw = append(in.Tokens, rows[0].Token), append(in.Adjusted, rows[0].Adjusted), append(in.Raw, rows[0].Raw)
				rows = rows[1:]
			}
			if err := visit(in); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (m *model) estimate(t failer, params smoothing.Params, all []counted) {
	t.Helper()
	m.probs, m.codes, m.backoffs, m.masses = map[int]map[int64]map[uint32]float64{}, map[int]map[int64]map[uint32]uint64{}, map[int]map[int64]float64{}, map[int]map[int64]float64{}
	for n := 1; n <= m.order; n++ {
		m.probs[n], m.backoffs[n], m.codes[n] = map[int64]map[uint32]float64{}, map[int64]float64{}, map[int64]map[uint32]uint64{}
		m.masses[n] = map[int64]float64{}
	}
	m.params = params
	m.estimator = smoothing.NewEstimator(params)
	eachContext(t, all, func(in smoothing.Identified) error {
		n := in.N
		result, err := m.estimator.Context(in.Context)
		if err != nil || len(result.Tokens) == 0 {
			return err
		}
		m.backoffs[n][in.Hash] = result.Backoff
		m.masses[n][in.Hash] = result.Mass
		m.probs[n][in.Hash], m.codes[n][in.Hash] = map[uint32]float64{}, map[uint32]uint64{}
		for j, token := range result.Tokens {
			value := packed.Float(result.Codes[j])
			if params.Logprob != nil {
				value = params.Logprob.Log10[min(result.Codes[j], uint64(len(params.Logprob.Log10)-1))]
				if n == 1 {
					value = params.Unigram.Log10[result.Codes[j]]
				}
			}
			m.probs[n][in.Hash][token] = value
			m.codes[n][in.Hash][token] = result.Codes[j]
		}
		return nil
	})
}

func retally(m *model, all []counted, tallies [][4]int64) {
	contexts := make([]map[int64]counting.RegistryRow, m.order)
	for i, c := range all {
		contexts[i] = map[int64]counting.RegistryRow{}
		for _, row := range c.registry {
			contexts[i][row.Hash] = row
		}
	}
	last := smoothing.LastNGram{Order: m.order}
	for i, c := range all {
		for _, row := range c.rows {
			var tokens []uint32
			for n, hash := i, row.Hash; n > 0; n-- {
				tokens = append(tokens, contexts[n][hash].Oldest)
				hash = contexts[n][hash].Parent
			}
			last.Offer(append(tokens, row.Token))
		}
	}
	for _, suffix := range last.Suffixes() {
		n := len(suffix)
		hash := contexthash.Sum(suffix[:n-1])
		for _, row := range all[n-1].rows {
			if row.Hash == hash && row.Token == suffix[n-1] {
				smoothing.Retally(&tallies[n-1], row.Raw, row.Adjusted)
			}
		}
	}
}

// score is plain backoff: log10 of the token after the context, oldest token first, and the matched length.
func (m *model) score(context []uint32, token uint32) (float64, int) {
	context = context[max(0, len(context)-m.order+1):]
	sum := 0.0
	for {
		n := len(context) + 1
		hash := contexthash.Sum(context)
		if p, found := m.probs[n][hash][token]; found {
			if n == 1 {
				p += m.backoffs[1][hash] // the factor of the unigrams
			}
			return sum + p, n
		}
		sum += m.backoffs[n][hash]
		context = context[1:]
	}
}

func (m *model) scoreSentence(words []string) []goldentest.Token {
	context := []uint32{ngram.SentenceStart}
	var out []goldentest.Token
	for i, id := range append(m.sentence(words, false), ngram.SentenceEnd) {
		p, matched := m.score(context, id)
		word := "</s>"
		if i < len(words) {
			word = words[i]
		}
		out = append(out, goldentest.Token{Token: word, Matched: matched, Log10: p})
		context = append(context, id)
	}
	return out
}

// mass is the sum over the vocabulary after a context.
func (m *model) mass(context []uint32) float64 {
	total := 0.0
	for id := range m.words {
		if uint32(id) != ngram.SentenceStart {
			p, _ := m.score(slices.Clone(context), uint32(id))
			total += exactmath.Pow10(p)
		}
	}
	return total
}
