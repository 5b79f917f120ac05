package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

// maxTraceBytes bounds a trace's body when it is unpacked; the protos bound it at 4 MiB.
const maxTraceBytes = 8 << 20

// packedTrace is a trace as its row holds it.
type packedTrace struct {
	body   []byte
	detail []byte // nil for none
}

// pack compresses a trace.
func (s *Store) pack(t *memory.Trace) (p packedTrace) {
	if t == nil {
		return p
	}
	p.body = s.packer.EncodeAll(t.Body, make([]byte, 0, len(t.Body)/2+64))
	if len(t.Detail) > 0 {
		p.detail = s.packer.EncodeAll(t.Detail, make([]byte, 0, len(t.Detail)/2+64))
	}
	return p
}

// detailOrNull and since are the values of detail and detail_since.
func (p packedTrace) detailOrNull() any {
	if p.detail == nil {
		return nil
	}
	return p.detail
}

func (p packedTrace) since(created time.Time) any {
	if p.detail == nil {
		return nil
	}
	return micros(created)
}

const (
	traceColumnsWritten = `tenant, message_id, version, model, ngram_build_id, concept_build_id, body_bytes, created_at, body, detail, detail_since`
	insertTrace         = `INSERT INTO tbl_l2_message_traces (` + traceColumnsWritten + `)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertTraceOfBuild = `INSERT INTO tbl_l2_message_traces (` + traceColumnsWritten + `)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tbl_l2_reply_builds b WHERE b.tenant = ? AND b.model = ? AND b.ngram_build_id = ? AND b.forgotten_at IS NULL`
)

// addedTrace stores the trace of a reply. The row of the build that wrote it is held shared until the transaction ends: a build
// is forgotten before that or after it. Where there is no such row, nothing is stored; see addTraceOfNewBuild.
func (s *Store) addedTrace(tenant string, m memory.Message, t memory.Trace, packed packedTrace) database.Command {
	args := []any{
		tenant, m.ID, t.Version, t.Model, t.NgramBuildID, t.ConceptBuildID, len(t.Body), micros(m.Created), packed.body,
		packed.detailOrNull(), packed.since(m.Created),
	}
	if t.NgramBuildID == 0 {
		return database.Command{SQL: insertTrace, Args: args}
	}
	return database.Command{SQL: insertTraceOfBuild + s.shareRow, Args: append(args, tenant, t.Model, int64(t.NgramBuildID))}
}

// addTraceOfNewBuild stores a trace that addedTrace did not: it is of the first reply of its build, or of a build that is gone.
func (s *Store) addTraceOfNewBuild(ctx context.Context, tx *database.Tx, tenant string, t memory.Trace, add database.Command) error {
	row := [][]any{{tenant, t.Model, int64(t.NgramBuildID), nil}}
	if err := tx.Upsert(ctx, "tbl_l2_reply_builds", replyBuildColumns, replyBuildColumns[:3], nil, row); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, add.SQL, add.Args...)
	if err == nil && n == 0 {
		err = memory.BuildIsForgotten(t.Model, t.NgramBuildID)
	}
	return err
}

const selectTrace = `SELECT message_id, version, model, ngram_build_id, concept_build_id, state, body, detail FROM tbl_l2_message_traces WHERE tenant = ? AND message_id = ?`

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
	var p packedTrace
	var state memory.TraceState
	err := q.QueryRow(ctx, selectTrace, tenant, messageID).Scan(&t.MessageID, &t.Version, &t.Model, &t.NgramBuildID, &t.ConceptBuildID, &state, &p.body, &p.detail)
	if err != nil {
		return t, err
	}
	t.Thinned, t.Forgotten = state == memory.TraceThinned, state == memory.TraceForgotten
	if t.Body, err = s.opener.DecodeAll(p.body, nil); err == nil && p.detail != nil {
		t.Detail, err = s.opener.DecodeAll(p.detail, nil)
	}
	if err != nil {
		return t, memory.StoredValue(err, "the trace of message", messageID)
	}
	return t, nil
}

const (
	// thinBatch bounds the traces that one transaction thins, thinLimit those of one call.
	thinBatch = 200
	thinLimit = 10_000
)

const (
	selectDetails = `SELECT message_id, OCTET_LENGTH(detail) FROM tbl_l2_message_traces WHERE tenant = ? AND detail_since < ? ORDER BY detail_since, message_id LIMIT ?`
	thinTraces    = `UPDATE tbl_l2_message_traces SET detail = NULL, detail_since = NULL, state = CASE WHEN state = 'full' THEN 'thinned' ELSE state END
WHERE tenant = ? AND detail_since IS NOT NULL AND message_id IN `
	countDetails = `SELECT COUNT(*) FROM tbl_l2_message_traces WHERE tenant = ? AND detail_since < ?`
)

// Thinned says what thinning did.
type Thinned struct {
	Traces int64
	Bytes  int64 // of details, as they were stored
	More   bool  // there may be more
}

// ThinTraces removes the detail of traces of replies older than a time, oldest first, at most 10,000 of them in transactions of
// at most 200. What replay needs stays. Interrupted at any moment, the next call goes on.
func (s *Store) ThinTraces(ctx context.Context, tenant string, before time.Time) (done Thinned, err error) {
	for done.Traces < thinLimit {
		batch, err := s.thinBatch(ctx, tenant, before, nil)
		done.Traces += batch.Traces
		done.Bytes += batch.Bytes
		if err != nil || batch.Traces == 0 {
			return done, err
		}
	}
	done.More = true
	return done, nil
}

// thinBatch is one transaction of a thinning; note, if any, is a part of it.
func (s *Store) thinBatch(ctx context.Context, tenant string, before time.Time, note func(*database.Tx, Thinned) error) (done Thinned, err error) {
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		done = Thinned{}
		var ids []string
		result, err := tx.Query(ctx, selectDetails, tenant, micros(before), thinBatch)
		err = rows(result, err, func(row database.Scanner) error {
			var id string
			var bytes int64
			err := row.Scan(&id, &bytes)
			ids = append(ids, id)
			done.Bytes += bytes
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if done.Traces, err = tx.Exec(ctx, thinTraces+database.In(len(ids)), withIDs(tenant, ids)...); err != nil || note == nil {
			return err
		}
		return note(tx, done)
	})
	if err != nil {
		done = Thinned{}
	}
	return done, err
}
