package gateway

import (
	"fmt"
	"strings"
	"testing"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// What is carried stays small however long a conversation is, and knows each concept once, the newest first.
func TestCarry(t *testing.T) {
	var carried []byte
	for reply := range 200 {
		x := &turn{prepared: &memoryv1.PrepareTurnResponse{Carried: carried}, trace: &gatewayv1.Trace{}}
		for segment := range 4 {
			if reply%5 == 4 {
				x.trace.Segments = append(x.trace.Segments, &gatewayv1.TraceSegment{Text: "level 1"})
				continue
			}
			x.trace.Segments = append(x.trace.Segments, &gatewayv1.TraceSegment{Span: &conceptv1.Span{Concept: fmt.Sprint("C", (reply*4+segment)%90), TemplateId: fmt.Sprint(reply, ".", segment)}})
		}
		carried = x.carry()
		recent := (&turn{prepared: &memoryv1.PrepareTurnResponse{Carried: carried}}).carried().Spoken
		if len(recent) > carriedSpoken || len(carried) > 16384 || len(recent) == 0 {
			t.Fatalf("reply %d carries %d concepts in %d bytes", reply, len(recent), len(carried))
		}
		seen := map[string]bool{}
		for i, s := range recent {
			if seen[s.Concept] || i > 0 && s.RepliesAgo < recent[i-1].RepliesAgo {
				t.Fatalf("reply %d: %v", reply, recent)
			}
			seen[s.Concept] = true
			if want := fmt.Sprint(reply-int(s.RepliesAgo), "."); s.TemplateId[:len(want)] != want {
				t.Fatalf("reply %d: %v spoke in another reply", reply, s)
			}
		}
	}
	long := &turn{prepared: &memoryv1.PrepareTurnResponse{}, trace: &gatewayv1.Trace{}, form: &conceptv1.Form{Concept: "C", PayloadJson: strings.Repeat("x", 8192)}}
	for i := range 60 {
		long.trace.Segments = append(long.trace.Segments, &gatewayv1.TraceSegment{Span: &conceptv1.Span{Concept: fmt.Sprintf("%0128d", i), TemplateId: strings.Repeat("x", 200)}})
	}
	carried = long.carry()
	again := (&turn{prepared: &memoryv1.PrepareTurnResponse{Carried: carried}}).carried()
	if len(carried) > 16384 || len(again.Spoken) < 16 || again.Spoken[0].Concept != fmt.Sprintf("%0128d", 59) || len(again.Form.GetPayloadJson()) != 8192 {
		t.Errorf("long names: %d bytes with %d concepts", len(carried), len(again.Spoken))
	}
	for _, broken := range [][]byte{nil, []byte("\xff\xff")} {
		x := &turn{prepared: &memoryv1.PrepareTurnResponse{Carried: broken}, trace: &gatewayv1.Trace{}}
		if x.carried().Spoken != nil || x.carry() != nil {
			t.Errorf("%q is read as %v", broken, x.carried().Spoken)
		}
	}
}
