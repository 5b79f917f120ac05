package converse

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Options say how scripts are run.
type Options struct {
	Tenant string
	User   string  // whose conversations they are
	Bot    string  // instead of the script's, unless empty
	Model  string  // instead of the script's, unless empty
	Run    string  // makes the ids of requests, no two runs have the same
	Strict bool    // judge only what turns expect
	Source *Source // to look for copies in; nil looks for none
	Keep   bool    // keep the conversations; else they are erased
	// Said is told every turn with a reply; nil is not told.
	Said func(conversation string, turn Turn, reply *gatewayv1.RespondResponse, failures []Failure)
}

// Score counts verdicts of one category.
type Score struct {
	Category Category `json:"category"`
	Passed   int      `json:"passed"`
	Of       int      `json:"of"`
}

// Failure is a reply that is not as it should be.
type Failure struct {
	Conversation string   `json:"conversation"`
	Line         int      `json:"line"` // of the turn
	Said         string   `json:"said"`
	Reply        string   `json:"reply"`
	MessageID    string   `json:"message,omitempty"` // of the reply, when conversations are kept
	Category     Category `json:"category"`
	Why          string   `json:"why"`
}

// Report is what came out.
type Report struct {
	Conversations int       `json:"conversations"`
	Turns         int       `json:"turns"` // with a reply
	Scores        []Score   `json:"scores"`
	Failures      []Failure `json:"failures"`
}

// Run holds the conversations of a script one after the other and adds what came out to the report. An error is one of the system
// or of a request that it refused; replies that are not as expected are failures in the report.
func (r *Report) Run(ctx context.Context, conn grpc.ClientConnInterface, script *Script, o Options) error {
	if r.Scores == nil {
		r.Failures = []Failure{}
		for _, c := range Categories() {
			r.Scores = append(r.Scores, Score{Category: c})
		}
	}
	for i := range script.Conversations {
		h := &held{
			gateway: gatewayv1.NewGatewayServiceClient(conn), facts: memoryv1.NewFactServiceClient(conn),
			script: script, conversation: &script.Conversations[i], options: o, report: r,
			name: fmt.Sprintf("%s-%d", o.Run, r.Conversations+1),
		}
		if err := h.hold(ctx); err != nil {
			return err
		}
		r.Conversations++
	}
	return nil
}

// held is a conversation while it is held.
type held struct {
	gateway      gatewayv1.GatewayServiceClient
	facts        memoryv1.FactServiceClient
	script       *Script
	conversation *Conversation
	options      Options
	report       *Report
	name         string // of its requests
	id           string
	said         []said
	replies      []*memoryv1.Message
}

func (h *held) hold(ctx context.Context) (err error) {
	started, err := h.gateway.StartConversation(ctx, &gatewayv1.StartConversationRequest{
		Tenant: h.options.Tenant, UserId: h.options.User, Title: h.conversation.Name, RequestId: h.name,
	})
	if err != nil {
		return err
	}
	h.id = started.Conversation.ConversationId
	if !h.options.Keep {
		defer func() { err = errors.Join(err, h.erase(context.WithoutCancel(ctx))) }()
	}
	for i, turn := range h.conversation.Turns {
		if err := h.take(ctx, i, turn); err != nil {
			return fmt.Errorf("line %d: %w", turn.Line, err)
		}
	}
	return nil
}

