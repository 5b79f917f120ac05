package dbslm_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// losing returns a hook that lets calls of a method fail at a moment, and counts them.
func losing(method string, when moment, times int32) (hook func(context.Context, string, moment) error, met *atomic.Int32) {
	met = new(atomic.Int32)
	return func(_ context.Context, m string, at moment) error {
		if m == method && at == when && met.Add(1) <= times {
			return errCut
		}
		return nil
	}, met
}

// A retry after a crash says the same with the same seed and build, whatever was published in between; when the build
// is gone, the one that serves answers and the trace says so.
func testRetryKeepsSeedAndBuild(t *testing.T, w *world) {
	builds := ngramv1.NewBuildServiceClient(w.conn)
	conversation := start(t, w)
	lost := func(id, text string) attempt {
		f := w.gateway(t)
		hook, _ := losing("CommitTurn", before, 1)
		f.lines[dbslm.Memory].on(hook)
		a := try(t.Context(), f, ask(conversation, id, text))
		if a.text == "" || errors.KindOf(a.err) != errors.Unavailable {
			t.Fatalf("the lost attempt: %v", a)
		}
		return a
	}
	first := lost("kept", "Tell me about the boats.")
	newer := train(t, w, "more.txt", "The boats are painted blue in the spring. The quay is made of old stone and new wood.")
	again := try(t.Context(), w, ask(conversation, "kept", "Tell me about the boats."))
	if again.err != nil || again.text != first.text || again.finished.Trace.Seed != first.started.Seed || again.finished.Trace.NgramBuildId >= newer.BuildId {
		t.Errorf("first said %q with seed %d, then %v", first.text, first.started.Seed, again)
	}
	if next := try(t.Context(), w, ask(conversation, "next", "And the quay?")); next.err != nil || next.finished.Trace.NgramBuildId != newer.BuildId {
		t.Errorf("a new request: %v, want build %d", next, newer.BuildId)
	}

	gone := lost("gone", "Who paints them?")
	newest := train(t, w, "yet-more.txt", "In autumn the nets hang between the poles. Nobody sails in a storm.")
	if _, err := builds.DropBuild(t.Context(), &ngramv1.DropBuildRequest{Model: "default", BuildId: newer.BuildId}); err != nil {
		t.Fatal(err)
	}
	a := try(t.Context(), w, ask(conversation, "gone", "Who paints them?"))
	if a.err != nil || a.finished.Trace.NgramBuildId != newest.BuildId || a.finished.Trace.Seed != gone.started.Seed ||
		len(a.finished.Trace.Degradations) != 1 || !strings.HasPrefix(a.finished.Trace.Degradations[0].Reason, "BUILD_") {
		t.Errorf("after the pinned build was dropped: %v", a)
	}
	w.checkClosed(t, w.history(t, conversation))
}

// A turn is decided by the build that decided when it began: in a retry too, whatever was taught in between. When that build is
// gone the published one decides, and the trace says so.
func testRetryKeepsConceptBuild(t *testing.T, w *world) {
	const bot = "lamplighter"
	teach := func(name, says string, examples ...string) {
		t.Helper()
		_, err := w.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Bot: bot, Concept: &conceptv1.Concept{Name: name}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Bot: bot, Template: &conceptv1.Template{Concept: name, Text: says}})
		if err != nil {
			t.Fatal(err)
		}
		req := &conceptv1.AddExamplesRequest{Bot: bot}
		for _, e := range examples {
			req.Examples = append(req.Examples, &conceptv1.Example{Concept: name, Utterance: e})
		}
		if _, err := w.catalogue.AddExamples(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	asking := func(conversation, id, text string) *gatewayv1.RespondRequest {
		req := ask(conversation, id, text)
		req.Bot = bot
		return req
	}
	teach("Lamps", "The lamps are lit at dusk.", "when are the lamps lit", "who lights the lamps")
	conversation := start(t, w)
	lost := func(id string) attempt {
		f := w.gateway(t)
		hook, _ := losing("CommitTurn", before, 1)
		f.lines[dbslm.Memory].on(hook)
		a := try(t.Context(), f, asking(conversation, id, "Who lights the lamps at the quay?"))
		if a.text == "" || errors.KindOf(a.err) != errors.Unavailable {
			t.Fatalf("the lost attempt: %v", a)
		}
		return a
	}
	first := lost("kept-concept")
	teach("Keeper", "Old Marta does.", "who lights the lamps at the quay", "who is at the quay")
	again := try(t.Context(), w, asking(conversation, "kept-concept", "Who lights the lamps at the quay?"))
	if again.err != nil || again.text != first.text || again.text != "The lamps are lit at dusk." || len(again.finished.Trace.Degradations) > 0 {
		t.Errorf("first %q, then %v", first.text, again)
	}
	newer := try(t.Context(), w, asking(conversation, "newer-concept", "Who lights the lamps at the quay?"))
	if newer.err != nil || newer.text != "Old Marta does." || newer.finished.Trace.ConceptBuildId <= again.finished.Trace.ConceptBuildId {
		t.Errorf("a new request: %v", newer)
	}
	lost("gone-concept")
	decisions := conceptv1.NewDecisionServiceClient(w.conns[dbslm.Concept])
	for range 10 { // more builds than are kept
		if _, err := decisions.CreateConceptBuild(t.Context(), &conceptv1.CreateConceptBuildRequest{Bot: bot, Publish: true}); err != nil {
			t.Fatal(err)
		}
	}
	// Another gateway: the one at hand may take a second to notice what was published past it.
	gone := try(t.Context(), w.gateway(t), asking(conversation, "gone-concept", "Who lights the lamps at the quay?"))
	if gone.err != nil || gone.text != "Old Marta does." || gone.finished.Trace.ConceptBuildId <= newer.finished.Trace.ConceptBuildId ||
		len(gone.finished.Trace.Degradations) != 1 || gone.finished.Trace.Degradations[0].Reason != "CONCEPT_BUILD_NOT_FOUND" {
		t.Errorf("after the pinned build was dropped: %v", gone)
	}
}

