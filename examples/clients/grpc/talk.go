// Talk trains, talks, corrects and explains over gRPC, as the programs in other languages beside it do.
//
//	dbslm serve --db var/talk &      # dbslm migrate --db var/talk makes the store
//	go run ./examples/clients/grpc 127.0.0.1:7400 examples/sail-loft/corpus/11-alphabet.txt
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: talk HOST:PORT TEXT")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := talk(ctx, os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, status.Convert(err).Message())
		cancel()
		os.Exit(1)
	}
}

func talk(ctx context.Context, out io.Writer, address, file string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	gateway := gatewayv1.NewGatewayServiceClient(conn)

	build, err := train(ctx, gateway, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "build %d of %d tokens\n", build.GetBuildId(), build.GetTokens())

	started, err := gateway.StartConversation(ctx, &gatewayv1.StartConversationRequest{UserId: "ana"})
	if err != nil {
		return err
	}
	conversation := started.Conversation.ConversationId
	first, err := say(ctx, out, gateway, conversation, "Who bakes the apple cake?")
	if err != nil {
		return err
	}
	_, err = gateway.Correct(ctx, &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
		RequestId: "cake-" + conversation, ConversationId: conversation, ErrorMessageId: first, ErrorContext: "Marta",
		Fact: &memoryv1.CorrectedFact{Value: "Nuala"},
	}})
	if err != nil {
		return err
	}
	if _, err := say(ctx, out, gateway, conversation, "Who bakes the apple cake?"); err != nil {
		return err
	}

	explained, err := gateway.Explain(ctx, &gatewayv1.ExplainRequest{MessageId: first, Candidates: 3})
	if err != nil {
		return err
	}
	for _, segment := range explained.Segments {
		for _, token := range segment.Tokens[:min(5, len(segment.Tokens))] {
			var likely []string
			for _, candidate := range token.Stages {
				likely = append(likely, candidate.Token.Text)
			}
			fmt.Fprintf(out, "\"%s\": found at order %d; likeliest: %s\n", token.Token.Text, token.MatchedOrder, strings.Join(likely, ", "))
		}
	}
	return nil
}

// train streams the text and returns the build that was published. What the server says meanwhile waits in the stream; texts of many documents
// want a goroutine for each direction.
func train(ctx context.Context, gateway gatewayv1.GatewayServiceClient, file string) (*ngramv1.Build, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parts := []*gatewayv1.TrainRequest{
		{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{
			Ingest: &ngramv1.IngestHeader{Model: "talk", Settings: &ngramv1.ModelSettings{Order: 4}},
		}}},
		{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: file}}},
	}
	for chunk := range slices.Chunk(text, 1<<18) {
		parts = append(parts, &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: chunk}})
	}
	parts = append(parts, &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}})

	stream, err := gateway.Train(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if stream.Send(part) != nil {
			break // the server ended the stream; Recv says why
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var build *ngramv1.Build
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return build, nil
		}
		if err != nil {
			return nil, err
		}
		if event.GetBuild() != nil {
			build = event.GetBuild()
		}
	}
}

// say prints a reply piece by piece as it comes, and returns the id of the stored message.
func say(ctx context.Context, out io.Writer, gateway gatewayv1.GatewayServiceClient, conversation, text string) (messageID string, err error) {
	fmt.Fprintf(out, "> %s\n", text)
	seed := uint64(7)
	stream, err := gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: &gatewayv1.RespondRequest{
		ConversationId: conversation, Text: text, Model: "talk", Parameters: &ngramv1.DecodeParameters{Seed: &seed},
	}})
	if err != nil {
		return "", err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(out)
			return messageID, nil
		}
		if err != nil {
			return "", err
		}
		fmt.Fprint(out, event.GetDelta().GetText())
		if event.GetFinished() != nil {
			messageID = event.GetFinished().GetMessage().GetMessageId()
		}
	}
}
