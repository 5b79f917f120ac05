package gateway

import (
	"context"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// settleLimit bounds the turns that one turn settles; the others wait for the next.
const settleLimit = 16

// settle asks memory what became of turns that hold claims: what a committed reply spoke is confirmed, the rest
// released. It reports whether any signal became free. What cannot be settled now is settled by a later turn.
func (g *Gateway) settle(ctx context.Context, tenant string, turnIDs []string) (released bool) {
	for _, id := range first(turnIDs, settleLimit) {
		n, err := g.settleTurn(ctx, tenant, id)
		if err != nil {
			g.log.WarnContext(ctx, "claims stay unsettled", "turn", id, "err", err)
		}
		released = released || n > 0
	}
	return released
}

func (g *Gateway) settleTurn(ctx context.Context, tenant, id string) (released uint32, err error) {
	ctx, cancel := part(ctx, decideTimeout)
	defer cancel()
	resp, err := g.turns.GetTurn(ctx, &memoryv1.GetTurnRequest{Tenant: tenant, TurnId: id})
	switch {
	case err != nil && errors.KindOf(err) != errors.NotFound:
		return 0, err
	case err != nil || resp.Turn.State == memoryv1.Turn_STATE_FAILED:
		r, err := g.signals.ReleaseSignals(ctx, &conceptv1.ReleaseSignalsRequest{Tenant: tenant, TurnId: id})
		return r.GetReleased(), err
	case resp.Turn.State != memoryv1.Turn_STATE_COMMITTED:
		return 0, nil // open: its own gateway is still at work
	}
	trace, err := g.readTrace(ctx, tenant, resp.Turn.ReplyMessageId)
	if err != nil {
		return 0, err
	}
	return g.confirm(ctx, tenant, id, trace)
}

// confirm settles the claims of a committed turn as its stored trace names them. Signals that the turn claimed
// and did not speak are released.
func (g *Gateway) confirm(ctx context.Context, tenant, turnID string, stored *gatewayv1.Trace) (released uint32, err error) {
	resp, err := g.signals.ConfirmSignals(ctx, &conceptv1.ConfirmSignalsRequest{
		Tenant: tenant, TurnId: turnID, SignalIds: spokenSignals(stored),
	})
	return resp.GetReleased(), err
}

// confirmNow is confirm for the turn at hand, whose reply is due whether or not level 3 answers.
func (t *turn) confirmNow(ctx context.Context, stored *gatewayv1.Trace) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmTimeout)
	defer cancel()
	if _, err := t.gateway.confirm(ctx, t.req.Tenant, t.prepared.Turn.TurnId, stored); err != nil {
		t.gateway.log.WarnContext(ctx, "claims stay unsettled", "turn", t.prepared.Turn.TurnId, "err", err)
	}
}

// spokenSignals lists the signals that a reply holds.
func spokenSignals(trace *gatewayv1.Trace) []string {
	var ids []string
	for _, s := range trace.GetSegments() {
		if id := s.GetSpan().GetSignal().GetSignalId(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
