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

const insertTrace = `INSERT INTO tbl_l2_message_traces (tenant, message_id, version, model, ngram_build_id, concept_build_id, body_bytes, created_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

func writeTrace(ctx context.Context, tx *database.Tx, tenant string, m memory.Message, t memory.Trace, packed []byte) error {
	_, err := tx.Exec(ctx, insertTrace, tenant, m.ID, t.Version, t.Model, t.NgramBuildID, t.ConceptBuildID, len(t.Body), micros(m.Created), packed)
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
