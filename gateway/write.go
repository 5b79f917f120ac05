package gateway

import (
	"context"
	"io"
	"strings"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// biasLimit is how many biases GenerateRequest takes.
const biasLimit = 64

// write has level 1 answer freely: a new sentence, drawn towards what was said lately. Level 1 out of reach
// degrades the reply; only a parameter that it refuses is returned, because that is the caller's to mend.
func (t *turn) write(ctx context.Context, abstained *decision) error {
	segment := &gatewayv1.TraceSegment{Seed: segmentSeed(t.prepared.Turn.Pins.GetSeed(), 0)}
	if abstained != nil {
		segment.Abstained, segment.Considered, segment.Threshold = abstained.abstained, abstained.considered, abstained.threshold
		segment.Provided = abstained.provided
		t.trace.ConceptBuildId = abstained.buildID
	}
	t.trace.Segments = append(t.trace.Segments, segment)
	if t.noModel != nil {
		t.degrade(serviceNgram, t.noModel, "no free text could be written")
		return nil
	}
	err := t.generate(ctx, segment)
	switch kind := errors.KindOf(err); {
	case err == nil:
		return nil
	case kind == errors.InvalidArgument || kind == errors.OutOfRange:
		return err
	case ctx.Err() == context.Canceled:
		t.finish = ngramv1.FinishReason_FINISH_REASON_CANCELLED
		return nil
	case t.text.Len() > 0:
		t.degrade(serviceNgram, err, "the reply breaks off where level 1 failed")
		t.finish = ngramv1.FinishReason_FINISH_REASON_ERROR
		return nil
	default:
		t.degrade(serviceNgram, err, "no free text could be written")
		t.noModel = err
		return nil
	}
}

func (t *turn) generate(ctx context.Context, segment *gatewayv1.TraceSegment) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.gateway.inference.Generate(ctx, t.generateRequest(segment.Seed))
	if err != nil {
		return err
	}
	defer func() { segment.Text = t.text.String() }()
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return errors.New(errors.Unavailable, "STREAM_CUT", "the language model ended without finishing")
		}
		if err != nil {
			return err
		}
		switch event := resp.Event.(type) {
		case *ngramv1.GenerateResponse_Header:
			t.trace.NgramBuildId = event.Header.BuildId
			t.trace.Parameters = event.Header.Parameters
		case *ngramv1.GenerateResponse_Chunk:
			for _, token := range event.Chunk.Tokens {
				segment.TokenIds = append(segment.TokenIds, token.Token.GetId())
			}
			if event.Chunk.Text != "" {
				t.speak(0, "", event.Chunk.Text)
			}
			if t.finish == ngramv1.FinishReason_FINISH_REASON_CANCELLED {
				return nil
			}
		case *ngramv1.GenerateResponse_Finish:
			segment.FinishReason = event.Finish.Reason
			t.finish = event.Finish.Reason
			return nil
		}
	}
}

// generateRequest asks for a new sentence: the person's words reach level 1 through the session cache, never
// as a text to continue.
func (t *turn) generateRequest(seed uint64) *ngramv1.GenerateRequest {
	params := &ngramv1.DecodeParameters{}
	if t.req.Parameters != nil {
		params = proto.CloneOf(t.req.Parameters)
	}
	params.Seed = &seed
	said := strings.ToLower(t.req.Text)
	for _, b := range t.prepared.Biases {
		if len(params.Biases) < biasLimit && (b.Pattern == "" || strings.Contains(said, strings.ToLower(b.Pattern))) {
			params.Biases = append(params.Biases, &ngramv1.SequenceBias{Text: b.Sequence, StrengthLog10: b.StrengthLog10})
			t.trace.Biases = append(t.trace.Biases, &gatewayv1.VersionedId{Id: b.BiasId, Version: 1})
		}
	}
	req := &ngramv1.GenerateRequest{
		Tenant:     t.req.Tenant,
		Model:      modelName(t.req.Model),
		BuildId:    t.prepared.Turn.Pins.GetNgramBuildId(),
		Parameters: params,
	}
	for _, m := range t.prepared.Window.GetMessages() {
		if m.Sender == memoryv1.Sender_SENDER_USER {
			req.History = append(req.History, m.Content)
		}
	}
	req.History = append(req.History, t.req.Text)
	return req
}
