package dbslm_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"dbslm"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// A bias with a half-life reaches a reply with the strength of the turn's time: whole, then half, and at last the reply is the
// one of a conversation that has none.
func testDecayingBias(t *testing.T, w *world) {
	const sequence, question = "a boat made of paper", "Who counts the boats?"
	conversations := make([]string, 3)
	for i := range conversations {
		conversations[i] = start(t, w)
		_, err := memoryv1.NewBiasServiceClient(w.conns[dbslm.Memory]).CreateBias(t.Context(), &memoryv1.CreateBiasRequest{RequestId: "decaying" + conversations[i], Bias: &memoryv1.Bias{
			Scope: memoryv1.Scope_SCOPE_CONVERSATION, ConversationId: conversations[i], Sequence: sequence, StrengthLog10: 4, HalfLife: durationpb.New(24 * time.Hour),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	plain := respond(t, w, start(t, w), "1", question, 5)
	if strings.Contains(plain.Message.Content, sequence) {
		t.Fatalf("without a bias the reply is %q", plain.Message.Content)
	}
	for i, want := range []float64{4, 2, 0} {
		switch i {
		case 1:
			w.ahead.Add(int64(24 * time.Hour))
		case 2:
			w.ahead.Add(int64(24 * 20 * time.Hour))
		}
		reply := respond(t, w, conversations[i], "1", question, 5)
		strength := 0.0
		for _, b := range reply.Trace.Parameters.GetBiases() {
			if b.Text == sequence {
				strength = b.StrengthLog10
			}
		}
		if math.Abs(strength-want) > 0.01 {
			t.Errorf("the reply was steered with %g, want %g", strength, want)
		}
		if said := reply.Message.Content; strings.Contains(strings.ToLower(said), sequence) != (want > 0) || want == 0 && said != plain.Message.Content {
			t.Errorf("at strength %g the reply is %q; without a bias %q", want, said, plain.Message.Content)
		}
		if named := len(reply.Trace.Biases); named != min(int(math.Ceil(want)), 1) {
			t.Errorf("at strength %g the trace names %d biases", want, named)
		}
	}
}
