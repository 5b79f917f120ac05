package gateway

import (
	"context"
	"strings"
	"time"

	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// commitReserve is kept of a turn's deadline for storing the reply.
	commitReserve = 2 * time.Second
	// turnFloor is the least time in which a turn is begun at all.
	turnFloor = 200 * time.Millisecond
	// leaseMargin is how much longer than its deadline a turn may stay open.
	leaseMargin = 5 * time.Second
	// leaseMax is the longest lease that is asked for.
	leaseMax = 10 * time.Minute
	// defaultSegments bounds the segments of a reply whose request does not.
	defaultSegments = 4
)

// emit passes an event of the turn to the caller. Its error ends the turn as cancelled.
type emit func(*gatewayv1.StreamRespondResponse) error

// turn is one exchange on its way through the pipeline.
type turn struct {
	gateway  *Gateway
	req      *gatewayv1.RespondRequest
	emit     emit
	prepared *memoryv1.PrepareTurnResponse
	trace    *gatewayv1.Trace
	text     strings.Builder
	finish   ngramv1.FinishReason
	used     usedUp
	noModel  error // why level 1 cannot be asked; nil when it can
}

// usedUp is what a reply must not say twice.
type usedUp struct{ concepts, signals []string }

// respond runs one turn. The request has passed validation; nothing is stored before PrepareTurn succeeds.
func (g *Gateway) respond(ctx context.Context, req *gatewayv1.RespondRequest, send emit) (*gatewayv1.RespondResponse, error) {
	if err := fillRequest(req); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.options.TurnTimeout)
		defer cancel()
	}
	work, cancel, err := rpc.Budget(ctx, commitReserve, turnFloor)
	if err != nil {
		return nil, err
	}
	defer cancel()

	t := &turn{gateway: g, req: req, emit: send, finish: ngramv1.FinishReason_FINISH_REASON_STOP}
	if err := t.prepare(work); err != nil {
		return nil, err
	}
	if t.prepared.Turn.State == memoryv1.Turn_STATE_COMMITTED {
		return t.stored()
	}
	if err := t.compose(work); err != nil {
		return nil, t.fail(ctx, err)
	}
	return t.commit(ctx)
}

// prepare pins the builds, opens the turn and logs what the person said.
func (t *turn) prepare(ctx context.Context) error {
	model, err := t.gateway.published.get(ctx, t.req.Tenant, modelName(t.req.Model))
	switch {
	case err == nil && model.PublishedBuildId == 0:
		t.noModel = errNoPublishedBuild
	case errors.KindOf(err) == errors.NotFound && t.req.Model != "":
		return err // a model asked for by name must exist
	default:
		t.noModel = err
	}
	pins := &memoryv1.TurnPins{Seed: t.req.Parameters.GetSeed(), Model: modelName(t.req.Model)}
	if t.req.Parameters.GetSeed() == 0 && (t.req.Parameters == nil || t.req.Parameters.Seed == nil) {
		pins.Seed = randomSeed()
	}
	window := t.req.Window
	if t.noModel == nil {
		pins.NgramBuildId = model.PublishedBuildId
		window = withTokenizer(window, model.Settings)
	}
	t.prepared, err = t.gateway.turns.PrepareTurn(ctx, &memoryv1.PrepareTurnRequest{
		Tenant:         t.req.Tenant,
		RequestId:      t.req.RequestId,
		ConversationId: t.req.ConversationId,
		Text:           t.req.Text,
		Window:         window,
		Lease:          durationpb.New(leaseFor(ctx)),
		Pins:           pins,
	})
	if err != nil {
		return err
	}
	t.trace = newTrace(t.req, t.prepared)
	return t.event(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Started{
		Started: &gatewayv1.RespondStarted{
			TurnId:      t.prepared.Turn.TurnId,
			UserMessage: t.prepared.UserMessage,
			Seed:        t.prepared.Turn.Pins.GetSeed(),
		},
	}})
}

// compose speaks: signals and concepts as spans; level 1 only where level 3 said nothing at all, because a
// whole answer needs no random tail. Its error is a caller's mistake that only a level could notice.
func (t *turn) compose(ctx context.Context) error {
	segments := int(t.req.MaxSegments)
	if segments == 0 {
		segments = defaultSegments
	}
	var abstained *decision
	for segment := 0; segment < segments && t.finish == ngramv1.FinishReason_FINISH_REASON_STOP; segment++ {
		d := t.decide(ctx, segment)
		if d.span == nil {
			abstained = d
			break
		}
		t.say(segment, d)
		if d.span.Complete {
			break
		}
	}
	if t.text.Len() > 0 || t.finish != ngramv1.FinishReason_FINISH_REASON_STOP {
		return nil
	}
	if err := t.write(ctx, abstained); err != nil {
		return err
	}
	if t.text.Len() == 0 && t.finish == ngramv1.FinishReason_FINISH_REASON_STOP {
		t.speak(0, "", withoutText(modelName(t.req.Model), t.noModel))
	}
	return nil
}

// speak emits text and adds it to the reply. A caller that cannot be reached ends the turn as cancelled.
func (t *turn) speak(segment int, concept, text string) {
	t.text.WriteString(text)
	err := t.event(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Delta{
		Delta: &gatewayv1.RespondDelta{Text: text, Segment: uint32(segment), Concept: concept},
	}})
	if err != nil {
		t.finish = ngramv1.FinishReason_FINISH_REASON_CANCELLED
	}
}

func (t *turn) event(e *gatewayv1.StreamRespondResponse) error {
	if t.emit == nil {
		return nil
	}
	return t.emit(e)
}

// say emits a span of level 3.
func (t *turn) say(segment int, d *decision) {
	text := d.span.Text
	if t.text.Len() > 0 {
		text = " " + text
	}
	t.used.concepts = append(t.used.concepts, d.span.Concept)
	if d.span.Signal != nil {
		t.used.signals = append(t.used.signals, d.span.Signal.SignalId)
	}
	t.trace.Segments = append(t.trace.Segments, &gatewayv1.TraceSegment{
		Text: text, Span: d.span, Considered: d.considered, Provided: d.provided, Threshold: d.threshold,
	})
	t.trace.ConceptBuildId = d.buildID
	t.speak(segment, d.span.Concept, text)
}

// fail closes the turn without a reply and returns why.
func (t *turn) fail(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitReserve)
	defer cancel()
	_, err := t.gateway.turns.FailTurn(ctx, &memoryv1.FailTurnRequest{
		Tenant: t.req.Tenant, TurnId: t.prepared.Turn.TurnId, Reason: errors.Public(cause),
	})
	if err != nil { // the lease closes it later
		t.gateway.log.WarnContext(ctx, "a turn stays open until its lease ends", "turn", t.prepared.Turn.TurnId, "err", err)
	}
	return cause
}

// decision is what level 3 said to one segment.
type decision struct {
	span       *conceptv1.Span
	abstained  string
	considered []*conceptv1.ConsideredConcept
	provided   *conceptv1.ProvidedPayload
	threshold  float64
	buildID    uint32
}
