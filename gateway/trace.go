package gateway

import (
	"context"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/protobuf/proto"
)

// traceVersion is the format of stored traces.
const traceVersion = 1

// newTrace begins the trace of a turn with what was handed to the levels.
func newTrace(req *gatewayv1.RespondRequest, p *memoryv1.PrepareTurnResponse) *gatewayv1.Trace {
	trace := &gatewayv1.Trace{
		Version:            traceVersion,
		ConversationId:     req.ConversationId,
		TurnId:             p.Turn.TurnId,
		RequestId:          req.RequestId,
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
	known, _ := knownCorrections(p)
	for _, c := range first(known, correctionLimit) {
		trace.Corrections = append(trace.Corrections, &gatewayv1.VersionedId{Id: c.CorrectionId, Version: c.Version})
	}
	for _, f := range first(p.Facts, factLimit) {
		trace.Facts = append(trace.Facts, &gatewayv1.VersionedId{Id: f.FactId, Version: 1})
	}
	return trace
}

func packTrace(trace *gatewayv1.Trace) ([]byte, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(trace)
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "TRACE_UNWRITABLE", "the reply's trace could not be written")
	}
	return body, nil
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
