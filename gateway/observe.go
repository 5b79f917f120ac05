package gateway

import (
	"context"
	"strings"
	"sync"
	"time"

	"dbslm/pkg/text"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// What concepts did in use is told to level 3 after the reply was stored: those that were predicted and spoke as right, and as
// wrong when the person's next message says that this was not what they asked. Each turn is told once, whoever tells it
// and however often, because the request id is made of the turn. See docs/decisions/0092.

const (
	// observeTimeout bounds telling about one turn, observeLimit the turns that are told at once; one more is not told.
	observeTimeout = 2 * time.Second
	observeLimit   = 32
	// observeBytes is the longest utterance that level 3 takes.
	observeBytes = 4096
)

// observer tells level 3 in the background, so that no reply waits for it or fails with it.
type observer struct {
	mu      sync.Mutex
	running int
	closed  bool
	wg      sync.WaitGroup
}

// run calls tell in the background, unless too many run or the gateway closes.
func (o *observer) run(ctx context.Context, tell func(context.Context)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.running >= observeLimit {
		return false
	}
	o.running++
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeTimeout)
	o.wg.Go(func() {
		defer func() {
			cancel()
			o.mu.Lock()
			defer o.mu.Unlock()
			o.running--
		}()
		tell(ctx)
	})
	return true
}

// close waits for what is being told, at most observeTimeout.
func (o *observer) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wg.Wait()
}

// observe tells what a stored reply was made of, and that the reply before it was not what was asked if the message says so.
func (t *turn) observe(ctx context.Context, stored *gatewayv1.Trace) {
	spoke := predicted(stored)
	before := t.rejected()
	if len(spoke) == 0 && before == nil {
		return
	}
	told := t.gateway.observing.run(ctx, func(ctx context.Context) {
		t.tell(ctx, stored, t.req.Text, true)
		if before == nil {
			return
		}
		trace, err := t.gateway.readTrace(ctx, t.req.Tenant, before.reply.MessageId)
		if err != nil {
			t.gateway.log.WarnContext(ctx, "a rejected reply was not observed", "message", before.reply.MessageId, "err", err)
			return
		}
		t.tell(ctx, trace, before.asked.Content, false)
	})
	if !told {
		t.gateway.log.WarnContext(ctx, "a turn was not observed: too many at once", "turn", t.prepared.Turn.TurnId)
	}
}

// tell observes the predicted concepts of a stored reply to an utterance.
func (t *turn) tell(ctx context.Context, trace *gatewayv1.Trace, utterance string, right bool) {
	if len(utterance) > observeBytes || strings.TrimSpace(utterance) == "" {
		return
	}
	for _, name := range predicted(trace) {
		_, err := t.gateway.decisions.Observe(ctx, &conceptv1.ObserveRequest{
			Tenant: t.req.Tenant, Bot: trace.Bot, RequestId: "turn:" + trace.TurnId + ":" + text.Truncate(name, 64), ConversationId: t.req.ConversationId,
			UserId: t.prepared.Conversation.GetUserId(), Utterance: utterance, Concept: name, Right: right,
		})
		if err != nil {
			t.gateway.log.DebugContext(ctx, "a concept was not observed", "turn", trace.TurnId, "concept", name, "err", err)
		}
	}
}

// predicted lists the concepts of a reply that were decided by examples, and not by a signal, a correction or an answer to a question.
func predicted(trace *gatewayv1.Trace) []string {
	var names []string
	for _, s := range trace.GetSegments() {
		if span := s.GetSpan(); span != nil && span.Signal == nil && !span.ContinuesForm && span.Concept != correctionConcept && span.Concept != correctedConcept {
			names = append(names, span.Concept)
		}
	}
	return names
}

// exchange is a message with the reply to it.
type exchange struct{ asked, reply *memoryv1.Message }

// rejected is the newest exchange of the window when the message says that its reply was not what was asked; nil otherwise.
func (t *turn) rejected() *exchange {
	if !rejects(t.req.Text) {
		return nil
	}
	messages := t.prepared.Window.GetMessages()
	for i := len(messages) - 1; i >= 0; i-- {
		reply := messages[i]
		if reply.Sender != memoryv1.Sender_SENDER_ASSISTANT {
			continue
		}
		for _, asked := range messages[:i] {
			if asked.Sender == memoryv1.Sender_SENDER_USER && asked.TurnId == reply.TurnId {
				return &exchange{asked, reply}
			}
		}
		return nil
	}
	return nil
}

// rejectionBytes is the longest message that is taken as a rejection: a longer one tells something else too.
const rejectionBytes = 160

// rejections are the ways to say that a reply was not what was asked, by language, folded as text.FoldKey does. Saying that a
// fact is wrong is not among them: that is a correction, and memory notices it.
var rejections = map[string][]string{
	"en": {
		"not what i asked", "not what i meant", "not what i wanted", "not what i was asking", "not my question", "not answering my question",
		"didn't answer my question", "did not answer my question", "didn't ask that", "did not ask that", "didn't ask for that", "did not ask for that",
		"didn't ask about that", "did not ask about that", "you misunderstood", "you misunderstand", "you got me wrong",
	},
	"de": {"nicht gefragt", "nicht meine frage", "nicht gemeint", "hast mich falsch verstanden", "haben mich falsch verstanden", "missverstanden"},
	"es": {"no es lo que pregunte", "no pregunte eso", "no era mi pregunta", "no me has entendido", "no es lo que queria decir"},
	"fr": {"pas ce que j'ai demande", "pas ma question", "pas ce que je voulais", "vous m'avez mal compris", "tu m'as mal compris"},
	"pt": {"nao foi isso que perguntei", "nao foi o que perguntei", "nao perguntei isso", "nao era essa a minha pergunta", "nao foi isso que eu quis dizer"},
}

// rejects reports whether a message says that the reply before it was not what was asked.
func rejects(message string) bool {
	if len(message) > rejectionBytes {
		return false
	}
	folded := text.FoldKey(message)
	for _, phrases := range rejections {
		for _, phrase := range phrases {
			if strings.Contains(folded, text.FoldKey(phrase)) {
				return true
			}
		}
	}
	return false
}
