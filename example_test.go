package dbslm_test

import (
	"context"
	"fmt"
	"log"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// A program opens a whole system in its own process, here one that ends with it, and talks to it.
func Example() {
	ctx := context.Background()
	sys, err := dbslm.Open(ctx, dbslm.Config{DB: ":memory:"})
	if err != nil {
		log.Fatal(err)
	}
	defer sys.Close()

	started, err := sys.Gateway().StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: "ana"})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"I would like to mend a radio.", "Remind me what we discussed."} {
		reply, err := sys.Gateway().Respond(ctx, &gatewayv1.RespondRequest{
			ConversationId: started.Conversation.ConversationId,
			Text:           text,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.Message.Content)
	}
	// Output:
	// I have no words of my own yet: the language model "default" has no published build. Train it with: dbslm train PATH.
	// Based on our recent exchange: you said “I would like to mend a radio”.
}
