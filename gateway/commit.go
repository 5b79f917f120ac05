package gateway

import (
	"context"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// traceVersion is the format of stored traces.
const traceVersion = 1

// commit stores the reply with its trace, even when the caller is gone, and confirms the signals in it.
func (t *turn) commit(ctx context.Context) (*gatewayv1.RespondResponse, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitReserve)
	defer cancel()
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(t.trace)
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "TRACE_UNWRITABLE", "the reply's trace could not be written")
	}
	resp, err := t.gateway.turns.CommitTurn(ctx, &memoryv1.CommitTurnRequest{
		Tenant:       t.req.Tenant,
		TurnId:       t.prepared.Turn.TurnId,
		Content:      t.text.String(),
		FinishReason: finishNames[t.finish],
		Trace: &memoryv1.Trace{
			Version: traceVersion, Body: body,
			Model: t.trace.Model, NgramBuildId: t.trace.NgramBuildId, ConceptBuildId: t.trace.ConceptBuildId,
		},
	})
	if err != nil {
		return nil, err
	}
	if len(t.used.signals) > 0 {
		_, err := t.gateway.signals.ConfirmSignals(ctx, &conceptv1.ConfirmSignalsRequest{
			Tenant: t.req.Tenant, TurnId: t.prepared.Turn.TurnId, SignalIds: t.used.signals,
		})
		if err != nil { // the next turn of the conversation settles it
			t.gateway.log.WarnContext(ctx, "claims stay unsettled", "turn", t.prepared.Turn.TurnId, "err", err)
		}
	}
	return &gatewayv1.RespondResponse{
		Message: resp.Message, UserMessage: t.prepared.UserMessage, FinishReason: t.finish, Trace: t.trace,
	}, nil
}

// stored returns the reply of a turn that an earlier request committed.
func (t *turn) stored() (*gatewayv1.RespondResponse, error) {
	trace, err := parseTrace(t.prepared.Trace)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.RespondResponse{
		Message:      t.prepared.Reply,
		UserMessage:  t.prepared.UserMessage,
		FinishReason: finishOf(t.prepared.Reply.GetFinishReason()),
		Trace:        trace,
	}, nil
}

// finishNames are the reasons as memory stores them.
var finishNames = map[ngramv1.FinishReason]string{
	ngramv1.FinishReason_FINISH_REASON_STOP:          "stop",
	ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE: "stop",
	ngramv1.FinishReason_FINISH_REASON_LENGTH:        "length",
	ngramv1.FinishReason_FINISH_REASON_CANCELLED:     "cancelled",
	ngramv1.FinishReason_FINISH_REASON_ERROR:         "error",
}

func finishOf(name string) ngramv1.FinishReason {
	for _, reason := range []ngramv1.FinishReason{
		ngramv1.FinishReason_FINISH_REASON_STOP, ngramv1.FinishReason_FINISH_REASON_LENGTH,
		ngramv1.FinishReason_FINISH_REASON_CANCELLED, ngramv1.FinishReason_FINISH_REASON_ERROR,
	} {
		if finishNames[reason] == name {
			return reason
		}
	}
	return ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED
}

// newTrace begins the trace of a turn.
func newTrace(req *gatewayv1.RespondRequest, p *memoryv1.PrepareTurnResponse) *gatewayv1.Trace {
	trace := &gatewayv1.Trace{
		Version:            traceVersion,
		ConversationId:     req.ConversationId,
		TurnId:             p.Turn.TurnId,
		RequestId:          req.RequestId,
		Model:              p.Turn.Pins.GetModel(),
		Bot:                req.Bot,
		Seed:               p.Turn.Pins.GetSeed(),
		TurnTime:           p.Turn.CreateTime,
		UserMessageId:      p.UserMessage.GetMessageId(),
		WindowOmitted:      p.Window.GetOmittedMessages(),
		WindowFirstCut:     p.Window.GetFirstMessageCut(),
		LanguageCode:       req.LanguageCode,
		RequestPayloadJson: req.PayloadJson,
	}
	if messages := p.Window.GetMessages(); len(messages) > 0 {
		trace.WindowFirstSeq, trace.WindowLastSeq = messages[0].Seq, messages[len(messages)-1].Seq
	}
	for _, m := range p.Corrections {
		trace.Corrections = append(trace.Corrections, &gatewayv1.VersionedId{Id: m.Correction.CorrectionId, Version: m.Correction.Version})
	}
	for _, f := range p.Facts {
		trace.Facts = append(trace.Facts, &gatewayv1.VersionedId{Id: f.FactId, Version: 1})
	}
	return trace
}

// spokenSignals lists the signals that a stored reply holds.
func spokenSignals(trace *gatewayv1.Trace) []string {
	var ids []string
	for _, s := range trace.GetSegments() {
		if id := s.GetSpan().GetSignal().GetSignalId(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (g *Gateway) readTrace(ctx context.Context, tenant, messageID string) (*gatewayv1.Trace, error) {
	resp, err := g.traces.GetTrace(ctx, &memoryv1.GetTraceRequest{Tenant: tenant, MessageId: messageID})
	if err != nil {
		return nil, err
	}
	return parseTrace(resp.Trace)
}

func parseTrace(stored *memoryv1.Trace) (*gatewayv1.Trace, error) {
	trace := &gatewayv1.Trace{}
	if stored == nil {
		return trace, nil
	}
	if stored.Version > traceVersion {
		return nil, errors.New(errors.FailedPrecondition, "TRACE_TOO_NEW",
			"the trace has format %d and this program reads up to %d; use a newer one", stored.Version, traceVersion)
	}
	if err := proto.Unmarshal(stored.Body, trace); err != nil {
		return nil, errors.Wrap(err, errors.DataLoss, "TRACE_UNREADABLE", "the stored trace cannot be read")
	}
	return trace, nil
}
