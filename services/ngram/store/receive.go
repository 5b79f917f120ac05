package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	"dbslm/services/ngram"
	"dbslm/services/ngram/counting"
)

const (
	// spillBytes is how much compressed text waits in memory for a transaction.
	spillBytes = 4 << 20
	// enough is how much text waits in memory before it is counted.
	enough = 16 << 20
)

// Source is a document as it arrives.
type Source struct {
	Label    string
	Weight   int64 // 0 means 1
	Text     io.Reader
	DropText bool // keep the text only until it is counted
	Replace  bool // let it take the place of other text, or of another weight, under its label
	// Kept is the document as another model has it, if Text is what that one keeps: its size and hash are those of the text as
	// it was sent. Text is not read if the document is there already.
	Kept *ngram.Document
	// SHA256, if it is not nil, is called after the end of Text and returns the hash that the sender computed; nil there
	// skips the check.
	SHA256 func() []byte
}

// incoming is a document on its way into the store.
type incoming struct {
	stored
	pieces   []piece
	bytes    int     // of pieces
	spilled  bool    // the document has a row beside the corpus, in state receiving
	replaces *stored // what leaves when it is stored; nil for a new label
}

type piece struct {
	first int64
	frame []byte
}

// Receive takes the text of one document in and checks it: whole, UTF-8, no token that cannot be trained. It is counted by
// the next Count, which also stores it where Receive did not have to. A document that was counted before is Unchanged;
// another text or weight under its label is FailedPrecondition, or with Replace takes its place: the next Count counts the
// new text and subtracts the old one. After an error nothing of the document is left.
func (t *Trainer) Receive(ctx context.Context, source Source) (ngram.Document, ngram.Outcome, error) {
	if err := t.Countable(); err != nil {
		return ngram.Document{}, 0, err
	}
	if source.Weight == 0 {
		source.Weight = 1
	}
	if err := checkSource(source); err != nil {
		return ngram.Document{}, 0, err
	}
	for _, other := range t.pending {
		if other.Label == source.Label {
			if err := t.storePending(ctx); err != nil {
				return ngram.Document{}, 0, err
			}
			break
		}
	}
	before, err := t.underLabel(ctx, source.Label)
	if err != nil {
		return ngram.Document{}, 0, err
	}
	sum := sha256.New()
	if kept := source.Kept; kept != nil && before != nil && before.SHA256 == kept.SHA256 && before.Weight == source.Weight {
		if before.State == ngram.DocumentCounted {
			return before.Document, ngram.OutcomeUnchanged, nil
		}
		return before.Document, ngram.OutcomeCounted, nil
	}
	if before != nil && !source.Replace {
		return t.compare(source, *before, sum)
	}
	in, err := t.read(ctx, source, sum)
	var outcome ngram.Outcome
	wanted := false
	if err == nil {
		outcome, wanted, err = t.settle(in, before)
	}
	if wanted {
		t.pending = append(t.pending, in)
		t.waiting += int(in.Bytes)
		return in.Document, outcome, nil
	}
	if in != nil && in.spilled {
		if discardErr := t.store.discard(context.WithoutCancel(ctx), t.model.ID, in.ID); err == nil {
			err = discardErr
		}
	}
	if err != nil || before == nil {
		return ngram.Document{}, outcome, err
	}
	return before.Document, outcome, nil
}

// underLabel returns the document of that label, nil if there is none. What a killed training received of one is removed.
func (t *Trainer) underLabel(ctx context.Context, label string) (*stored, error) {
	aside, err := readAside(ctx, t.store.db, t.model.ID, byLabel, []byte(label))
	if err != nil {
		return nil, err
	}
	for _, d := range aside {
		switch d.State {
		case ngram.DocumentForgetting:
			return nil, errors.New(errors.FailedPrecondition, "DOCUMENT_IS_BEING_FORGOTTEN",
				"document %q of model %q is being forgotten; forget it again to complete that, then train it anew", label, t.model.Name).With("label", label)
		case ngram.DocumentReceiving:
			if err := t.store.discard(ctx, t.model.ID, d.ID); err != nil {
				return nil, err
			}
		}
	}
	found, err := readDocuments(ctx, t.store.db, t.model.ID, byLabel, []byte(label))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if found[0].State == ngram.DocumentReceiving {
		return nil, t.store.discard(ctx, t.model.ID, found[0].ID)
	}
	return &found[0], nil
}

