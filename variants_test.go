package dbslm_test

import (
	"fmt"
	"testing"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
)

// A concept does not use the template again that it used when it spoke last in a conversation, whatever the seed and whatever was
// said or failed in between. Another conversation knows nothing of it. A retry gets the same reply, and replies replay.
func TestNotTwiceInARow(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour", harbour)
		s.hours(t)
		for _, name := range []string{"second", "third"} {
			_, err := s.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Hours", Name: name, Text: "On {market_day}, says the " + name + "."}})
			if err != nil {
				t.Fatal(err)
			}
		}
		const question, seed = "when does the market open", 3
		used := func(r *gatewayv1.RespondResponse) string { return r.Trace.Segments[0].Span.GetTemplateId() }
		alone := used(respond(t, s.gateway, start(t, s.gateway), "alone", question, seed))
		if again := used(respond(t, s.gateway, start(t, s.gateway), "alone", question, seed)); again != alone {
			t.Fatal("one seed gives two templates, or one conversation knows of another")
		}

		conversation := start(t, s.gateway)
		last, different := "", map[string]bool{}
		for i := range 8 {
			id := fmt.Sprint("turn", i)
			if i%3 == 1 { // nobody speaks of it, or a turn fails
				respond(t, s.gateway, conversation, id+"between", "xylophones rarely bite", seed)
				_, err := s.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{
					ConversationId: conversation, Text: "xylophones rarely bite", Parameters: &ngramv1.DecodeParameters{Profile: "missing"},
				})
				if errors.ReasonOf(err) != "PROFILE_NOT_FOUND" {
					t.Fatal(err)
				}
			}
			r := respond(t, s.gateway, conversation, id, question, seed)
			if used(r) == last {
				t.Errorf("turn %d says %q like the one before", i, r.Message.Content)
			}
			if avoided := r.Trace.Segments[0].Span.AvoidedTemplateId; (avoided != "") != (last == alone) || avoided != "" && avoided != last {
				t.Errorf("turn %d avoided %q; the last one was %q, the seed draws %q", i, avoided, last, alone)
			}
			last = used(r)
			different[last] = true
			if repeated := respond(t, s.gateway, conversation, id, question, seed); !cmp.Equal(repeated.Trace, r.Trace, protocmp.Transform()) {
				t.Errorf("the retry of turn %d has another trace", i)
			}
			replayed, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: r.Message.MessageId})
			if err != nil || !replayed.Identical {
				t.Errorf("turn %d: %v, %v", i, err, replayed)
			}
		}
		if len(different) < 2 {
			t.Error("only one template spoke")
		}
	})
}
