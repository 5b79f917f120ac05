package gateway

import (
	"context"
	"strings"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"google.golang.org/protobuf/proto"
)

// A request may want several replies to the same message. Each is composed as a reply of its own, with a seed derived from the
// turn's; the first is stored, and the others are returned with their traces. See docs/decisions/0098.

// mostSegments is RespondRequest.max_segments. The seeds of candidates follow those of segments.
const mostSegments = 16

// others are the candidates beside the first, at the moment at which nothing is composed yet.
func (t *turn) others() []*turn {
	var all []*turn
	for i := 1; i < int(t.req.Candidates); i++ {
		c := &turn{
			gateway: t.gateway, req: t.req, out: t.out, provided: t.provided, noticed: t.noticed, noModel: t.noModel, number: i,
			prepared: proto.CloneOf(t.prepared), trace: proto.CloneOf(t.trace),
		}
		c.prepared.Turn.Pins.Seed = segmentSeed(t.prepared.Turn.Pins.GetSeed(), mostSegments-1+i)
		c.trace.Seed = c.prepared.Turn.Pins.Seed
		all = append(all, c)
	}
	return all
}

// composeOthers composes them, one after the other, as long as the caller is there and the turn has time.
func (t *turn) composeOthers(ctx context.Context, others []*turn) ([]*gatewayv1.RespondCandidate, error) {
	var all []*gatewayv1.RespondCandidate
	for _, c := range others {
		if gone := context.Cause(ctx) != nil || t.out.err() != nil; gone {
			break
		}
		if err := c.compose(ctx); err != nil {
			return nil, err
		}
		t.used.signals = append(t.used.signals, c.used.signals...) // those that the stored reply does not say are released
		all = append(all, &gatewayv1.RespondCandidate{Text: c.text.String(), FinishReason: c.finish, Trace: c.trace, Tokens: c.tokens})
	}
	return all, nil
}

// untilStop is as much of a span as may be said before a stop sequence of the request, which may begin in what was said before.
func (t *turn) untilStop(span string) (text string, stopped bool) {
	whole := t.text.String() + span
	end := len(whole)
	for _, stop := range t.req.GetParameters().GetStop() {
		from := max(0, t.text.Len()-len(stop)+1)
		if at := strings.Index(whole[from:], stop); at >= 0 {
			end, stopped = min(end, from+at), true
		}
	}
	return whole[min(t.text.Len(), end):end], stopped
}
