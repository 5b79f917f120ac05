package server

import (
	"context"
	"io"
	"testing"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// generation is the whole answer to one Generate.
type generation struct {
	Text   string
	Tokens []string
	Reason ngramv1.FinishReason
	header *ngramv1.GenerateHeader
	chunks []*ngramv1.GenerateChunk
	finish *ngramv1.GenerateFinish
}

func generate(t testing.TB, client ngramv1.InferenceServiceClient, request *ngramv1.GenerateRequest) generation {
	t.Helper()
	answer, err := tryGenerate(t.Context(), client, request)
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	return answer
}

func tryGenerate(ctx context.Context, client ngramv1.InferenceServiceClient, request *ngramv1.GenerateRequest) (generation, error) {
	var answer generation
	stream, err := client.Generate(ctx, request)
	if err != nil {
		return answer, err
	}
	text := ""
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return answer, nil
		}
		if err != nil {
			return answer, err
		}
		switch event := response.GetEvent().(type) {
		case *ngramv1.GenerateResponse_Header:
			answer.header = event.Header
		case *ngramv1.GenerateResponse_Chunk:
			answer.chunks = append(answer.chunks, event.Chunk)
			text += event.Chunk.GetText()
			for _, token := range event.Chunk.GetTokens() {
				answer.Tokens = append(answer.Tokens, token.GetToken().GetText())
			}
		case *ngramv1.GenerateResponse_Finish:
			answer.finish = event.Finish
			answer.Text, answer.Reason = event.Finish.GetText(), event.Finish.GetReason()
			if answer.Text != text || int(event.Finish.GetTokens()) != len(answer.Tokens) {
				return answer, errors.New(errors.Internal, "TEST", "chunks make %q of %d tokens, the finish says %q of %d",
					text, len(answer.Tokens), answer.Text, event.Finish.GetTokens())
			}
		}
	}
}
