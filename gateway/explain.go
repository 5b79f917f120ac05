package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

const (
	// explainedCandidates is how many candidates of a token are shown by default.
	explainedCandidates = 5
	// correctedSlot is level 3's own slot with the value of the correction that bears on a text.
	correctedSlot = "corrected_value"
)

// Explain implements GatewayService.
func (g *Gateway) Explain(ctx context.Context, req *gatewayv1.ExplainRequest) (*gatewayv1.ExplainResponse, error) {
	leave, err := g.admit()
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := g.recall(ctx, req.Tenant, req.MessageId, req.Model, req.NgramBuildId)
	if err != nil {
		return nil, err
	}
	candidates, rows := req.Candidates, req.Rows
	if candidates == 0 {
		candidates = explainedCandidates
	}
	if rows == nil {
		rows = &ngramv1.ExplainOptions{}
	}
	remade, err := p.remake(ctx, candidates, rows)
	if err != nil {
		return nil, err
	}
	text, err := p.together(ctx, remade)
	if err != nil {
		return nil, err
	}
	resp := &gatewayv1.ExplainResponse{
		Trace: p.trace, Message: p.reply, UserMessage: p.asked, Window: p.window, NotReplayable: p.lost,
		Identical: p.lost == nil && text == p.reply.Content,
	}
	if resp.Facts, err = p.facts(ctx); err != nil {
		return nil, err
	}
	if resp.Corrections, err = p.corrections(ctx, remade); err != nil {
		return nil, err
	}
	for i, s := range p.trace.Segments {
		out := explainedSegment(s)
		if i < len(remade) {
			remade[i].explain(out)
		}
		resp.Segments = append(resp.Segments, out)
	}
	return resp, nil
}

// explainedSegment is what the trace itself says of a segment.
func explainedSegment(s *gatewayv1.TraceSegment) *gatewayv1.ExplainedSegment {
	return &gatewayv1.ExplainedSegment{
		Text: s.Text, Span: s.Span, Provided: s.Provided, Abstained: s.Abstained, Considered: s.Considered, Threshold: s.Threshold, FinishReason: s.FinishReason,
	}
}

// explain adds what was found out by making the segment again.
func (r remade) explain(out *gatewayv1.ExplainedSegment) {
	out.Text, out.TemplateText, out.Tokens = r.text, r.template, r.tokens
	out.Stages, out.Parameters, out.Explained = r.header.GetStages(), r.header.GetParameters(), r.finish.GetExplained()
	out.Extension = r.header.GetExtension()
}

// corrections lists those that the trace names, with what became of each in the reply.
func (p *past) corrections(ctx context.Context, remade []remade) (out []*gatewayv1.ExplainedCorrection, err error) {
	written := map[string]bool{} // by level 1, in the place of something
	for _, r := range remade {
		for _, token := range r.tokens {
			if token.Replaced != nil {
				written[token.Replaced.Source] = true
			}
		}
	}
	for _, named := range p.trace.Corrections {
		resp, err := p.gateway.corrections.GetCorrection(ctx, &memoryv1.GetCorrectionRequest{Tenant: p.tenant, CorrectionId: named.Id})
		if err != nil && errors.KindOf(err) != errors.NotFound {
			return nil, err
		}
		same := func(v *gatewayv1.VersionedId) bool { return v.Id == named.Id }
		out = append(out, &gatewayv1.ExplainedCorrection{
			CorrectionId: named.Id, Version: named.Version, Correction: resp.GetCorrection(),
			Steered: slices.ContainsFunc(p.trace.Steering, same),
			Applied: written[named.Id] || slices.ContainsFunc(p.trace.Segments, func(s *gatewayv1.TraceSegment) bool { return speaks(s.Span, named.Id, resp.GetCorrection()) }),
		})
	}
	return out, nil
}

// speaks reports whether a span holds the value of a correction because of it: it acknowledges that one, or the value stands in
// a slot that a correction filled.
func speaks(span *conceptv1.Span, id string, c *memoryv1.Correction) bool {
	if signal, _ := fields(span.GetSignal().GetPayloadJson())["correction_id"].(string); signal == id {
		return true
	}
	payload := fields(span.GetPayloadJson())
	for slot, source := range span.GetSlotSources() {
		value, _ := payload[slot].(string)
		if (source == "correction" || slot == correctedSlot) && value != "" && trimmed(value) == trimmed(c.GetFact().GetValue()) {
			return true
		}
	}
	return false
}

// trimmed is a value as templates hold it.
func trimmed(value string) string { return strings.TrimRight(strings.TrimSpace(value), ".!") }

// fields reads a JSON object that was checked before it was stored; nil for none.
func fields(object string) (values map[string]any) {
	_ = json.Unmarshal([]byte(object), &values)
	return values
}

// facts reads those that the trace names. Retired ones stay readable, erased ones are left out.
func (p *past) facts(ctx context.Context) (out []*memoryv1.Fact, err error) {
	for _, named := range p.trace.Facts {
		resp, err := p.gateway.facts.GetFact(ctx, &memoryv1.GetFactRequest{Tenant: p.tenant, FactId: named.Id})
		if errors.KindOf(err) == errors.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, resp.Fact)
	}
	return out, nil
}
