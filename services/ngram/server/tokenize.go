package server

import (
	"context"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// Tokenize implements ngramv1.InferenceServiceServer.
func (s *Inference) Tokenize(ctx context.Context, request *ngramv1.TokenizeRequest) (*ngramv1.TokenizeResponse, error) {
	build, err := s.open(ctx, request)
	if err != nil {
		return nil, err
	}
	sentences, err := build.split(request.GetText(), "text")
	if err != nil {
		return nil, err
	}
	response := &ngramv1.TokenizeResponse{BuildId: uint32(build.Build.ID)}
	for _, sentence := range sentences {
		tokens := make([]*ngramv1.Token, len(sentence.Tokens))
		for i, token := range sentence.Tokens {
			tokens[i] = describe(build.Token(token.Text), string(token.Text))
		}
		response.Sentences = append(response.Sentences, &ngramv1.TokenizedSentence{Tokens: tokens})
	}
	return response, nil
}
