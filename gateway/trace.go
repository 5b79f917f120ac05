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
func newTrace(req *gatewayv1.RespondRequest, p *memoryv1.PrepareTurnResponse, window *memoryv1.WindowBounds) *gatewayv1.Trace {
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
		WindowBounds:       window,
		LanguageCode:       req.LanguageCode,
		RequestPayloadJson: req.PayloadJson,
		Instructions:       req.Instructions,
		TemplateTags:       req.TemplateTags,
	}
	if window == nil {
		trace.WindowBounds = &memoryv1.WindowBounds{}
	}
	trace.WindowFirstSeq, trace.WindowLastSeq = seqs(p.Window)
	trace.Corrections = correctionIDs(p)
	for _, f := range first(p.Facts, factLimit) {
		trace.Facts = append(trace.Facts, &gatewayv1.VersionedId{Id: f.FactId, Version: 1})
	}
	return trace
}

// correctionIDs names the corrections that level 3 is told of.
func correctionIDs(p *memoryv1.PrepareTurnResponse) (ids []*gatewayv1.VersionedId) {
	known, _ := knownCorrections(p)
	for _, c := range first(known, correctionLimit) {
		ids = append(ids, &gatewayv1.VersionedId{Id: c.CorrectionId, Version: c.Version})
	}
	return ids
}

// packTrace writes a trace as memory stores it: what a replay needs, and apart from it the detail that retention may remove.
func packTrace(trace *gatewayv1.Trace) (*memoryv1.Trace, error) {
	body, detail := divide(trace)
	out := &memoryv1.Trace{Version: traceVersion, Model: trace.Model, NgramBuildId: trace.NgramBuildId, ConceptBuildId: trace.ConceptBuildId}
	var err error
	if out.Body, err = marshalTrace(body); err == nil && detail != nil {
		out.Detail, err = marshalTrace(detail)
	}
	return out, err
}

func marshalTrace(trace *gatewayv1.Trace) ([]byte, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(trace)
	if err != nil {
		return nil, errors.Wrap(err, errors.Internal, "TRACE_UNWRITABLE", "the reply's trace could not be written")
	}
	return body, nil
}

// divide parts a trace: body is what a replay needs, detail why each segment came about, with the segments in their places; nil
// when there is nothing to tell.
func divide(trace *gatewayv1.Trace) (body, detail *gatewayv1.Trace) {
	body, detail = proto.CloneOf(trace), &gatewayv1.Trace{}
	body.Thinned = false // says what is stored; it is not stored itself
	told := false
	for _, s := range body.Segments {
		told = told || s.Abstained != "" || len(s.Considered) > 0 || s.Threshold != 0
		detail.Segments = append(detail.Segments, &gatewayv1.TraceSegment{Abstained: s.Abstained, Considered: s.Considered, Threshold: s.Threshold})
		s.Abstained, s.Considered, s.Threshold = "", nil, 0
	}
	if !told {
		return body, nil
	}
	return body, detail
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
	detail := &gatewayv1.Trace{}
	if err := errors.Join(proto.Unmarshal(stored.Body, trace), proto.Unmarshal(stored.Detail, detail)); err != nil {
		return nil, errors.Wrap(err, errors.DataLoss, "TRACE_UNREADABLE", "the stored trace cannot be read")
	}
	for i, d := range detail.Segments[:min(len(detail.Segments), len(trace.Segments))] {
		s := trace.Segments[i]
		s.Abstained, s.Considered, s.Threshold = d.Abstained, d.Considered, d.Threshold
	}
	trace.Thinned = stored.Thinned
	return trace, nil
}
