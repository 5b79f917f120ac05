package gateway

import (
	"context"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// decideRounds bounds how often one segment asks level 3: once, once more after claims were settled, and
// once more with a provider's answer, for a few concepts.
const decideRounds = 6

// decide asks level 3 for the next span. Level 3 out of reach is an abstention that the trace names.
func (t *turn) decide(ctx context.Context, segment int) *decision {
	req := t.nextRequest(segment)
	d := &decision{}
	settled := false
	for range decideRounds {
		resp, err := t.gateway.decisions.Next(ctx, req)
		if err != nil {
			t.degrade(serviceConcept, err, "no concept could speak; level 1 answered alone")
			d.abstained = "concept service failed"
			return d
		}
		d.considered, d.threshold, d.buildID = resp.Considered, resp.Threshold, resp.BuildId
		if len(resp.UnsettledTurnIds) > 0 && !settled {
			settled = true
			if t.settle(ctx, resp.UnsettledTurnIds) {
				continue
			}
		}
		switch decided := resp.Decision.(type) {
		case *conceptv1.NextResponse_Span:
			d.span = decided.Span
			return d
		case *conceptv1.NextResponse_PayloadNeeded:
			d.provided = t.provide(ctx, decided.PayloadNeeded)
			req.Provided = d.provided
		case *conceptv1.NextResponse_Abstention:
			d.abstained = decided.Abstention.Reason
			return d
		default:
			d.abstained = "no decision"
			return d
		}
	}
	d.abstained = "no decision after several rounds"
	return d
}

// settle asks memory what became of turns that hold claims, and confirms or releases what they claimed. It
// reports whether any signal became free. What cannot be settled now is settled by a later turn.
func (t *turn) settle(ctx context.Context, turnIDs []string) (released bool) {
	for _, id := range turnIDs {
		resp, err := t.gateway.turns.GetTurn(ctx, &memoryv1.GetTurnRequest{Tenant: t.req.Tenant, TurnId: id})
		unknown := errors.KindOf(err) == errors.NotFound
		switch {
		case err != nil && !unknown:
			t.gateway.log.WarnContext(ctx, "claims stay unsettled", "turn", id, "err", err)
		case unknown || resp.Turn.State == memoryv1.Turn_STATE_FAILED:
			r, err := t.gateway.signals.ReleaseSignals(ctx, &conceptv1.ReleaseSignalsRequest{Tenant: t.req.Tenant, TurnId: id})
			if err == nil && r.Released > 0 {
				released = true
			}
		case resp.Turn.State == memoryv1.Turn_STATE_COMMITTED:
			t.gateway.confirmTurn(ctx, t.req.Tenant, resp.Turn)
		}
	}
	return released
}

// confirmTurn confirms the signals of a committed turn as its trace names them.
func (g *Gateway) confirmTurn(ctx context.Context, tenant string, committed *memoryv1.Turn) {
	trace, err := g.readTrace(ctx, tenant, committed.ReplyMessageId)
	if err == nil {
		_, err = g.signals.ConfirmSignals(ctx, &conceptv1.ConfirmSignalsRequest{
			Tenant: tenant, TurnId: committed.TurnId, SignalIds: spokenSignals(trace),
		})
	}
	if err != nil {
		g.log.WarnContext(ctx, "claims stay unsettled", "turn", committed.TurnId, "err", err)
	}
}

// nextRequest puts together what level 3 may know.
func (t *turn) nextRequest(segment int) *conceptv1.NextRequest {
	p := t.prepared
	req := &conceptv1.NextRequest{
		Tenant:         t.req.Tenant,
		Bot:            t.req.Bot,
		BuildId:        p.Turn.Pins.GetConceptBuildId(),
		ConversationId: t.req.ConversationId,
		TurnId:         p.Turn.TurnId,
		Text:           t.req.Text,
		LanguageCode:   t.req.LanguageCode,
		Seed:           segmentSeed(p.Turn.Pins.GetSeed(), segment),
		Segment:        uint32(segment),
		UsedConcepts:   t.used.concepts,
		UsedSignalIds:  t.used.signals,
		PayloadJson:    t.req.PayloadJson,
		Now:            p.Turn.CreateTime,
		Corrections:    knownCorrections(p),
		Figures: &conceptv1.ConversationFigures{
			UserMessages:      p.Statistics.GetUserMessages(),
			AssistantMessages: p.Statistics.GetAssistantMessages(),
			FirstTime:         p.Statistics.GetFirstTime(),
		},
	}
	for _, m := range p.Window.GetMessages() {
		req.Window = append(req.Window, &conceptv1.Utterance{
			Assistant: m.Sender == memoryv1.Sender_SENDER_ASSISTANT, Text: m.Content,
		})
	}
	for _, f := range p.Facts {
		req.Facts = append(req.Facts, &conceptv1.KnownFact{Entity: f.Entity, Attribute: f.Attribute, Value: f.Value})
	}
	return req
}

// knownCorrections lists the corrections that bear on the turn, then the recent ones, each once.
func knownCorrections(p *memoryv1.PrepareTurnResponse) []*conceptv1.KnownFact {
	var out []*conceptv1.KnownFact
	seen := map[string]bool{}
	add := func(c *memoryv1.Correction) {
		if seen[c.CorrectionId] {
			return
		}
		seen[c.CorrectionId] = true
		out = append(out, &conceptv1.KnownFact{
			Entity:       c.Fact.GetEntity(),
			Attribute:    c.Fact.GetAttribute(),
			Value:        c.Fact.GetValue(),
			CorrectionId: c.CorrectionId,
			ErrorContext: c.ErrorContext,
		})
	}
	for _, m := range p.Corrections {
		add(m.Correction)
	}
	for _, c := range p.RecentCorrections {
		add(c)
	}
	return out
}