// settle says what becomes of a text that arrived whole, and whether it is to be counted. before is what its label names now.
func (t *Trainer) settle(in *incoming, before *stored) (outcome ngram.Outcome, wanted bool, err error) {
	switch {
	case before == nil && in.Tokens == 0:
		return ngram.OutcomeEmpty, false, nil
	case before == nil:
		return ngram.OutcomeCounted, true, nil
	case in.SHA256 == before.SHA256 && in.Weight == before.Weight && before.State == ngram.DocumentCounted:
		return ngram.OutcomeUnchanged, false, nil
	case in.SHA256 == before.SHA256 && in.Weight == before.Weight:
		return ngram.OutcomeCounted, false, nil
	case in.Tokens == 0:
		return 0, false, errors.New(errors.InvalidArgument, "REPLACEMENT_EMPTY",
			"the new text of document %q holds no token; to remove the document, forget it", in.Label).With("label", in.Label)
	case before.State == ngram.DocumentCounted && !before.TextKept:
		return 0, false, errors.New(errors.FailedPrecondition, "TEXT_NOT_KEPT",
			"the text of document %q was not kept, so it cannot be subtracted; forget it with its text first, then train the new text", in.Label).With("label", in.Label)
	}
	in.replaces = before
	in.first = before.firstVersion(t.model.CountsVersion)
	return ngram.OutcomeReplaced, true, nil
}

// firstVersion is the counts_version before text under the label was first counted; the present one if none was.
func (d *stored) firstVersion(present int64) *int64 {
	switch {
	case d.first != nil:
		return d.first
	case d.done > 0: // counted before versions were noted
		return new(int64)
	}
	return &present
}

// Full says that enough text waits to be counted.
func (t *Trainer) Full() bool { return t.waiting >= enough }

func checkSource(source Source) error {
	switch {
	case source.Label == "" || len(source.Label) > 512:
		return errors.New(errors.InvalidArgument, "LABEL_INVALID", "a document needs a label of 1 to 512 bytes, not %d", len(source.Label)).
			Field("label", "must have 1 to 512 bytes")
	case source.Weight < 1 || source.Weight > ngram.MaxWeight:
		return errors.New(errors.InvalidArgument, "WEIGHT_INVALID", "the weight of document %q must be from 1 to %d, not %d", source.Label, ngram.MaxWeight, source.Weight).
			Field("weight", "must be from 1 to 1000000")
	}
	return nil
}

// compare reads a text whose label is taken.
func (t *Trainer) compare(source Source, before stored, sum hash.Hash) (ngram.Document, ngram.Outcome, error) {
	if _, err := io.Copy(sum, source.Text); err != nil {
		return ngram.Document{}, 0, err
	}
	if err := checkSum(source, sum); err != nil {
		return ngram.Document{}, 0, err
	}
	if !bytes.Equal(sum.Sum(nil), before.SHA256[:]) {
		return ngram.Document{}, 0, errors.New(errors.FailedPrecondition, "DOCUMENT_DIFFERS",
			"model %q has other text under the label %q; replace it, or give the new text another label", t.model.Name, source.Label).With("label", source.Label)
	}
	if before.Weight != source.Weight {
		return ngram.Document{}, 0, errors.New(errors.FailedPrecondition, "DOCUMENT_DIFFERS",
			"model %q counted document %q with weight %d, not %d; replace it to change its weight", t.model.Name, source.Label, before.Weight, source.Weight).With("label", source.Label)
	}
	if before.State == ngram.DocumentCounted {
		return before.Document, ngram.OutcomeUnchanged, nil
	}
	return before.Document, ngram.OutcomeCounted, nil
}

func checkSum(source Source, sum hash.Hash) error {
	if source.SHA256 == nil {
		return nil
	}
	if want := source.SHA256(); len(want) > 0 && !bytes.Equal(want, sum.Sum(nil)) {
		return errors.New(errors.InvalidArgument, "CONTENT_HASH_DIFFERS", "document %q arrived changed: its SHA-256 is not the one sent with it; send it again", source.Label).
			With("label", source.Label)
	}
	return nil
}

// read reads a new document to its end.
func (t *Trainer) read(ctx context.Context, source Source, sum hash.Hash) (*incoming, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	in := &incoming{}
	in.ID, in.Model, in.Label, in.Weight, in.TextKept = id.String(), t.model.ID, source.Label, source.Weight, !source.DropText
	in.State, in.Created = ngram.DocumentReceiving, toTime(t.store.now())

	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(pieceBytes), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return in, err
	}
	pieces := &pieceWriter{ctx: ctx, trainer: t, in: in, encoder: encoder}
	raw := &counter{from: io.TeeReader(source.Text, sum)}
	normal := text.NewReader(text.Normalization(t.model.Settings.Normalization), raw)
	err = t.tokenizer.Sentences(io.TeeReader(normal, pieces), func(sentence text.Sentence) error {
		in.Sentences++
		in.Tokens += int64(len(sentence.Tokens))
		in.NGrams += counting.Events(t.model.Settings.Order, len(sentence.Tokens))
		return t.checkTokens(source.Label, sentence)
	})
	if err != nil {
		if bad, ok := errors.AsType[*text.EncodingError](err); ok {
			named := *bad
			named.Name = source.Label
			err = &named
		}
		return in, err
	}
	if err := checkSum(source, sum); err != nil {
		return in, err
	}
	if err := pieces.flush(); err != nil {
		return in, err
	}
	in.Bytes, in.size = raw.bytes, pieces.first
	copy(in.SHA256[:], sum.Sum(nil))
	if source.Kept != nil {
		in.Bytes, in.SHA256 = source.Kept.Bytes, source.Kept.SHA256
	}
	return in, nil
}

