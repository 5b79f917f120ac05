package server

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/predict"
	"dbslm/services/concept/schema"
	"dbslm/services/concept/slots"
	"dbslm/services/concept/store"
	"dbslm/services/concept/template"
)

// maxConsidered bounds the concepts that an answer lists.
const maxConsidered = 16

// decisions implements DecisionService.
type decisions struct {
	*Server
	conceptv1.UnimplementedDecisionServiceServer
}

// Next implements DecisionService: signals first, then prediction, else an abstention with its reason.
func (s *decisions) Next(ctx context.Context, req *conceptv1.NextRequest) (*conceptv1.NextResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	b, err := s.bots.get(ctx, name, req.BuildId)
	if err != nil {
		return nil, err
	}
	d := &decision{bot: b, req: req, now: s.now(), resp: &conceptv1.NextResponse{BuildId: b.build.ID, Threshold: b.build.Threshold}}
	if d.request, err = schema.Object(req.PayloadJson); err != nil {
		return nil, errors.New(errors.InvalidArgument, "BAD_PAYLOAD", "the payload is %s", errors.Public(err)).Field("payload_json", "not a JSON object")
	}
	if req.Now != nil {
		d.now = req.Now.AsTime()
	}
	d.language = d.speaks()
	if d.open = req.Form; req.BroughtWindow {
		d.open = d.brought()
	}
	if err := s.fromSignals(ctx, name, d, d.now); err != nil || d.resp.Decision != nil || req.SignalsOnly {
		d.resp.Form = req.Form
		if d.resp.Decision == nil {
			d.abstain("signals_only")
		}
		return d.resp, err
	}
	d.predict()
	return d.resp, nil
}

// fromSignals lets the first signal speak whose payload can be filled. One that cannot stays claimed and is
// released when the turn is settled, so that it may speak in a later turn.
func (s *decisions) fromSignals(ctx context.Context, name concept.Bot, d *decision, now time.Time) error {
	used := slices.Clone(d.req.UsedSignalIds)
	for range maxConsidered {
		claims, err := s.claim(ctx, name, d.req, used, now)
		if err != nil {
			return err
		}
		d.resp.UnsettledTurnIds = claims.Unsettled
		if claims.Signal == nil {
			return nil
		}
		used = append(used, claims.Signal.ID)
		if d.try(claims.Signal.Concept, 1, nil, claims.Signal, now) {
			return nil
		}
	}
	return nil
}

// claim reserves the next signal for the turn; a preview only looks which one that would be.
func (s *decisions) claim(ctx context.Context, name concept.Bot, req *conceptv1.NextRequest, used []string, now time.Time) (store.Claims, error) {
	if req.Preview {
		return s.store.Preview(ctx, name, req.ConversationId, used, now)
	}
	return s.store.Claim(ctx, name, req.ConversationId, req.TurnId, used, now)
}

// decision is one Next in progress.
type decision struct {
	bot      *bot
	req      *conceptv1.NextRequest
	resp     *conceptv1.NextResponse
	now      time.Time
	request  map[string]any        // payload of the request
	bound    bool                  // a correction bears on the text: a concept that does not hold it must not answer
	language string                // of the reply
	asked    *conceptv1.AskedReply // the text asks why this was said; nil when it does not

	open       *conceptv1.Form // before the text; nil for none
	form       *conceptv1.Form // that the text answers; nil while it does not
	left       bool            // the form is closed without the concept having spoken
	unanswered string          // slot that was asked for in vain
}

// speaks is the language of the reply: the one asked for, else the one that the person writes, now or in the newest message before that tells
// it.
func (d *decision) speaks() string {
	if d.req.LanguageCode != "" {
		return d.req.LanguageCode
	}
	if code, told := d.bot.tongues.Of(d.req.Text); told {
		return code
	}
	for _, u := range slices.Backward(d.req.Window) {
		if u.Assistant {
			continue
		}
		if code, told := d.bot.tongues.Of(u.Text); told {
			return code
		}
	}
	return ""
}

