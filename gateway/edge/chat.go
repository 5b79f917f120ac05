package edge

import (
	"context"
	"fmt"
	"net/http"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// chatAnswer is an answer, or a piece of one.
type chatAnswer struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	Model       string       `json:"model"`
	Fingerprint *string      `json:"system_fingerprint"`
	Choices     []chatChoice `json:"choices"`
	Usage       *usage       `json:"usage,omitempty"`
	Stored      *stored      `json:"dbslm,omitempty"`
}

// stored says under which ids the first choice can be explained, replayed and corrected, and what it had to do without.
type stored struct {
	Conversation string   `json:"conversation_id"`
	Message      string   `json:"message_id"`
	Without      []string `json:"degraded,omitempty"`
}

type chatChoice struct {
	Index    int           `json:"index"`
	Message  *chatMessage  `json:"message,omitempty"`
	Delta    *chatMessage  `json:"delta,omitempty"`
	Logprobs *chatLogprobs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
}

type chatMessage struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
}

// chatLogprobs are those of a chat's choice: of what level 1 drew. A span of level 3 is not drawn token by token and has none.
type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal []tokenLogprob `json:"refusal"`
}

// chat answers the last message of a chat.
func (e *Edge) chat(w http.ResponseWriter, r *http.Request) {
	c, err := readChat(r)
	if err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel := e.within(r.Context())
	defer cancel()
	out := &events{w: w}
	answer, err := e.respond(ctx, r, c)
	if err != nil {
		end(ctx, out, c.stream, err)
		return
	}
	w.Header().Set("X-Conversation-Id", answer.request.ConversationId)
	t := &telling{request: c, out: out, choices: make([]chatChoice, c.choices())}
	t.head = chatAnswer{
		ID: "chatcmpl-" + answer.started.GetTurnId(), Object: "chat.completion", Model: c.model,
		Created: answer.started.GetUserMessage().GetCreateTime().GetSeconds(),
	}
	if c.stream {
		t.head.Object = "chat.completion.chunk"
	}
	finished, err := t.listen(answer)
	if err == nil {
		err = t.finish(ctx, e, answer.request.Tenant, finished)
	}
	if c.stream || err != nil {
		end(ctx, out, c.stream, err)
	}
}

// telling is a reply on its way to a client.
type telling struct {
	request *chatRequest
	out     *events
	head    chatAnswer   // what every piece begins with
	choices []chatChoice // as far as they were told
}

// listen passes the pieces of the reply on, up to the last.
func (t *telling) listen(answer *answering) (*gatewayv1.RespondResponse, error) {
	for {
		event, err := answer.recv()
		if err != nil {
			return nil, err
		}
		if finished := event.GetFinished(); finished != nil {
			return finished, nil
		}
		if d := event.GetDelta(); d != nil && int(d.Candidate) < len(t.choices) {
			if err := t.piece(int(d.Candidate), d); err != nil {
				return nil, err
			}
		}
	}
}

// piece tells one piece of a choice. The first one says who speaks.
func (t *telling) piece(i int, d *gatewayv1.RespondDelta) error {
	choice := &t.choices[i]
	delta := chatChoice{Index: i, Delta: &chatMessage{Content: &d.Text}}
	if choice.Message == nil {
		*choice = t.empty(i)
		delta.Delta.Role = choice.Message.Role
	}
	*choice.Message.Content += d.Text
	if choice.Logprobs != nil {
		told := newProbe(t.request.shown(), d.Stages).tell(d.Text, d.Tokens)
		delta.Logprobs = &chatLogprobs{Content: told}
		choice.Logprobs.Content = append(choice.Logprobs.Content, told...)
	}
	return t.send(delta)
}

// empty is a choice that has said nothing yet.
func (t *telling) empty(i int) chatChoice {
	choice := chatChoice{Index: i, Message: &chatMessage{Role: "assistant", Content: new(string)}}
	if t.request.logprobs {
		choice.Logprobs = &chatLogprobs{Content: []tokenLogprob{}}
	}
	return choice
}

func (t *telling) send(choices ...chatChoice) error {
	if !t.request.stream {
		return nil
	}
	piece := t.head
	piece.Choices = append([]chatChoice{}, choices...) // none are an empty list
	if err := t.out.send(piece); err != nil {
		return fmt.Errorf("the client does not take the answer: %w", err)
	}
	return nil
}

// finish tells why each choice ended and what was stored: as the last pieces of a stream, or as the whole answer.
func (t *telling) finish(ctx context.Context, e *Edge, tenant string, finished *gatewayv1.RespondResponse) error {
	reasons := []ngramv1.FinishReason{finished.FinishReason}
	for _, other := range finished.Alternatives {
		reasons = append(reasons, other.FinishReason)
	}
	t.choices = t.choices[:min(len(t.choices), len(reasons))] // a repeated request returns what was stored only
	var texts []string
	for i := range t.choices {
		if t.choices[i].Message == nil { // it ended before its first word
			if err := t.piece(i, &gatewayv1.RespondDelta{}); err != nil {
				return err
			}
		}
		finish := finishName(reasons[i])
		t.choices[i].Finish = &finish
		texts = append(texts, *t.choices[i].Message.Content)
	}
	*t.choices[0].Message.Content = finished.Message.GetContent() // what is stored counts
	t.head.Fingerprint = fingerprint(finished.Trace.GetNgramBuildId())
	t.head.Stored = &stored{Conversation: finished.Message.GetConversationId(), Message: finished.Message.GetMessageId()}
	for _, d := range finished.Trace.GetDegradations() {
		t.head.Stored.Without = append(t.head.Stored.Without, d.Service+": "+d.Effect)
	}
	if !t.request.stream {
		t.head.Choices, t.head.Usage = t.choices, e.used(ctx, tenant, t.request.model, t.request.texts(), texts)
		reply(t.out.w, http.StatusOK, t.head)
		return nil
	}
	for i := range t.choices {
		if err := t.send(chatChoice{Index: i, Delta: &chatMessage{}, Finish: t.choices[i].Finish}); err != nil {
			return err
		}
	}
	if t.request.usage {
		t.head.Usage = e.used(ctx, tenant, t.request.model, t.request.texts(), texts)
		return t.send()
	}
	return nil
}
