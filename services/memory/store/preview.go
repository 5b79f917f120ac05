package store

import (
	"context"
	"time"

	"dbslm/services/memory"
	"dbslm/services/memory/folding"
	"dbslm/services/memory/matching"
	"dbslm/services/memory/noticing"
)

// PreviewTurn returns what PrepareTurn would and stores nothing. The turn has no id, the person's message neither id nor number.
// An unknown conversation is NotFound, an archived one FailedPrecondition.
func (s *Store) PreviewTurn(ctx context.Context, r TurnRequest, now time.Time) (p PreparedTurn, err error) {
	c, err := s.Conversation(ctx, r.Tenant, r.ConversationID)
	if err != nil {
		return p, err
	}
	if c.Archived {
		return p, memory.ConversationIsArchived(c.ID)
	}
	b := bearing{
		conversation: c, model: r.Pins.Model, text: matching.NewText(r.Text), said: memory.Said{Messages: []string{r.Text}, Folded: []string{folding.Text(r.Text)}},
		now: now, limit: r.CorrectionLimit, known: everything,
	}
	if b.frequencies, err = readFrequencies(ctx, s.db, c, b.model, b.text); err != nil {
		return p, err
	}
	if p.Window, err = readWindow(ctx, s.db, r.Tenant, c.ID, r.Bounds, c.Messages(), c.ContentBytes); err != nil {
		return p, err
	}
	b = b.after(p.Window)
	if err := p.read(ctx, s.db, b); err != nil {
		return p, err
	}
	p.Turn = memory.Turn{Tenant: r.Tenant, ConversationID: c.ID, State: memory.TurnOpen, Pins: r.Pins, Created: now}
	p.UserMessage = memory.Message{ConversationID: c.ID, Sender: memory.SenderUser, Content: r.Text, Created: now}
	p.Conversation, _, _ = c.Append(memory.SenderUser, len(r.Text), now)
	p.chooseBiases(b.said)
	if k, rule, ok := noticing.Correction(p.Window.Messages, p.UserMessage); ok {
		k.Tenant = r.Tenant
		p.Noticed, p.Rule = &k, rule
	}
	return p, nil
}
