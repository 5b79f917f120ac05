package gateway

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
)

// overfull is a turn for which memory returned more than any level takes.
func overfull() *turn {
	megabyte := strings.Repeat("ő", 1<<19)
	p := &memoryv1.PrepareTurnResponse{
		Turn:   &memoryv1.Turn{TurnId: "t", Pins: &memoryv1.TurnPins{Model: "m"}},
		Window: &memoryv1.Window{},
	}
	for i := range 300 {
		p.Window.Messages = append(p.Window.Messages, &memoryv1.Message{Sender: memoryv1.Sender(1 + i%2), Content: fmt.Sprint("message ", i)})
		p.Facts = append(p.Facts, &memoryv1.Fact{FactId: fmt.Sprint(i), Entity: "e", Attribute: "a", Value: "v"})
		c := &memoryv1.Correction{CorrectionId: fmt.Sprint(i), Version: 1, Fact: &memoryv1.CorrectedFact{Value: "v"}}
		p.Corrections = append(p.Corrections, &memoryv1.CorrectionMatch{Correction: c})
		p.Biases = append(p.Biases, &memoryv1.Bias{BiasId: fmt.Sprint(i), Sequence: strings.Repeat("x", i), StrengthLog10: 1})
	}
	last := p.Window.Messages[299]
	last.Sender, last.Content = memoryv1.Sender_SENDER_USER, megabyte
	req := &gatewayv1.RespondRequest{ConversationId: "c", Text: megabyte, Parameters: &ngramv1.DecodeParameters{Biases: []*ngramv1.SequenceBias{{Text: "own"}}}}
	t := &turn{req: req, prepared: p, provided: map[string]*conceptv1.ProvidedPayload{}}
	t.trace = newTrace(req, p, nil)
	return t
}

// Whatever memory returns, what is sent to the levels passes their rules and stays far below gRPC's limit of 8 MiB.
func TestRequestsStayWithinTheLevelsRules(t *testing.T) {
	turn := overfull()
	next, generate := turn.nextRequest(0), turn.generateRequest(7)
	for _, m := range []proto.Message{next, generate} {
		if err := protovalidate.Validate(m); err != nil {
			t.Errorf("%T: %v", m, err)
		}
		if n := proto.Size(m); n > 6<<20 {
			t.Errorf("%T has %d bytes", m, n)
		}
	}
	size := 0
	for _, text := range generate.History {
		size += len(text)
		if !utf8.ValidString(text) {
			t.Errorf("cut through a character: %q…", text[:8])
		}
	}
	if size > historyBytes || len(generate.History) > historyTexts {
		t.Errorf("a history of %d bytes in %d texts", size, len(generate.History))
	}
	if n := len(next.Window); n != windowLimit || !strings.HasPrefix(next.Window[n-1].Text, "ő") {
		t.Errorf("%d utterances; the newest must stay", n)
	}
	if n := len(generate.Parameters.Biases); n != biasLimit || generate.Parameters.Biases[0].Text != "own" || len(turn.trace.Biases)+len(turn.trace.Steering) != biasLimit-1 ||
		len(turn.trace.Steering) != steeringLimit {
		t.Errorf("%d biases, %d of corrections and %d stored ones in the trace", n, len(turn.trace.Steering), len(turn.trace.Biases))
	}
	if len(turn.trace.Corrections) != len(next.Corrections) || len(turn.trace.Facts) != len(next.Facts) {
		t.Errorf("the trace names %d corrections and %d facts; %d and %d were handed over",
			len(turn.trace.Corrections), len(turn.trace.Facts), len(next.Corrections), len(next.Facts))
	}
}

func TestRecent(t *testing.T) {
	long := strings.Repeat("a", historyBytes)
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint(i))
	}
	for name, test := range map[string]struct {
		texts []string
		want  func(got []string) bool
	}{
		"few":  {[]string{"a", "b"}, func(got []string) bool { return len(got) == 2 && got[0] == "a" }},
		"many": {many, func(got []string) bool { return len(got) == historyTexts && got[historyTexts-1] == "99" }},
		"long": {[]string{"old", "b" + long, "c" + long, "d" + long}, func(got []string) bool {
			return len(got) == 2 && len(got[0]) == historyText && len(got[1]) == historyText
		}},
		"long, then short": {[]string{"x" + long, "short"}, func(got []string) bool {
			return len(got) == 2 && len(got[0]) == historyText && got[1] == "short"
		}},
		"none": {nil, func(got []string) bool { return len(got) == 0 }},
	} {
		if got := recent(test.texts); !test.want(got) {
			t.Errorf("%s: %d texts", name, len(got))
		}
	}
}

func TestHeadAndTail(t *testing.T) {
	for _, s := range []string{"", "abc", "ő", "aő", "灯塔", "👩‍👧", "a\u0301"} {
		for limit := -1; limit <= len(s)+1; limit++ {
			h, e := head(s, limit), tail(s, limit)
			if !strings.HasPrefix(s, h) || !strings.HasSuffix(s, e) || !utf8.ValidString(h) || !utf8.ValidString(e) ||
				len(h) > max(limit, 0) || len(e) > max(limit, 0) || limit >= len(s) && (h != s || e != s) {
				t.Errorf("%q at %d: %q and %q", s, limit, h, e)
			}
		}
	}
}

// A span and its segment at their largest leave the trace below what memory takes.
func TestTraceHasRoom(t *testing.T) {
	turn := overfull()
	payload := `{"hour":"` + strings.Repeat(`\u003c`, 64<<10) + `"}` // 64 KiB of <, written back
	for !turn.full() {
		turn.say(len(turn.trace.Segments), &decision{
			span: &conceptv1.Span{
				Text: strings.Repeat("<", 64<<10), PayloadJson: strings.Repeat(`\u003c`, (256+64)<<10),
				Signal: &conceptv1.Signal{SignalId: "s", PayloadJson: payload},
			},
			provided: &conceptv1.ProvidedPayload{PayloadJson: strings.Repeat("x", 256<<10)},
		})
	}
	packed, err := packTrace(turn.trace)
	if err != nil || len(packed.Body) > 4<<20 || len(turn.trace.Segments) == 0 {
		t.Errorf("%d segments, %d bytes, %v", len(turn.trace.Segments), len(packed.GetBody()), err)
	}
}

func TestReplyIsBounded(t *testing.T) {
	turn := overfull()
	for range 40 {
		turn.speak(0, "", strings.Repeat("ő\x00", 1<<15))
	}
	reply := turn.text.String()
	if len(reply) > replyLimit || len(reply) < replyLimit-4 || !utf8.ValidString(reply) || strings.ContainsRune(reply, 0) ||
		turn.finish != ngramv1.FinishReason_FINISH_REASON_LENGTH {
		t.Errorf("%d bytes, finish %v", len(reply), turn.finish)
	}
}
