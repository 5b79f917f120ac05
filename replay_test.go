package dbslm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm"
	"dbslm/gateway"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/protobuf/proto"
)

// replayVariable names a store in whose place this test binary replays the messages of its standard input; see TestMain.
const replayVariable = "DBSLM_TEST_REPLAY"

// conversationsToReplay is how many conversations of 13 turns TestReplay holds on each engine.
func conversationsToReplay() int {
	if os.Getenv("DBSLM_REPLAY") == "long" {
		return 80
	}
	return 2
}

// Replies made under load, with corrections, signals, biases, parameters and answers of providers, say the same bytes again: at
// once, after templates, bans, profiles, examples and the model have changed, in another process, after a restart, and from a copy
// of the model on the other engine.
func TestReplay(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		sys, err := dbslm.Open(t.Context(), dbslm.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		s := clientsOf(sys)
		train(t, s.gateway, "harbour.txt", harbour)
		handbook, err := os.ReadFile("examples/sail-loft/corpus/02-handbook.txt") // among so many words those of a question are rare, and cached
		if err != nil {
			t.Fatal(err)
		}
		train(t, s.gateway, "handbook.txt", string(handbook))
		hours, calls := provider(t, says(`{"hour":"six"}`))
		dead, _ := provider(t, says("six o'clock"))
		speaks(t, s, hours, dead)

		replies := make([][]*gatewayv1.RespondResponse, conversationsToReplay())
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() { replies[i] = hold(t, s, i) })
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
		asked := calls.Load()
		var ids []string
		kinds := map[string]int{}
		for _, r := range slicesConcat(replies) {
			ids = append(ids, r.Message.MessageId)
			countKinds(kinds, r)
		}
		for _, kind := range []string{"level 1", "signal", "provider", "provider failed", "steered", "predicted", "correction replayed", "asked back", "answered", "noticed", "built-in"} {
			if kinds[kind] == 0 {
				t.Errorf("no reply of the kind %q is among them: %v", kind, kinds)
			}
		}
		t.Logf("%d replies: %v", len(ids), kinds)

		replayed(t, "at once", s.gateway, ids, nil)
		explained(t, target, s, slicesConcat(replies))
		notExplainable(t, s, replies[0][0])
		onTheOtherEngine(t, target, db, s, ids)
		change(t, s)
		replayed(t, "after everything changed", s.gateway, ids, nil)
		elsewhere(t, db, ids)
		if err := sys.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dbslm.Config{DB: db})
		replayed(t, "after a restart", s.gateway, ids, nil)
		notReplayable(t, s, slicesConcat(replies))
		if calls.Load() != asked {
			t.Errorf("replays asked a provider %d times", calls.Load()-asked)
		}
	})
}

func slicesConcat(lists [][]*gatewayv1.RespondResponse) (all []*gatewayv1.RespondResponse) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// speaks gives the bot concepts: one that only signals ask for, one with a provider, one whose provider fails, one that is
// predicted.
func speaks(t *testing.T, s system, hours, dead string) {
	t.Helper()
	for _, c := range []struct {
		concept  *conceptv1.Concept
		text     string
		examples []string
	}{
		{&conceptv1.Concept{Name: "Notice", MetadataSchema: `{"hour": "string"}`}, "The tide turns at {hour}.", nil},
		{&conceptv1.Concept{Name: "Tide", MetadataSchema: `{"hour": "string"}`, ProviderAddress: hours}, "High water is at {hour}.", []string{"when is high water", "when is the tide high", "tell me the time of high water"}},
		{&conceptv1.Concept{Name: "Wind", MetadataSchema: `{"force": "string"}`, ProviderAddress: dead}, "The wind blows with force {force}.", []string{"how strong is the wind", "what is the force of the wind", "does the wind blow"}},
		{&conceptv1.Concept{Name: "Greeting"}, "Good morning to you.", []string{"hello there", "good morning", "hi friend"}},
		{
			&conceptv1.Concept{Name: "Berth", MetadataSchema: `{"nights": "integer"}`, Slots: []*conceptv1.ReadSlot{{Slot: "nights", Kind: "integer"}}},
			"A berth for {nights} nights is kept for you.",
			[]string{"i need a berth", "can you keep a berth for my boat", "is there a berth for us"},
		},
	} {
		if _, err := s.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: c.concept}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: c.concept.Name, Text: c.text}}); err != nil {
			t.Fatal(err)
		}
		if c.concept.Name == "Berth" {
			if _, err := s.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Berth", Asks: "nights", Text: "For how many nights?"}}); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.examples) == 0 {
			continue
		}
		var examples []*conceptv1.Example
		for _, u := range c.examples {
			examples = append(examples, &conceptv1.Example{Concept: c.concept.Name, Utterance: u})
		}
		if _, err := s.catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: examples}); err != nil {
			t.Fatal(err)
		}
	}
}

