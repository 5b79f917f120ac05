package gateway

import (
	"cmp"
	"context"
	"io"
	"slices"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// write has level 1 answer freely: a new sentence, drawn towards what was said lately. Level 1 out of reach
// degrades the reply; only what the caller asked for wrongly is returned, because that is the caller's to mend.
func (t *turn) write(ctx context.Context, silent *decision) error {
	segment := &gatewayv1.TraceSegment{Seed: segmentSeed(t.prepared.Turn.Pins.GetSeed(), 0)}
	if silent != nil {
		segment.Abstained, segment.Considered, segment.Threshold = silent.abstained, silent.considered, silent.threshold
		segment.Provided = silent.provided
		t.trace.ConceptBuildId = silent.buildID
	}
	t.trace.Segments = append(t.trace.Segments, segment)
	if t.noModel != nil {
		t.degrade(serviceNgram, t.noModel, "no free text could be written")
		return nil //nolint:nilerr // the reply does without, and its trace says so
	}
	req := t.generateRequest(segment.Seed)
	err := t.generate(ctx, req, segment)
	if pinnedBuildGone(err) && req.BuildId != 0 && t.text.Len() == 0 {
		t.degrade(serviceNgram, err, "the build chosen for this turn is gone; the one that serves now answered")
		req.BuildId = 0
		segment.TokenIds, t.tokens = nil, nil
		err = t.generate(ctx, req, segment)
	}
	switch {
	case err == nil:
	case callersMistake(err):
		return err
	case !t.speaking(ctx): // the caller left, or the time is up
	case t.text.Len() > 0:
		t.degrade(serviceNgram, err, "the reply breaks off where level 1 failed")
		t.finish = ngramv1.FinishReason_FINISH_REASON_ERROR
	default:
		t.degrade(serviceNgram, err, "no free text could be written")
		t.noModel = err
	}
	return nil
}

func pinnedBuildGone(err error) bool {
	reason := errors.ReasonOf(err)
	return reason == "BUILD_NOT_FOUND" || reason == "BUILD_DROPPED"
}

func callersMistake(err error) bool {
	kind := errors.KindOf(err)
	return kind == errors.InvalidArgument || kind == errors.OutOfRange || errors.ReasonOf(err) == "PROFILE_NOT_FOUND"
}

func (t *turn) generate(ctx context.Context, req *ngramv1.GenerateRequest, segment *gatewayv1.TraceSegment) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream, and the SQL behind it, when this returns
	defer cancel()
	stream, err := t.gateway.inference.Generate(ctx, req)
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
			t.trace.Model = req.Model
			t.trace.NgramBuildId = event.Header.BuildId
			t.trace.Parameters = event.Header.Parameters
			t.stages = event.Header.Stages
		case *ngramv1.GenerateResponse_Chunk:
			for _, token := range event.Chunk.Tokens {
				segment.TokenIds = append(segment.TokenIds, token.Token.GetId())
			}
			t.speak(0, "", event.Chunk.Text, event.Chunk.Tokens...)
			if t.finish != ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED {
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
	t.steer(params)
	room := biasRoom
	for _, b := range t.prepared.Biases { // memory has chosen those that apply
		bias := &ngramv1.SequenceBias{Text: b.Sequence, StrengthLog10: cmp.Or(b.EffectiveStrengthLog10, b.StrengthLog10), Source: b.BiasId}
		if len(params.Biases) < biasLimit && len(bias.Text) <= room && fits(bias) {
			room -= len(bias.Text)
			params.Biases = append(params.Biases, bias)
			t.trace.Biases = append(t.trace.Biases, &gatewayv1.VersionedId{Id: b.BiasId, Version: 1})
		}
	}
	return &ngramv1.GenerateRequest{
		Tenant:     t.req.Tenant,
		Model:      t.prepared.Turn.Pins.GetModel(),
		BuildId:    t.prepared.Turn.Pins.GetNgramBuildId(),
		Parameters: params,
		History:    said(t.req.Instructions, t.prepared.Window, t.req.Text),
		Stages:     t.req.GetStages(),

		EarlierReplies: replied(t.prepared.Window),
	}
}

// said is what level 1 hears of a conversation: the instructions, the person's texts of the window and the newest one.
func said(instructions []string, window *memoryv1.Window, text string) []string {
	texts := last(append(textsOf(window, memoryv1.Sender_SENDER_USER), text), historyTexts-len(instructions))
	return recent(append(slices.Clone(instructions), texts...))
}

// replied is what level 1 shall not say again: the replies of the window.
func replied(window *memoryv1.Window) []string {
	return recent(textsOf(window, memoryv1.Sender_SENDER_ASSISTANT))
}

func textsOf(window *memoryv1.Window, sender memoryv1.Sender) (texts []string) {
	for _, m := range window.GetMessages() {
		if m.Sender == sender {
			texts = append(texts, m.Content)
		}
	}
	return texts
}
