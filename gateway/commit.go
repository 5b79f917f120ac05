package gateway

import (
	"context"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// commit stores the reply with its trace, even when the caller is gone, and confirms the signals in it.
func (t *turn) commit(work context.Context) (*gatewayv1.RespondResponse, error) {
	ctx, cancel := outliving(work, closeGrace)
	defer cancel()
	content, finish := t.text.String(), finishName(t.finish)
	trace, err := packTrace(t.trace)
	if err != nil {
		return nil, t.fail(work, err)
	}
	resp, err := t.gateway.turns.CommitTurn(ctx, &memoryv1.CommitTurnRequest{
		Tenant:       t.req.Tenant,
		TurnId:       t.prepared.Turn.TurnId,
		Content:      content,
		FinishReason: finish,
		Trace:        trace,
		Carried:      t.carry(),
	})
	switch kind := errors.KindOf(err); {
	case err == nil:
	case kind == errors.InvalidArgument, kind == errors.ResourceExhausted, errors.ReasonOf(err) == buildForgotten: // repeating it would not help
		return nil, t.fail(work, err)
	default:
		return nil, err
	}
	reply := &gatewayv1.RespondResponse{
		Message: resp.Message, UserMessage: t.prepared.UserMessage, FinishReason: t.finish, Trace: t.trace, Noticed: t.noticed,
	}
	other := resp.Message.GetContent() != content || resp.Message.GetFinishReason() != finish
	if !other && len(t.used.signals) == 0 {
		t.observe(ctx, t.trace)
		return reply, nil
	}
	// What was stored first counts: another attempt at this turn may have been quicker, and only the signals in
	// its reply have been heard.
	stored, err := t.gateway.readTrace(ctx, t.req.Tenant, resp.Message.GetMessageId())
	switch {
	case err == nil:
		t.confirmNow(ctx, stored)
		t.observe(ctx, stored)
		reply.Trace, reply.FinishReason = stored, finishOf(resp.Message, stored)
		return reply, nil
	case other:
		return nil, err
	}
	t.gateway.log.WarnContext(ctx, "claims stay unsettled", "turn", t.prepared.Turn.TurnId, "err", err)
	return reply, nil // the next turn of the conversation settles them
}

// repeat returns the reply of a turn that an earlier request committed, as a stream too.
func (t *turn) repeat(ctx context.Context) (*gatewayv1.RespondResponse, error) {
	trace, err := parseTrace(t.prepared.Trace)
	if err != nil {
		return nil, err
	}
	if len(spokenSignals(trace)) > 0 { // the earlier request may have ended before it confirmed them
		t.confirmNow(ctx, trace)
	}
	if trace.GetNoticedRule() != "" && trace.GetNoticedCorrectionId() == "" { // noticed, and not recorded then
		t.notice(ctx)
	}
	t.observe(ctx, trace) // nor may it have told level 3
	t.announce()
	_ = t.out.put(&gatewayv1.StreamRespondResponse{Event: &gatewayv1.StreamRespondResponse_Delta{
		Delta: &gatewayv1.RespondDelta{Text: t.prepared.Reply.GetContent()},
	}}) // a caller who is gone is noticed by the last message
	return &gatewayv1.RespondResponse{
		Message:      t.prepared.Reply,
		UserMessage:  t.prepared.UserMessage,
		FinishReason: finishOf(t.prepared.Reply, trace),
		Trace:        trace,
		Noticed:      t.noticed,
	}, nil
}

// fail closes the turn without a reply and returns why.
func (t *turn) fail(work context.Context, cause error) error {
	ctx, cancel := outliving(work, closeGrace)
	defer cancel()
	_, err := t.gateway.turns.FailTurn(ctx, &memoryv1.FailTurnRequest{
		Tenant: t.req.Tenant, TurnId: t.prepared.Turn.TurnId, Reason: head(speakable(errors.Public(cause)), failureBytes),
	})
	if err != nil { // the lease closes it later
		t.gateway.log.WarnContext(ctx, "a turn stays open until its lease ends", "turn", t.prepared.Turn.TurnId, "err", err)
	}
	return cause
}

// finishName is a reason as memory stores it.
func finishName(reason ngramv1.FinishReason) string {
	switch reason {
	case ngramv1.FinishReason_FINISH_REASON_LENGTH:
		return "length"
	case ngramv1.FinishReason_FINISH_REASON_CANCELLED:
		return "cancelled"
	case ngramv1.FinishReason_FINISH_REASON_ERROR:
		return "error"
	}
	return "stop"
}

// finishOf is the reason of a stored reply. Memory does not tell the two ways to stop apart; the trace does.
func finishOf(reply *memoryv1.Message, trace *gatewayv1.Trace) ngramv1.FinishReason {
	switch reply.GetFinishReason() {
	case "length":
		return ngramv1.FinishReason_FINISH_REASON_LENGTH
	case "cancelled":
		return ngramv1.FinishReason_FINISH_REASON_CANCELLED
	case "error":
		return ngramv1.FinishReason_FINISH_REASON_ERROR
	}
	if n := len(trace.GetSegments()); n > 0 && trace.Segments[n-1].FinishReason == ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE {
		return ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE
	}
	return ngramv1.FinishReason_FINISH_REASON_STOP
}
