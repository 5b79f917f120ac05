package gateway

import (
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
		return &memoryv1.Correction{
			CorrectionId: id, ErrorContext: wrong, Cue: cue, Fact: &memoryv1.CorrectedFact{Value: value}, Subject: id, Times: times, Version: 1,
			Scope: memoryv1.Scope_SCOPE_CONVERSATION, CreateTime: timestamppb.New(now.Add(-age)),
		}
	}
	prepared := &memoryv1.PrepareTurnResponse{
		Turn: &memoryv1.Turn{CreateTime: timestamppb.New(now)},
		Corrections: []*memoryv1.CorrectionMatch{
			{Correction: k("question", "Who is it?", "", "Oda", time.Minute, 3), Score: 0.5},
			{Correction: k("wrong", "Sydney", "Which town?", "Canberra", time.Hour, 1), Score: 1},
			{Correction: k("cue", "Which town is it", "Which town is it", "Perth", time.Minute, 99), Score: 0.4},
			{Correction: k("long", "one two three four five six seven", "", "eight", time.Minute, 1), Score: 0.3},
		},
		RecentCorrections: []*memoryv1.Correction{k("recent", "red", "", "green", time.Minute, 1), k("elsewhere", "", "What?", "not steered", time.Minute, 1)},
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
		{Text: "Canberra", InsteadOf: "Sydney", Source: "wrong"},
		{Text: "Oda", StrengthLog10: 6, Source: "question"},
		{Text: "Perth", StrengthLog10: 20, Source: "cue"},
		{Text: "eight", StrengthLog10: 4, Source: "long"},
		{Text: "green", InsteadOf: "red", Source: "recent"},
	}
	if diff := cmp.Diff(want, biases, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"wrong", "question", "cue", "long", "recent"}, ids); diff != "" {
		t.Error(diff)
	}
	if biases, _ := steer(&gatewayv1.CorrectionSteering{Ttl: durationpb.New(30 * time.Minute), StrengthLog10: proto.Float64(1)}); len(biases) != 4 || biases[0].StrengthLog10 != 3 {
		t.Errorf("with a time limit: %v", biases)
	}
	if biases, _ := steer(&gatewayv1.CorrectionSteering{StrengthLog10: proto.Float64(0)}); len(biases) != 0 {
		t.Errorf("turned off: %v", biases)
	}
}

// Of one subject only the narrowest scope's correction is known in a turn, whatever memory lists.
func TestKnownCorrections(t *testing.T) {
	k := func(id, subject string, scope memoryv1.Scope) *memoryv1.Correction {
		return &memoryv1.Correction{CorrectionId: id, Subject: subject, Scope: scope}
	}
	known, bear := knownCorrections(&memoryv1.PrepareTurnResponse{
		Corrections: []*memoryv1.CorrectionMatch{
			{Correction: k("user's", "s", memoryv1.Scope_SCOPE_USER), Score: 1},
			{Correction: k("weak", "t", memoryv1.Scope_SCOPE_CONVERSATION), Score: 0.2},
			{Correction: k("own", "s", memoryv1.Scope_SCOPE_CONVERSATION), Score: 0.5},
		},
		RecentCorrections: []*memoryv1.Correction{
			k("own", "s", memoryv1.Scope_SCOPE_CONVERSATION), k("user's", "s", memoryv1.Scope_SCOPE_USER), k("other", "u", memoryv1.Scope_SCOPE_USER),
			k("nothing 1", "", memoryv1.Scope_SCOPE_USER), k("nothing 2", "", memoryv1.Scope_SCOPE_CONVERSATION),
		},
	})
	var ids []string
	for _, c := range known {
		ids = append(ids, c.CorrectionId)
	}
	if diff := cmp.Diff([]string{"own", "weak", "other", "nothing 1", "nothing 2"}, ids); diff != "" || bear != 2 {
		t.Errorf("%d bear: %s", bear, diff)
	}
}
