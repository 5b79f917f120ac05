package gateway

import (
	"context"
	"strings"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// defaultSegments bounds the segments of a reply whose request does not.
const defaultSegments = 4

// turn is one exchange on its way through the pipeline.
type turn struct {
	gateway  *Gateway
	req      *gatewayv1.RespondRequest
	out      *outlet
	opening  *memoryv1.PrepareTurnRequest
	prepared *memoryv1.PrepareTurnResponse
	trace    *gatewayv1.Trace
	text     strings.Builder
	finish   ngramv1.FinishReason // UNSPECIFIED while the reply goes on
	used     usedUp
	provided map[string]*conceptv1.ProvidedPayload // by concept, so that no provider is asked twice in a turn
	noticed  *gatewayv1.Noticed                    // what the text corrected; nil when nothing
	preview  bool                                  // nothing is stored or claimed
	form     *conceptv1.Form                       // that is open after the reply; nil for none
	noModel  error                                 // why level 1 cannot be asked; nil when it can
	number   int                                   // of the candidate, from 0
	tokens   []*ngramv1.GeneratedToken             // that level 1 chose, when the request wants them
	stages   []string                              // of these
	// decidedByAnother says that the pinned build of the bot is gone.
	decidedByAnother bool
}

// usedUp is what a reply must not say twice.
type usedUp struct{ concepts, signals []string }

// respond runs one turn. The request has passed validation; nothing is stored before PrepareTurn.
func (g *Gateway) respond(ctx context.Context, req *gatewayv1.RespondRequest, out *outlet) (*gatewayv1.RespondResponse, error) {
	if err := checkRequest(req); err != nil {
		return nil, err
	}
	leave, err := g.admit()
	if err != nil {
		return nil, err
	}
	defer leave()
	work, cancel, err := g.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()

	t := &turn{gateway: g, req: req, out: out, provided: map[string]*conceptv1.ProvidedPayload{}}
	if err := t.prepare(work); err != nil {
		return nil, err
	}
	if t.prepared.Turn.State == memoryv1.Turn_STATE_COMMITTED {
		return t.repeat(work)
	}
	t.announce()
	t.notice(work)
	others := t.others()
	if err := t.compose(work); err != nil {
		return nil, t.fail(work, err)
	}
	alternatives, err := t.composeOthers(work, others)
	if err != nil {
		return nil, t.fail(work, err)
	}
	resp, err := t.commit(work)
	if err != nil {
		return nil, err
	}
	if resp.Message.GetContent() == t.text.String() { // and not of a quicker attempt at this turn
		resp.Tokens, resp.Stages, resp.Alternatives = t.tokens, t.stages, alternatives
	}
	return resp, nil
}

// prepare pins seed and build, opens the turn and logs what the person said.
func (t *turn) prepare(ctx context.Context) error {
	model, err := t.findModel(ctx)
	if err != nil {
		return err
	}
	pins := &memoryv1.TurnPins{Seed: seedOf(t.req.Parameters), Model: modelName(t.req.Model)}
	window := t.req.Window
	if t.noModel == nil {
		pins.NgramBuildId = model.PublishedBuildId
		window = withTokenizer(window, model.Settings)
	}
	if pins.ConceptBuildId, err = t.findBot(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return errors.From(cause)
	}
	opening, cancel := outliving(ctx, closeGrace)
	defer cancel()
	t.opening = &memoryv1.PrepareTurnRequest{
		Tenant:         t.req.Tenant,
		RequestId:      t.req.RequestId,
		ConversationId: t.req.ConversationId,
		Text:           t.req.Text,
		Window:         window,
		Lease:          durationpb.New(leaseFor(ctx)),
		Pins:           pins,
	}
	if t.prepared, err = t.gateway.turns.PrepareTurn(opening, t.opening); err != nil {
		return err
	}
	if t.prepared.Turn.Pins.GetModel() != pins.Model { // pinned by an earlier attempt; what was found out is about another one
		t.noModel = nil
	}
	t.trace = newTrace(t.req, t.prepared, window)
	return nil
}

// findModel asks which build serves. Its error is a caller's mistake; a model that cannot be used leads to a
// reply without level 1.
func (t *turn) findModel(ctx context.Context) (*ngramv1.Model, error) {
	ctx, cancel := part(ctx, modelTimeout)
	defer cancel()
	model, err := t.gateway.published.get(ctx, t.req.Tenant, modelName(t.req.Model))
	switch kind := errors.KindOf(err); {
	case err == nil && model.PublishedBuildId == 0:
		t.noModel = errNoPublishedBuild
	case err == nil:
	case kind == errors.InvalidArgument, kind == errors.NotFound && t.req.Model != "":
		return nil, err // a model asked for by name must exist
	default:
		t.noModel = err
	}
	return model, nil
}

// findBot asks which build of the bot decides, so that all segments and attempts of the turn are decided by one. A bot asked
// for by name must exist; without level 3 nothing is pinned, and deciding will degrade.
func (t *turn) findBot(ctx context.Context) (uint32, error) {
	ctx, cancel := part(ctx, modelTimeout)
	defer cancel()
	build, err := t.gateway.deciding.get(ctx, t.req.Tenant, t.req.Bot)
	if kind := errors.KindOf(err); err != nil && (kind == errors.NotFound || kind == errors.InvalidArgument) {
		return 0, err
	}
	return build, nil
}

// announce tells the caller of a stream that the turn is open. A caller who is gone already ends it.
func (t *turn) announce() {
	err := t.out.put(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Started{
		Started: &gatewayv1.RespondStarted{
			TurnId:      t.prepared.Turn.TurnId,
			UserMessage: t.prepared.UserMessage,
			Seed:        t.prepared.Turn.Pins.GetSeed(),
		},
	}})
	if err != nil {
		t.finish = ngramv1.FinishReason_FINISH_REASON_CANCELLED
	}
}