// gate holds a call until it is opened or its caller gives up.
type gate struct {
	arrived, open chan struct{}
	arrive        sync.Once
}

func newGate() *gate { return &gate{arrived: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) at(method string, when moment) func(context.Context, string, moment) error {
	return func(ctx context.Context, m string, at moment) error {
		if m != method || at != when {
			return nil
		}
		g.arrive.Do(func() { close(g.arrived) })
		select {
		case <-g.open:
			return nil
		case <-ctx.Done():
			return errors.From(ctx.Err())
		}
	}
}

// Two gateways work on one request at once, as when a client gives up waiting and repeats: both answer with the one reply
// that was stored, and its signal is spoken once.
func testTwoAttemptsAtOnce(t *testing.T, w *world) {
	conversation := start(t, w)
	signal := w.push(t, conversation, "s")
	slow, g := w.gateway(t), newGate()
	slow.lines[dbslm.Memory].on(g.at("CommitTurn", before))
	var first attempt
	var both sync.WaitGroup
	both.Go(func() { first = try(t.Context(), slow, ask(conversation, "same", "Tell me about the boats.")) })
	<-g.arrived
	second := try(t.Context(), w, ask(conversation, "same", "Tell me about the boats."))
	close(g.open)
	both.Wait()
	if first.err != nil || second.err != nil || first.finished.Message.MessageId != second.finished.Message.MessageId ||
		first.finished.Message.Content != notice || first.text != second.text {
		t.Errorf("first %v\nsecond %v", first, second)
	}
	if got := w.signal(t, conversation, signal); got.State != conceptv1.Signal_STATE_CONFIRMED {
		t.Errorf("the signal is %v", got)
	}
	if got := len(w.history(t, conversation)); got != 2 {
		t.Errorf("%d messages of one turn", got)
	}
}

// The first attempt is cancelled before it spoke, while a second one has spoken but not stored: the stored, cancelled
// reply counts for both, and the signal that nobody heard of speaks in the next turn.
func testCancelledAttemptBeatsItsRetry(t *testing.T, w *world) {
	conversation := start(t, w)
	signal := w.push(t, conversation, "s")
	early, hold := w.gateway(t), newGate()
	early.lines[dbslm.Concept].on(hold.at("Next", before))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first attempt
	var both sync.WaitGroup
	both.Go(func() { first = try(ctx, early, ask(conversation, "same", "Tell me about the boats.")) })
	<-hold.arrived

	late, g := w.gateway(t), newGate()
	late.lines[dbslm.Memory].on(g.at("CommitTurn", before))
	var second attempt
	both.Go(func() { second = try(t.Context(), late, ask(conversation, "same", "Tell me about the boats.")) })
	<-g.arrived
	cancel()        // which reaches the early gateway some time later, and only this ends its call
	for range 200 { // until the cancelled attempt has been stored
		if len(w.history(t, conversation)) == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(g.open)
	both.Wait()
	if errors.KindOf(first.err) != errors.Canceled {
		t.Errorf("the cancelled attempt: %v", first)
	}
	if second.err != nil || second.finished.FinishReason != ngramv1.FinishReason_FINISH_REASON_CANCELLED ||
		second.finished.Message.Content != "" || len(second.finished.Trace.Segments) != 0 {
		t.Errorf("the retry must report what is stored: %v", second)
	}
	next := try(t.Context(), w, ask(conversation, "next", "And the fog?"))
	if next.err != nil || !strings.Contains(next.text, notice) {
		t.Errorf("the signal nobody heard of was lost: %v, %v", next, w.signal(t, conversation, signal))
	}
	if got := w.signal(t, conversation, signal); got.State != conceptv1.Signal_STATE_CONFIRMED || got.TurnId != next.started.TurnId {
		t.Errorf("the signal is %v", got)
	}
	w.checkClosed(t, w.history(t, conversation))
}

// A gateway that stalls beyond its lease can neither answer any more nor take the signal from the turn that came after.
func testLeaseEndsUnderATurn(t *testing.T, w *world) {
	conversation := start(t, w)
	signal := w.push(t, conversation, "s")
	stalled, g := w.gateway(t), newGate()
	stalled.lines[dbslm.Memory].on(g.at("CommitTurn", before))
	var first attempt
	var both sync.WaitGroup
	both.Go(func() { first = try(t.Context(), stalled, ask(conversation, "stalled", "Tell me about the boats.")) })
	<-g.arrived
	if a := try(t.Context(), w, ask(conversation, "early", "And the fog?")); errors.KindOf(a.err) != errors.Aborted || errors.ReasonOf(a.err) != "TURN_OPEN" {
		t.Errorf("while the turn is open: %v", a)
	}
	w.ahead.Add(int64(2 * time.Minute))
	second := try(t.Context(), w, ask(conversation, "next", "And the fog?"))
	if second.err != nil || !strings.Contains(second.text, notice) {
		t.Errorf("after the lease: %v", second)
	}
	close(g.open)
	both.Wait()
	if errors.ReasonOf(first.err) != "TURN_FAILED" || errors.KindOf(first.err) != errors.FailedPrecondition {
		t.Errorf("the stalled turn: %v", first)
	}
	if a := try(t.Context(), w, ask(conversation, "stalled", "Tell me about the boats.")); errors.ReasonOf(a.err) != "TURN_FAILED" {
		t.Errorf("a failed turn is not repeated: %v", a)
	}
	if got := w.signal(t, conversation, signal); got.State != conceptv1.Signal_STATE_CONFIRMED || got.TurnId != second.started.TurnId {
		t.Errorf("the signal is %v", got)
	}
	messages := w.history(t, conversation)
	w.checkClosed(t, messages)
	if len(messages) != 3 {
		t.Errorf("two messages and one reply were said: %v", messages)
	}
}

// gRPC repeats what is marked idempotent by itself. With a request id that mends a lost commit; without one it would log
// the message twice, so the gateway asks the library not to.
func testLibraryRetries(t *testing.T, w *world) {
	for _, id := range []string{"mine", ""} {
		conversation := start(t, w)
		f := w.gateway(t)
		var prepared atomic.Int32
		hook, _ := losing("CommitTurn", before, 1)
		f.lines[dbslm.Memory].on(func(ctx context.Context, method string, when moment) error {
			if method == "PrepareTurn" && when == before {
				prepared.Add(1)
			}
			return hook(ctx, method, when)
		})
		resp, err := f.Respond(t.Context(), ask(conversation, id, "Tell me about the boats."))
		messages := w.history(t, conversation)
		if id != "" {
			if err != nil || prepared.Load() != 2 || len(messages) != 2 {
				t.Errorf("with an id: %v, %v, %d attempts, %v", resp, err, prepared.Load(), messages)
			}
			continue
		}
		if errors.KindOf(err) != errors.Unavailable || prepared.Load() != 1 || len(messages) != 1 {
			t.Errorf("without an id: %v, %d attempts, %v", err, prepared.Load(), messages)
		}
		e, _ := errors.AsType[*errors.Error](err)
		repeated, err := f.Respond(t.Context(), ask(conversation, e.Metadata()["request_id"], "Tell me about the boats."))
		if err != nil || repeated.Message.Content == "" || len(w.history(t, conversation)) != 2 {
			t.Errorf("repeated with the id from the error: %v, %v", repeated, err)
		}
	}
}

// A correction and its acknowledgement are two writes in two services. Whatever dies between them, repeating the request
// makes both true, once.
func testCorrectIsRepairedByRepeating(t *testing.T, w *world) {
	for i, when := range []moment{before, after} {
		conversation := start(t, w)
		f := w.gateway(t)
		hook, met := losing("PushSignal", when, 100)
		f.lines[dbslm.Concept].on(hook)
		req := &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
			RequestId: "c" + string(when), ConversationId: conversation,
			Fact: &memoryv1.CorrectedFact{Entity: "quay", Attribute: "length", Value: "ninety metres"},
		}}
		first, err := f.Correct(t.Context(), req)
		if err != nil || first.SignalId != "" || len(first.Warnings) != 1 || met.Load() == 0 {
			t.Fatalf("without concept: %v, %v", first, err)
		}
		second, err := w.Correct(t.Context(), req)
		if err != nil || second.SignalId == "" || len(second.Warnings) != 0 || second.Correction.CorrectionId != first.Correction.CorrectionId {
			t.Fatalf("repeated: %v, %v", second, err)
		}
		a := try(t.Context(), w, ask(conversation, "1", "Hello."))
		b := try(t.Context(), w, ask(conversation, "2", "How long is it?"))
		if want := "the length of quay is ninety metres"; !strings.Contains(a.text, want) || strings.Contains(b.text, "Incorporating") {
			t.Errorf("%d: acknowledged with %q, then %q", i, a.text, b.text)
		}
	}
}

