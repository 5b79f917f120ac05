package store

import (
	"context"

	"github.com/klauspost/compress/zstd"
	"github.com/maypok86/otter/v2"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/copies"
)

// maxCopiesBytes bounds the memory of all indexes of text together, and of each.
const maxCopiesBytes = 256 << 20

func newCopiesCache() *otter.Cache[ngram.BuildID, *copies.Index] {
	return otter.Must(&otter.Options[ngram.BuildID, *copies.Index]{
		MaximumWeight: maxCopiesBytes,
		Weigher:       func(_ ngram.BuildID, x *copies.Index) uint32 { return uint32(x.Size()) },
	})
}

const selectBuildTokens = `SELECT counts_version, tokens FROM tbl_l1_builds WHERE build_id = ?`

// Copies returns an index of the text that the view's build was made of, token by token without ends of sentences. It is made
// when first asked for, at the price of counting the text, and stays in memory within a bound. FailedPrecondition: not all of
// the text is kept, or it changed since; ResourceExhausted: it is larger than the bound.
func (v *View) Copies(ctx context.Context, tokenizer text.Tokenizer) (*copies.Index, error) {
	load := otter.LoaderFunc[ngram.BuildID, *copies.Index](func(ctx context.Context, _ ngram.BuildID) (*copies.Index, error) {
		return v.indexText(ctx, tokenizer)
	})
	return v.reader.copies.Get(ctx, v.Build.ID, load)
}

func (v *View) indexText(ctx context.Context, tokenizer text.Tokenizer) (*copies.Index, error) {
	var version, tokens int64
	if err := v.reader.db.QueryRow(ctx, selectBuildTokens, int64(v.Build.ID)).Scan(&version, &tokens); err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	var builder copies.Builder
	counted := int64(0) // tokens times weights
	for after := ""; ; {
		documents, err := readDocuments(ctx, v.reader.db, v.Build.Model, afterAny, []byte(after))
		if err != nil {
			return nil, err
		}
		if len(documents) == 0 {
			break
		}
		for i := range documents {
			d := &documents[i]
			after = d.Label
			if d.first != nil && *d.first >= version || d.Created.After(v.Build.Created) {
				continue // counted after the build
			}
			if !d.TextKept {
				return nil, v.textGone()
			}
			before := builder.Tokens()
			reader := &textReader{ctx: ctx, store: New(v.reader.db, Options{}), decoder: decoder, model: v.Build.Model, id: d.ID, size: d.size}
			if err := v.addText(&builder, tokenizer, reader); err != nil {
				if gone, checkErr := v.gone(ctx, *d); checkErr == nil && gone {
					return nil, v.textGone()
				}
				return nil, err
			}
			counted += (builder.Tokens() - before) * d.Weight
		}
	}
	if counted == 0 || counted != tokens {
		return nil, v.textGone()
	}
	return builder.Build(), nil
}

// addText adds a document to an index.
func (v *View) addText(builder *copies.Builder, tokenizer text.Tokenizer, reader *textReader) error {
	err := tokenizer.Sentences(reader, func(sentence text.Sentence) error {
		for _, token := range sentence.Tokens {
			id, known := v.Vocabulary.ID(token.Text)
			if !known {
				return v.textGone() // it is not the text of this build
			}
			builder.Add(id)
		}
		if builder.Size() > maxCopiesBytes {
			return errors.New(errors.ResourceExhausted, "TEXT_TOO_LARGE",
				"the text of model %q needs more than %d MiB of memory to be looked into; leave max_copied_exact out, and the counts bound what is copied", v.Build.Name, int64(maxCopiesBytes>>20)).
				Field("parameters.max_copied_exact", "is possible for smaller texts")
		}
		return reader.ctx.Err()
	})
	builder.EndDocument()
	return err
}

func (v *View) textGone() error {
	return errors.New(errors.FailedPrecondition, "TEXT_NOT_KEPT",
		"the text that build %d of model %q was made of is not all kept; leave max_copied_exact out, and the counts bound what is copied, or build the model again from kept text",
		v.Build.ID, v.Build.Name).
		With("model", v.Build.Name).Field("parameters.max_copied_exact", "needs the text of the build")
}
