package store

import (
	"context"
	"io"

	"github.com/klauspost/compress/zstd"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/ngram"
)

// pieceBytes is how much text is stored in one row: large enough to compress well, small for every packet limit.
const pieceBytes = 1 << 20

const (
	selectDocument = `SELECT document_id, label, content_hash, weight, state, text_bytes, sentences, tokens, ngrams, text_kept, created_at,
  bytes_done, stored_bytes, first_version, 0, NULL FROM tbl_corpus WHERE model_id = ? `
	selectAside = `SELECT document_id, label, content_hash, weight, state, text_bytes, sentences, tokens, ngrams, text_kept, created_at,
  bytes_done, stored_bytes, first_version, bytes_out, last_version FROM tbl_corpus_aside WHERE model_id = ? `
)

const (
	byLabel    = `AND label = ?`
	byState    = `AND state = ? ORDER BY document_id`
	byID       = `AND document_id = ?`
	afterLabel = `AND label > ? AND state = 'counted' ORDER BY label LIMIT ?`
)

// stored is a document with its cursors.
type stored struct {
	ngram.Document
	done     int64  // bytes of the stored text that are counted
	size     int64  // bytes of the stored text
	first    *int64 // counts_version before text under the label was first counted; nil: unknown, or none was
	out      int64  // bytes of the counted text that are subtracted again
	last     *int64 // counts_version from which on builds are without it; nil: it is not wholly subtracted
	complete bool   // all of it was counted, or subtracted, just now
}

// leaves says whether the document is on its way out of the counts.
func (d *stored) leaves() bool {
	return d.State == ngram.DocumentLeaving || d.State == ngram.DocumentForgetting
}

// readDocuments reads documents of the corpus; readAside those beside it.
func readDocuments(ctx context.Context, q database.Querier, model ngram.ModelID, where string, args ...any) ([]stored, error) {
	return readStored(ctx, q, model, selectDocument+where, args...)
}

func readAside(ctx context.Context, q database.Querier, model ngram.ModelID, where string, args ...any) ([]stored, error) {
	return readStored(ctx, q, model, selectAside+where, args...)
}

func readStored(ctx context.Context, q database.Querier, model ngram.ModelID, query string, args ...any) ([]stored, error) {
	var documents []stored
	err := q.Stream(ctx, query, append([]any{int64(model)}, args...), func(row database.Row) error {
		d := stored{
			Document: ngram.Document{
				ID: string(row.Bytes(0)), Model: model, Label: string(row.Bytes(1)), Weight: row.Int(3), State: ngram.DocumentState(row.Bytes(4)),
				Bytes: row.Int(5), Sentences: row.Int(6), Tokens: row.Int(7), NGrams: row.Int(8), TextKept: row.Int(9) != 0, Created: toTime(row.Int(10)),
			},
			done: row.Int(11), size: row.Int(12), first: orNil(row, 13), out: row.Int(14), last: orNil(row, 15),
		}
		copy(d.SHA256[:], row.Bytes(2))
		documents = append(documents, d)
		return nil
	})
	return documents, err
}

func orNil(row database.Row, column int) *int64 {
	if row.IsNull(column) {
		return nil
	}
	value := row.Int(column)
	return &value
}

// Documents returns up to limit counted documents of the generation in training whose labels follow after, in byte order.
func (s *Store) Documents(ctx context.Context, tenant, model, after string, limit int) ([]ngram.Document, error) {
	m, err := s.Model(ctx, tenant, model)
	if err != nil {
		return nil, err
	}
	found, err := readDocuments(ctx, s.db, m.ID, afterLabel, []byte(after), limit)
	documents := make([]ngram.Document, len(found))
	for i, d := range found {
		documents[i] = d.Document
	}
	return documents, err
}

const (
	insertDocument = `INSERT INTO tbl_corpus (model_id, label, document_id, content_hash, weight, state, text_bytes, sentences, tokens, ngrams,
  bytes_done, text_kept, stored_bytes, first_version, created_at) VALUES (?, ?, ?, ?, ?, 'stored', ?, ?, ?, ?, 0, ?, ?, ?, ?)`
	insertAside = `INSERT INTO tbl_corpus_aside (model_id, label, document_id, content_hash, weight, state, text_bytes, sentences, tokens, ngrams,
  bytes_done, bytes_out, text_kept, stored_bytes, first_version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)`
	insertPiece    = `INSERT INTO tbl_corpus_text (model_id, document_id, first_byte, piece) VALUES (?, ?, ?, ?)`
	selectPieces   = `SELECT first_byte FROM tbl_corpus_text WHERE model_id = ? AND document_id = ? ORDER BY first_byte`
	deletePiece    = `DELETE FROM tbl_corpus_text WHERE model_id = ? AND document_id = ? AND first_byte = ?`
	deletePieces   = `DELETE FROM tbl_corpus_text WHERE model_id = ? AND document_id = ?`
	deleteDocument = `DELETE FROM tbl_corpus WHERE model_id = ? AND document_id = ?`
	deleteAside    = `DELETE FROM tbl_corpus_aside WHERE model_id = ? AND document_id = ?`
	selectPiece    = `SELECT first_byte, piece FROM tbl_corpus_text WHERE model_id = ? AND document_id = ? AND first_byte <= ? ORDER BY first_byte DESC LIMIT 1`
)

// discard removes a document none of which is in the counts, piece by piece, wherever it stands.
func (s *Store) discard(ctx context.Context, model ngram.ModelID, id string) error {
	if err := s.discardText(ctx, model, id); err != nil {
		return err
	}
	for _, remove := range []string{deleteDocument, deleteAside} {
		if _, err := s.db.Exec(ctx, remove, int64(model), id); err != nil {
			return err
		}
	}
	return nil
}

// discardText removes the stored text of a document.
func (s *Store) discardText(ctx context.Context, model ngram.ModelID, id string) error {
	var pieces []int64
	err := s.db.Stream(ctx, selectPieces, []any{int64(model), id}, func(row database.Row) error {
		pieces = append(pieces, row.Int(0))
		return nil
	})
	if err != nil {
		return err
	}
	for _, first := range pieces {
		if _, err := s.db.Exec(ctx, deletePiece, int64(model), id, first); err != nil {
			return err
		}
	}
	return nil
}

// textReader reads the stored text of a document from an offset on. It holds one piece and no transaction.
type textReader struct {
	ctx     context.Context
	store   *Store
	decoder *zstd.Decoder
	model   ngram.ModelID
	id      string
	offset  int64
	size    int64
	piece   []byte // what is left of the piece at hand
	buffer  []byte
}

// Read implements io.Reader.
func (r *textReader) Read(p []byte) (int, error) {
	if len(r.piece) == 0 {
		if r.offset == r.size {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	r.offset += int64(n)
	return n, nil
}

func (r *textReader) next() error {
	damaged := func(err error) error {
		return errors.Wrap(err, errors.DataLoss, "TEXT_DAMAGED", "the stored text of document %s is damaged at byte %d; reset the model and train again", r.id, r.offset)
	}
	var first int64
	var frame []byte
	err := r.store.db.QueryRow(r.ctx, selectPiece, int64(r.model), r.id, r.offset).Scan(&first, &frame)
	if errors.Is(err, database.ErrNoRows) {
		return damaged(err)
	}
	if err != nil {
		return err
	}
	r.buffer, err = r.decoder.DecodeAll(frame, r.buffer[:0])
	if skip := r.offset - first; err == nil && skip < int64(len(r.buffer)) {
		r.piece = r.buffer[skip:]
		return nil
	}
	return damaged(err)
}
