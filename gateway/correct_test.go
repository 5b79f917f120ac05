package gateway

import (
	"strings"
	"testing"
	"time"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestSteering(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	k := func(id, wrong, cue, value string, age time.Duration, times uint32) *memoryv1.Correction {
		var wrongs []string
		if wrong != "" {
			wrongs = strings.Split(wrong, "|")
		}
		return &memoryv1.Correction{
			CorrectionId: id, Wrong: wrongs, Cue: cue, Fact: &memoryv1.CorrectedFact{Value: value}, Subject: id, Times: times, Version: 1,
			Scope: memoryv1.Scope_SCOPE_CONVERSATION, CreateTime: timestamppb.New(now.Add(-age)),
		}
	}
	prepared := &memoryv1.PrepareTurnResponse{
		Turn: &memoryv1.Turn{CreateTime: timestamppb.New(now)},
		Corrections: []*memoryv1.CorrectionMatch{
			{Correction: k("question", "", "", "Oda", time.Minute, 3), Score: 0.5},
			{Correction: k("wrong", "Sydney|Melbourne", "Which town?", "Canberra", time.Hour, 1), Score: 1},
			{Correction: k("cue", "", "Which town is it", "Perth", time.Minute, 99), Score: 0.4},
		},
		RecentCorrections: []*memoryv1.Correction{k("recent", "red", "", "green", time.Minute, 1), k("elsewhere", "blue", "What?", "not steered", time.Minute, 1), k("nothing wrong", "", "", "not steered", time.Minute, 1)},
	}
	steer := func(s *gatewayv1.CorrectionSteering) (biases []*ngramv1.SequenceBias, ids []string) {
		turn := &turn{req: &gatewayv1.RespondRequest{CorrectionSteering: s}, prepared: prepared, trace: &gatewayv1.Trace{}}
		params := &ngramv1.DecodeParameters{}
		turn.steer(params)
		for _, id := range turn.trace.Steering {
			ids = append(ids, id.Id)
		}
		return params.Biases, ids
	}
	biases, ids := steer(nil)
	want := []*ngramv1.SequenceBias{
		{Text: "Oda", StrengthLog10: 6, Source: "question"},
		{Text: "Canberra", InsteadOf: "Sydney", Source: "wrong"},
		{Text: "Canberra", InsteadOf: "Melbourne", Source: "wrong"},
		{Text: "Perth", StrengthLog10: 20, Source: "cue"},
		{Text: "green", InsteadOf: "red", Source: "recent"},
	}
	if diff := cmp.Diff(want, biases, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"question", "wrong", "cue", "recent"}, ids); diff != "" {
		t.Error(diff)
	}
	if biases, _ := steer(&gatewayv1.CorrectionSteering{Ttl: durationpb.New(30 * time.Minute), StrengthLog10: proto.Float64(1)}); len(biases) != 3 || biases[0].StrengthLog10 != 3 {
		t.Errorf("with a time limit: %v", biases)
	}
	if biases, _ := steer(&gatewayv1.CorrectionSteering{StrengthLog10: proto.Float64(0)}); len(biases) != 0 {
		t.Errorf("turned off: %v", biases)
	}
}

// What bears comes first, then the recent ones, each once.
func TestKnownCorrections(t *testing.T) {
	k := func(id string) *memoryv1.Correction { return &memoryv1.Correction{CorrectionId: id} }
	known, bear := knownCorrections(&memoryv1.PrepareTurnResponse{
		Corrections:       []*memoryv1.CorrectionMatch{{Correction: k("own")}, {Correction: k("weak")}},
		RecentCorrections: []*memoryv1.Correction{k("weak"), k("other")},
	})
	var ids []string
	for _, c := range known {
		ids = append(ids, c.CorrectionId)
	}
	if diff := cmp.Diff([]string{"own", "weak", "other"}, ids); diff != "" || bear != 2 {
		t.Errorf("%d bear: %s", bear, diff)
	}
}
