package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	"dbslm/services/memory"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
	"dbslm/services/memory/noticing"
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

// PreparedTurn is what a reply needs. Of a committed turn only the turn, its messages, the trace and what it corrected are there.
type PreparedTurn struct {
	Turn         memory.Turn
	Conversation memory.Conversation
	UserMessage  memory.Message
	Window       window.Window     // before the person's message
	Corrections  []memory.Standing // that bear on the message
	Recent       []memory.Standing // made in the conversation
	Facts        []memory.Fact
	Biases       []memory.Bias
	Reply        *memory.Message
	Trace        *memory.Trace // nil also when the reply was stored without one
	// Noticed is the correction that the person's message itself makes of the reply before it, or that an earlier one made which
	// got no reply; nil when there is none. Rule is what recognised it. Its request id is the same whoever finds it.
	Noticed *memory.Correction
	Rule    string
}

// The latest messages, as selectWindow has them, the message of this request if it was logged before, whether there are any
// facts and biases, and how many corrections are filed under each word of the text. They are put in order here: MariaDB would sort
// a union with long texts on the disk.
const selectWindowAndRequest = `SELECT 0 AS part, ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND seq > ? AND content_end > ?
UNION ALL
SELECT 1 AS part, ` + messageColumns + ` FROM tbl_l2_messages
WHERE tenant = ? AND conversation_id = ? AND request_id = ?
UNION ALL
SELECT 2 AS part, '', '', 0, '', '', '', '',
  EXISTS (SELECT 1 FROM tbl_l2_facts WHERE tenant = ? AND scope_key IN (?,?,?) AND active = 1),
  EXISTS (SELECT 1 FROM tbl_l2_token_bias WHERE tenant = ? AND scope_key IN (?,?,?)), ''
UNION ALL
SELECT 3 AS part, '', scope_key, corrections, '', '', '', '', 0, 0, word FROM tbl_l2_correction_word_counts
WHERE tenant = ? AND scope_key IN (?,?,?) AND corrections > 0 AND `

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
	t, folded, words := matching.NewText(r.Text), folding.Text(r.Text), messageWords(r.Text) // before the lock
	var p PreparedTurn
	var refusal error
	var said memory.Said
	var latest []memory.Message
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		p, refusal = PreparedTurn{}, nil
		c, err := s.lockConversation(ctx, tx, r.Tenant, r.ConversationID)
		if err != nil {
			return err
		}
		b := bearing{conversation: c, model: r.Pins.Model, text: t, said: memory.Said{Messages: []string{r.Text}, Folded: []string{folded}}, now: now, limit: r.CorrectionLimit}
		var asked *memory.Message
		if latest, asked, err = readWindowAndRequest(ctx, tx, r, &b); err != nil {
			return err
		}
		if asked != nil {
			said, refusal, err = s.resume(ctx, tx, r, c, *asked, b, &p)
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
		if r.Bounds.End(c.Messages()) == c.Messages() {
			p.Window = r.Bounds.Choose(r.Bounds.Within(latest, c.Messages(), c.ContentBytes), c.Messages())
		} else if p.Window, err = readWindow(ctx, tx, r.Tenant, c.ID, r.Bounds, c.Messages(), c.ContentBytes); err != nil {
			return err
		}
		b = b.after(p.Window)
		said = b.said
		if err := p.read(ctx, tx, b); err != nil {
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
		_, err = tx.ExecAll(ctx, append(loggedMessage(r.Tenant, p.UserMessage, words), addedTurn(p.Turn), changedConversation(c))...)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err == nil && p.Turn.State == memory.TurnOpen {
		p.chooseBiases(said)
	}
	if err == nil {
		p.notice(latest)
	}
	return p, err
}

// notice finds what the message of a turn corrects, among the latest messages of the conversation.
func (p *PreparedTurn) notice(latest []memory.Message) {
	before := slices.DeleteFunc(latest, func(m memory.Message) bool { return m.Seq >= p.UserMessage.Seq })
	if k, by, rule, ok := noticing.Find(before, p.UserMessage); ok {
		k.Tenant, k.RequestID = p.Turn.Tenant, "noticed:"+by.TurnID
		p.Noticed, p.Rule = &k, rule
	}
}

// readWindowAndRequest returns the latest messages: those that the window may need, and at least those that noticing does.
func readWindowAndRequest(ctx context.Context, q database.Querier, r TurnRequest, b *bearing) (latest []memory.Message, asked *memory.Message, err error) {
	c := b.conversation
	scopes := memory.ScopeKeys(c.ID, c.UserID, b.model)
	condition, words := frequencyCondition(c, b.model, b.text)
	result, err := q.Query(ctx, selectWindowAndRequest+condition, append([]any{
		r.Tenant, c.ID, c.Messages() - max(r.Bounds.Messages(), noticing.Messages), c.ContentBytes - max(r.Bounds.Bytes(), noticing.Bytes),
		r.Tenant, c.ID, r.RequestID,
		r.Tenant, scopes[0], scopes[1], scopes[2], r.Tenant, scopes[0], scopes[1], scopes[2],
	}, words...)...)
	b.frequencies, b.known = frequencies{}, known{recent: c.Corrections > 0}
	err = rows(result, err, func(row database.Scanner) error {
		var part int
		m, err := scanMessage(row, &part)
		switch part {
		case 0:
			latest = append(latest, m)
		case 1:
			asked = &m
		case 2: // what there is, and below a count, stand in the columns of a message
			b.known.facts, b.known.biases = m.End != 0, !m.Created.IsZero()
		default:
			b.frequencies.add(m.ConversationID, m.Content, m.Seq)
		}
		return err
	})
	slices.SortFunc(latest, func(a, b memory.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return latest, asked, err
}

// after returns the bearing of a message said after a window.
func (b bearing) after(w window.Window) bearing {
	var said memory.Said
	for _, m := range w.Messages {
		said.Messages, said.Folded = append(said.Messages, m.Content), append(said.Folded, folding.Text(m.Content))
	}
	b.said = memory.Said{Messages: append(said.Messages, b.said.Messages...), Folded: append(said.Folded, b.said.Folded...)}
	return b
}

// resume answers a request whose message was logged before. A refusal is returned beside the error because what led to it
// may have to be stored first.
func (s *Store) resume(ctx context.Context, tx *database.Tx, r TurnRequest, c memory.Conversation, asked memory.Message, b bearing, p *PreparedTurn) (said memory.Said, refusal, err error) {
	now := b.now
	if asked.TurnID == "" || asked.Content != r.Text {
		return said, nil, memory.RequestIDReused(r.RequestID)
	}
	t, err := readTurn(ctx, tx, r.Tenant, asked.TurnID)
	if err != nil {
		return said, nil, err
	}
	p.Turn, p.Conversation, p.UserMessage = t, c, asked
	switch {
	case t.State == memory.TurnFailed:
		return said, memory.TurnHasFailed(t), nil
	case t.Expired(now):
		t = t.Expire(now)
		return said, memory.TurnHasFailed(t), failTurn(ctx, tx, c, t)
	case t.State == memory.TurnCommitted:
		return said, nil, s.readReply(ctx, tx, p)
	}
	if until := now.Add(r.Lease); until.After(t.LeaseUntil) {
		t.LeaseUntil, c.OpenUntil = until, until
		if err := writeTurn(ctx, tx, t); err != nil {
			return said, nil, err
		}
		if err := writeConversation(ctx, tx, c); err != nil {
			return said, nil, err
		}
		p.Turn, p.Conversation = t, c
	}
	before := asked.End - int64(len(asked.Content))
	if p.Window, err = readWindow(ctx, tx, r.Tenant, c.ID, r.Bounds, asked.Seq-1, before); err != nil {
		return said, nil, err
	}
	if t.Pins.Model != b.model { // pinned by an earlier attempt: another scope's corrections bear on it
		b.model, b.known = t.Pins.Model, everything
		if b.frequencies, err = readFrequencies(ctx, tx, c, b.model, b.text); err != nil {
			return said, nil, err
		}
	}
	b = b.after(p.Window)
	return b.said, nil, p.read(ctx, tx, b)
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
