package gateway

import (
	"context"
	"strings"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// Replay implements GatewayService.
func (g *Gateway) Replay(ctx context.Context, req *gatewayv1.ReplayRequest) (*gatewayv1.ReplayResponse, error) {
	leave, err := g.admit()
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := g.recall(ctx, req.Tenant, req.MessageId, req.Model, req.NgramBuildId)
	if err != nil {
		return nil, err
	}
	segments, err := p.remake(ctx, 0, nil)
	if err != nil {
		return nil, err
	}
	text, err := p.together(ctx, segments)
	if err != nil {
		return nil, err
	}
	resp := &gatewayv1.ReplayResponse{Text: text, StoredText: p.reply.Content}
	for i, r := range segments {
		s := p.trace.Segments[i]
		if r.header != nil {
			resp.Model, resp.NgramBuildId = p.model, r.header.BuildId
		}
		resp.Segments = append(resp.Segments, compared(r, s))
	}
	if p.lost != nil {
		resp.NotReplayable, resp.Reason = p.lost.Detail, p.lost.Reason
		return resp, nil
	}
	resp.Identical = text == p.reply.Content
	for _, s := range resp.Segments {
		resp.Identical = resp.Identical && s.Identical
	}
	if !resp.Identical {
		resp.DiffersAt = uint64(differsAt([]byte(text), []byte(p.reply.Content)))
	}
	return resp, nil
}

// together is the whole reply that segments make, as a turn puts it together.
func (p *past) together(ctx context.Context, segments []remade) (string, error) {
	var text strings.Builder
	for _, r := range segments {
		text.WriteString(r.text)
	}
	if text.Len() > 0 || p.lost != nil {
		return text.String(), nil
	}
	return p.without(ctx)
}

// compared sets a segment against the one of the trace.
func compared(r remade, s *gatewayv1.TraceSegment) *gatewayv1.ReplayedSegment {
	out := &gatewayv1.ReplayedSegment{Text: r.text, Concept: s.GetSpan().GetConcept(), Tokens: uint32(len(r.tokens))}
	ids := tokenIDs(r.tokens)
	at := differsAt(ids, s.TokenIds)
	sameTokens := at == len(ids) && at == len(s.TokenIds)
	out.Identical = r.text == s.Text && sameTokens
	if !sameTokens {
		token := uint32(at)
		out.DiffersAtToken = &token
	}
	return out
}

func tokenIDs(tokens []*ngramv1.GeneratedToken) []uint32 {
	ids := make([]uint32, len(tokens))
	for i, token := range tokens {
		ids[i] = token.Token.GetId()
	}
	return ids
}

// differsAt is the first place where two lists differ; the length of the shorter one when it begins the other.
func differsAt[T comparable](a, b []T) int {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	return at
}
