package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/uuid"
)

// Level 1 drafts bestOf sentences, drawn towards the visitor's words by the cache; the one that says most about them
// is the reply. A small model needs more of both than the defaults to stay with the subject.
var (
	bestOf      uint32 = 32
	cacheWeight        = 0.2
)

// line is one line of conversation.json: what the visitor says, and whether it corrects the reply before.
type line struct {
	Say          string `json:"say"`
	LanguageCode string `json:"language_code"`
	Correct      *struct {
		Entity    string `json:"entity"`
		Attribute string `json:"attribute"`
		Value     string `json:"value"`
	} `json:"correct"`
}

// talk holds the conversation and returns the replies.
func talk(ctx context.Context, out io.Writer, system *dbslm.System, seed uint64) ([]*gatewayv1.RespondResponse, error) {
	raw, err := files.ReadFile("conversation.json")
	if err != nil {
		return nil, err
	}
	var script []line
	if err := json.Unmarshal(raw, &script); err != nil {
		return nil, fmt.Errorf("conversation.json: %w", err)
	}
	started, err := system.Gateway().StartConversation(ctx, &gatewayv1.StartConversationRequest{
		UserId: "visitor", AgentId: "loft", Title: "At the desk of the Old Sail Loft",
	})
	if err != nil {
		return nil, err
	}
	conversation := started.Conversation.ConversationId
	var replies []*gatewayv1.RespondResponse
	for i, l := range script {
		fmt.Fprintf(out, "you>  %s\n", l.Say)
		if l.Correct != nil && i > 0 {
			if err := correct(ctx, system, conversation, replies[i-1].Message.MessageId, l); err != nil {
				return nil, err
			}
			fmt.Fprintf(out, "      (recorded as a correction: %s of %s is %s)\n", l.Correct.Attribute, l.Correct.Entity, l.Correct.Value)
		}
		turnSeed := seed + uint64(i)
		reply, err := system.Gateway().Respond(ctx, &gatewayv1.RespondRequest{
			ConversationId: conversation,
			Text:           l.Say,
			Model:          model,
			Bot:            model,
			LanguageCode:   l.LanguageCode,
			Parameters:     &ngramv1.DecodeParameters{Seed: &turnSeed, BestOf: &bestOf, CacheWeight: &cacheWeight},
		})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "loft> %s\n\n", reply.Message.Content)
		replies = append(replies, reply)
	}
	return replies, nil
}

// correct records that the reply was wrong. The next reply says that it was heard, and every later one uses the
// right value, in this conversation only.
func correct(ctx context.Context, system *dbslm.System, conversation, wrongReply string, l line) error {
	_, err := system.Gateway().Correct(ctx, &gatewayv1.CorrectRequest{
		Bot: model,
		Correction: &memoryv1.RecordCorrectionRequest{
			RequestId:      uuid.NewString(),
			ConversationId: conversation,
			ErrorMessageId: wrongReply,
			Fact: &memoryv1.CorrectedFact{
				Entity: l.Correct.Entity, Attribute: l.Correct.Attribute, Value: l.Correct.Value,
			},
		},
	})
	return err
}