// checkTokens refuses what cannot be trained.
func (t *Trainer) checkTokens(label string, sentence text.Sentence) error {
	for _, token := range sentence.Tokens {
		if len(token.Text) > ngram.MaxTokenBytes || len(token.Surface) > ngram.MaxTokenBytes {
			return errors.New(errors.InvalidArgument, "TOKEN_TOO_LONG",
				"document %q has a token of %d bytes at byte offset %d; the longest that can be trained has %d. Is the text binary, or does it need another tokeniser?",
				label, len(token.Text), token.Offset, ngram.MaxTokenBytes).With("label", label)
		}
		if t.model.Settings.UnkPolicy == ngram.UnkReserved && token.Text[0] == '<' && isControl(token.Text) {
			return errors.New(errors.InvalidArgument, "TOKEN_RESERVED",
				"document %q has the token %s at byte offset %d, which is the model's own mark; remove it, or train a model that takes it as an ordinary word (--unk literal)",
				label, token.Text, token.Offset).With("label", label)
		}
	}
	return nil
}

func isControl(token []byte) bool {
	for id := range ngram.FirstWord {
		if string(token) == ngram.ControlToken(id) {
			return true
		}
	}
	return false
}

type counter struct {
	from  io.Reader
	bytes int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.bytes += int64(n)
	return n, err
}

// pieceWriter cuts text into compressed pieces and stores them when too many wait.
type pieceWriter struct {
	ctx     context.Context
	trainer *Trainer
	in      *incoming
	encoder *zstd.Encoder
	first   int64
	buffer  []byte
}

// Write implements io.Writer.
func (w *pieceWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), pieceBytes-len(w.buffer))
		w.buffer = append(w.buffer, p[:n]...)
		p = p[n:]
		if len(w.buffer) == pieceBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *pieceWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	frame := w.encoder.EncodeAll(w.buffer, nil)
	w.in.pieces = append(w.in.pieces, piece{w.first, frame})
	w.in.bytes += len(frame)
	w.first += int64(len(w.buffer))
	w.buffer = w.buffer[:0]
	if w.in.bytes < spillBytes {
		return nil
	}
	in := w.in
	err := w.trainer.store.db.InTx(w.ctx, func(tx *database.Tx) error {
		if !in.spilled {
			if err := setAside(w.ctx, tx, &in.stored, ngram.DocumentReceiving); err != nil {
				return err
			}
		}
		return insertPieces(w.ctx, tx, in)
	})
	if err == nil {
		in.spilled, in.pieces, in.bytes = true, nil, 0
	}
	return err
}

func insert(ctx context.Context, tx *database.Tx, in *incoming) error {
	_, err := tx.Exec(ctx, insertDocument, int64(in.Model), []byte(in.Label), in.ID, in.SHA256[:], in.Weight, in.Bytes,
		in.Sentences, in.Tokens, in.NGrams, in.TextKept, in.size, orNone(in.first), in.Created.UnixMicro())
	return err
}

// setAside writes a document beside the corpus, in a state that says why.
func setAside(ctx context.Context, tx *database.Tx, d *stored, state ngram.DocumentState) error {
	_, err := tx.Exec(ctx, insertAside, int64(d.Model), []byte(d.Label), d.ID, d.SHA256[:], d.Weight, string(state), d.Bytes,
		d.Sentences, d.Tokens, d.NGrams, d.done, d.TextKept, d.size, orNone(d.first), d.Created.UnixMicro())
	return err
}

// remove takes the row of a document out of a table; Aborted if somebody else did.
func remove(ctx context.Context, tx *database.Tx, query string, d *stored) error {
	matched, err := tx.Exec(ctx, query, int64(d.Model), d.ID)
	if err == nil && matched != 1 {
		err = errors.New(errors.Aborted, reasonLeaseLost, "document %q was changed by somebody else; send it again", d.Label)
	}
	return err
}

func orNone(value *int64) any {
	if value == nil {
		return nil
	}
	return *value
}

func insertPieces(ctx context.Context, tx *database.Tx, in *incoming) error {
	for _, p := range in.pieces {
		if _, err := tx.Exec(ctx, insertPiece, int64(in.Model), in.ID, p.first, p.frame); err != nil {
			return err
		}
	}
	return nil
}

// storePending stores the documents that wait, in one transaction.
func (t *Trainer) storePending(ctx context.Context) error {
	if len(t.pending) == 0 {
		return nil
	}
	err := t.store.db.InTx(ctx, func(tx *database.Tx) error {
		for _, in := range t.pending {
			if old := in.replaces; old != nil {
				if err := remove(ctx, tx, deleteDocument, old); err != nil {
					return err
				}
				if err := setAside(ctx, tx, old, ngram.DocumentLeaving); err != nil {
					return err
				}
			}
			if in.spilled {
				if err := remove(ctx, tx, deleteAside, &in.stored); err != nil {
					return err
				}
			}
			if err := insert(ctx, tx, in); err != nil {
				return err
			}
			if err := insertPieces(ctx, tx, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.pending, t.waiting = nil, 0
	}
	return err
}
