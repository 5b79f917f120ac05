package server_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A policy is applied by the service itself, and by whoever asks for it.
func TestRetentionOverTheWire(t *testing.T) {
	each(t, func(t *testing.T, m *memory) {
		ctx := t.Context()
		c := begin(t, m)
		say := func(id string) {
			must(m.AppendMessage(ctx, &memoryv1.AppendMessageRequest{RequestId: id, ConversationId: c.GetConversationId(), Sender: memoryv1.Sender_SENDER_USER, Content: "old"}))(t)
		}
		run := func(req *memoryv1.RunRetentionRequest) *memoryv1.RunRetentionResponse {
			t.Helper()
			stream := must(m.RunRetention(ctx, req))(t)
			var last *memoryv1.RunRetentionResponse
			for {
				resp, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return last
				}
				if err != nil {
					t.Fatal(err)
				}
				last = resp
			}
		}
		say("1")
		if last := run(&memoryv1.RunRetentionRequest{}); !last.GetFinished() || last.GetRun() != nil {
			t.Errorf("without a policy: %v", last)
		}
		for name, policy := range map[string]*memoryv1.RetentionPolicy{
			"too short": {Messages: durationpb.New(time.Second)}, "negative": {Conversations: durationpb.New(-time.Hour)},
			"no duration": {TraceDetail: &durationpb.Duration{Seconds: 1, Nanos: -1}}, "too often": {Every: durationpb.New(time.Second)},
		} {
			_, err := m.SetRetention(ctx, &memoryv1.SetRetentionRequest{Policy: policy})
			wantCode(t, err, codes.InvalidArgument, "INVALID_REQUEST")
			if t.Failed() {
				t.Log(name)
			}
		}
		set := must(m.SetRetention(ctx, &memoryv1.SetRetentionRequest{Tenant: "default", Policy: &memoryv1.RetentionPolicy{Messages: durationpb.New(time.Hour), Every: durationpb.New(time.Minute)}}))(t)
		if set.GetPolicy().GetNextRunTime() == nil {
			t.Errorf("%v", set)
		}
		messages := func() int {
			return len(must(m.ListMessages(ctx, &memoryv1.ListMessagesRequest{ConversationId: c.GetConversationId()}))(t).GetMessages())
		}
		m.clock.add(2 * time.Hour)
		for begun := time.Now(); messages() > 0; time.Sleep(5 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatal("the service does not apply the policy")
			}
		}
		must(m.SetRetention(ctx, &memoryv1.SetRetentionRequest{Policy: &memoryv1.RetentionPolicy{Messages: durationpb.New(48 * time.Hour)}}))(t)
		say("2")
		if last := run(&memoryv1.RunRetentionRequest{DryRun: true}); last.GetRun().GetMessages() != 0 || !last.GetFinished() {
			t.Errorf("%v", last)
		}
		got := must(m.GetRetention(ctx, &memoryv1.GetRetentionRequest{}))(t)
		removed := slices.ContainsFunc(got.GetRuns(), func(r *memoryv1.RetentionRun) bool { return r.GetMessages() == 1 }) // other runs found nothing
		if !removed || got.GetPolicy().GetMessages().AsDuration() != 48*time.Hour {
			t.Errorf("%v", got)
		}
	})
}
