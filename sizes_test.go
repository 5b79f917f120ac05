package dbslm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dbslm"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// log appends messages to a conversation without turns, the person's and the system's in alternation.
func (w *world) log(t *testing.T, conversation string, texts ...string) {
	t.Helper()
	conversations := memoryv1.NewConversationServiceClient(w.conns[dbslm.Memory])
	for i, text := range texts {
		_, err := conversations.AppendMessage(t.Context(), &memoryv1.AppendMessageRequest{
			RequestId: fmt.Sprint("log", i), ConversationId: conversation, Sender: memoryv1.Sender(1 + i%2), Content: text,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sensible fails unless a reply is whole, short, and was made without losing a level.
func sensible(t *testing.T, a attempt) {
	t.Helper()
	if a.err != nil {
		t.Fatal(a.err)
	}
	content := a.finished.Message.Content
	if content == "" || len(content) > 4096 || len(a.finished.Trace.Degradations) != 0 {
		t.Errorf("the reply has %d bytes (%.200q), degraded by %v", len(content), content, a.finished.Trace.Degradations)
	}
}

// A message of 1 MB of whatever kind is answered, and so is the one after it.
func testMegabyteMessages(t *testing.T, w *world) {
	size := 1 << 20
	if raceDetector {
		size >>= 4
	}
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"words":            fill("the boats and the fog "),
		"one word":         fill("a"),
		"Chinese":          fill("灯塔的守护人"),
		"emoji":            fill("👩‍👩‍👧‍👦"),
		"punctuation":      fill("?!…."),
		"line breaks":      fill("x\r\n"),
		"combining marks":  fill("\u0301"),
		"markers":          fill("<s> </s> <unk> "),
		"SQL and template": fill(`{hour}'; DROP TABLE x; -- % _ \ `),
		"different words":  differentWords(size),
	} {
		t.Run(name, func(t *testing.T) {
			conversation := start(t, w)
			begun := time.Now()
			sensible(t, try(t.Context(), w, ask(conversation, "1", text)))
			first := time.Since(begun)
			sensible(t, try(t.Context(), w, ask(conversation, "2", "Who is Oda?")))
			sensible(t, try(t.Context(), w, ask(conversation, "3", "Remind me what we discussed.")))
			t.Logf("the first turn took %v", first)
		})
	}
}

func differentWords(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-12; i++ {
		fmt.Fprintf(&b, "w%d ", i)
	}
	return b.String()
}

// The widest window that a request may ask for, full of the longest messages, still makes a turn.
func testWidestWindow(t *testing.T, w *world) {
	widest := &memoryv1.WindowBounds{MaxTurns: 64, MaxTokens: 1_000_000}
	many, long := start(t, w), start(t, w)
	var texts []string
	for i := range 140 {
		texts = append(texts, fmt.Sprintf("The boat number %d has a sail.", i))
	}
	w.log(t, many, texts...)
	megabyte := strings.Repeat("the boats ", 1<<20/10)
	if raceDetector {
		megabyte = megabyte[:1<<16]
	}
	w.log(t, long, megabyte, megabyte, megabyte, megabyte)
	for name, req := range map[string]*gatewayv1.RespondRequest{
		"many": ask(many, "1", "Which boat has a sail?"),
		"long": ask(long, "1", megabyte),
	} {
		req.Window = widest
		a := try(t.Context(), w, req)
		sensible(t, a)
		if name == "many" && a.finished.Trace.WindowFirstSeq != 140-128+1 {
			t.Errorf("the window begins with %d", a.finished.Trace.WindowFirstSeq)
		}
	}
}

// Stored biases, facts and corrections beyond what the levels take do not break turns.
func testManyBiasesAndFacts(t *testing.T, w *world) {
	conversation := start(t, w)
	biases := memoryv1.NewBiasServiceClient(w.conns[dbslm.Memory])
	facts := memoryv1.NewFactServiceClient(w.conns[dbslm.Memory])
	for i := range 70 {
		_, err := biases.CreateBias(t.Context(), &memoryv1.CreateBiasRequest{RequestId: fmt.Sprint("b", i), Bias: &memoryv1.Bias{
			Scope: memoryv1.Scope_SCOPE_CONVERSATION, ConversationId: conversation,
			Sequence: fmt.Sprintf("boat %d", i), StrengthLog10: 1,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Level 1 takes 256 bytes of a sequence; memory has taken more.
	_, _ = biases.CreateBias(t.Context(), &memoryv1.CreateBiasRequest{RequestId: "long", Bias: &memoryv1.Bias{
		Scope: memoryv1.Scope_SCOPE_CONVERSATION, ConversationId: conversation, Sequence: strings.Repeat("boat ", 100), StrengthLog10: 1,
	}})
	for i := range 110 {
		_, err := facts.RememberFact(t.Context(), &memoryv1.RememberFactRequest{
			RequestId: fmt.Sprint("f", i), ConversationId: conversation,
			Entity: fmt.Sprint("boat ", i), Attribute: "colour", Value: strings.Repeat("blue ", 800),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	a := try(t.Context(), w, ask(conversation, "1", "Tell me about the boats."))
	sensible(t, a)
	if n := len(a.finished.Trace.Biases); n < 60 || n > 64 {
		t.Errorf("%d biases were applied", n)
	}
}

// Signals with long payloads fill replies up to the limits of what is stored, and each is spoken once.
func testLongSignals(t *testing.T, w *world) {
	conversation := start(t, w)
	const count = 12
	for i := range count {
		// Each < takes six bytes once the payload is written back as JSON.
		_, err := w.signals.PushSignal(t.Context(), &conceptv1.PushSignalRequest{
			RequestId: fmt.Sprint(conversation, i), ConversationId: conversation, Concept: "Notice", Ttl: durationpb.New(time.Hour),
			PayloadJson: fmt.Sprintf(`{"hour":"%02d%s"}`, i, strings.Repeat("<", 60_000)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	for turn := range count {
		req := ask(conversation, fmt.Sprint(turn), fmt.Sprint("Go on ", turn))
		req.MaxSegments = 16
		a := try(t.Context(), w, req)
		if a.err != nil || a.text != a.finished.Message.Content {
			t.Fatal(a.err)
		}
		said.WriteString(a.text)
		if !strings.Contains(a.text, "<<<") {
			break
		}
	}
	for i := range count {
		if n := strings.Count(said.String(), fmt.Sprintf("at %02d<", i)); n != 1 {
			t.Errorf("signal %d was spoken %d times", i, n)
		}
	}
}
