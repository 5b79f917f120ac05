package store

import (
	"context"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// maxTraceBytes bounds a trace's body when it is unpacked; the protos bound it at 4 MiB.
const maxTraceBytes = 8 << 20

// pack compresses a trace's body; nil for no trace.
func (s *Store) pack(t *memory.Trace) []byte {
	if t == nil {
		return nil
	}
	return s.packer.EncodeAll(t.Body, make([]byte, 0, len(t.Body)/2+64))
}

const (
	insertTrace = `INSERT INTO tbl_l2_message_traces (tenant, message_id, version, model, ngram_build_id, concept_build_id, body_bytes, created_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertTraceOfBuild = `INSERT INTO tbl_l2_message_traces (tenant, message_id, version, model, ngram_build_id, concept_build_id, body_bytes, created_at, body)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tbl_l2_reply_builds b WHERE b.tenant = ? AND b.model = ? AND b.ngram_build_id = ? AND b.forgotten_at IS NULL`
)

// writeTrace stores the trace of a reply. The row of the build that wrote it is held shared until the transaction ends: a build
// is forgotten before that or after it.
func (s *Store) writeTrace(ctx context.Context, tx *database.Tx, tenant string, m memory.Message, t memory.Trace, packed []byte) error {
	args := []any{tenant, m.ID, t.Version, t.Model, t.NgramBuildID, t.ConceptBuildID, len(t.Body), micros(m.Created), packed}
	if t.NgramBuildID == 0 {
		_, err := tx.Exec(ctx, insertTrace, args...)
		return err
	}
	args = append(args, tenant, t.Model, int64(t.NgramBuildID))
	n, err := tx.Exec(ctx, insertTraceOfBuild+s.shareRow, args...)
	if err != nil || n > 0 {
		return err
	}
	// The first reply of this build, or a build that is gone.
	row := [][]any{{tenant, t.Model, int64(t.NgramBuildID), nil}}
	if err := tx.Upsert(ctx, "tbl_l2_reply_builds", replyBuildColumns, replyBuildColumns[:3], nil, row); err != nil {
		return err
	}
	if n, err = tx.Exec(ctx, insertTraceOfBuild+s.shareRow, args...); err == nil && n == 0 {
		err = memory.BuildIsForgotten(t.Model, t.NgramBuildID)
	}
	return err
}

const selectTrace = `SELECT message_id, version, model, ngram_build_id, concept_build_id, body FROM tbl_l2_message_traces WHERE tenant = ? AND message_id = ?`

// Trace returns the trace of a reply.
func (s *Store) Trace(ctx context.Context, tenant, messageID string) (memory.Trace, error) {
	t, err := s.readTrace(ctx, s.db, tenant, messageID)
	if errors.Is(err, database.ErrNoRows) {
		return t, memory.NotFound("trace", messageID)
	}
	return t, err
}

func (s *Store) readTrace(ctx context.Context, q database.Querier, tenant, messageID string) (memory.Trace, error) {
	var t memory.Trace
	var packed []byte
	err := q.QueryRow(ctx, selectTrace, tenant, messageID).Scan(&t.MessageID, &t.Version, &t.Model, &t.NgramBuildID, &t.ConceptBuildID, &packed)
	if err != nil {
		return t, err
	}
	if t.Body, err = s.opener.DecodeAll(packed, nil); err != nil {
		return t, memory.StoredValue(err, "the trace of message", messageID)
	}
	return t, nil
}