// A correction in somebody's own words is recorded whatever dies before it is: by the same request again, by the same words said
// again, or by whatever the person says next. A window of one word keeps none from being noticed.
func testNoticedIsNotLost(t *testing.T, w *world) {
	conversations, corrections := memoryv1.NewConversationServiceClient(w.conn), memoryv1.NewCorrectionServiceClient(w.conn)
	const said = "No, it's Canberra."
	lease := 2 * time.Minute
	for name, c := range map[string]struct {
		dead    bool // the gateway does nothing any more; otherwise only the recording fails
		wait    time.Duration
		id      string
		then    string
		correct int // index of the message that corrects
	}{
		"the same request":                            {true, 0, "1", said, 2},
		"the same words after the lease":              {true, lease, "2", said, 3},
		"something else after the lease":              {true, lease, "2", "What is the capital of Australia?", 2},
		"the same request after the recording failed": {false, 0, "1", said, 2},
	} {
		conversation := start(t, w)
		for i, content := range []string{"What is the capital of Australia?", "It is Sydney."} {
			_, err := conversations.AppendMessage(t.Context(), &memoryv1.AppendMessageRequest{
				RequestId: fmt.Sprint("h", i), ConversationId: conversation, Sender: memoryv1.Sender(i + 1), Content: content,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		f := w.gateway(t)
		f.lines[dbslm.Memory].on(func(_ context.Context, method string, when moment) error {
			if method != "RecordCorrection" || when != before {
				return nil
			}
			if c.dead {
				for _, l := range f.lines {
					l.set(true)
				}
			}
			return errCut
		})
		small := func(id, text string) *gatewayv1.RespondRequest {
			req := ask(conversation, id, text)
			req.Window = &memoryv1.WindowBounds{MaxTurns: 1, MaxTokens: 1}
			return req
		}
		first := try(t.Context(), f, small("1", said))
		if dead := errors.KindOf(first.err) == errors.Unavailable; dead != c.dead {
			t.Fatalf("%s: the first attempt: %v", name, first)
		}
		w.ahead.Add(int64(c.wait))
		second := try(t.Context(), w, small(c.id, c.then))
		if second.err != nil || second.finished.Noticed.GetCorrection().GetFact().GetValue() != "Canberra" {
			t.Fatalf("%s: %v", name, second)
		}
		log, err := conversations.ListMessages(t.Context(), &memoryv1.ListMessagesRequest{ConversationId: conversation})
		if err != nil {
			t.Fatal(err)
		}
		page, err := corrections.ListCorrections(t.Context(), &memoryv1.ListCorrectionsRequest{ConversationId: conversation, IncludeEnded: true})
		if err != nil || len(page.Corrections) != 1 || page.Corrections[0].CorrectionMessageId != log.Messages[c.correct].MessageId {
			t.Errorf("%s: %v, error %v", name, page, err)
		}
		if c.dead && !strings.Contains(second.text, "Canberra") {
			t.Errorf("%s: %v", name, second)
		}
		if c.dead {
			continue
		}
		if a := try(t.Context(), w, ask(conversation, "3", "What is the capital of Australia?")); !strings.Contains(a.text, "Canberra") {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// Seeds are the caller's when given, 0 included, and random otherwise.
func testSeeds(t *testing.T, w *world) {
	zero := uint64(0)
	var said []string
	for i, params := range []*ngramv1.DecodeParameters{{Seed: &zero}, {Seed: &zero}, {}, nil} {
		resp, err := w.Respond(t.Context(), &gatewayv1.RespondRequest{
			ConversationId: start(t, w), RequestId: "r", Text: "Tell me about the boats.", Parameters: params,
		})
		if err != nil {
			t.Fatal(err)
		}
		if explicit := params != nil && params.Seed != nil; explicit != (resp.Trace.Seed == 0) {
			t.Errorf("%d: the seed is %d", i, resp.Trace.Seed)
		}
		said = append(said, resp.Message.Content)
	}
	if said[0] != said[1] {
		t.Errorf("seed 0 said %q and %q", said[0], said[1])
	}
}
