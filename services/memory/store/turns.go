package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const turnColumns = `t.tenant, t.turn_id, t.conversation_id, t.request_id, t.state, t.lease_until, t.seed, t.model, t.ngram_build_id, t.concept_build_id,
  t.user_message_id, t.user_seq, COALESCE(t.reply_message_id, ''), COALESCE(t.reply_seq, 0), t.failure, t.created_at, COALESCE(t.closed_at, 0)`

func scanTurn(row database.Scanner, more ...any) (memory.Turn, error) {
	var t memory.Turn
	var lease, seed, created, closed int64
	err := row.Scan(append([]any{
		&t.Tenant, &t.ID, &t.ConversationID, &t.RequestID, &t.State, &lease, &seed, &t.Pins.Model, &t.Pins.NgramBuildID, &t.Pins.ConceptBuildID,
		&t.UserMessageID, &t.UserSeq, &t.ReplyMessageID, &t.ReplySeq, &t.Failure, &created, &closed,
	}, more...)...)
	t.Pins.Seed = uint64(seed)
	t.LeaseUntil, t.Created, t.Closed = fromMicros(lease), fromMicros(created), fromMicros(closed)
	return t, err
}

const selectTurn = `SELECT ` + turnColumns + ` FROM tbl_l2_turns t WHERE t.tenant = ? AND t.turn_id = ?`

func readTurn(ctx context.Context, q database.Querier, tenant, id string) (memory.Turn, error) {
	t, err := scanTurn(q.QueryRow(ctx, selectTurn, tenant, id))
	if errors.Is(err, database.ErrNoRows) {
		return t, memory.NotFound("turn", id)
	}
	return t, err
}

const insertTurn = `INSERT INTO tbl_l2_turns (tenant, turn_id, conversation_id, request_id, state, lease_until, seed, model, ngram_build_id, concept_build_id,
  user_message_id, user_seq, failure, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)`

func addedTurn(t memory.Turn) database.Command {
	return database.Command{SQL: insertTurn, Args: []any{
		t.Tenant, t.ID, t.ConversationID, t.RequestID, string(t.State), micros(t.LeaseUntil),
		int64(t.Pins.Seed), t.Pins.Model, t.Pins.NgramBuildID, t.Pins.ConceptBuildID, t.UserMessageID, t.UserSeq, micros(t.Created),
	}}
}

const updateTurn = `UPDATE tbl_l2_turns SET state = ?, lease_until = ?, reply_message_id = ?, reply_seq = ?, failure = ?, closed_at = ?
WHERE tenant = ? AND turn_id = ? AND state = 'open'`

// writeTurn stores what changes in a turn that was read under its conversation's lock and was open.
func writeTurn(ctx context.Context, tx *database.Tx, t memory.Turn) error {
	n, err := tx.ExecAll(ctx, changedTurn(t))
	if err == nil && n[0] != 1 {
		err = memory.ChangedMeanwhile("turn", t.ID)
	}
	return err
}

// changedTurn is what writeTurn does: one row, unless somebody else was there.
func changedTurn(t memory.Turn) database.Command {
	var replySeq any
	if t.ReplySeq > 0 {
		replySeq = t.ReplySeq
	}
	return database.Command{SQL: updateTurn, Args: []any{
		string(t.State), micros(t.LeaseUntil), nullString(t.ReplyMessageID), replySeq, t.Failure, nullMicros(t.Closed), t.Tenant, t.ID,
	}}
}

const expireTurn = `UPDATE tbl_l2_turns SET state = ?, failure = ?, closed_at = ? WHERE tenant = ? AND turn_id = ? AND state = 'open'`

// expireOpenTurn closes the open turn of a locked conversation, whose lease has run out. The caller stores the conversation.
func expireOpenTurn(ctx context.Context, tx *database.Tx, c memory.Conversation, now time.Time) (memory.Conversation, error) {
	t := memory.Turn{Tenant: c.Tenant, ID: c.OpenTurnID}.Expire(now)
	if _, err := tx.Exec(ctx, expireTurn, string(t.State), t.Failure, micros(now), t.Tenant, t.ID); err != nil {
		return c, err
	}
	c.OpenTurnID, c.OpenUntil = "", time.Time{}
	c.FailedTurns++
	return c, nil
}

// failTurn closes an open turn of a locked conversation without a reply.
func failTurn(ctx context.Context, tx *database.Tx, c memory.Conversation, closed memory.Turn) error {
	if err := writeTurn(ctx, tx, closed); err != nil {
		return err
	}
	c.OpenTurnID, c.OpenUntil, c.Updated = "", time.Time{}, closed.Closed
	c.FailedTurns++
	return writeConversation(ctx, tx, c)
}

