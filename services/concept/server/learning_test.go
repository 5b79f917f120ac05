package server_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

func (c clients) utterances(t *testing.T) (out []string) {
	t.Helper()
	for _, e := range must[*conceptv1.ListExamplesResponse](t)(c.ListExamples(t.Context(), &conceptv1.ListExamplesRequest{PageSize: 1000})).Examples {
		out = append(out, e.Utterance)
	}
	return out
}

func TestLearningIsReviewedAndErasable(t *testing.T) {
	each(t, func(t *testing.T, c clients, db *database.DB) {
		ctx := t.Context()
		c.shop(t)
		before := c.utterances(t)
		build := next(t, c, &conceptv1.NextRequest{Text: "open"}).BuildId
		n := 0
		observe := func(user, conversation, utterance string, right bool) *conceptv1.ObserveRequest {
			n++
			req := &conceptv1.ObserveRequest{RequestId: fmt.Sprintf("r%02d", n), UserId: user, ConversationId: conversation, Utterance: utterance, Concept: "Hours", Right: right}
			for range 2 { // a repetition counts once
				must[*conceptv1.ObserveResponse](t)(c.Observe(ctx, req))
			}
			return req
		}
		observe("ana", "c1", "is anybody in on   monday", true)
		observe("ben", "c2", "is anybody in on monday", true)
		observe("ana", "c1", "is anybody in on monday", false)
		observe("ana", "c1", "do you get up early", true)
		observe("ben", "c2", before[0], true) // known already
		last := observe("ben", "c2", "when are you open", false)
		if resp := next(t, c, &conceptv1.NextRequest{Text: "open"}); resp.BuildId != build || !slices.Equal(c.utterances(t), before) {
			t.Errorf("observing changed what is decided: %v", resp)
		}
		dry := must[*conceptv1.LearnResponse](t)(c.Learn(ctx, &conceptv1.LearnRequest{ReviewedBy: "eva", DryRun: true}))
		if !slices.Equal(c.utterances(t), before) {
			t.Error("a dry run changed the examples")
		}
		learnt := must[*conceptv1.LearnResponse](t)(c.Learn(ctx, &conceptv1.LearnRequest{ReviewedBy: "eva"}))
		if learnt.Added != 2 || learnt.Removed != 1 || len(learnt.Lessons) != 4 || dry.String() != learnt.String() {
			t.Errorf("learnt %v, the dry run said %v", learnt, dry)
		}
		for _, l := range learnt.Lessons {
			if l.Utterance == "is anybody in on monday" && (l.Right != 2 || l.Wrong != 1) {
				t.Errorf("right and wrong: %v", l)
			}
		}
		if again := must[*conceptv1.LearnResponse](t)(c.Learn(ctx, &conceptv1.LearnRequest{ReviewedBy: "eva"})); len(again.Lessons) > 0 {
			t.Errorf("the same was learnt twice: %v", again)
		}
		after := c.utterances(t)
		if !slices.Contains(after, "do you get up early") || !slices.Contains(after, "is anybody in on monday") || slices.Contains(after, "when are you open") {
			t.Errorf("examples after learning: %q", after)
		}
		if resp := next(t, c, &conceptv1.NextRequest{Text: "do you get up early"}); resp.BuildId <= build || resp.GetSpan().GetConcept() != "Hours" {
			t.Errorf("what was learnt is not in the next build: %v", resp)
		}
		erasure := conceptv1.NewErasureServiceClient(c.conn)
		export := func(user string) string {
			stream := must[conceptv1.ErasureService_ExportSubjectClient](t)(erasure.ExportSubject(ctx, &conceptv1.ExportSubjectRequest{UserId: user}))
			var all strings.Builder
			for {
				piece, err := stream.Recv()
				if err == io.EOF {
					return all.String()
				}
				if err != nil {
					t.Fatal(err)
				}
				all.Write(piece.Chunk)
			}
		}
		if got := export("ana"); strings.Count(got, "\n") != 3 || !strings.Contains(got, "do you get up early") {
			t.Errorf("export: %s", got)
		}
		gone := must[*conceptv1.EraseSubjectResponse](t)(erasure.EraseSubject(ctx, &conceptv1.EraseSubjectRequest{UserId: "ana"}))
		if left := c.utterances(t); gone.Rows != 4 || slices.Contains(left, "do you get up early") || !slices.Contains(left, "is anybody in on monday") {
			t.Errorf("erased %d rows, examples left: %q", gone.Rows, left)
		}
		if n := len(c.builds(t, "")); n != 0 || export("ana") != "" {
			t.Errorf("%d builds still hold what was erased, export %q", n, export("ana"))
		}
		last.Utterance += " today"
		_, err := c.Observe(ctx, last)
		wantKind(t, err, errors.InvalidArgument, "REQUEST_ID_REUSED")
		_, err = c.Observe(ctx, &conceptv1.ObserveRequest{RequestId: "x", Utterance: "x", Concept: "Nobody"})
		wantKind(t, err, errors.NotFound, "CONCEPT_NOT_FOUND")
		_, err = c.Observe(ctx, &conceptv1.ObserveRequest{RequestId: "x", Utterance: "…", Concept: "Hours"})
		wantKind(t, err, errors.InvalidArgument, "BAD_EXAMPLE")
	})
}
