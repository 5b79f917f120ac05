package server

import (
	"errors"
	"io"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"

	"google.golang.org/protobuf/proto"
)

// A build that is published while a reply is written, and the rollback of it, do not show in the reply: it ends on the build
// on which it began, though retention keeps one build only.
func TestPublishedWhileStreaming(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		w := dialWhole(t, db, Options{})
		w.take(t, "m", map[string]string{"a": lines(1, 120)})
		first := w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true})
		if _, err := w.builds.SetBuildPolicy(ctx, &ngramv1.SetBuildPolicyRequest{Model: "m", Policy: &ngramv1.BuildPolicy{KeepBuilds: 1}}); err != nil {
			t.Fatal(err)
		}
		request := &ngramv1.GenerateRequest{Model: "m", Parameters: &ngramv1.DecodeParameters{
			Profile: plainProfile, Seed: proto.Uint64(7), MaxTokens: proto.Uint32(400), MaxSentences: proto.Uint32(0),
		}}
		want := generate(t, w.inference, request)
		stream, err := w.inference.Generate(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		header, err := stream.Recv()
		if err != nil || header.GetHeader().GetBuildId() != first.BuildId {
			t.Fatalf("%v, error %v", header, err)
		}
		w.take(t, "m", map[string]string{"b": lines(9, 200)})
		second := w.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true})
		text := ""
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text += resp.GetChunk().GetText()
		}
		if text != want.Text {
			t.Errorf("the reply changed with the build:\n%q\n%q", text, want.Text)
		}
		if got := generate(t, w.inference, request); got.header.GetBuildId() != second.BuildId {
			t.Errorf("a reply after the publication is of build %d", got.header.GetBuildId())
		}
	})
}
