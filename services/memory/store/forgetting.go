package store

import (
	"context"
	"slices"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const (
	// forgetReplies bounds the replies that one step of a forgetting hands out, forgetBytes their texts and traces together; one
	// reply always fits.
	forgetReplies = 50
	forgetBytes   = 8 << 20
	// forgetBuilds bounds the builds of one statement.
	forgetBuilds = 1000
)

const (
	countReplies   = `SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = 'forgotten' THEN 1 ELSE 0 END), 0) FROM tbl_l2_message_traces WHERE tenant = ? AND model = ? AND ngram_build_id IN `
	selectOfBuilds = `SELECT message_id FROM tbl_l2_message_traces WHERE tenant = ? AND model = ? AND state <> 'forgotten' AND ngram_build_id IN `
	limitReplies   = ` ORDER BY message_id LIMIT ?`
)

func ofBuilds(tenant, model string, builds []uint32) []any {
	args := []any{tenant, model}
	for _, b := range builds {
		args = append(args, int64(b))
	}
	return args
}

// CountReplies returns how many replies the builds of a model wrote, and how many of these are forgotten already.
func (s *Store) CountReplies(ctx context.Context, tenant, model string, builds []uint32) (replies, forgotten int64, err error) {
	for some := range slices.Chunk(builds, forgetBuilds) {
		var n, gone int64
		if err := s.db.QueryRow(ctx, countReplies+database.In(len(some)), ofBuilds(tenant, model, some)...).Scan(&n, &gone); err != nil {
			return 0, 0, err
		}
		replies += n
		forgotten += gone
	}
	return replies, forgotten, nil
}

// ForgetReplies is one step of a forgetting: it stores what remains of replies, and returns the next ones that are still as the
// builds wrote them. When there are none the forgetting is finished, and the store's files are without what was taken out.
func (s *Store) ForgetReplies(ctx context.Context, f memory.Forgetting, remaining []memory.WrittenReply, now time.Time) (memory.Forgetting, []memory.WrittenReply, error) {
	f, err := s.beginForgetting(ctx, f, len(remaining) == 0, now)
	if err != nil || f.Finished {
		return f, nil, err
	}
	for _, r := range remaining {
		if err := s.forgetQuotes(ctx, &f, r, now); err != nil {
			return f, nil, err
		}
		if err := s.rewrite(ctx, &f, r); err != nil {
			return f, nil, err
		}
	}
	replies, err := s.writtenBy(ctx, f)
	if err != nil || len(replies) > 0 {
		return f, replies, err
	}
	if err := s.db.Overwrite(ctx); err != nil {
		return f, nil, err
	}
	f.Finished = true
	_, err = s.db.Exec(ctx, finishForgetting, micros(now), f.Tenant, f.RequestID)
	return f, nil, err
}

const (
	selectForgetting          = `SELECT model, traces, shortened, corrections, COALESCE(finished_at, 0) FROM tbl_l2_forgettings WHERE tenant = ? AND request_id = ?`
	insertForgetting          = `INSERT INTO tbl_l2_forgettings (tenant, request_id, model, traces, shortened, corrections, started_at) VALUES (?, ?, ?, 0, 0, 0, ?)`
	moveForgetting            = `UPDATE tbl_l2_forgettings SET traces = traces + 1, shortened = shortened + ? WHERE tenant = ? AND request_id = ?`
	moveForgettingShortened   = `UPDATE tbl_l2_forgettings SET shortened = shortened + 1 WHERE tenant = ? AND request_id = ?`
	moveForgettingCorrections = `UPDATE tbl_l2_forgettings SET corrections = corrections + 1 WHERE tenant = ? AND request_id = ?`
	finishForgetting          = `UPDATE tbl_l2_forgettings SET finished_at = ? WHERE tenant = ? AND request_id = ?`
)

// Forgetting returns how far a forgetting is.
func (s *Store) Forgetting(ctx context.Context, tenant, requestID string) (memory.Forgetting, error) {
	f, err := readForgetting(ctx, s.db, tenant, requestID)
	if errors.Is(err, database.ErrNoRows) {
		return f, memory.NotFound("forgetting", requestID)
	}
	return f, err
}

func readForgetting(ctx context.Context, q database.Querier, tenant, requestID string) (f memory.Forgetting, err error) {
	var finished int64
	f.Tenant, f.RequestID = tenant, requestID
	err = q.QueryRow(ctx, selectForgetting, tenant, requestID).Scan(&f.Model, &f.Traces, &f.Shortened, &f.Corrections, &finished)
	f.Finished = finished != 0
	return f, err
}

// beginForgetting finds or makes the row of a forgetting. The first step marks the builds too: that waits for replies of theirs
// that are being stored, and from then on none is.
func (s *Store) beginForgetting(ctx context.Context, f memory.Forgetting, first bool, now time.Time) (begun memory.Forgetting, err error) {
	builds := slices.Clone(f.Builds)
	slices.Sort(builds)
	var marks [][]any
	for _, b := range slices.Compact(builds) {
		marks = append(marks, []any{f.Tenant, f.Model, int64(b), micros(now)})
	}
	err = s.inTxAgain(ctx, func(tx *database.Tx) (err error) {
		begun, err = readForgetting(ctx, tx, f.Tenant, f.RequestID)
		switch {
		case errors.Is(err, database.ErrNoRows):
			begun.Model = f.Model
			_, err = tx.Exec(ctx, insertForgetting, f.Tenant, f.RequestID, f.Model, micros(now))
		case err == nil && begun.Model != f.Model:
			err = memory.RequestIDReused(f.RequestID)
		}
		if err != nil || begun.Finished || !first {
			return err
		}
		return tx.Upsert(ctx, "tbl_l2_reply_builds", replyBuildColumns, replyBuildColumns[:3], []database.Assign{{Column: "forgotten_at"}}, marks)
	})
	begun.Builds, begun.Quoting = f.Builds, f.Quoting
	return begun, err
}

var replyBuildColumns = []string{"tenant", "model", "ngram_build_id", "forgotten_at"}

const updateTrace = `UPDATE tbl_l2_message_traces SET version = ?, body_bytes = ?, body = ?, detail = ?, detail_since = CASE WHEN ? = 1 THEN created_at ELSE NULL END, state = 'forgotten'
WHERE tenant = ? AND message_id = ? AND state <> 'forgotten'`

const updateContent = `UPDATE tbl_l2_messages SET content = ? WHERE tenant = ? AND message_id = ?`

// rewrite stores what remains of one reply; a reply that is forgotten, or gone, stays as it is. content_end stays too: it is a
// bound for readers, and the content gets no longer.
func (s *Store) rewrite(ctx context.Context, f *memory.Forgetting, r memory.WrittenReply) error {
	packed := s.pack(&r.Trace)
	shortened, done := int64(0), false
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		shortened, done = 0, false
		n, err := tx.Exec(ctx, updateTrace, r.Trace.Version, len(r.Trace.Body), packed.body, packed.detailOrNull(), flag(packed.detail != nil), f.Tenant, r.MessageID)
		if err != nil || n == 0 {
			return err
		}
		done = true
		m, err := scanMessage(tx.QueryRow(ctx, selectMessage, f.Tenant, r.MessageID))
		if err != nil {
			return err
		}
		if r.Content != "" && r.Content != m.Content {
			if len(r.Content) > len(m.Content) {
				return memory.Invalid("remaining.content", "message %s has %d bytes and would get %d; only leave out", m.ID, len(m.Content), len(r.Content))
			}
			shortened = 1
			if err := replaceContent(ctx, tx, f.Tenant, m, r.Content); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, moveForgetting, shortened, f.Tenant, f.RequestID)
		return err
	})
	if err == nil && done {
		f.Traces++
		f.Shortened += shortened
	}
	return err
}

// writtenBy returns the next replies that are still as the builds wrote them.
func (s *Store) writtenBy(ctx context.Context, f memory.Forgetting) (replies []memory.WrittenReply, err error) {
	var ids []string
	for some := range slices.Chunk(f.Builds, forgetBuilds) {
		if ids, err = readIDs(ctx, s.db, selectOfBuilds+database.In(len(some))+limitReplies, append(ofBuilds(f.Tenant, f.Model, some), forgetReplies)...); err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			break
		}
	}
	size := 0
	for _, id := range ids {
		t, err := s.readTrace(ctx, s.db, f.Tenant, id)
		if errors.Is(err, database.ErrNoRows) { // erased meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := scanMessage(s.db.QueryRow(ctx, selectMessage, f.Tenant, id))
		if errors.Is(err, database.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if size += len(t.Body) + len(m.Content); size > forgetBytes && len(replies) > 0 {
			break
		}
		replies = append(replies, memory.WrittenReply{MessageID: id, Content: m.Content, Trace: t})
	}
	return replies, err
}