// take takes one turn.
func (h *held) take(ctx context.Context, number int, turn Turn) (err error) {
	request := fmt.Sprintf("%s-%d", h.name, number+1)
	switch o := h.options; {
	case turn.Say != "":
		return h.say(ctx, request, h.script.Seed+uint64(number), turn)
	case turn.Correct != nil:
		c := turn.Correct
		_, err = h.gateway.Correct(ctx, &gatewayv1.CorrectRequest{Bot: h.bot(), Correction: &memoryv1.RecordCorrectionRequest{
			Tenant: o.Tenant, RequestId: request, ConversationId: h.id, ErrorMessageId: h.replyWith(c.Wrong),
			ErrorContext: c.Wrong, Fact: &memoryv1.CorrectedFact{Entity: c.Entity, Attribute: c.Attribute, Value: c.Right},
		}})
	case turn.Remember != nil:
		_, err = h.facts.RememberFact(ctx, &memoryv1.RememberFactRequest{
			Tenant: o.Tenant, RequestId: request, Scope: memoryv1.Scope_SCOPE_CONVERSATION, ConversationId: h.id,
			Entity: turn.Remember.Entity, Attribute: turn.Remember.Attribute, Value: turn.Remember.Value,
		})
	default:
		var payload []byte
		if payload, err = json.Marshal(turn.Signal.Payload); err != nil {
			return err
		}
		if turn.Signal.Payload == nil {
			payload = nil
		}
		_, err = h.gateway.PushSignal(ctx, &gatewayv1.PushSignalRequest{
			Tenant: o.Tenant, Bot: h.bot(), ConversationId: h.id, RequestId: request, Concept: turn.Signal.Concept, PayloadJson: string(payload),
		})
	}
	return err
}

func (h *held) say(ctx context.Context, request string, seed uint64, turn Turn) error {
	resp, err := h.gateway.Respond(ctx, &gatewayv1.RespondRequest{
		Tenant: h.options.Tenant, ConversationId: h.id, RequestId: request, Text: turn.Say,
		Model: cmp.Or(h.options.Model, h.script.Model), Bot: h.bot(), LanguageCode: cmp.Or(turn.Language, h.conversation.Language, h.script.Language),
		Parameters: &ngramv1.DecodeParameters{Seed: proto.Uint64(seed)},
	})
	if err != nil {
		return err
	}
	now := said{turn.Say, resp.Message.GetContent()}
	verdicts := turn.Expect.expected(now.reply, resp.Trace)
	if !h.options.Strict {
		verdicts = append(verdicts, always(now, h.said, resp.Trace, h.options.Source)...)
	}
	h.said, h.replies = append(h.said, now), append(h.replies, resp.Message)
	h.report.Turns++
	failures := h.report.count(verdicts, Failure{Conversation: h.conversation.Name, Line: turn.Line, Said: now.asked, Reply: now.reply}, resp.Message.GetMessageId(), h.options.Keep)
	if h.options.Said != nil {
		h.options.Said(h.conversation.Name, turn, resp, failures)
	}
	return nil
}

// count adds verdicts of one reply and returns those that failed.
func (r *Report) count(verdicts []verdict, f Failure, id string, kept bool) []Failure {
	if kept {
		f.MessageID = id
	}
	before := len(r.Failures)
	for _, v := range verdicts {
		for i := range r.Scores {
			if s := &r.Scores[i]; s.Category == v.category {
				s.Of++
				if v.why == "" {
					s.Passed++
				}
			}
		}
		if v.why != "" {
			f.Category, f.Why = v.category, v.why
			r.Failures = append(r.Failures, f)
		}
	}
	return r.Failures[before:]
}

// replyWith is the newest reply that holds what was wrong, or the newest at all; empty before the first.
func (h *held) replyWith(wrong string) string {
	for i := len(h.replies) - 1; i >= 0; i-- {
		if holds(h.replies[i].Content, wrong) {
			return h.replies[i].MessageId
		}
	}
	if len(h.replies) == 0 {
		return ""
	}
	return h.replies[len(h.replies)-1].MessageId
}

func (h *held) bot() string { return cmp.Or(h.options.Bot, h.script.Bot) }

// erase removes the conversation from all levels.
func (h *held) erase(ctx context.Context) error {
	stream, err := h.gateway.Erase(ctx, &gatewayv1.EraseRequest{
		Tenant: h.options.Tenant, RequestId: h.name + "-erase",
		Subject: &memoryv1.PrivacySubject{Subject: &memoryv1.PrivacySubject_ConversationId{ConversationId: h.id}},
	})
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
