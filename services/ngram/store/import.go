package store

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/exchange"
)

// Format names a file format of models.
type Format string

// The formats.
const (
	FormatARPA   Format = "arpa"   // probabilities; the model will have no counts
	FormatCounts Format = "counts" // counts, from which a build is derived
)

// Import says what to make of a file.
type Import struct {
	Format Format
	File   io.Reader
	// Settings that the file does not carry. Zero: the order of the file, the tokeniser whitespace, no normalisation.
	Settings ngram.Settings
	// Storage of the build; default 8 bits.
	Storage ngram.Storage
	// Vocabulary names a model whose words the file must have, all of them and no other; "" for any words.
	Vocabulary string
}

// abandonedAfter is when the rows of an import are removed that wrote nothing for so long.
const abandonedAfter = 10 * time.Minute

// Import makes a model of a file and publishes its build. The file is read and checked to its end before the first row is
// written, in bounded memory; the rows belong to a generation without a name, which gets it in the transaction that publishes
// the build. So a bad file leaves nothing, and what a killed import wrote is removed by Purge.
func (s *Store) Import(ctx context.Context, tenant, name string, in Import, progress ngram.Progress) (ngram.Model, ngram.Build, error) {
	i := &importer{store: s, in: in, progress: progress, ids: map[string]uint32{}, counted: in.Format == FormatCounts}
	defer func() {
		if i.grams != nil {
			i.grams.close()
		}
	}()
	if err := i.prepare(ctx, tenant, name); err != nil {
		return ngram.Model{}, ngram.Build{}, err
	}
	read := i.readARPA
	if i.counted {
		read = i.readCounts
	}
	if err := read(ctx); err != nil {
		return ngram.Model{}, ngram.Build{}, err
	}
	if err := i.finishReading(ctx); err != nil {
		return ngram.Model{}, ngram.Build{}, err
	}
	id, err := i.write(ctx)
	if err != nil {
		return ngram.Model{}, ngram.Build{}, err
	}
	model, err := s.Model(ctx, tenant, name)
	if err != nil {
		return ngram.Model{}, ngram.Build{}, err
	}
	build, err := s.BuildOf(ctx, tenant, name, id)
	return model, build, err
}

// importer is an import in progress.
type importer struct {
	store    *Store
	in       Import
	progress ngram.Progress
	counted  bool // the file has counts

	trainer Trainer
	grams   *grams
	ids     map[string]uint32 // of the words
	words   []string          // by id less ngram.FirstWord
	counts  []int64           // of the words, for files of counts
	totals  []orderTotals     // by order
	allowed map[string]bool   // words of the model named by Import.Vocabulary; nil for any
	least   [3]float64        // log10 of unigrams, n-grams, weights
	seen    [ngram.FirstWord]bool
	warn    []string
	read    int64

	sentences, tokens int64
}

// prepare checks what was asked for.
func (i *importer) prepare(ctx context.Context, tenant, name string) error {
	if i.in.Storage == "" {
		i.in.Storage = ngram.Storage8
	}
	if err := (ngram.BuildOptions{Storage: i.in.Storage, Smoothing: ngram.ModifiedKneserNey}).Validate(i.in.Settings.Order); err != nil {
		return err
	}
	settings := i.in.Settings.WithDefaultsFrom(ngram.Settings{
		Order: i.in.Settings.Order, Tokenizer: ngram.TokenizerWhitespace, Normalization: ngram.NormalizationNone, UnkPolicy: ngram.UnkReserved,
	})
	asked := settings
	asked.Order = max(asked.Order, 1)
	asked, err := canonical(asked)
	if err != nil {
		return err
	}
	settings.TokenizerParameters = asked.TokenizerParameters
	if padded(tenant) || padded(name) || name == "" {
		return errors.New(errors.InvalidArgument, "MODEL_NAME_INVALID", "a model's name and tenant must not begin or end with white space; %q of %q does", name, tenant)
	}
	switch _, err := i.store.Model(ctx, tenant, name); {
	case err == nil:
		return taken(name)
	case errors.KindOf(err) != errors.NotFound:
		return err
	}
	i.trainer = Trainer{store: i.store, hidden: true, model: ngram.Model{Tenant: tenant, Name: name, Settings: settings}}
	if i.trainer.immediate, err = i.store.immediate(ctx); err != nil {
		return err
	}
	if i.in.Vocabulary != "" {
		i.allowed, err = i.store.wordsOf(ctx, tenant, i.in.Vocabulary)
	}
	return err
}

func taken(name string) error {
	return errors.New(errors.AlreadyExists, "MODEL_EXISTS", "there is a model %q already; import under another name, or delete it first", name).With("model", name)
}

const selectWordsOf = `SELECT v.token FROM tbl_l1_ng_probs_n p JOIN tbl_l1_vocabulary v ON v.model_id = p.model_id AND v.token_id = p.next_token_id
WHERE p.model_id = ? AND p.n = 1 AND p.context_hash = ? AND p.since_build <= ? AND (p.until_build IS NULL OR p.until_build > ?) AND v.is_control = 0`

