package dbslm_test

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	dberrors "dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

// Candidates are replies of their own: each with its trace and tokens, the first stored and the same as alone, all the same again
// from the same seed, as a stream too.
func TestCandidates(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour", harbour)
		s.hours(t)
		seed := uint64(11)
		request := func(conversation, text string, candidates uint32) *gatewayv1.RespondRequest {
			return &gatewayv1.RespondRequest{
				ConversationId: conversation, Text: text, Candidates: candidates, Stages: proto.Uint32(2),
				Parameters: &ngramv1.DecodeParameters{Seed: &seed, BestOf: proto.Uint32(1)},
			}
		}
		conversation := start(t, s.gateway)
		resp, err := s.gateway.Respond(t.Context(), request(conversation, "tell me about the fog", 4))
		if err != nil {
			t.Fatal(err)
		}
		alone := respondTo(t, s, request(start(t, s.gateway), "tell me about the fog", 0))
		if resp.Message.Content != alone.Message.Content || len(alone.Alternatives) != 0 || len(resp.Alternatives) != 3 {
			t.Fatalf("%q with %d others, alone %q", resp.Message.Content, len(resp.Alternatives), alone.Message.Content)
		}
		texts := []string{resp.Message.Content}
		for i, other := range resp.Alternatives {
			texts = append(texts, other.Text)
			segments := other.Trace.Segments
			if len(segments) != 1 || segments[0].Text != other.Text || other.Trace.Seed == resp.Trace.Seed || len(other.Tokens) != len(segments[0].TokenIds) {
				t.Errorf("candidate %d, %q, has the trace %v", i+1, other.Text, other.Trace)
			}
		}
		different := slices.Clone(texts)
		slices.Sort(different)
		if len(slices.Compact(different)) < 3 {
			t.Errorf("the candidates are %q", texts)
		}
		if drawn := slices.Index(resp.Stages, "drawn"); len(resp.Tokens) == 0 || drawn < 0 || len(resp.Tokens[0].Stages[0].Probabilities) != len(resp.Stages) {
			t.Errorf("tokens %v, stages %v", resp.Tokens, resp.Stages)
		}

		stream, err := s.gateway.StreamRespond(t.Context(), &gatewayv1.StreamRespondRequest{Request: request(start(t, s.gateway), "tell me about the fog", 4)})
		if err != nil {
			t.Fatal(err)
		}
		said, tokens := make([]string, 4), make([]int, 4)
		for {
			event, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := event.GetDelta(); d != nil {
				said[d.Candidate] += d.Text
				tokens[d.Candidate] += len(d.Tokens)
			}
		}
		want := []string{resp.Message.Content, resp.Alternatives[0].Text, resp.Alternatives[1].Text, resp.Alternatives[2].Text}
		if diff := cmp.Diff(want, said); diff != "" || tokens[0] != len(resp.Tokens) || tokens[3] != len(resp.Alternatives[2].Tokens) {
			t.Errorf("%d tokens were streamed (-whole +streamed):\n%s", tokens, diff)
		}

		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 2 || history.Messages[1].MessageId != resp.Message.MessageId {
			t.Errorf("stored is %v, %v", history, err)
		}
		identical(t, s, resp.Message.MessageId)
		spans := respondTo(t, s, request(start(t, s.gateway), "when does the market open", 2))
		if spans.Alternatives[0].Text != "The market opens on Sunday." || spans.Alternatives[0].Trace.Segments[0].Span == nil || len(spans.Alternatives[0].Tokens) != 0 {
			t.Errorf("a candidate of level 3 is %v", spans.Alternatives[0])
		}
	})
}

// A stop sequence ends what level 3 says as it does for level 1, instructions steer and are not said, and a window ends where it is
// told to. All of it replays.
func TestStopsInstructionsAndWindows(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		loft, err := os.ReadFile("examples/sail-loft/corpus/11-alphabet.txt")
		if err != nil {
			t.Fatal(err)
		}
		train(t, s.gateway, "loft", string(loft))
		s.hours(t)
		for stop, want := range map[string]string{"Sunday": "The market opens on ", "The market": "", "Monday": "The market opens on Sunday."} {
			resp := respondTo(t, s, &gatewayv1.RespondRequest{
				ConversationId: start(t, s.gateway), Text: "when does the market open", Parameters: &ngramv1.DecodeParameters{Stop: []string{stop}},
			})
			if stopped := resp.FinishReason == ngramv1.FinishReason_FINISH_REASON_STOP_SEQUENCE; resp.Message.Content != want || stopped != (stop != "Monday") {
				t.Errorf("with the stop sequence %q: %q, %v", stop, resp.Message.Content, resp.FinishReason)
			}
			identical(t, s, resp.Message.MessageId)
		}

		changed := 0
		for seed := range uint64(12) {
			conversation := start(t, s.gateway)
			request := func(instructions ...string) *gatewayv1.RespondRequest {
				return &gatewayv1.RespondRequest{
					ConversationId: conversation, Text: "and?", Instructions: instructions, Window: &memoryv1.WindowBounds{ThroughSeq: 1},
					Parameters: &ngramv1.DecodeParameters{Seed: &seed, BestOf: proto.Uint32(1), CacheWeight: proto.Float64(0.9)},
				}
			}
			plain := respondTo(t, s, request())
			again := respondTo(t, s, request("Rope, canvas and needles: the sailmaker mends every sail with rope, canvas and needles, and paints the boat."))
			if again.Message.Content != plain.Message.Content {
				changed++
			}
			if len(again.Trace.Instructions) != 1 || strings.Contains(again.UserMessage.Content, "rope") || again.Trace.WindowLastSeq != 1 {
				t.Errorf("the trace is %v", again.Trace)
			}
			identical(t, s, again.Message.MessageId)
			third := respondTo(t, s, request()) // sees the first message only, as the second did
			if third.Trace.WindowLastSeq != 1 || third.Trace.WindowOmitted != 0 {
				t.Errorf("the window is %d to %d without %d", third.Trace.WindowFirstSeq, third.Trace.WindowLastSeq, third.Trace.WindowOmitted)
			}
			identical(t, s, third.Message.MessageId)
		}
		if changed == 0 {
			t.Error("instructions changed no reply")
		}

		conversation := start(t, s.gateway)
		for name, bad := range map[string]*gatewayv1.RespondRequest{
			"too many candidates":   {Text: "x", Candidates: 17},
			"too many stages":       {Text: "x", Stages: proto.Uint32(51)},
			"an empty instruction":  {Text: "x", Instructions: []string{""}},
			"long instructions":     {Text: "x", Instructions: []string{strings.Repeat("x", 40<<10), strings.Repeat("x", 40<<10)}},
			"NUL in an instruction": {Text: "x", Instructions: []string{"a\x00b"}},
			"a seq out of range":    {Text: "x", Window: &memoryv1.WindowBounds{ThroughSeq: 1 << 63}},
		} {
			bad.ConversationId = conversation
			if _, err := s.gateway.Respond(t.Context(), bad); dberrors.KindOf(err) != dberrors.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
		if history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation}); err != nil || len(history.Messages) != 0 {
			t.Errorf("what was refused was stored: %v, %v", history, err)
		}
	})
}

func respondTo(t *testing.T, s system, req *gatewayv1.RespondRequest) *gatewayv1.RespondResponse {
	t.Helper()
	resp, err := s.gateway.Respond(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func identical(t *testing.T, s system, message string) {
	t.Helper()
	replayed, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: message})
	if err != nil || !replayed.Identical {
		t.Errorf("replayed: %v, %v", replayed, err)
	}
}
