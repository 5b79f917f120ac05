package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

const (
	// storedMessages and windowTurns are what a window holds at most; older messages of a chat are not stored. windowTokens bounds
	// what of it is read.
	storedMessages = 128
	windowTurns    = 64
	windowTokens   = 32768
	// copies bounds the copies of one prefix. A conversation has one turn at a time, and requests with the same beginning may
	// come together.
	copies = 8
)

// source marks conversations that came with a request.
const source = "openai"

// given is where a chat without a conversation of its own is answered. See docs/decisions/0098.
type given struct {
	edge   *Edge
	tenant string
	user   string
	key    string // of the client, for a request that may be repeated; may be empty
	prefix []said // what was said before the message to answer
}

// respond answers in the conversation that the client named, or in the one of what it gave. The stream that it returns has its
// first message read.
func (e *Edge) respond(ctx context.Context, r *http.Request, c *chatRequest) (*answering, error) {
	last := len(c.messages) - 1
	request := &gatewayv1.RespondRequest{
		Tenant: tenantOf(r), RequestId: r.Header.Get("Idempotency-Key"), ConversationId: r.Header.Get("X-Conversation-Id"), Bot: r.Header.Get("X-Bot"),
		Model: c.model, Text: c.messages[last].content, Parameters: c.parameters(), Candidates: uint32(c.choices()), Stages: c.stages(), Instructions: c.instructions(),
	}
	if request.ConversationId != "" {
		return e.begin(ctx, request)
	}
	g := given{edge: e, tenant: request.Tenant, user: c.user, key: request.RequestId, prefix: c.messages[:last]}
	g.prefix = g.prefix[max(0, len(g.prefix)-storedMessages):]
	request.Noticing = gatewayv1.Noticing_NOTICING_OFF // it would be recorded for every chat with this beginning
	request.Window = &memoryv1.WindowBounds{MaxTurns: windowTurns, MaxTokens: windowTokens, ThroughSeq: uint64(len(g.prefix))}
	for number := range copies {
		var err error
		if request.ConversationId, err = g.store(ctx, number); err != nil {
			return nil, err
		}
		answer, err := e.begin(ctx, request)
		if errors.ReasonOf(err) != "TURN_OPEN" || number == copies-1 {
			return answer, err
		}
	}
	return nil, nil // copies is not 0
}

// store makes sure that a copy of the prefix is stored, once, and returns its conversation. A chat that begins has nothing to store
// and is a conversation of its own.
func (g given) store(ctx context.Context, number int) (conversation string, err error) {
	request := &memoryv1.CreateConversationRequest{Tenant: g.tenant, UserId: g.user, Metadata: map[string]string{"source": source}}
	switch {
	case len(g.prefix) > 0:
		request.RequestId = g.hash(number)
	case g.key != "":
		request.RequestId = source + "-key:" + g.key
	}
	made, err := g.edge.conversations.CreateConversation(ctx, request)
	if err != nil {
		return "", err
	}
	conversation = made.Conversation.ConversationId
	if made.Conversation.Messages >= uint64(len(g.prefix)) {
		return conversation, nil
	}
	senders := map[string]memoryv1.Sender{"user": memoryv1.Sender_SENDER_USER, "assistant": memoryv1.Sender_SENDER_ASSISTANT}
	for i, m := range g.prefix { // each one waits for the one before, so that who stores them together stores them in order
		_, err := g.edge.conversations.AppendMessage(ctx, &memoryv1.AppendMessageRequest{
			Tenant: g.tenant, RequestId: fmt.Sprintf("%s:%d", source, i), ConversationId: conversation, Sender: senders[m.role], Content: m.content,
		})
		if err != nil {
			return "", err
		}
	}
	return conversation, nil
}

// hash names a copy of the prefix: by who said what to whom, in a form in which no two different prefixes are the same.
func (g given) hash(number int) string {
	parts := []string{g.tenant, g.user, fmt.Sprint(number)}
	for _, m := range g.prefix {
		parts = append(parts, m.role, m.content)
	}
	form, _ := json.Marshal(parts) // strings always have a form
	sum := sha256.Sum256(form)
	return source + ":" + hex.EncodeToString(sum[:])
}

// answering is a reply on its way.
type answering struct {
	started *gatewayv1.RespondStarted
	recv    func() (*gatewayv1.StreamRespondResponse, error)
	request *gatewayv1.RespondRequest
}

// begin asks the gateway, up to the first message of its answer: what is refused is refused before it.
func (e *Edge) begin(ctx context.Context, request *gatewayv1.RespondRequest) (*answering, error) {
	stream, err := e.gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: request})
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return &answering{started: first.GetStarted(), recv: stream.Recv, request: request}, nil
}
