package store

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/exchange"
	"dbslm/services/ngram/extsort"
	"dbslm/services/ngram/lookup"
)

// ExportARPA writes a build as an ARPA file; id 0 is the published one. The probabilities are those that are stored. N-grams
// are in the order of their ids from the last word to the first, as other toolkits write them.
func (r *Reader) ExportARPA(ctx context.Context, tenant, model string, id ngram.BuildID, w io.Writer, progress ngram.Progress) error {
	v, err := r.Open(ctx, tenant, model, id)
	if err != nil {
		return err
	}
	params, err := r.sizes(ctx, v)
	if err != nil {
		return err
	}
	x := newSpeller(v.Build.Order, params, contexthash.Sum, progress)
	defer x.close()
	b := v.loadedBuild
	scale := 0.0
	err = x.run(ctx, true, math.Float64bits(0), func(ctx context.Context, n int, from, to int64, context func(hash int64, weight uint64) error, follower func(token uint32, value uint64) error) error {
		return r.eachContext(ctx, b, uint8(n), from, to, func(hash int64, weight lookup.Weight, blob []byte) error {
			mass, log10, ok := weight.Values(&b.backoffs)
			if !ok {
				return damaged(b.Build, "a backoff code is not in its codebook")
			}
			if scale = 0; n == 1 {
				scale, log10 = log10, 0 // it normalises the unigrams
			}
			if err := context(hash, math.Float64bits(log10)); err != nil {
				return err
			}
			var err error
			row := lookup.New(mass, log10, b.book(uint8(n)), blob, nil, nil)
			row.Each(func(group lookup.Group, tokens []uint32) {
				for _, token := range tokens {
					if err == nil {
						err = follower(token, math.Float64bits(min(0, group.Log10+scale)))
					}
				}
			})
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := v.Verify(ctx); err != nil {
		return err
	}
	out, err := exchange.NewARPAWriter(w, x.lengths())
	if err != nil {
		return err
	}
	spell := speller(b.Settings, b.Vocabulary.Len(), b.Vocabulary.Text)
	for n := 1; n <= v.Build.Order; n++ {
		if err := out.Section(); err != nil {
			return err
		}
		err := x.each(ctx, n, func(tokens []uint32, value, weight uint64) error {
			words, err := spell(tokens)
			if err != nil {
				return err
			}
			return out.Write(words, math.Float64frombits(value), math.Float64frombits(weight)+0, n < v.Build.Order)
		})
		if err != nil {
			return err
		}
	}
	return out.Close()
}

const selectSizes = `SELECT n, ngrams FROM tbl_l1_mkn_params WHERE build_id = ? ORDER BY n`

// sizes are the numbers of n-grams by order, about.
func (r *Reader) sizes(ctx context.Context, v *View) ([]int64, error) {
	sizes := make([]int64, v.Build.Order)
	err := r.db.Stream(ctx, selectSizes, []any{int64(v.Build.ID)}, func(row database.Row) error {
		if n := int(row.Int(0)); n <= len(sizes) {
			sizes[n-1] = row.Int(1)
		}
		return nil
	})
	return sizes, err
}

const (
	selectRaw       = `SELECT context_hash, next_token_id, c FROM tbl_l1_ng_counts_n WHERE model_id = ? AND n = ? AND context_hash BETWEEN ? AND ? ORDER BY context_hash, next_token_id`
	selectVocab     = `SELECT token_id, token FROM tbl_l1_vocabulary WHERE model_id = ? ORDER BY token_id`
	selectUncounted = `SELECT COUNT(*) FROM tbl_corpus WHERE model_id = ? AND state = 'stored' AND bytes_done > 0`
)

// ExportCounts writes the counts of a model as a table: every n-gram of every order with the number of its occurrences, <s>
// with the number of sentences. Aborted if something is counted meanwhile.
func (s *Store) ExportCounts(ctx context.Context, tenant, name string, w io.Writer, progress ngram.Progress) error {
	model, err := s.Model(ctx, tenant, name)
	if err != nil {
		return err
	}
	if err := countable(model); err != nil {
		return err
	}
	if model.Tokens == 0 {
		return errors.New(errors.FailedPrecondition, "MODEL_EMPTY", "model %q has no counted text; train it before exporting its counts", name).With("model", name)
	}
	var partly int64
	if err := s.db.QueryRow(ctx, selectUncounted, int64(model.ID)).Scan(&partly); err != nil {
		return err
	}
	if partly > 0 {
		return errors.New(errors.FailedPrecondition, "COUNTING_UNFINISHED", "a document of model %q is counted in part; run its training again to complete it", name).With("model", name)
	}
	if err := s.settle(ctx, model.ID); err != nil {
		return err
	}
	var words []string
	err = s.db.Stream(ctx, selectVocab, []any{int64(model.ID)}, func(row database.Row) error {
		for int64(len(words)) < row.Int(0) {
			words = append(words, "") // forgotten
		}
		words = append(words, string(row.Bytes(1)))
		return nil
	})
	if err != nil {
		return err
	}
	x := newSpeller(model.Settings.Order, model.NGrams, s.options.Hash, progress)
	defer x.close()
	err = x.run(ctx, false, uint64(model.Sentences), func(ctx context.Context, n int, from, to int64, context func(hash int64, weight uint64) error, follower func(token uint32, value uint64) error) error {
		begun, hash := false, int64(0)
		return s.db.Stream(ctx, selectRaw, []any{int64(model.ID), n, from, to}, func(row database.Row) error {
			if next := row.Int(0); !begun || next != hash {
				begun, hash = true, next
				if err := context(hash, 0); err != nil {
					return err
				}
			}
			return follower(uint32(row.Int(1)), uint64(row.Int(2)))
		})
	})
	if err != nil {
		return err
	}
	now, err := s.Model(ctx, tenant, name)
	if err != nil {
		return err
	}
	if now.ID != model.ID || now.CountsVersion != model.CountsVersion {
		return errors.New(errors.Aborted, "MODEL_CHANGED", "model %q was trained while its counts were read; export them again", name).With("model", name)
	}
	out := exchange.NewCountsWriter(w)
	spell := speller(model.Settings, len(words), func(id uint32) string { return words[id] })
	for n := 1; n <= model.Settings.Order; n++ {
		err := x.each(ctx, n, func(tokens []uint32, value, _ uint64) error {
			words, err := spell(tokens)
			if err != nil {
				return err
			}
			return out.Write(words, int64(value))
		})
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// speller returns what writes tokens as the words of a file, valid until the next call.
func speller(settings ngram.Settings, words int, text func(id uint32) string) func(tokens []uint32) ([][]byte, error) {
	var out [][]byte
	return func(tokens []uint32) ([][]byte, error) {
		out = out[:0]
		for _, token := range tokens {
			if int(token) >= words {
				return nil, errors.New(errors.DataLoss, "BUILD_DAMAGED", "an n-gram has the token %d, but the vocabulary ends at %d; build the model again", token, words)
			}
			word := []byte(text(token))
			switch {
			case token < ngram.FirstWord:
			case settings.Tokenizer == ngram.TokenizerBytes:
				word = exchange.Hex(word)
			case slices.Contains([]string{"<unk>", "<UNK>", "<s>", "</s>"}, string(word)):
				return nil, errors.New(errors.FailedPrecondition, "WORD_NOT_WRITABLE",
					"the model has %q as an ordinary word, which the file could not tell from the mark; copy the model instead", word)
			}
			out = append(out, word)
		}
		return out, nil
	}
}

// gramSource reads the contexts of order n with hashes of a range in ascending order: context is called for each, then
// follower for each of its followers.
type gramSource func(ctx context.Context, n int, from, to int64, context func(hash int64, weight uint64) error, follower func(token uint32, value uint64) error) error

// spelled collects all n-grams of a model, spelled out. Every context of order n+1 is an n-gram of order n (or <s>), so one
// pass over the orders spells all of them, and tells the weights of the n-grams as contexts.
type spelled struct {
	hash     contexthash.Func
	sizes    []int64 // n-grams by order, about
	limit    int
	done     []*extsort.Sorter // by order: ids, value, weight
	ids      []*extsort.Sorter // by order: hash as a context, ids, value; closed once used
	progress ngram.Progress
	total    int64
	reversed bool
}

func newSpeller(order int, sizes []int64, hash contexthash.Func, progress ngram.Progress) *spelled {
	x := &spelled{hash: hash, sizes: sizes, limit: max(256<<10, sortMemory/(order+2)), progress: progress}
	for n := 1; n <= order; n++ {
		x.done = append(x.done, extsort.New(4*n+16, x.limit))
		x.ids = append(x.ids, extsort.New(8+4*n+8, x.limit))
		x.total += sizes[n-1]
	}
	return x
}

func (x *spelled) close() {
	for _, s := range slices.Concat(x.done, x.ids) {
		_ = s.Close() // temporary
	}
}

// exportRows is about how many n-grams one statement reads.
const exportRows = 100_000

// run reads everything. start is the value of <s>; reversed orders n-grams by their last word first.
func (x *spelled) run(ctx context.Context, reversed bool, start uint64, source gramSource) error {
	x.reversed = reversed
	read := int64(0)
	for n := 1; n <= len(x.done); n++ {
		var contexts *pull[spelledContext]
		if n > 1 {
			order := n - 1
			contexts = pullFrom(x.ids[n-2], func(b []byte) spelledContext { return spelledContextOf(b, order) })
		}
		var tokens []uint32
		open := func(hash int64, weight uint64) error {
			if n == 1 {
				tokens = tokens[:0]
				return nil
			}
			for ; contexts.ok && contexts.at.hash < hash; contexts.next() {
				if err := x.finish(contexts.at, 0); err != nil {
					return err
				}
			}
			if !contexts.ok || contexts.at.hash != hash {
				return errors.New(errors.DataLoss, "BUILD_DAMAGED", "a context of order %d is no n-gram of the order below; build the model again", n)
			}
			tokens = append(tokens[:0], contexts.at.tokens...)
			if err := x.finish(contexts.at, weight); err != nil {
				return err
			}
			contexts.next()
			return contexts.err
		}
		follow := func(token uint32, value uint64) error {
			if read++; read%progressEvery == 0 {
				x.progress.Report("read", read, x.total)
			}
			return x.add(append(tokens, token), value)
		}
		if n == 1 {
			if err := x.add([]uint32{ngram.SentenceStart}, start); err != nil {
				return err
			}
		}
		for from, to := range hashRanges(x.sizes[n-1]/exportRows + 1) {
			if err := source(ctx, n, from, to, open, follow); err != nil {
				return err
			}
		}
		if n == 1 {
			continue
		}
		for ; contexts.ok; contexts.next() {
			if err := x.finish(contexts.at, 0); err != nil {
				return err
			}
		}
		if contexts.err != nil {
			return contexts.err
		}
		_ = x.ids[n-2].Close() // temporary
	}
	return nil
}

// add takes an n-gram.
func (x *spelled) add(tokens []uint32, value uint64) error {
	n := len(tokens)
	if n == len(x.done) {
		return x.finish(spelledContext{tokens: tokens, value: value}, 0)
	}
	b := putHash(make([]byte, 0, 8+4*n+8), x.hash(tokens))
	for _, token := range tokens {
		b = binary.BigEndian.AppendUint32(b, token)
	}
	return x.ids[n-1].Add(binary.BigEndian.AppendUint64(b, value))
}

type spelledContext struct {
	hash   int64
	tokens []uint32
	value  uint64
}

func spelledContextOf(b []byte, n int) spelledContext {
	c := spelledContext{hash: hashAt(b), tokens: make([]uint32, n), value: binary.BigEndian.Uint64(b[8+4*n:])}
	for i := range c.tokens {
		c.tokens[i] = binary.BigEndian.Uint32(b[8+4*i:])
	}
	return c
}

// finish takes an n-gram whose weight is known.
func (x *spelled) finish(c spelledContext, weight uint64) error {
	n := len(c.tokens)
	b := make([]byte, 4*n, 4*n+16)
	for i, token := range c.tokens {
		at := i
		if x.reversed {
			at = n - 1 - i
		}
		binary.BigEndian.PutUint32(b[4*at:], token)
	}
	return x.done[n-1].Add(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, c.value), weight))
}

func (x *spelled) lengths() []int64 {
	lengths := make([]int64, len(x.done))
	for i, s := range x.done {
		lengths[i] = s.Len()
	}
	return lengths
}

// each calls f for the n-grams of an order; tokens are valid until it returns.
func (x *spelled) each(ctx context.Context, n int, f func(tokens []uint32, value, weight uint64) error) error {
	r, err := x.done[n-1].Sorted()
	if err != nil {
		return err
	}
	tokens := make([]uint32, n)
	for written := int64(1); ; written++ {
		b, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range tokens {
			at := i
			if x.reversed {
				at = n - 1 - i
			}
			tokens[i] = binary.BigEndian.Uint32(b[4*at:])
		}
		if err := f(tokens, binary.BigEndian.Uint64(b[4*n:]), binary.BigEndian.Uint64(b[4*n+8:])); err != nil {
			return err
		}
		if written%progressEvery == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			x.progress.Report("write", written, x.done[n-1].Len())
		}
	}
}
