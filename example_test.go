package dbslm_test

import (
	"context"
	"fmt"
	"log"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// Any other language model is grounded in what the database knows: the prompt holds it, and nothing was said or stored.
func Example_grounding() {
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
	_, err = memoryv1.NewFactServiceClient(sys.Conn()).RememberFact(ctx, &memoryv1.RememberFactRequest{
		RequestId: "price", Scope: memoryv1.Scope_SCOPE_USER, UserId: "ana", Entity: "ferry", Attribute: "price", Value: "six euros",
	})
	if err != nil {
		log.Fatal(err)
	}
	known, err := sys.Gateway().CompileContext(ctx, &gatewayv1.CompileContextRequest{
		ConversationId: started.Conversation.ConversationId, Text: "What does the ferry cost?",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(known.Prompt) // hand this to the other model
	// Output:
	// Continue the conversation below with the assistant's next message. What stands under a heading holds; do not contradict it.
	//
	// Facts:
	// - ferry, price: six euros
	//
	// Conversation:
	// User: What does the ferry cost?
	// Assistant:
}

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
