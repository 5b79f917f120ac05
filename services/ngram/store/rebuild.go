package store

import (
	"context"
	"time"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// Rebuilding says what to train anew, and how.
type Rebuilding struct {
	Tenant, Model string
	Target        string         // the model that is trained; made if it is missing
	Settings      ngram.Settings // of the target; where zero, those of the model
	Owner         string         // shown to others while both are held
	Until         time.Time      // stop at the first checkpoint after it; zero for never
}

// Rebuilt is told how far a rebuilding is: the label of the document at hand and its bytes counted, or 0 while it is read, and
// how many of the documents are taken over.
type Rebuilt func(label string, bytes, documents, all int64)

const selectModelSums = `SELECT COUNT(*), COALESCE(SUM(tokens * weight), 0), COALESCE(SUM(CASE WHEN text_kept = 0 THEN 1 ELSE 0 END), 0) FROM tbl_corpus
WHERE model_id = ?`

// oneWithoutText finds a document whose text is gone, for the error.
const oneWithoutText = `AND text_kept = 0 ORDER BY label LIMIT 1`

// Rebuild trains the target with the texts that the model keeps, under their labels, with their weights and hashes: what
// training them directly with those settings gives. It holds both models. Stopped or killed, the same call goes on: a document
// that is in the target already is not read again. FailedPrecondition, and no target, if the model has counts whose text it
// does not keep, if kept text has lost what the settings ask for, or if the target has other documents.
func (s *Store) Rebuild(ctx context.Context, r Rebuilding, progress Rebuilt) error {
	if r.Target == "" || padded(r.Target) || r.Target == r.Model {
		return errors.New(errors.InvalidArgument, "MODEL_NAME_INVALID", "the rebuilt model needs a name of its own, without white space at its ends").Field("target", "must be another name")
	}
	return s.Train(ctx, r.Tenant, r.Model, r.Owner, func(ctx context.Context, from *Trainer) error {
		if err := from.rebuildable(ctx, r); err != nil {
			return err
		}
		settings := r.Settings.WithDefaultsFrom(from.model.Settings)
		_, _, err := s.CreateModel(ctx, r.Tenant, r.Target, settings)
		if errors.KindOf(err) == errors.AlreadyExists {
			err = errors.Wrap(err, errors.FailedPrecondition, errors.ReasonOf(err), "%s", errors.Public(err)).With("model", r.Target)
		}
		if err != nil {
			return err
		}
		return s.Train(ctx, r.Tenant, r.Target, r.Owner, func(ctx context.Context, to *Trainer) error {
			to.PauseAt(r.Until)
			return from.replay(ctx, to, progress)
		})
	})
}

// rebuildable refuses a model that its kept texts do not make up.
func (t *Trainer) rebuildable(ctx context.Context, r Rebuilding) error {
	if err := t.Countable(); err != nil {
		return err
	}
	if _, err := t.Count(ctx, nil); err != nil {
		return err
	}
	aside, err := readAside(ctx, t.store.db, t.model.ID, "")
	if err != nil {
		return err
	}
	if len(aside) > 0 {
		return errors.New(errors.FailedPrecondition, "DOCUMENT_IS_BEING_FORGOTTEN", "document %q of model %q is being forgotten; forget it again to complete that, then rebuild the model",
			aside[0].Label, r.Model).With("label", aside[0].Label)
	}
	var documents, tokens, gone int64
	if err := t.store.db.QueryRow(ctx, selectModelSums, int64(t.model.ID)).Scan(&documents, &tokens, &gone); err != nil {
		return err
	}
	if gone > 0 {
		lost, err := readDocuments(ctx, t.store.db, t.model.ID, oneWithoutText)
		if err != nil || len(lost) == 0 {
			return err
		}
		return errors.New(errors.FailedPrecondition, "TEXT_NOT_KEPT", "model %q did not keep the text of %d of its %d documents, %q for one, so it cannot be rebuilt; train the new model from the files",
			r.Model, gone, documents, lost[0].Label).With("label", lost[0].Label)
	}
	if documents == 0 || tokens != t.model.Tokens {
		return errors.New(errors.FailedPrecondition, "TEXT_NOT_KEPT", "model %q has counts of %d tokens and texts of %d, so it cannot be rebuilt from its texts; import its counts, or train the new model from the files",
			r.Model, t.model.Tokens, tokens).With("model", r.Model)
	}
	return t.canBecome(r.Settings.Normalization)
}

// canBecome refuses a normal form that cannot be had from the one in which the texts are kept.
func (t *Trainer) canBecome(wanted ngram.Normalization) error {
	kept := t.model.Settings.Normalization
	if wanted == "" || wanted == kept || kept == ngram.NormalizationNone || kept == ngram.NormalizationNFC && wanted == ngram.NormalizationNFKC {
		return nil
	}
	return errors.New(errors.FailedPrecondition, "TEXT_NORMALISED", "model %q keeps its texts in the form %s, which has lost what %s needs; train the new model from the files", t.model.Name, kept, wanted).
		Field("settings.normalization", "cannot be had from "+string(kept))
}

// replay trains another model with the texts of this one, in the order of their labels.
func (t *Trainer) replay(ctx context.Context, to *Trainer, progress Rebuilt) error {
	if err := t.onlyMine(ctx, to); err != nil {
		return err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return err
	}
	defer decoder.Close()
	done := int64(0)
	tell := func(label string, bytes int64) {
		if progress != nil {
			progress(label, bytes, done, t.model.Documents)
		}
	}
	count := func() error {
		_, err := to.Count(ctx, func(label string, bytes, _ int64) { tell(label, bytes) })
		return err
	}
	for after := ""; ; {
		documents, err := readDocuments(ctx, t.store.db, t.model.ID, afterAny, []byte(after))
		if err != nil {
			return err
		}
		if len(documents) == 0 {
			return count()
		}
		for _, d := range documents {
			after = d.Label
			reader := &textReader{ctx: ctx, store: t.store, decoder: decoder, model: t.model.ID, id: d.ID, size: d.size}
			if _, _, err := to.Receive(ctx, Source{Label: d.Label, Weight: d.Weight, Text: reader, Replace: true, Kept: &d.Document}); err != nil {
				return err
			}
			done++
			tell(d.Label, 0)
			if err := to.paused(); err != nil {
				if countErr := count(); countErr != nil && !errors.Is(countErr, ErrPaused) {
					return countErr
				}
				return err
			}
			if to.Full() || len(to.pending) >= maxPending {
				if err := count(); err != nil {
					return err
				}
			}
		}
	}
}

// maxPending bounds the documents that wait to be counted together.
const maxPending = 10_000

const selectForeign = `SELECT d.label FROM tbl_corpus d LEFT JOIN tbl_corpus m ON m.model_id = ? AND m.label = d.label
WHERE d.model_id = ? AND m.label IS NULL LIMIT 1`

// onlyMine refuses a target with documents that the model does not have.
func (t *Trainer) onlyMine(ctx context.Context, to *Trainer) error {
	foreign := func(label string) error {
		return errors.New(errors.FailedPrecondition, "MODEL_HAS_OTHER_TEXT", "model %q has text that model %q has not, %s, so it would be no rebuilt one; choose a new name", to.model.Name, t.model.Name, label).
			With("model", to.model.Name)
	}
	if err := to.Countable(); err != nil {
		return err
	}
	var documents, tokens, gone int64
	if err := t.store.db.QueryRow(ctx, selectModelSums, int64(to.model.ID)).Scan(&documents, &tokens, &gone); err != nil {
		return err
	}
	unfinished, err := to.Unfinished(ctx)
	if err != nil {
		return err
	}
	if len(unfinished) == 0 && tokens != to.model.Tokens {
		return foreign("counts without documents")
	}
	var label []byte
	err = t.store.db.QueryRow(ctx, selectForeign, int64(t.model.ID), int64(to.model.ID)).Scan(&label)
	if errors.Is(err, database.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return foreign("document " + string(label))
}
