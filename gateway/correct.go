package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A correction binds in two ways: level 3 is told of it as a fact that the answer must hold, and level 1 is steered
// towards its value. See docs/decisions/0035.

const (
	// steeringStrength is how much a corrected value is preferred by level 1 where the wrong one is not known, in log10
	// units, and steeringMost the most that repetitions may add up to.
	steeringStrength = 4
	steeringMost     = 20
	// steeringLimit bounds the biases of corrections, so that stored ones have room.
	steeringLimit = 16
	// steeringBytes bounds their texts together.
	steeringBytes = 8 << 10
)

// Correct implements GatewayService. Both steps carry the same request id, so that a repeated call does what
// an interrupted one left undone. A caller who leaves between them does not keep the second from being done.
func (g *Gateway) Correct(ctx context.Context, req *gatewayv1.CorrectRequest) (*gatewayv1.CorrectResponse, error) {
	recorded, err := g.corrections.RecordCorrection(ctx, req.Correction)
	if err != nil {
		return nil, err
	}
	resp := &gatewayv1.CorrectResponse{Correction: recorded.Correction, SupersededIds: recorded.SupersededIds}
	if req.Correction.ConversationId == "" || !recorded.Correction.Active {
		return resp, nil
	}
	ctx, cancel := outliving(ctx, pushTimeout)
	defer cancel()
	if resp.SignalId, err = g.replay(ctx, req.Correction, recorded.Correction, req.Bot); err != nil {
		resp.Warnings = append(resp.Warnings,
			"The correction is recorded, but the next reply will not mention it: "+errors.Public(err))
	}
	return resp, nil
}

// replay has the next reply say that a correction was recorded.
func (g *Gateway) replay(ctx context.Context, req *memoryv1.RecordCorrectionRequest, recorded *memoryv1.Correction, bot string) (signalID string, err error) {
	pushed, err := g.signals.PushSignal(ctx, &conceptv1.PushSignalRequest{
		Tenant:         req.Tenant,
		RequestId:      req.RequestId,
		ConversationId: req.ConversationId,
		Bot:            bot,
		Concept:        correctionConcept,
		Score:          correctionScore,
		Ttl:            durationpb.New(seconds(correctionTTLSeconds)),
		PayloadJson:    fmt.Sprintf(`{"correction_id":%q}`, recorded.CorrectionId),
	})
	if err != nil {
		return "", err
	}
	return pushed.Signal.GetSignalId(), nil
}

// notice records the correction that the person's text made of the previous reply, unless the request wants it only
// proposed. It never reaches beyond the conversation, and the reply that follows says it.
func (t *turn) notice(ctx context.Context) {
	noticed := t.prepared.GetNoticed()
	if noticed == nil || t.req.Noticing == gatewayv1.Noticing_NOTICING_OFF {
		return
	}
	t.noticed = &gatewayv1.Noticed{Proposal: noticed}
	t.trace.NoticedRule = noticed.Rule
	if t.req.Noticing == gatewayv1.Noticing_NOTICING_PROPOSE {
		return
	}
	ctx, cancel := unbroken(ctx, decideTimeout) // a caller who leaves has still said it, and the turn that is stored then is never noticed again
	defer cancel()
	recorded, err := t.gateway.corrections.RecordCorrection(ctx, noticed.Correction)
	if err != nil {
		t.degrade(serviceMemory, err, "the correction in the text was noticed, but not recorded; the same request again records it")
		return
	}
	t.noticed.Correction = recorded.Correction
	t.trace.NoticedCorrectionId = recorded.Correction.GetCorrectionId()
	if !recorded.Correction.GetActive() { // superseded since an earlier attempt at this turn
		return
	}
	if err := t.prepareAgain(ctx); err != nil {
		t.degrade(serviceMemory, err, "the correction in the text was recorded; what it overrules may still be said")
		t.prepared.RecentCorrections = slices.Insert(t.prepared.RecentCorrections, 0, recorded.Correction)
	}
	if _, err := t.gateway.replay(ctx, noticed.Correction, recorded.Correction, t.req.Bot); err != nil {
		t.degrade(serviceConcept, err, "the correction in the text was recorded; the reply does not say so")
	}
}

