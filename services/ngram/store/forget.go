package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// Forgetting asks for a document to be forgotten.
type Forgetting struct {
	Label string
	// Text is the document as it was sent; only needed where its text was not kept, else nil.
	Text io.Reader
}

// Forgotten is what a forgetting touches, or touched.
type Forgotten struct {
	Document  ngram.Document
	Builds    []ngram.BuildID // that saw the document; they are dropped
	Published ngram.BuildID   // the one of them that serves; 0 for none
	Successor ngram.BuildID   // derived from what is left, and served instead; 0 before it is, or when there is none
}

// ForgottenBuild is the failure of a build that was dropped because a document that it saw was forgotten.
const ForgottenBuild = "a document that it saw was forgotten"

// Forgettable says what Forget would touch, and changes nothing. NotFound if there is no such document.
func (s *Store) Forgettable(ctx context.Context, tenant, model, label string) (Forgotten, error) {
	var f Forgotten
	err := s.db.InReadTx(ctx, func(tx *database.Tx) error {
		m, err := s.readModel(ctx, tx, tenant, model)
		if err != nil {
			return err
		}
		if err := countable(m); err != nil {
			return err
		}
		d, _, err := findDocument(ctx, tx, m, label)
		if err != nil {
			return err
		}
		f.Document, f.Published = d.Document, m.Published
		f.Builds, err = seenBy(ctx, tx, m, d)
		return err
	})
	f.keepPublished()
	return f, err
}

func (f *Forgotten) keepPublished() {
	if !slices.Contains(f.Builds, f.Published) {
		f.Published = 0
	}
}

// Forget takes a document out of everything that level 1 keeps, as if it had never been counted: counts, words, forms, text,
// uses, and every build that saw it. If one of them serves, a build of what is left is derived with the same options and
// published first, so that readers always have one; without any text left nothing serves. Killed at any moment, the same call
// goes on where it stopped. NotFound if there is no such document (any more).
func (t *Trainer) Forget(ctx context.Context, f Forgetting, progress ngram.Progress) (Forgotten, error) {
	if t.model.Published != 0 && t.model.Serving != t.model.ID {
		return Forgotten{}, errors.New(errors.FailedPrecondition, "RESET_UNFINISHED",
			"model %q was emptied, but what it held before still serves; publish a build of its new contents, which removes the old ones, and then forget", t.model.Name).
			With("model", t.model.Name)
	}
	if err := t.Countable(); err != nil {
		return Forgotten{}, err
	}
	if err := t.storePending(ctx); err != nil {
		return Forgotten{}, err
	}
	d, begun, err := findDocument(ctx, t.store.db, t.model, f.Label)
	if err != nil {
		return Forgotten{}, err
	}
	if !begun {
		if d, err = t.depart(ctx, d, f.Text); err != nil {
			return Forgotten{}, err
		}
	}
	_, err = t.Count(ctx, func(label string, bytes, _ int64) {
		if label == f.Label {
			progress.Report("subtract", bytes, d.done)
		}
	})
	if err != nil {
		return Forgotten{}, err
	}
	if d, _, err = findDocument(ctx, t.store.db, t.model, f.Label); err != nil {
		return Forgotten{}, err
	}
	return t.erase(ctx, d, progress)
}

// findDocument returns the document of a label, and whether it is being forgotten already.
func findDocument(ctx context.Context, q database.Querier, model ngram.Model, label string) (*stored, bool, error) {
	aside, err := readAside(ctx, q, model.ID, byLabel, []byte(label))
	if err != nil {
		return nil, false, err
	}
	for i := range aside {
		if aside[i].State == ngram.DocumentForgetting {
			return &aside[i], true, nil
		}
	}
	found, err := readDocuments(ctx, q, model.ID, byLabel, []byte(label))
	if err == nil && (len(found) == 0 || found[0].State == ngram.DocumentReceiving) {
		err = errors.New(errors.NotFound, "DOCUMENT_NOT_FOUND", "model %q has no document %q; list its documents to see their labels", model.Name, label).
			With("model", model.Name).With("label", label)
	}
	if err != nil {
		return nil, false, err
	}
	return &found[0], false, nil
}

