package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/packed"
)

// load reads what is resident of a build.
func (r *Reader) load(ctx context.Context, build ngram.Build, settings ngram.Settings) (*loadedBuild, error) {
	b := &loadedBuild{Build: build, Settings: settings}
	var err error
	if b.unigrams, err = r.codebook(ctx, build, build.UnigramCodebook, widths[build.Storage][0]); err != nil {
		return nil, err
	}
	if b.logprobs, err = r.codebook(ctx, build, build.LogprobCodebook, widths[build.Storage][1]); err != nil {
		return nil, err
	}
	if b.backoffs, err = r.codebook(ctx, build, build.BackoffCodebook, widths[build.Storage][1]); err != nil {
		return nil, err
	}
	if b.Vocabulary, err = r.vocabulary(ctx, build); err != nil {
		return nil, err
	}
	if b.forms, err = r.surfaceForms(ctx, b); err != nil {
		return nil, err
	}
	if b.Unigrams, err = r.readUnigrams(ctx, b); err != nil {
		return nil, err
	}
	err = r.db.Stream(ctx, selectBuildNGrams, []any{int64(build.ID)}, func(row database.Row) error {
		b.residence.ngrams = append(b.residence.ngrams, row.Int(0))
		return nil
	})
	return b, err
}

const selectBuildNGrams = `SELECT ngrams FROM tbl_l1_mkn_params WHERE build_id = ? ORDER BY n`

const selectCodebook = `SELECT q.code, q.log10_value, q.mass, m.bits FROM tbl_quant_meta m JOIN tbl_q_to_mass q ON q.codebook_id = m.codebook_id
WHERE m.codebook_id = ? ORDER BY q.code`

// codebook reads a codebook; it stays empty for exact storage.
func (r *Reader) codebook(ctx context.Context, build ngram.Build, id int64, width packed.Width) (lookup.Book, error) {
	book := lookup.Book{Width: width}
	if build.Storage == ngram.StorageExact {
		return book, nil
	}
	bits := 0
	err := r.db.Stream(ctx, selectCodebook, []any{id}, func(row database.Row) error {
		if row.Int(0) != int64(len(book.Log10)) {
			return damaged(build, "codebook %d has no code %d", id, len(book.Log10))
		}
		book.Log10, book.Mass = append(book.Log10, row.Float(1)), append(book.Mass, row.Float(2))
		bits = int(row.Int(3))
		return nil
	})
	if err != nil {
		return book, err
	}
	if bits == 0 || len(book.Log10) != 1<<bits {
		return book, damaged(build, "codebook %d has %d codes of %d bits", id, len(book.Log10), bits)
	}
	return book, nil
}

const selectVocabulary = `SELECT token_id, token, is_control FROM tbl_l1_vocabulary WHERE model_id = ? AND token_id < ? ORDER BY token_id`

func (r *Reader) vocabulary(ctx context.Context, build ngram.Build) (*lookup.Vocabulary, error) {
	var builder lookup.VocabularyBuilder
	err := r.db.Stream(ctx, selectVocabulary, []any{int64(build.Model), int64(build.VocabularyEnd)}, func(row database.Row) error {
		builder.Skip(int(row.Int(0)))
		builder.Add(row.Bytes(1), row.Int(2) != 0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if builder.Len() < int(lookup.Specials) {
		return nil, damaged(build, "the vocabulary has %d control tokens", builder.Len())
	}
	builder.Skip(int(build.VocabularyEnd))
	return builder.Build(), nil
}

const selectForms = `SELECT token_id, form FROM tbl_l1_forms
WHERE model_id = ? AND since_build <= ? AND (until_build IS NULL OR until_build > ?) AND form IS NOT NULL`

// surfaceForms reads how tokens are written away from the start of a sentence, where that is not how they are spelled.
func (r *Reader) surfaceForms(ctx context.Context, b *loadedBuild) (map[string]string, error) {
	forms := map[string]string{}
	args := []any{int64(b.Build.Model), int64(b.Build.ID), int64(b.Build.ID)}
	err := r.db.Stream(ctx, selectForms, args, func(row database.Row) error {
		id := row.Int(0)
		if id < 0 || id >= int64(b.Vocabulary.Len()) {
			return damaged(b.Build, "a form is stored for token %d, but the vocabulary ends at %d", id, b.Vocabulary.Len())
		}
		forms[b.Vocabulary.Text(uint32(id))] = string(row.Bytes(1))
		return nil
	})
	return forms, err
}

// readUnigrams reads the empty context.
func (r *Reader) readUnigrams(ctx context.Context, b *loadedBuild) (*lookup.Unigrams, error) {
	key := contextKey{build: b.Build.ID, n: 1, hash: contexthash.Sum(nil)}
	var rows rowReader
	if err := rows.read(ctx, r.db, b, []contextKey{key}); err != nil {
		return nil, err
	}
	empty, err := rows.kept(b, key)
	if err != nil {
		return nil, err
	}
	if empty == nil {
		return nil, errors.New(errors.FailedPrecondition, "MODEL_EMPTY",
			"build %d of model %q holds no words; train the model on a text and build it again", b.Build.ID, b.Build.Name)
	}
	unigrams, err := lookup.NewUnigrams(empty, b.Vocabulary.Ranks())
	if err != nil {
		return nil, damaged(b.Build, "%w", err)
	}
	for _, token := range unigrams.Sorted() {
		if b.Vocabulary.Missing(token) {
			return nil, damaged(b.Build, "the vocabulary has no token %d", token)
		}
	}
	return unigrams, nil
}

// book is the codebook of the followers of contexts of n-grams of order n: unigrams have finer codes of their own.
func (b *loadedBuild) book(n uint8) *lookup.Book {
	if n == 1 {
		return &b.unigrams
	}
	return &b.logprobs
}

// widths of the packed rows of a storage: of unigrams, and of longer n-grams.
var widths = map[ngram.Storage][2]packed.Width{
	ngram.Storage8:     {packed.Width16, packed.Width8},
	ngram.Storage16:    {packed.Width16, packed.Width16},
	ngram.StorageExact: {packed.WidthExact, packed.WidthExact},
}

func damaged(build ngram.Build, format string, args ...any) error {
	args = append([]any{build.ID, build.Name}, args...)
	return errors.New(errors.DataLoss, "BUILD_DAMAGED", "build %d of model %q cannot be read: "+format+"; build the model again", args...)
}