// prepareAgain learns what holds after a correction was recorded in the turn.
func (t *turn) prepareAgain(ctx context.Context) error {
	if t.prepared.Turn.State == memoryv1.Turn_STATE_COMMITTED { // an earlier request did not come to recording it
		return nil
	}
	again, err := t.gateway.turns.PrepareTurn(ctx, t.opening)
	if err != nil {
		return err
	}
	t.prepared.Corrections, t.prepared.RecentCorrections = again.Corrections, again.RecentCorrections
	t.trace.Corrections = correctionIDs(t.prepared)
	return nil
}

// knownCorrections lists the corrections that bear on the turn, the one that counts most first, then the recent ones, each once. Memory
// has left of each fact the one that stands for it.
func knownCorrections(p *memoryv1.PrepareTurnResponse) (known []*memoryv1.Correction, bear int) {
	for _, m := range p.Corrections {
		known = append(known, m.Correction)
	}
	bear = len(known)
	for _, c := range p.RecentCorrections {
		if !slices.ContainsFunc(known, func(k *memoryv1.Correction) bool { return k.CorrectionId == c.CorrectionId }) {
			known = append(known, c)
		}
	}
	return known, bear
}

// knownFact is a correction as level 3 hears of it. The question that was answered wrongly is no error to quote.
func knownFact(c *memoryv1.Correction, bears bool) *conceptv1.KnownFact {
	return &conceptv1.KnownFact{
		Entity:       c.Fact.GetEntity(),
		Attribute:    c.Fact.GetAttribute(),
		Value:        c.Fact.GetValue(),
		CorrectionId: c.CorrectionId,
		ErrorContext: erroneous(c),
		Bears:        bears,
	}
}

// erroneous is what a correction calls wrong; empty when it names only the question.
func erroneous(c *memoryv1.Correction) string {
	if strings.HasPrefix(c.ErrorContext, c.Cue) && c.Cue != "" || strings.HasSuffix(strings.TrimSpace(c.ErrorContext), "?") {
		return ""
	}
	return c.ErrorContext
}

// steer turns corrections into biases of level 1, before the stored ones. Where an erroneous value is known, the corrected one is
// written in its place wherever the reply would say it, and a reply that does not say it stays as it is: of corrections that bear on the
// turn, and of the conversation's recent ones for which no context is known, so that they hold wherever their value is said. Where
// none is, the value of a correction that bears on the turn is preferred.
func (t *turn) steer(params *ngramv1.DecodeParameters) {
	steering := t.req.CorrectionSteering
	strength := float64(steeringStrength)
	if steering != nil && steering.StrengthLog10 != nil {
		strength = steering.GetStrengthLog10()
	}
	if strength == 0 {
		return
	}
	room, bytes := min(len(params.Biases)+steeringLimit, biasLimit), steeringBytes
	known, bear := knownCorrections(t.prepared)
	for i, c := range known {
		if i >= bear && (c.Cue != "" || c.Fact.GetEntity() != "" || c.Fact.GetAttribute() != "") || t.tooOld(c) {
			continue
		}
		value := &ngramv1.SequenceBias{Text: c.Fact.GetValue(), Source: c.CorrectionId}
		var biases []*ngramv1.SequenceBias
		for _, wrong := range c.Wrong {
			if fits(&ngramv1.SequenceBias{Text: wrong}) {
				bias := proto.CloneOf(value)
				bias.InsteadOf = wrong
				biases = append(biases, bias)
			}
		}
		if len(biases) == 0 && i < bear {
			value.StrengthLog10 = min(strength+float64(max(c.Times, 1)-1), steeringMost)
			biases = append(biases, value)
		}
		steered := false
		for _, bias := range biases {
			bytes -= len(bias.Text) + len(bias.InsteadOf)
			if fits(bias) && bytes >= 0 && len(params.Biases) < room {
				params.Biases = append(params.Biases, bias)
				steered = true
			}
		}
		if steered {
			t.trace.Steering = append(t.trace.Steering, &gatewayv1.VersionedId{Id: c.CorrectionId, Version: c.Version})
		}
	}
}

// tooOld reports whether a correction was recorded so long before the turn that the request does not want it to steer.
func (t *turn) tooOld(c *memoryv1.Correction) bool {
	ttl := t.req.GetCorrectionSteering().GetTtl()
	return ttl != nil && t.prepared.Turn.GetCreateTime().AsTime().Sub(c.GetCreateTime().AsTime()) > ttl.AsDuration()
}
