package store

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/scoring"
	"dbslm/services/ngram/smoothing"
)

const (
	upsertHeldOut   = `INSERT INTO tbl_l1_held_out (tenant, name, sha256, text_bytes, frame) VALUES (?, ?, ?, ?, ?)`
	deleteHeldOut   = `DELETE FROM tbl_l1_held_out WHERE tenant = ? AND name = ?`
	selectHeldOut   = `SELECT sha256, text_bytes, frame FROM tbl_l1_held_out WHERE tenant = ? AND name = ?`
	dropSameHeldOut = `DELETE FROM tbl_l1_held_out WHERE tenant = ? AND name = ? AND sha256 = ?`
	selectSameText  = `SELECT label FROM tbl_corpus WHERE model_id = ? AND content_hash = ? LIMIT 1`
	maxHeldOutBytes = 4 << 20
)

// SetHeldOut replaces the text on which builds of the model are measured, and returns its sentences and tokens; an empty text
// removes it. A text that is a document of the model is FailedPrecondition: it is not held out.
func (s *Store) SetHeldOut(ctx context.Context, tenant, model string, content []byte) (sentences, tokens int64, err error) {
	m, err := s.Model(ctx, tenant, model)
	if err != nil {
		return 0, 0, err
	}
	if len(content) > maxHeldOutBytes {
		return 0, 0, errors.New(errors.InvalidArgument, "HELD_OUT_TOO_LONG", "the held-out text has %d bytes; at most %d are kept, so hold out a part of it", len(content), maxHeldOutBytes).
			Field("text", "too long")
	}
	var frame []byte
	sum := sha256.Sum256(content)
	if len(content) > 0 {
		tokenizer, err := tokenizerOf(m)
		if err != nil {
			return 0, 0, err
		}
		err = tokenizer.Sentences(text.NewReader(text.Normalization(m.Settings.Normalization), bytes.NewReader(content)), func(sentence text.Sentence) error {
			sentences++
			tokens += int64(len(sentence.Tokens))
			return nil
		})
		if err != nil {
			return 0, 0, errors.Wrap(err, errors.InvalidArgument, "INVALID_TEXT", "the held-out text cannot be cut into tokens: %s", errors.Public(err)).Field("text", errors.Public(err))
		}
		if tokens == 0 {
			return 0, 0, errors.New(errors.InvalidArgument, "TEXT_EMPTY", "the held-out text holds no token").Field("text", "must hold text")
		}
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return 0, 0, err
		}
		frame = encoder.EncodeAll(content, nil)
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if _, _, _, err := s.lockName(ctx, tx, tenant, model); err != nil {
			return err
		}
		var label []byte
		err := tx.QueryRow(ctx, selectSameText, int64(m.ID), sum[:]).Scan(&label)
		if err == nil {
			return errors.New(errors.FailedPrecondition, "HELD_OUT_TRAINED", "the text is document %q of model %q, so it is not held out; choose a text that the model was not trained on", label, model)
		}
		if !errors.Is(err, database.ErrNoRows) {
			return err
		}
		if _, err := tx.Exec(ctx, deleteHeldOut, tenant, model); err != nil || frame == nil {
			return err
		}
		_, err = tx.Exec(ctx, upsertHeldOut, tenant, model, sum[:], len(content), frame)
		return err
	})
	return sentences, tokens, err
}

// tokenizerOf makes the tokeniser of a model.
func tokenizerOf(m ngram.Model) (text.Tokenizer, error) {
	tokenizer, err := text.NewTokenizer(string(m.Settings.Tokenizer), m.Settings.TokenizerParameters, text.Normalization(m.Settings.Normalization))
	if err != nil {
		err = errors.Wrap(err, errors.Internal, "TOKENIZER_UNKNOWN", "this version has no tokeniser %q with the parameters of model %q", m.Settings.Tokenizer, m.Name)
	}
	return tokenizer, err
}

// heldOut is the held-out text as the model reads it.
type heldOut struct {
	sum       [32]byte
	sentences [][]uint32
	warning   string
}