const selectTurnWithConversation = `SELECT ` + turnColumns + `, ` + conversationColumns + ` FROM tbl_l2_turns t
JOIN tbl_l2_conversations c ON c.tenant = t.tenant AND c.conversation_id = t.conversation_id WHERE t.tenant = ? AND t.turn_id = ?`

// withTurn runs f on a locked turn and its conversation, read in one statement. It locks the turn first, as nobody else does:
// where the conversation is held by who then wants the same turn, the database ends one of the two and InTx runs it again.
func (s *Store) withTurn(ctx context.Context, tenant, id string, f func(tx *database.Tx, c memory.Conversation, t memory.Turn) error) error {
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		var r conversationRow
		t, err := scanTurn(tx.QueryRow(ctx, selectTurnWithConversation+s.lockRow, tenant, id), r.targets()...)
		if errors.Is(err, database.ErrNoRows) {
			return memory.NotFound("turn", id)
		}
		if err != nil {
			return err
		}
		c, err := r.conversation()
		if err != nil {
			return err
		}
		return f(tx, c, t)
	})
}

// Turn returns a turn; one whose lease has run out is closed first.
func (s *Store) Turn(ctx context.Context, tenant, id string, now time.Time) (memory.Turn, error) {
	t, err := readTurn(ctx, s.db, tenant, id)
	if err != nil || !t.Expired(now) {
		return t, err
	}
	err = s.withTurn(ctx, tenant, id, func(tx *database.Tx, c memory.Conversation, current memory.Turn) error {
		t = current
		if !current.Expired(now) { // renewed or closed meanwhile
			return nil
		}
		t = current.Expire(now)
		return failTurn(ctx, tx, c, t)
	})
	return t, err
}

// FailTurn closes an open turn without a reply. A failed turn is returned as it is; a committed one is FailedPrecondition.
func (s *Store) FailTurn(ctx context.Context, tenant, id, reason string, now time.Time) (t memory.Turn, err error) {
	err = s.withTurn(ctx, tenant, id, func(tx *database.Tx, c memory.Conversation, current memory.Turn) error {
		t = current
		switch {
		case current.State == memory.TurnFailed:
			return nil
		case current.State == memory.TurnCommitted:
			return memory.TurnIsCommitted(current)
		case current.Expired(now):
			t = current.Expire(now)
		default:
			t = current.Fail(reason, now)
		}
		return failTurn(ctx, tx, c, t)
	})
	return t, err
}

// Reply is what CommitTurn stores.
type Reply struct {
	Content      string
	FinishReason string
	Trace        *memory.Trace // nil for none
	Carried      []byte        // for the next turn; nil for nothing
}

// CommitTurn logs the reply of an open turn with its trace and closes it. A committed turn returns the reply that is stored,
// whatever was sent now; one that failed, or whose lease has run out, is FailedPrecondition and nothing is stored.
func (s *Store) CommitTurn(ctx context.Context, tenant, id string, reply Reply, now time.Time) (memory.Turn, memory.Message, error) {
	var (
		t       memory.Turn
		m       memory.Message
		refusal error
	)
	replyID, err := newID()
	if err != nil {
		return t, m, err
	}
	packed, words := s.pack(reply.Trace), messageWords(reply.Content) // before the lock
	err = s.withTurn(ctx, tenant, id, func(tx *database.Tx, c memory.Conversation, current memory.Turn) error {
		t, m, refusal = current, memory.Message{}, nil
		switch {
		case current.State == memory.TurnCommitted:
			m, err = scanMessage(tx.QueryRow(ctx, selectMessageBySeq, tenant, c.ID, current.ReplySeq))
			return err
		case current.State == memory.TurnFailed:
			return memory.TurnHasFailed(current)
		case current.Expired(now):
			t = current.Expire(now)
			refusal = memory.TurnHasFailed(t) // after the closing is committed
			return failTurn(ctx, tx, c, t)
		}
		c, m = replyTo(c, current, replyID, reply, now)
		t = current.Commit(m.ID, m.Seq, now)
		c.OpenTurnID, c.OpenUntil, c.Carried = "", time.Time{}, reply.Carried
		c.CommittedTurns++
		writes := append([]database.Command{changedTurn(t), changedConversation(c)}, loggedMessage(tenant, m, words)...)
		if reply.Trace != nil {
			writes = append(writes, s.addedTrace(tenant, m, *reply.Trace, packed))
		}
		n, err := tx.ExecAll(ctx, writes...)
		if err != nil {
			return err
		}
		if n[0] != 1 {
			return memory.ChangedMeanwhile("turn", t.ID)
		}
		if reply.Trace != nil && n[len(n)-1] == 0 {
			return s.addTraceOfNewBuild(ctx, tx, tenant, *reply.Trace, writes[len(writes)-1])
		}
		return nil
	})
	if err == nil {
		err = refusal
	}
	return t, m, err
}