// depart takes the document out of the corpus: from here on it is only to be subtracted and removed.
func (t *Trainer) depart(ctx context.Context, d *stored, text io.Reader) (*stored, error) {
	from := *d
	again := (*incoming)(nil)
	if d.State == ngram.DocumentCounted && !d.TextKept {
		var err error
		if again, err = t.again(ctx, d, text); err != nil {
			return nil, err
		}
		from.ID = again.ID // the key of the text
		from.size = again.size
	} else if text != nil {
		sum := sha256.New()
		if _, err := io.Copy(sum, text); err != nil {
			return nil, err
		}
		if !bytes.Equal(sum.Sum(nil), d.SHA256[:]) {
			return nil, t.anotherText(d)
		}
	}
	from.first = d.firstVersion(t.model.CountsVersion)
	return &from, t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := t.stillMine(ctx, tx); err != nil {
			return err
		}
		if err := remove(ctx, tx, deleteDocument, d); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropSameHeldOut, t.model.Tenant, t.model.Name, d.SHA256[:]); err != nil { // trained on after it was held out
			return err
		}
		if again != nil {
			if again.spilled {
				if err := remove(ctx, tx, deleteAside, &again.stored); err != nil {
					return err
				}
			}
			if err := insertPieces(ctx, tx, again); err != nil {
				return err
			}
		}
		return setAside(ctx, tx, &from, ngram.DocumentForgetting)
	})
}

// again reads the text of a document that was not kept.
func (t *Trainer) again(ctx context.Context, d *stored, text io.Reader) (*incoming, error) {
	if text == nil {
		return nil, errors.New(errors.FailedPrecondition, "TEXT_NOT_KEPT",
			"the text of document %q was not kept; send it again with the request (on the command line: --text FILE), it is checked by its hash", d.Label).With("label", d.Label)
	}
	sum := sha256.New()
	in, err := t.read(ctx, Source{Label: d.Label, Weight: d.Weight, Text: text}, sum)
	switch {
	case err == nil && in.SHA256 != d.SHA256:
		err = t.anotherText(d)
	case err == nil && (in.size != d.size || in.Sentences != d.Sentences || in.Tokens != d.Tokens || in.NGrams != d.NGrams):
		err = errors.New(errors.FailedPrecondition, "NEVER_COUNTED", "the text of document %q is the one that was counted, but this version reads it in another way; forget it with the version that counted it, or reset the model", d.Label)
	}
	if err != nil && in != nil && in.spilled {
		if discardErr := t.store.discard(context.WithoutCancel(ctx), t.model.ID, in.ID); discardErr != nil {
			return nil, errors.Join(err, discardErr)
		}
	}
	return in, err
}

func (t *Trainer) anotherText(d *stored) error {
	return errors.New(errors.FailedPrecondition, "DOCUMENT_DIFFERS",
		"the text that was sent is not that of document %q: its SHA-256 is not %x; nothing was changed", d.Label, d.SHA256).With("label", d.Label)
}

const (
	selectSeen = `SELECT build_id FROM tbl_l1_builds WHERE model_id = ? AND tenant = ? AND name = ? AND counts_version > ? AND counts_version < ?
  AND state IN ('ready', 'dropped') ORDER BY build_id`
	dropSeen  = `UPDATE tbl_l1_builds SET state = 'dropped', swept = 0, served_seq = NULL, failure = ? WHERE build_id = ? AND (state = 'ready' OR COALESCE(failure, '') <> ?)`
	unpublish = `UPDATE tbl_l1_model_names SET published_build = NULL WHERE tenant = ? AND name = ?`
)

// seenBy lists the builds that saw a document, those included that are dropped already, for it or by retention: replies that they
// wrote may still say its words.
func seenBy(ctx context.Context, q database.Querier, model ngram.Model, d *stored) ([]ngram.BuildID, error) {
	first, last := *d.firstVersion(model.CountsVersion), model.CountsVersion+1
	if d.last != nil {
		last = *d.last
	}
	var builds []ngram.BuildID
	err := q.Stream(ctx, selectSeen, []any{int64(model.ID), model.Tenant, model.Name, first, last}, func(row database.Row) error {
		builds = append(builds, ngram.BuildID(row.Int(0)))
		return nil
	})
	return builds, err
}

// erase removes what is left of a document that is subtracted.
func (t *Trainer) erase(ctx context.Context, d *stored, progress ngram.Progress) (f Forgotten, err error) {
	f.Document, f.Published = d.Document, t.model.Published
	if f.Builds, err = seenBy(ctx, t.store.db, t.model, d); err != nil {
		return f, err
	}
	if f.keepPublished(); f.Published != 0 {
		if f.Successor, err = t.succeed(ctx, f.Published, progress); err != nil {
			return f, err
		}
	}
	progress.Report("remove", 0, 1)
	err = t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if err := t.stillMine(ctx, tx); err != nil {
			return err
		}
		n, _, _, err := t.store.lockName(ctx, tx, t.model.Tenant, t.model.Name)
		if err == nil && slices.Contains(f.Builds, n.published) && f.Successor == 0 {
			_, err = tx.Exec(ctx, unpublish, t.model.Tenant, t.model.Name)
		} else if err == nil && slices.Contains(f.Builds, n.published) {
			err = t.changed() // somebody published one of them again
		}
		for _, build := range f.Builds {
			if err == nil {
				_, err = tx.Exec(ctx, dropSeen, ForgottenBuild, int64(build), ForgottenBuild)
			}
		}
		return err
	})
	if err != nil {
		return f, err
	}
	t.store.options.Served(ctx) // local files of the dropped builds go
	if err := t.sweepForgotten(ctx); err != nil {
		return f, err
	}
	if err := t.store.discard(ctx, t.model.ID, d.ID); err != nil {
		return f, err
	}
	if err := t.store.PurgeNow(ctx, t.model.Tenant, t.model.Name, nil); err != nil {
		return f, err
	}
	if err := t.store.db.Overwrite(ctx); err != nil {
		return f, err
	}
	progress.Report("remove", 1, 1)
	return f, nil
}