// hold holds one conversation of 13 turns and returns the replies.
func hold(t *testing.T, s system, number int) (replies []*gatewayv1.RespondResponse) {
	ctx := t.Context()
	started, err := s.gateway.StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: fmt.Sprintf("person %d", number)})
	if err != nil {
		t.Error(err)
		return nil
	}
	conversation := started.Conversation.ConversationId
	respond := func(req *gatewayv1.RespondRequest) *gatewayv1.RespondResponse {
		req.ConversationId, req.RequestId = conversation, fmt.Sprint(len(replies))
		resp, err := s.gateway.Respond(ctx, req)
		if err != nil {
			t.Error(err)
			return nil
		}
		replies = append(replies, resp)
		return resp
	}
	float, number32 := proto.Float64, proto.Uint32
	seed := uint64(number)
	first := respond(&gatewayv1.RespondRequest{Text: "Who counts the boats in the harbour?", Window: &memoryv1.WindowBounds{MaxTurns: 2}})
	if first == nil {
		return nil
	}
	erring := first.Message.MessageId
	if number%2 == 0 {
		erring = "" // wrong wherever it is said, so that level 1 is steered in every reply
	}
	if _, err := s.gateway.Correct(ctx, &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
		ConversationId: conversation, RequestId: "wrong" + conversation, ErrorMessageId: erring, ErrorContext: "boats", Fact: &memoryv1.CorrectedFact{Value: "sailing ships"},
	}}); err != nil {
		t.Error(err)
	}
	if _, err := memoryv1.NewBiasServiceClient(s.Conn()).CreateBias(ctx, &memoryv1.CreateBiasRequest{
		RequestId: "bias" + conversation, Bias: &memoryv1.Bias{ConversationId: conversation, Pattern: "lighthouse", Sequence: "Oda sings", StrengthLog10: 3},
	}); err != nil {
		t.Error(err)
	}
	respond(&gatewayv1.RespondRequest{Text: "And who counts the boats on Sunday, at the quay?", Parameters: &ngramv1.DecodeParameters{Seed: &seed}})
	random := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // parameters that come again
	respond(&gatewayv1.RespondRequest{Text: "Tell me about the lighthouse and the boats.", Parameters: &ngramv1.DecodeParameters{
		Temperature: float(0.3 + 1.5*random.Float64()), TopK: number32(random.Uint32N(60)), TopP: float(1 - 0.3*random.Float64()), MinP: float(0.02 * random.Float64()),
		TypicalP: float(1 - 0.2*random.Float64()), MaxBackoff: number32(random.Uint32N(4)), CacheWeight: float(0.5 * random.Float64()), BestOf: number32(1 + random.Uint32N(3)),
		PresencePenalty: float(random.Float64()), FrequencyPenalty: float(random.Float64()), RepetitionPenalty: float(0.9 + 0.4*random.Float64()), PenaltyHistory: number32(random.Uint32N(20)),
		NoRepeatNgram: number32(random.Uint32N(4)), MaxSentences: number32(1 + random.Uint32N(3)), Bans: []string{"quay", "of the"},
		Biases: []*ngramv1.SequenceBias{{Text: "lamp", After: "the", StrengthLog10: 1.5}, {Text: "the harbour", StrengthLog10: -1}, {Text: "fog", Pattern: "boats"}},
	}})
	if _, err := s.gateway.PushSignal(ctx, &gatewayv1.PushSignalRequest{
		ConversationId: conversation, RequestId: "notice" + conversation, Concept: "Notice", PayloadJson: `{"hour":"seven"}`,
	}); err != nil {
		t.Error(err)
	}
	respond(&gatewayv1.RespondRequest{Text: "What else is there to know?"})
	respond(&gatewayv1.RespondRequest{Text: "When is high water?"})
	respond(&gatewayv1.RespondRequest{Text: "How strong is the wind?", Parameters: &ngramv1.DecodeParameters{BeamWidth: number32(4), Profile: "plain", MaxTokens: number32(30)}})
	respond(&gatewayv1.RespondRequest{Text: "Hello there!"})
	respond(&gatewayv1.RespondRequest{Text: "I need a berth for my boat."})
	respond(&gatewayv1.RespondRequest{Text: "For 3 nights."})
	respond(&gatewayv1.RespondRequest{
		Text:   "The keeper sings, and the lighthouse " + strings.Repeat("stands on the long rock and its lamp turns and ", 8) + "turns.",
		Window: &memoryv1.WindowBounds{MaxTokens: 30}, Parameters: &ngramv1.DecodeParameters{
			Extension: []*ngramv1.ExtensionWord{{Text: "Xylophon", Like: "lamp"}}, Required: []string{"green book"}, Stop: []string{"fog"},
		},
	})
	respond(&gatewayv1.RespondRequest{Text: "Why did you say that?"})
	respond(&gatewayv1.RespondRequest{Text: "When is high water?"})
	respond(&gatewayv1.RespondRequest{Text: "No, it's at seven."})
	return replies
}

