package store

import (
	"context"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
)

const (
	findIdle  = `SELECT conversation_id` + idleConversations + ` ORDER BY updated_at, conversation_id LIMIT ?`
	closeIdle = `UPDATE tbl_l2_conversations SET archived = 1, open_turn_id = NULL, open_until = NULL WHERE tenant = ? AND conversation_id = ? AND updated_at < ?`
)

// conversations removes those that did not change since a time, with everything in them.
func (r *retaining) conversations(ctx context.Context, before time.Time) error {
	for {
		ids, err := readIDs(ctx, r.store.db, findIdle, r.tenant, micros(before), retentionPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			closed, err := r.store.db.Exec(ctx, closeIdle, r.tenant, id, micros(before))
			if err != nil {
				return err
			}
			if closed == 0 { // somebody goes on with it, or has erased it
				continue
			}
			if err := r.contents(ctx, id); err != nil {
				return err
			}
			counted := r.run
			counted.Conversations++
			err = r.store.db.InTx(ctx, func(tx *database.Tx) error {
				if _, err := dropConversation(ctx, tx, r.tenant, id); err != nil {
					return err
				}
				return r.count(ctx, tx, counted)
			})
			if err != nil {
				return err
			}
			r.run = counted
			if err := r.tell(r.run); err != nil {
				return err
			}
		}
	}
}

const findBegunBefore = `SELECT conversation_id, first_message_at FROM tbl_l2_conversations WHERE tenant = ? AND first_message_at < ?
AND (first_message_at > ? OR first_message_at = ? AND conversation_id > ?) ORDER BY first_message_at, conversation_id LIMIT ?`

// messages removes those that were said before a time from conversations that go on, oldest first.
func (r *retaining) messages(ctx context.Context, before time.Time) error {
	after := After{At: -1 << 62}
	for {
		var ids []string
		result, err := r.store.db.Query(ctx, findBegunBefore, r.tenant, micros(before), after.At, after.At, after.ID, retentionPage)
		err = rows(result, err, func(row database.Scanner) error {
			err := row.Scan(&after.ID, &after.At)
			ids = append(ids, after.ID)
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			for more := true; more; {
				if more, err = r.oldest(ctx, id, before); err != nil {
					return err
				}
			}
		}
	}
}

// oldest removes the first messages of a conversation, one transaction of them, and reports whether there may be more. It stops
// before the first message that is young enough, and before an open turn.
func (r *retaining) oldest(ctx context.Context, id string, before time.Time) (more bool, err error) {
	counted := r.run
	err = r.store.db.InTx(ctx, func(tx *database.Tx) error {
		more, counted = false, r.run
		c, err := r.store.lockConversation(ctx, tx, r.tenant, id)
		if err != nil {
			return err
		}
		if now := r.clock(); c.OpenTurnID != "" && !now.Before(c.OpenUntil) {
			if c, err = expireOpenTurn(ctx, tx, c, now); err != nil {
				return err
			}
			if err := writeConversation(ctx, tx, c); err != nil {
				return err
			}
		}
		page, err := firstMessages(ctx, tx, c)
		if err != nil {
			return err
		}
		old := 0
		for old < len(page) && page[old].Created.Before(before) && (c.OpenTurnID == "" || page[old].TurnID != c.OpenTurnID) {
			old++
		}
		if old == 0 {
			return nil
		}
		if err := removeFirst(ctx, tx, c, page[:old]); err != nil {
			return err
		}
		more = old == len(page)
		counted.Messages += int64(old)
		return r.count(ctx, tx, counted)
	})
	if errors.KindOf(err) == errors.NotFound { // erased meanwhile
		return false, nil
	}
	if err != nil || counted == r.run {
		return false, err
	}
	r.run = counted
	return more, r.tell(r.run)
}

const (
	updateFirstMessage = `UPDATE tbl_l2_conversations SET removed_messages = ?, removed_bytes = ?, first_message_at = ? WHERE tenant = ? AND conversation_id = ?`
	carryNothing       = `UPDATE tbl_l2_conversations SET carried = NULL WHERE tenant = ? AND conversation_id = ?`
)

// firstMessages returns at most a batch of them, and no more than a page of bytes.
func firstMessages(ctx context.Context, q database.Querier, c memory.Conversation) (page []memory.Message, err error) {
	result, err := q.Query(ctx, selectMessagesForward, c.Tenant, c.ID, c.Removed, c.Removed+eraseBatch, c.RemovedBytes+pageBytes, c.Removed+1)
	err = rows(result, err, func(row database.Scanner) error {
		m, err := scanMessage(row)
		page = append(page, m)
		return err
	})
	return page, err
}

// removeFirst removes the first messages of a locked conversation with their words, traces and turns.
func removeFirst(ctx context.Context, tx *database.Tx, c memory.Conversation, gone []memory.Message) error {
	var ids, turns []string
	contents := map[string]string{}
	for _, m := range gone {
		ids, contents[m.ID] = append(ids, m.ID), m.Content
		if m.TurnID != "" {
			turns = append(turns, m.TurnID)
		}
	}
	if _, err := removeMessagesWith(ctx, tx, c.Tenant, ids, contents); err != nil {
		return err
	}
	if len(turns) > 0 {
		if _, err := byIDs(removeTurns)(ctx, tx, c.Tenant, turns); err != nil {
			return err
		}
	}
	last := gone[len(gone)-1]
	next, err := scanMessage(tx.QueryRow(ctx, selectMessageBySeq, c.Tenant, c.ID, last.Seq+1))
	if err != nil && !errors.Is(err, database.ErrNoRows) {
		return err
	}
	if _, err = tx.Exec(ctx, updateFirstMessage, last.Seq, last.End, nullMicros(next.Created), c.Tenant, c.ID); err != nil || next.Seq != 0 {
		return err
	}
	_, err = tx.Exec(ctx, carryNothing, c.Tenant, c.ID) // it may hold what was said
	return err
}