// heldOut reads the held-out text; nil without one.
func (t *Trainer) heldOut(ctx context.Context) (*heldOut, error) {
	sum, frame, err := readHeldOut(ctx, t.store.db, t.model.Tenant, t.model.Name)
	if err != nil || frame == nil {
		return nil, err
	}
	content, err := unpackHeldOut(t.model.Name, sum, frame)
	if err != nil {
		return nil, err
	}
	if t.words == nil {
		if t.words, err = t.loadVocabulary(ctx); err != nil {
			return nil, err
		}
	}
	h := &heldOut{sum: sum}
	err = t.tokenizer.Sentences(text.NewReader(text.Normalization(t.model.Settings.Normalization), bytes.NewReader(content)), func(sentence text.Sentence) error {
		ids := make([]uint32, len(sentence.Tokens))
		for i, token := range sentence.Tokens {
			if id, known := t.words.ids[string(token.Text)]; known {
				ids[i] = id
			}
		}
		h.sentences = append(h.sentences, ids)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var label []byte
	switch err := t.store.db.QueryRow(ctx, selectSameText, int64(t.model.ID), sum[:]).Scan(&label); {
	case err == nil:
		h.warning = "The held-out text was trained as document “" + string(label) + "” since, so perplexities on it are too good; hold out another text."
	case !errors.Is(err, database.ErrNoRows):
		return nil, err
	}
	return h, nil
}

// probe begins to measure a build on the held-out text.
func (d *derivation) startProbe(h *heldOut) {
	if h == nil {
		return
	}
	d.held = h
	d.probe = scoring.NewProbe(d.build.Order, d.t.store.options.Hash)
	for _, sentence := range h.sentences {
		d.probe.Add(sentence)
	}
	if h.warning != "" {
		d.build.Warnings = append(d.build.Warnings, h.warning)
	}
}

// measure tells the probe of a context, and sums up what the build shows.
func (d *derivation) measure(n int, hash int64, r *smoothing.Result) {
	if d.probe == nil {
		return
	}
	r.Probe(d.probe, n, hash, d.books[min(n, 2)-1])
}

const (
	// rowBytes is what a row of the derived tables takes apart from packed followers, measured on InnoDB.
	rowBytes = 45

	insertMeasure = `INSERT INTO tbl_l1_build_measures (build_id, shown_rows, shown_bytes, sha256, sentences, tokens, oov, log10, exact_log10)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// saveMeasure records size and quality of the build.
func (d *derivation) saveMeasure(ctx context.Context, tx *database.Tx) error {
	b := &d.build
	b.Size.Bytes = b.Size.Rows*rowBytes + d.blobBytes
	var sum []byte
	var p scoring.Probed
	b.HeldOut = nil
	if d.probe != nil {
		p = d.probe.Result()
		sum = d.held.sum[:]
		b.HeldOut = &ngram.HeldOut{SHA256: d.held.sum, Sentences: p.Sentences, Tokens: p.Tokens, OOV: p.OOV, Log10: p.Stored, ExactLog10: p.Exact}
	}
	var hash any
	if sum != nil {
		hash = sum
	}
	_, err := tx.Exec(ctx, insertMeasure, int64(b.ID), b.Size.Rows, b.Size.Bytes, hash, p.Sentences, p.Tokens, p.OOV, p.Stored, p.Exact)
	return err
}

const selectMeasures = `SELECT build_id, shown_rows, shown_bytes, sha256, sentences, tokens, oov, log10, exact_log10 FROM tbl_l1_build_measures WHERE build_id IN `

// readMeasures reads what saveMeasure stored. Builds of before builds were measured have none.
func readMeasures(ctx context.Context, of buildRows) error {
	return of.each(ctx, selectMeasures, "", func(b *ngram.Build, row database.Row) error {
		b.Size = ngram.Size{Rows: row.Int(1), Bytes: row.Int(2)}
		if sum := row.Bytes(3); len(sum) == len(ngram.HeldOut{}.SHA256) {
			b.HeldOut = &ngram.HeldOut{
				SHA256: [32]byte(sum), Sentences: row.Int(4), Tokens: row.Int(5), OOV: row.Int(6), Log10: row.Float(7), ExactLog10: row.Float(8),
			}
		}
		return nil
	})
}
