package gateway

import (
	"context"
	"slices"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// decideRounds bounds how often one segment asks level 3: once, once more after claims were settled, and
// once more with a provider's answer, for a few concepts.
const decideRounds = 8

// decision is what level 3 said to one segment.
type decision struct {
	span       *conceptv1.Span
	abstained  string
	considered []*conceptv1.ConsideredConcept
	provided   *conceptv1.ProvidedPayload
	threshold  float64
	buildID    uint32
}

// decide asks level 3 for the next span. Level 3 out of reach is an abstention that the trace names.
func (t *turn) decide(ctx context.Context, segment int) *decision {
	req := t.nextRequest(segment)
	if segment == 0 {
		t.form = req.Form
	}
	d := &decision{}
	settled := false
	for range decideRounds {
		resp, err := t.next(ctx, req)
		if reason := errors.ReasonOf(err); req.BuildId != 0 && (reason == "CONCEPT_BUILD_NOT_FOUND" || reason == "CONCEPT_BUILD_OLD") {
			if !t.decidedByAnother {
				t.degrade(serviceConcept, err, "the build pinned by an earlier attempt is gone; the published one decides")
			}
			t.decidedByAnother, req.BuildId = true, 0
			continue
		}
		if err != nil {
			d.abstained = "concept service failed"
			if t.speaking(ctx) {
				t.degrade(serviceConcept, err, "no concept could speak")
			}
			return d
		}
		d.considered, d.threshold, d.buildID = resp.Considered, resp.Threshold, resp.BuildId
		t.form = resp.Form
		if len(resp.UnsettledTurnIds) > 0 && !settled {
			settled = true
			if t.gateway.settle(ctx, t.req.Tenant, resp.UnsettledTurnIds) {
				continue
			}
		}
		switch decided := resp.Decision.(type) {
		case *conceptv1.NextResponse_Span:
			d.span = decided.Span
			return d
		case *conceptv1.NextResponse_PayloadNeeded:
			if req.Provided != nil { // a request carries one answer: the concept asked before is passed over
				req.UsedConcepts = append(req.UsedConcepts, req.Provided.Concept)
			}
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

func (t *turn) next(ctx context.Context, req *conceptv1.NextRequest) (*conceptv1.NextResponse, error) {
	ctx, cancel := part(ctx, decideTimeout)
	defer cancel()
	return t.gateway.decisions.Next(ctx, req)
}

// conceptBuild is the build that decides the whole turn; 0 for the published one where none is pinned or the pinned one is gone.
func (t *turn) conceptBuild() uint32 {
	if t.decidedByAnother {
		return 0
	}
	return t.prepared.Turn.Pins.GetConceptBuildId()
}

// nextRequest puts together what level 3 may know.
func (t *turn) nextRequest(segment int) *conceptv1.NextRequest {
	p, carried := t.prepared, t.carried()
	req := &conceptv1.NextRequest{
		Tenant:         t.req.Tenant,
		Bot:            t.req.Bot,
		BuildId:        t.conceptBuild(),
		ConversationId: t.req.ConversationId,
		TurnId:         p.Turn.TurnId,
		Text:           t.req.Text,
		LanguageCode:   t.req.LanguageCode,
		Seed:           segmentSeed(p.Turn.Pins.GetSeed(), segment),
		Segment:        uint32(segment),
		UsedConcepts:   slices.Clone(t.used.concepts),
		UsedSignalIds:  t.used.signals,
		PayloadJson:    t.req.PayloadJson,
		Now:            p.Turn.CreateTime,
		Preview:        t.preview,
		Recent:         carried.Spoken,
		Form:           carried.Form,
		BroughtWindow:  t.brought(),
		TemplateTags:   t.req.TemplateTags,
		Figures: &conceptv1.ConversationFigures{
			UserMessages:      p.Statistics.GetUserMessages(),
			AssistantMessages: p.Statistics.GetAssistantMessages(),
			FirstTime:         p.Statistics.GetFirstTime(),
		},
	}
	for _, m := range p.Window.GetMessages() {
		req.Window = append(req.Window, &conceptv1.Utterance{
			Assistant: m.Sender == memoryv1.Sender_SENDER_ASSISTANT, Text: m.Content, Time: m.CreateTime,
		})
	}
	for _, f := range p.Facts {
		req.Facts = append(req.Facts, &conceptv1.KnownFact{Entity: f.Entity, Attribute: f.Attribute, Value: f.Value})
	}
	known, bear := knownCorrections(p)
	for i, c := range known {
		req.Corrections = append(req.Corrections, knownFact(c, i < bear))
	}
	return trim(req)
}
