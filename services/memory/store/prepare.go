package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/window"
)

// TurnRequest opens a turn.
type TurnRequest struct {
	Tenant          string
	RequestID       string
	ConversationID  string
	Text            string
	Bounds          window.Bounds
	Lease           time.Duration
	Pins            memory.Pins
	CorrectionLimit int
}

// PreparedTurn is what a reply needs. Of a committed turn only the turn, its messages and the trace are there.
type PreparedTurn struct {
	Turn         memory.Turn
	Conversation memory.Conversation
	UserMessage  memory.Message
	Window       window.Window // before the person's message
	Corrections  []memory.CorrectionMatch
	Recent       []memory.Correction
	Facts        []memory.Fact
	Biases       []memory.Bias
	Reply        *memory.Message
	Trace        *memory.Trace // nil also when the reply was stored without one
}

// The latest messages, as selectWindow has them, and the message of this request if it was logged before. They are put in
// order here: MariaDB would sort a union with long texts on the disk.
const selectWindowAndRequest = `SELECT 0 AS part, ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND seq > ? AND content_end > ?
UNION ALL
SELECT 1 AS part, ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND request_id = ?`

// PrepareTurn opens a turn: it logs the person's message and reads what a reply needs, in one transaction of at most eight
// statements, none of which does more for a long conversation than for a short one. The same request id returns the same
// turn: open with its lease renewed, or committed with its reply.
//
// A failed turn is FailedPrecondition, another open turn Aborted with the time to retry, an archived conversation
// FailedPrecondition, an unknown one NotFound.
func (s *Store) PrepareTurn(ctx context.Context, r TurnRequest, now time.Time) (PreparedTurn, error) {
	turnID, err := newID()
	if err != nil {
		return PreparedTurn{}, err
	}
	messageID, err := newID()
	if err != nil {
		return PreparedTurn{}, err
	}
	folded := folding.Text(r.Text) // before the lock
	var p PreparedTurn
	var refusal error
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		p, refusal = PreparedTurn{}, nil
		c, err := s.lockConversation(ctx, tx, r.Tenant, r.ConversationID)
		if err != nil {
			return err
		}
		latest, asked, err := readWindowAndRequest(ctx, tx, c, r)
		if err != nil {
			return err
		}
		if asked != nil {
			refusal, err = s.resume(ctx, tx, r, c, *asked, folded, now, &p)
			return err
		}
		if c.Archived {
			return memory.ConversationIsArchived(c.ID)
		}
		if c.OpenTurnID != "" {
			if now.Before(c.OpenUntil) {
				return memory.TurnIsOpen(c, now)
			}
			if c, err = expireOpenTurn(ctx, tx, c, now); err != nil {
				return err
			}
		}
		p.Window = r.Bounds.Choose(latest, c.Messages())
		if err := p.read(ctx, tx, c, r.Pins.Model, folded, r.CorrectionLimit, now); err != nil {
			return err
		}
		p.UserMessage = memory.Message{
			ID: messageID, ConversationID: c.ID, RequestID: r.RequestID, TurnID: turnID,
			Sender: memory.SenderUser, Content: r.Text, Created: now,
		}
		c, p.UserMessage.Seq, p.UserMessage.End = c.Append(memory.SenderUser, len(r.Text), now)
		p.Turn = memory.Turn{
			Tenant: r.Tenant, ID: turnID, ConversationID: c.ID, RequestID: r.RequestID,
			State: memory.TurnOpen, LeaseUntil: now.Add(r.Lease), Pins: r.Pins,
			UserMessageID: messageID, UserSeq: p.UserMessage.Seq, Created: now,
		}
		c.OpenTurnID, c.OpenUntil = turnID, p.Turn.LeaseUntil
		p.Conversation = c
		if err := writeMessage(ctx, tx, r.Tenant, p.UserMessage); err != nil {
			return err
		}
		if err := addTurn(ctx, tx, p.Turn); err != nil {
			return err
		}
		return writeConversation(ctx, tx, c)
	})
	if err == nil {
		err = refusal
	}
	return p, err
}

func readWindowAndRequest(ctx context.Context, q database.Querier, c memory.Conversation, r TurnRequest) (latest []memory.Message, asked *memory.Message, err error) {
	result, err := q.Query(ctx, selectWindowAndRequest, r.Tenant, c.ID, c.Messages()-r.Bounds.Messages(), c.ContentBytes-r.Bounds.Bytes(),
		r.Tenant, c.ID, r.RequestID)
	err = rows(result, err, func(row database.Scanner) error {
		var part int
		m, err := scanMessage(row, &part)
		if part == 0 {
			latest = append(latest, m)
		} else {
			asked = &m
		}
		return err
	})
	slices.SortFunc(latest, func(a, b memory.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return latest, asked, err
}

// read fills in what bears on the person's message.
func (p *PreparedTurn) read(ctx context.Context, q database.Querier, c memory.Conversation, model, folded string, limit int, now time.Time) (err error) {
	if p.Corrections, p.Recent, err = readCorrections(ctx, q, c, model, folded, limit, memory.RecentCorrection); err != nil {
		return err
	}
	var said strings.Builder // folded one by one, so that no phrase spans two messages
	for _, m := range p.Window.Messages {
		said.WriteString(folding.Text(m.Content))
	}
	said.WriteString(folded)
	p.Facts, p.Biases, err = readFactsAndBiases(ctx, q, c, model, said.String(), now)
	return err
}

// resume answers a request whose message was logged before. A refusal is returned beside the error because what led to it
// may have to be stored first.
func (s *Store) resume(ctx context.Context, tx *database.Tx, r TurnRequest, c memory.Conversation, asked memory.Message, folded string, now time.Time, p *PreparedTurn) (refusal, err error) {
	if asked.TurnID == "" || asked.Content != r.Text {
		return nil, memory.RequestIDReused(r.RequestID)
	}
	t, err := readTurn(ctx, tx, r.Tenant, asked.TurnID)
	if err != nil {
		return nil, err
	}
	p.Turn, p.Conversation, p.UserMessage = t, c, asked
	switch {
	case t.State == memory.TurnFailed:
		return memory.TurnHasFailed(t), nil
	case t.Expired(now):
		t = t.Expire(now)
		return memory.TurnHasFailed(t), failTurn(ctx, tx, c, t)
	case t.State == memory.TurnCommitted:
		return nil, s.readReply(ctx, tx, p)
	}
	if until := now.Add(r.Lease); until.After(t.LeaseUntil) {
		t.LeaseUntil, c.OpenUntil = until, until
		if err := writeTurn(ctx, tx, t); err != nil {
			return nil, err
		}
		if err := writeConversation(ctx, tx, c); err != nil {
			return nil, err
		}
		p.Turn, p.Conversation = t, c
	}
	before := asked.End - int64(len(asked.Content))
	if p.Window, err = readWindow(ctx, tx, r.Tenant, c.ID, r.Bounds, asked.Seq-1, before); err != nil {
		return nil, err
	}
	return nil, p.read(ctx, tx, c, t.Pins.Model, folded, r.CorrectionLimit, now)
}

func (s *Store) readReply(ctx context.Context, tx *database.Tx, p *PreparedTurn) error {
	reply, err := scanMessage(tx.QueryRow(ctx, selectMessageBySeq, p.Turn.Tenant, p.Turn.ConversationID, p.Turn.ReplySeq))
	if err != nil {
		return err
	}
	p.Reply = &reply
	trace, err := s.readTrace(ctx, tx, p.Turn.Tenant, reply.ID)
	if errors.Is(err, database.ErrNoRows) {
		return nil
	}
	p.Trace = &trace
	return err
}