// countKinds counts what a reply was made of.
func countKinds(kinds map[string]int, r *gatewayv1.RespondResponse) {
	if len(r.Trace.Steering) > 0 {
		kinds["steered"]++
	}
	if r.Trace.NoticedCorrectionId != "" {
		kinds["noticed"]++
	}
	for _, s := range r.Trace.Segments {
		switch {
		case s.Span == nil:
			kinds["level 1"]++
		case s.Span.Concept == "CorrectionReplay":
			kinds["correction replayed"]++
		case s.Span.Concept == "ReplyExplained":
			kinds["built-in"]++
		case s.Span.Signal != nil:
			kinds["signal"]++
		case s.Span.Asks != "":
			kinds["asked back"]++
		case s.Span.ContinuesForm:
			kinds["answered"]++
		case s.Provided == nil:
			kinds["predicted"]++
		}
		switch {
		case s.Provided.GetFailure() != "":
			kinds["provider failed"]++
		case s.Provided != nil:
			kinds["provider"]++
		}
	}
}

// replayed checks that every reply is identical.
func replayed(t *testing.T, when string, g gatewayv1.GatewayServiceClient, ids []string, asked *gatewayv1.ReplayRequest) {
	t.Helper()
	for _, id := range ids {
		req := &gatewayv1.ReplayRequest{MessageId: id, Model: asked.GetModel()}
		resp, err := g.Replay(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if !resp.Identical || resp.Text != resp.StoredText || resp.StoredText == "" {
			t.Fatalf("%s: message %s is not identical: %v", when, id, resp)
		}
	}
}

// onTheOtherEngine copies the model to the other engine and replays from there, where the build has another id.
func onTheOtherEngine(t *testing.T, target database.Target, db string, s system, ids []string) {
	t.Helper()
	other := databasetest.MySQLTarget
	if !target.Embedded() {
		other = databasetest.SQLiteTarget
	}
	there := dsn(t, other(t))
	if _, err := dbslm.Migrate(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	elder := open(t, dbslm.Config{DB: there}) // its first build is another one
	train(t, elder.gateway, "first.txt", "Another text came first.\n")
	if err := dbslm.CopyModel(t.Context(), dbslm.ModelCopy{From: db, To: there, Model: "default", Target: "copied"}, nil); err != nil {
		t.Fatal(err)
	}
	mixed := gateway.New(gateway.Peers{Ngram: elder.ConnTo(dbslm.Ngram), Memory: s.ConnTo(dbslm.Memory), Concept: s.ConnTo(dbslm.Concept)}, gateway.Options{})
	defer mixed.Close()
	replayed(t, "on the other engine", gatewayv1.NewGatewayServiceClient(serveHere(t, mixed)), ids, &gatewayv1.ReplayRequest{Model: "copied"})
}

// change changes whatever an operator can change.
func change(t *testing.T, s system) {
	t.Helper()
	profiles := ngramv1.NewProfileServiceClient(s.Conn())
	for _, ban := range []string{"harbour", "the"} {
		if _, err := profiles.AddBan(t.Context(), &ngramv1.AddBanRequest{Ban: &ngramv1.Ban{Model: "default", Text: ban}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"default", "plain"} {
		if _, err := profiles.SetProfile(t.Context(), &ngramv1.SetProfileRequest{Profile: &ngramv1.Profile{Model: "default", Name: name, Parameters: &ngramv1.DecodeParameters{
			Temperature: proto.Float64(0), TopK: proto.Uint32(1), CacheWeight: proto.Float64(0.9), MaxTokens: proto.Uint32(3),
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"Notice": "Now {hour}.", "Tide": "At {hour}, the water is high.", "Greeting": "Be greeted."} {
		if _, err := s.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: name, Text: text}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{{Concept: "Greeting", Utterance: "when is high water"}}}); err != nil {
		t.Fatal(err)
	}
	train(t, s.gateway, "more.txt", "The harbour master is gone, and nobody counts the boats.\nThe boats count themselves.\n"+strings.Repeat(quokka, 20))
}

// elsewhere replays in another process, which has the same store open.
func elsewhere(t *testing.T, db string, ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), replayVariable+"="+db)
	cmd.Stdin = strings.NewReader(strings.Join(ids, "\n"))
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("another process: %v: %s", err, problems.String())
	}
	identical := 0
	for line := range strings.Lines(out.String()) {
		var told struct {
			ID        string
			Identical bool
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil || !told.Identical {
			t.Fatalf("another process: %s (%v)", line, err)
		}
		identical++
	}
	if identical != len(ids) {
		t.Errorf("another process replayed %d of %d", identical, len(ids))
	}
}

// replayHere is the other process.
func replayHere(db string) int {
	err := func() error {
		sys, err := dbslm.Open(context.Background(), dbslm.Config{DB: db})
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() && err == nil {
			var resp *gatewayv1.ReplayResponse
			if resp, err = sys.Gateway().Replay(context.Background(), &gatewayv1.ReplayRequest{MessageId: lines.Text()}); err == nil {
				fmt.Printf("{\"id\":%q,\"identical\":%v}\n", lines.Text(), resp.Identical)
			}
		}
		return errors.Join(err, lines.Err(), sys.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// notReplayable removes, one after the other, what replies need, and sees the reason told.
func notReplayable(t *testing.T, s system, replies []*gatewayv1.RespondResponse) {
	t.Helper()
	replay := func(r *gatewayv1.RespondResponse) (*gatewayv1.ReplayResponse, error) {
		return s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: r.Message.MessageId})
	}
	for id, want := range map[string]string{
		replies[0].UserMessage.MessageId:       "NOT_A_REPLY",
		"01934567-0000-7000-8000-000000000000": "MESSAGE_NOT_FOUND",
	} {
		if _, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: id}); errors.ReasonOf(err) != want {
			t.Errorf("%s: %v", want, err)
		}
	}
	lost := func(what, want string, r *gatewayv1.RespondResponse) {
		t.Helper()
		resp, err := replay(r)
		if err != nil || resp.Identical || resp.Reason != want || resp.NotReplayable == "" || resp.StoredText == "" {
			t.Errorf("%s: %v, %v; want %s", what, resp, err, want)
		}
	}
	var free []*gatewayv1.RespondResponse // that level 1 wrote
	for _, r := range replies {
		if r.Trace.NgramBuildId != 0 {
			free = append(free, r)
		}
	}
	for reason, asked := range map[string]*gatewayv1.ReplayRequest{
		"BUILD_NOT_FOUND": {NgramBuildId: 999}, "MODEL_NOT_FOUND": {Model: "nobody"},
	} {
		asked.MessageId = free[0].Message.MessageId
		if _, err := s.gateway.Replay(t.Context(), asked); errors.ReasonOf(err) != reason || errors.KindOf(err) != errors.NotFound {
			t.Errorf("%v: %v", asked, err)
		}
	}
	different := 0
	for _, r := range free {
		resp, err := s.gateway.Replay(t.Context(), &gatewayv1.ReplayRequest{MessageId: r.Message.MessageId, NgramBuildId: r.Trace.NgramBuildId + 1})
		if err != nil || resp.Reason != "" {
			t.Fatalf("with another build: %v, %v", resp, err)
		}
		if !resp.Identical {
			different++
			if at := resp.DiffersAt; resp.Text[:at] != resp.StoredText[:at] || at < uint64(min(len(resp.Text), len(resp.StoredText))) && resp.Text[at] == resp.StoredText[at] {
				t.Errorf("says that it differs at %d: %v", at, resp)
			}
		}
	}
	if different == 0 {
		t.Error("another build writes the same")
	}
	if _, err := s.catalogue.DeleteConcept(t.Context(), &conceptv1.DeleteConceptRequest{Name: "Notice"}); err != nil {
		t.Fatal(err)
	}
	if resp, err := replay(replies[3]); err != nil || !resp.Identical {
		t.Errorf("a concept was deleted whose templates its history keeps: %v, %v", resp, err)
	}
	if _, err := ngramv1.NewBuildServiceClient(s.Conn()).DropBuild(t.Context(), &ngramv1.DropBuildRequest{Model: "default", BuildId: free[0].Trace.NgramBuildId}); err != nil {
		t.Fatal(err)
	}
	lost("its build was dropped", "BUILD_GONE", free[0])
	if _, err := forgetDocument(t.Context(), s.gateway, &gatewayv1.ForgetHeader{Label: "harbour.txt"}); err != nil {
		t.Fatal(err)
	}
	lost("a document was forgotten", "DOCUMENT_FORGOTTEN", free[0])
	if resp, err := replay(replies[6]); err != nil || !resp.Identical {
		t.Errorf("level 3 needs no build: %v, %v", resp, err)
	}
}