// predict lets the most probable concept speak that is above the threshold and whose payload can be filled. When a
// correction bears on the text the concept must hold it, and CorrectedFact speaks where none does.
func (d *decision) predict() {
	_, corrected := concept.Bearing(knownFacts(d.req.Corrections))
	d.bound = corrected && d.req.ForceConcept == "" && !d.bot.concepts[concept.CorrectedFact].Disabled
	form := d.openForm()
	if d.asksWhy() && d.try(concept.ReplyExplained, 1, nil, nil, time.Time{}) {
		if d.resp.GetPayloadNeeded() == nil && form != nil {
			d.setAside(form)
		}
		return
	}
	if form != nil && d.answered(form) {
		return
	}
	candidates := d.bot.model.Predict(d.req.Text)
	d.bot.beyondValues(d.req.Text, candidates, func(name string) slots.Reading { return d.reading(name, "", d.req.Text) })
	if forced := d.req.ForceConcept; forced != "" {
		candidates = []predict.Candidate{{Concept: forced, Probability: 1}}
	}
	reason := "no_concepts"
	for _, c := range d.bot.ranked(candidates) {
		switch {
		case slices.Contains(d.req.UsedConcepts, c.Concept):
			reason = "all_used"
			d.consider(c.Concept, c.Probability, c.Features(), "spoke in this reply already")
		case onlyForCorrections(c.Concept) && d.req.ForceConcept == "":
			d.consider(c.Concept, c.Probability, c.Features(), "speaks only for a correction")
		case c.Probability < d.bot.build.Threshold, c.Weak:
			if reason == "no_concepts" {
				reason = belowThreshold
			}
			why := "below the threshold"
			if c.Weak {
				why = "only words without content speak for it"
			}
			d.consider(c.Concept, c.Probability, c.Features(), why)
		case d.req.ForceConcept == "" && d.cools(c.Concept):
			reason = "cooling_down"
			d.consider(c.Concept, c.Probability, c.Features(), "cooling_down: it spoke less than "+plural(d.bot.concepts[c.Concept].CoolDown)+" ago")
		case d.try(c.Concept, c.Probability, c.Features(), nil, time.Time{}):
			return
		default:
			reason = d.resp.Considered[len(d.resp.Considered)-1].Reason
			if i := strings.IndexByte(reason, ':'); i > 0 {
				reason = reason[:i]
			}
		}
	}
	if d.bound && !slices.Contains(d.req.UsedConcepts, concept.CorrectedFact) && d.try(concept.CorrectedFact, 1, nil, nil, time.Time{}) {
		return
	}
	d.abstain(reason)
}

// asksWhy finds the reply whose reason the person asks for.
func (d *decision) asksWhy() bool {
	if d.req.ForceConcept != "" || slices.Contains(d.req.UsedConcepts, concept.ReplyExplained) {
		return false
	}
	var replies []string
	var at []int
	for i, u := range d.req.Window {
		if u.Assistant {
			replies, at = append(replies, u.Text), append(at, i)
		}
	}
	why, ok := concept.AsksWhy(d.req.Text, replies)
	if !ok {
		return false
	}
	d.asked = &conceptv1.AskedReply{MessagesBack: uint32(len(d.req.Window) - at[why.Reply]), Words: why.Words}
	if d.req.LanguageCode == "" {
		d.language = why.Language
	}
	return true
}

// askedBy is the reply that a concept needs to know about.
func (d *decision) askedBy(name string) *conceptv1.AskedReply {
	if name != concept.ReplyExplained {
		return nil
	}
	return d.asked
}

func (d *decision) abstain(reason string) {
	d.resp.Decision = &conceptv1.NextResponse_Abstention{Abstention: &conceptv1.Abstention{Reason: reason}}
}

func (d *decision) consider(name string, probability float64, features []string, reason string) {
	if len(d.resp.Considered) < maxConsidered {
		d.resp.Considered = append(d.resp.Considered, &conceptv1.ConsideredConcept{
			Concept: name, Probability: probability, Features: features, Reason: reason,
		})
	}
}

// cools reports whether a concept spoke so lately that prediction does not choose it.
func (d *decision) cools(name string) bool {
	rest := d.bot.concepts[name].CoolDown
	return rest > 0 && slices.ContainsFunc(d.req.Recent, func(s *conceptv1.Spoken) bool { return s.Concept == name && s.RepliesAgo < rest })
}

func plural(replies uint32) string {
	if replies == 1 {
		return "1 reply"
	}
	return strconv.Itoa(int(replies)) + " replies"
}

// Render implements DecisionService.
func (s *decisions) Render(_ context.Context, req *conceptv1.RenderRequest) (*conceptv1.RenderResponse, error) {
	parsed, err := template.Parse(req.Text, req.LanguageCode)
	if err != nil {
		return nil, err
	}
	sch, err := schema.Parse(req.MetadataSchema)
	if err != nil {
		return nil, err
	}
	payload, err := schema.Object(req.PayloadJson)
	if err != nil {
		return nil, err
	}
	if err := sch.Validate(payload); err != nil {
		return nil, err
	}
	text, err := parsed.Render(payload)
	if err != nil {
		return nil, err
	}
	return &conceptv1.RenderResponse{Text: text}, nil
}
