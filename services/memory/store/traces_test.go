package store

import (
	"fmt"
	"testing"
	"time"

	"dbslm/services/memory"

	"github.com/google/go-cmp/cmp"
)

// testThinTraces thins the older of two ages of traces: their detail is gone, everything else is as it was.
func testThinTraces(t *testing.T, s *Store) {
	ctx := t.Context()
	c := begin(t, s)
	var want []memory.Trace
	for i := range 250 { // more than a batch
		at := noon.Add(time.Duration(i) * time.Minute)
		p := prepare(t, s, request(t, c, fmt.Sprint(i), "Question"), at)
		trace := memory.Trace{Version: 1, Body: []byte(fmt.Sprint("body ", i)), Detail: []byte(fmt.Sprint("detail ", i)), NgramBuildID: 3, Model: "m"}
		if i%10 == 9 {
			trace.Detail = nil // nothing to thin
		}
		_, m, err := s.CommitTurn(ctx, c.Tenant, p.Turn.ID, Reply{Content: "Reply", FinishReason: "stop", Trace: &trace}, at)
		if err != nil {
			t.Fatal(err)
		}
		trace.MessageID = m.ID
		want = append(want, trace)
	}
	const old = 220
	cutoff := noon.Add(old * time.Minute)
	if done, err := s.ThinTraces(ctx, "another", cutoff); err != nil || done != (Thinned{}) {
		t.Errorf("another tenant thinned %+v, error %v", done, err)
	}
	done, err := s.ThinTraces(ctx, c.Tenant, cutoff)
	if err != nil || done.Traces != old*9/10 || done.Bytes < 20*done.Traces || done.More {
		t.Errorf("%+v, error %v", done, err)
	}
	if again, err := s.ThinTraces(ctx, c.Tenant, cutoff); err != nil || again != (Thinned{}) {
		t.Errorf("thinned again: %+v, error %v", again, err)
	}
	for i, trace := range want {
		if i < old && trace.Detail != nil {
			trace.Detail, trace.Thinned = nil, true
		}
		got, err := s.Trace(ctx, c.Tenant, trace.MessageID)
		if diff := cmp.Diff(trace, got); diff != "" || err != nil {
			t.Fatalf("trace %d: error %v %s", i, err, diff)
		}
	}
	// A forgotten reply keeps its state, and what the gateway hands back of its detail.
	f := memory.Forgetting{Tenant: c.Tenant, RequestID: "f", Model: "m", Builds: []uint32{3}}
	_, replies, err := s.ForgetReplies(ctx, f, nil, noon)
	if err != nil || len(replies) != forgetReplies {
		t.Fatalf("%d replies, error %v", len(replies), err)
	}
	replies[0].Trace.Body, replies[0].Trace.Detail = []byte("stripped"), []byte("kept")
	if _, _, err := s.ForgetReplies(ctx, f, replies[:1], noon); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Trace(ctx, c.Tenant, replies[0].MessageID); err != nil || string(got.Body) != "stripped" || string(got.Detail) != "kept" {
		t.Errorf("%+v, error %v", got, err)
	}
	if done, err := s.ThinTraces(ctx, c.Tenant, cutoff); err != nil || done.Traces != 1 {
		t.Errorf("of the forgotten one %+v was thinned, error %v", done, err)
	}
	if _, left, err := s.CountReplies(ctx, c.Tenant, "m", []uint32{3}); err != nil || left != 1 {
		t.Errorf("%d forgotten after thinning, error %v", left, err)
	}
}
