package gateway

import (
	"testing"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// A trace comes back as it was packed; without its detail it has lost what explains it and nothing that a replay needs.
func TestTraceIsDividedAndJoined(t *testing.T) {
	trace := &gatewayv1.Trace{
		Version: traceVersion, TurnId: "t", Seed: 7, Model: "m", NgramBuildId: 3, ConceptBuildId: 4,
		Segments: []*gatewayv1.TraceSegment{
			{Text: "Yes.", Span: &conceptv1.Span{Concept: "C", Text: "Yes."}, Considered: []*conceptv1.ConsideredConcept{{Concept: "C"}, {Concept: "D"}}, Threshold: 0.5},
			{Text: " And more.", TokenIds: []uint32{1, 2, 3}, Seed: 8, FinishReason: ngramv1.FinishReason_FINISH_REASON_LENGTH},
			{Abstained: "nothing fits", Considered: []*conceptv1.ConsideredConcept{{Concept: "E"}}, Threshold: 0.25, Seed: 9},
		},
	}
	before := proto.CloneOf(trace)
	packed, err := packTrace(trace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, trace, protocmp.Transform()); diff != "" {
		t.Errorf("packing changed the trace: %s", diff)
	}
	got, err := parseTrace(packed)
	if diff := cmp.Diff(trace, got, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("error %v %s", err, diff)
	}
	packed.Detail, packed.Thinned = nil, true
	got, err = parseTrace(packed)
	want := proto.CloneOf(trace)
	want.Thinned = true
	for _, s := range want.Segments {
		s.Considered, s.Threshold, s.Abstained = nil, 0, ""
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("thinned: error %v %s", err, diff)
	}
	if again, err := packTrace(got); err != nil || len(again.Detail) != 0 {
		t.Errorf("a trace without detail has one of %d bytes, error %v", len(again.Detail), err)
	}
	packed.Detail = []byte("no trace")
	if _, err := parseTrace(packed); err == nil {
		t.Error("an unreadable detail was read")
	}
}