// succeed derives a build of what is left, with the options of the one that serves, and publishes it. 0 if nothing is left.
func (t *Trainer) succeed(ctx context.Context, serving ngram.BuildID, progress ngram.Progress) (ngram.BuildID, error) {
	if t.model.Tokens == 0 {
		return 0, nil
	}
	before, err := t.store.BuildOf(ctx, t.model.Tenant, t.model.Name, serving)
	if err != nil {
		return 0, err
	}
	build, err := t.Build(ctx, optionsOf(before), func(phase string, done, total int64) {
		progress.Report("build: "+phase, done, total)
	})
	if err != nil {
		return 0, err
	}
	if _, _, err := t.store.Publish(ctx, t.model.Tenant, t.model.Name, build.ID); err != nil {
		return 0, err
	}
	t.model.Published = build.ID
	return build.ID, nil
}

// optionsOf are the options with which a build was derived.
func optionsOf(b ngram.Build) ngram.BuildOptions {
	return ngram.BuildOptions{Storage: b.Storage, Smoothing: b.Smoothing, KenLMQuirk: b.KenLMQuirk, Pruning: b.Pruning}
}

const (
	selectNewest = `SELECT COALESCE(MAX(build_id), 0) FROM tbl_l1_builds WHERE model_id = ? AND state = 'ready'`
	orphanedUses = `NOT EXISTS (SELECT 1 FROM tbl_l1_context_registry r WHERE r.model_id = tbl_l1_context_hotness.model_id AND r.n = tbl_l1_context_hotness.n AND r.context_hash = tbl_l1_context_hotness.context_hash)`
)

// sweepForgotten removes the rows that only dropped builds show, those still open included, and then the words that occur no
// more and are in no build.
func (t *Trainer) sweepForgotten(ctx context.Context) error {
	if err := t.sweepFailed(ctx); err != nil {
		return err
	}
	var newest int64
	if err := t.store.db.QueryRow(ctx, selectNewest, int64(t.model.ID)).Scan(&newest); err != nil {
		return err
	}
	if err := t.backTo(ctx, newest); err != nil {
		return err
	}
	if _, err := t.sweepDropped(ctx); err != nil {
		return err
	}
	if _, err := t.store.eachRange(ctx, t.model.ID, "tbl_l1_context_hotness", "DELETE FROM", "", orphanedUses); err != nil {
		return err
	}
	return t.sweepWords(ctx)
}

// backTo makes the open rows those of a build again, if they are of later ones that are dropped; 0 for none.
func (t *Trainer) backTo(ctx context.Context, build int64) error {
	for _, table := range derivedTables {
		if _, err := t.store.eachRange(ctx, t.model.ID, table, "DELETE FROM", "", "since_build > ?", build); err != nil {
			return err
		}
		if _, err := t.store.eachRange(ctx, t.model.ID, table, "UPDATE", " SET until_build = NULL", "until_build > ?", build); err != nil {
			return err
		}
	}
	return t.store.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM tbl_l1_forms WHERE model_id = ? AND since_build > ?`, int64(t.model.ID), build); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE tbl_l1_forms SET until_build = NULL WHERE model_id = ? AND until_build > ?`, int64(t.model.ID), build)
		return err
	})
}

// deleteWords: a word may still be in a kept build from before it fell to zero; then it has a unigram there.
const deleteWords = `DELETE FROM tbl_l1_vocabulary WHERE model_id = ? AND is_control = 0 AND freq_global = 0 AND token_id BETWEEN ? AND ?
  AND NOT EXISTS (SELECT 1 FROM tbl_l1_ng_probs_n p WHERE p.model_id = tbl_l1_vocabulary.model_id AND p.n = 1 AND p.context_hash = ? AND p.next_token_id = tbl_l1_vocabulary.token_id)`

// sweepWords removes the words that occur no more. Their ids are not given again.
func (t *Trainer) sweepWords(ctx context.Context) error {
	t.words = nil
	for from := int64(0); from < t.model.TokenEnd; from += sweepRows {
		if _, err := t.store.db.Exec(ctx, deleteWords, int64(t.model.ID), from, from+sweepRows-1, t.store.options.Hash(nil)); err != nil {
			return err
		}
	}
	return nil
}