// wordsOf is the vocabulary of the build that a model serves.
func (s *Store) wordsOf(ctx context.Context, tenant, name string) (map[string]bool, error) {
	model, err := s.Model(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	if model.Published == 0 {
		return nil, errors.New(errors.FailedPrecondition, "NO_PUBLISHED_BUILD", "model %q has no published build, so it has no vocabulary to compare with", name).With("model", name)
	}
	words := map[string]bool{}
	args := []any{int64(model.Serving), s.options.Hash(nil), int64(model.Published), int64(model.Published)}
	err = s.db.Stream(ctx, selectWordsOf, args, func(row database.Row) error {
		words[string(row.Bytes(0))] = true
		return nil
	})
	return words, err
}

// word returns the id of a word, which it gets now if it is new.
func (i *importer) word(word []byte, at exchange.Position) (uint32, error) {
	if i.trainer.model.Settings.Tokenizer == ngram.TokenizerBytes {
		switch string(word) {
		case "<s>", "</s>", "<unk>":
		default:
			decoded, err := exchange.Unhex(word, at)
			if err != nil {
				return 0, err
			}
			word = decoded
		}
	}
	if id, ok := i.ids[string(word)]; ok {
		return id, nil
	}
	id := uint32(len(i.words)) + ngram.FirstWord
	switch string(word) {
	case "<unk>", "<UNK>":
		id = ngram.Unknown
	case "<s>":
		id = ngram.SentenceStart
	case "</s>":
		id = ngram.SentenceEnd
	default:
		if i.allowed != nil && !i.allowed[string(word)] {
			return 0, exchange.Malformed(at, fmt.Sprintf("a word of model %q", i.in.Vocabulary), strconv.Quote(string(word)))
		}
		if id >= ngram.MaxTokens {
			return 0, exchange.Malformed(at, fmt.Sprintf("at most %d words", ngram.MaxTokens-ngram.FirstWord), "one more")
		}
		i.words = append(i.words, string(word))
		i.counts = append(i.counts, 0)
	}
	i.ids[string(word)] = id
	return id, nil
}

// control says that a control token was read, or refuses it where it cannot stand.
func (i *importer) control(tokens []uint32, at func(n int) exchange.Position) error {
	for n, token := range tokens {
		last := n == len(tokens)-1
		switch {
		case token >= ngram.FirstWord:
		case token == ngram.SentenceStart && last && n > 0:
			return exchange.Malformed(at(n), "a word or </s>: <s> only begins an n-gram", `"<s>"`)
		case token == ngram.Unknown && i.counted:
			return exchange.Malformed(at(n), "a word: <unk> stands for what was not counted", `"<unk>"`)
		case len(tokens) == 1:
			if i.seen[token] {
				return exchange.Malformed(at(n), "every n-gram once", ngram.ControlToken(token)+" a second time")
			}
			i.seen[token] = true
		}
	}
	return nil
}

// progressEvery is how many n-grams are read between two reports.
const progressEvery = 1 << 15

func (i *importer) tick(ctx context.Context, phase string, done, total int64) error {
	if done%progressEvery == 0 {
		i.progress.Report(phase, done, total)
		return ctx.Err()
	}
	return nil
}

// readARPA reads a file of probabilities.
func (i *importer) readARPA(ctx context.Context) error {
	file, err := exchange.NewARPAReader(i.in.File)
	if err != nil {
		return err
	}
	settings := &i.trainer.model.Settings
	if asked := settings.Order; asked != 0 && asked != len(file.Counts()) {
		return otherOrder(len(file.Counts()), asked)
	}
	settings.Order = len(file.Counts())
	total := int64(0)
	for _, n := range file.Counts() {
		total += n
	}
	i.grams = newGrams(i.store.options.Hash, settings.Order)
	i.grams.grow(settings.Order)
	tokens := make([]uint32, 0, settings.Order)
	positive := 0
	for {
		entry, err := file.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n := len(entry.Words)
		if n > 1 && !i.seen[ngram.SentenceStart] || n > 1 && !i.seen[ngram.SentenceEnd] {
			return exchange.Malformed(entry.At, "<s> and </s> among the n-grams of order 1", "none of one of them")
		}
		tokens = tokens[:0]
		known := len(i.words)
		for w, word := range entry.Words {
			id, err := i.word(word, entry.WordAt(w))
			if err != nil {
				return err
			}
			if n > 1 && (len(i.words) > known || id == ngram.Unknown && !i.seen[id]) {
				return exchange.Malformed(entry.WordAt(w), "a word that is an n-gram of order 1", strconv.Quote(string(word)))
			}
			tokens = append(tokens, id)
		}
		if err := i.control(tokens, entry.WordAt); err != nil {
			return err
		}
		i.note(n, tokens[n-1], entry)
		if entry.Backoff > 0 {
			positive++
		}
		if err := i.grams.add(tokens, math.Float64bits(entry.Log10), math.Float64bits(entry.Backoff), entry.At); err != nil {
			return err
		}
		i.read++
		if err := i.tick(ctx, "read", i.read, total); err != nil {
			return err
		}
	}
	if !i.seen[ngram.SentenceStart] || !i.seen[ngram.SentenceEnd] {
		return exchange.Malformed(exchange.Position{Line: 1, Column: 1}, "<s> and </s> among the n-grams of order 1", "a model without them")
	}
	if !i.seen[ngram.Unknown] {
		i.warn = append(i.warn, "The file has no <unk>, so unknown words have the probability 10^-100.")
		if err := i.grams.add([]uint32{ngram.Unknown}, math.Float64bits(noUnknown), 0, exchange.Position{Line: 1, Column: 1}); err != nil {
			return err
		}
	}
	if positive > 0 && i.in.Storage.Bits() > 0 {
		i.warn = append(i.warn, fmt.Sprintf("%d backoff weights are greater than 1 and stored exactly.", positive))
	}
	return nil
}

// noUnknown is log10 of the probability of unknown words where a file gives none.
const noUnknown = -100

// note keeps the least logarithms, from which codebooks follow. What is written for zero does not count.
func (i *importer) note(n int, last uint32, entry *exchange.Entry) {
	const zero = -90
	if onlyWeight := n == 1 && last == ngram.SentenceStart; !onlyWeight && entry.Log10 > zero {
		at := min(n-1, 1)
		i.least[at] = min(i.least[at], entry.Log10)
	}
	if entry.Backoff > zero {
		i.least[2] = min(i.least[2], entry.Backoff)
	}
}

func otherOrder(has, asked int) error {
	return errors.New(errors.InvalidArgument, "ORDER_DIFFERS", "the file is a model of order %d, not %d as asked", has, asked).
		Field("header.settings.order", "not that of the file")
}

// readCounts reads a table of counts.
func (i *importer) readCounts(ctx context.Context) error {
	asked := i.trainer.model.Settings.Order
	i.grams = newGrams(i.store.options.Hash, max(asked, 8))
	file := exchange.NewCountsReader(i.in.File)
	tokens := make([]uint32, 0, 8)
	for {
		g, err := file.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n := len(g.Words)
		if asked != 0 && n > asked {
			return exchange.Malformed(g.WordAt(asked), fmt.Sprintf("at most %d words, the order asked for", asked), strconv.Itoa(n))
		}
		tokens = tokens[:0]
		for w, word := range g.Words {
			id, err := i.word(word, g.WordAt(w))
			if err != nil {
				return err
			}
			tokens = append(tokens, id)
		}
		if err := i.control(tokens, g.WordAt); err != nil {
			return err
		}
		if n == 1 {
			switch id := tokens[0]; id {
			case ngram.SentenceStart:
			case ngram.SentenceEnd:
				i.sentences = g.Count
			default:
				i.counts[id-ngram.FirstWord] = g.Count
				i.tokens += g.Count
			}
		}
		if err := i.grams.add(tokens, uint64(g.Count), uint64(g.Count), g.At); err != nil {
			return err
		}
		i.read++
		if err := i.tick(ctx, "read", i.read, 0); err != nil {
			return err
		}
	}
	if i.read == 0 {
		return exchange.Malformed(exchange.Position{Line: 1, Column: 1}, "an n-gram and its count", "the end of the file")
	}
	if !i.seen[ngram.SentenceEnd] {
		return exchange.Malformed(exchange.Position{Line: 1, Column: 1}, "the count of </s>, which every sentence ends with", "a file without it")
	}
	i.grams.grow(asked) // no sentence may be long enough for the highest order
	i.trainer.model.Settings.Order = len(i.grams.orders)
	if i.seen[ngram.SentenceStart] {
		return nil
	}
	return i.grams.add([]uint32{ngram.SentenceStart}, uint64(i.sentences), uint64(i.sentences), exchange.Position{Line: 1, Column: 1})
}

// finishReading checks what can be checked only when everything is known.
func (i *importer) finishReading(ctx context.Context) error {
	if missing := len(i.allowed) - len(i.words); i.allowed != nil && missing > 0 {
		example := ""
		for word := range i.allowed {
			if _, ok := i.ids[word]; !ok && (example == "" || word < example) {
				example = word
			}
		}
		return errors.New(errors.InvalidArgument, "VOCABULARY_DIFFERS", "%d words of model %q are not in the file, %q for example", missing, i.in.Vocabulary, example)
	}
	i.progress.Report("check", i.read, i.read)
	if err := i.grams.check(); err != nil {
		return err
	}
	for _, o := range i.grams.orders {
		i.totals = append(i.totals, orderTotals{NGrams: o.byContext.Len()})
	}
	return ctx.Err()
}