// compose speaks: signals and concepts as spans; level 1 only where level 3 said nothing at all, because a
// whole answer needs no random tail. Its error is a caller's mistake that only a level could notice.
func (t *turn) compose(ctx context.Context) error {
	segments := int(t.req.MaxSegments)
	if segments == 0 {
		segments = defaultSegments
	}
	var silent *decision
	for segment := 0; segment < segments && t.speaking(ctx) && !t.full(); segment++ {
		d := t.decide(ctx, segment)
		if d.span == nil {
			silent = d
			break
		}
		t.say(segment, d)
		if d.span.Complete {
			break
		}
	}
	if t.text.Len() == 0 && t.speaking(ctx) {
		if err := t.write(ctx, silent); err != nil {
			return err
		}
	}
	if t.text.Len() == 0 && t.finish != ngramv1.FinishReason_FINISH_REASON_CANCELLED && t.finish != ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE {
		t.speak(0, "", t.withoutText())
	}
	if t.finish == ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED {
		t.finish = ngramv1.FinishReason_FINISH_REASON_STOP
	}
	return nil
}

// speaking reports whether the reply goes on. It ends one whose caller has left or whose time is up.
func (t *turn) speaking(ctx context.Context) bool {
	switch cause := context.Cause(ctx); {
	case t.finish != ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED:
		return false
	case cause == nil:
		return true
	case errors.Is(cause, errTimeUp):
		t.degrade(serviceGateway, errTimeUp, "the reply ends where the time was up")
		t.finish = ngramv1.FinishReason_FINISH_REASON_ERROR
	default:
		t.finish = ngramv1.FinishReason_FINISH_REASON_CANCELLED
	}
	return false
}

// speak emits text and adds it to the reply. A caller that cannot be reached ends the turn as cancelled.
func (t *turn) speak(segment int, concept, text string, tokens ...*ngramv1.GeneratedToken) {
	text, cut := within(speakable(text), t.text.Len())
	if cut {
		t.finish = ngramv1.FinishReason_FINISH_REASON_LENGTH
	}
	if t.req.Stages == nil {
		tokens = nil
	}
	if text == "" && len(tokens) == 0 {
		return
	}
	t.tokens = append(t.tokens, tokens...)
	t.text.WriteString(text)
	err := t.out.put(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Delta{
		Delta: &gatewayv1.RespondDelta{
			Text: text, Segment: uint32(segment), Concept: concept, Candidate: uint32(t.number), Tokens: tokens, Stages: t.stages,
		},
	}})
	if err != nil {
		t.finish = ngramv1.FinishReason_FINISH_REASON_CANCELLED
	}
}

// following sets a span apart from text before it.
func following(span string, follows bool) string {
	if follows {
		return " " + span
	}
	return span
}

// say emits a span of level 3.
func (t *turn) say(number int, d *decision) {
	text, stopped := t.untilStop(following(d.span.Text, t.text.Len() > 0))
	t.used.concepts = append(t.used.concepts, d.span.Concept)
	if d.span.Signal != nil {
		t.used.signals = append(t.used.signals, d.span.Signal.SignalId)
	}
	segment := &gatewayv1.TraceSegment{
		Text: text, Span: d.span, Considered: d.considered, Provided: d.provided, Threshold: d.threshold,
	}
	t.trace.Segments = append(t.trace.Segments, segment)
	t.trace.ConceptBuildId = d.buildID
	t.speak(number, d.span.Concept, text)
	if stopped {
		segment.FinishReason = ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE
		t.finish = segment.FinishReason
	}
}
