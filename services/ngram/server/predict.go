package server

import (
	"context"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/scoring"
)

const defaultPredictions = 10

// Predict implements ngramv1.InferenceServiceServer.
func (s *Inference) Predict(ctx context.Context, request *ngramv1.PredictRequest) (*ngramv1.PredictResponse, error) {
	if err := unexplained(request.GetExplain()); err != nil {
		return nil, err
	}
	build, err := s.open(ctx, request)
	if err != nil {
		return nil, err
	}
	sentence, err := build.lastSentence(request.GetContext(), "context")
	if err != nil {
		return nil, err
	}
	tokens := scoring.ContextAt(sentence, len(sentence), build.Build.Order)
	chains, err := build.Chains(ctx, [][]uint32{tokens})
	if err != nil {
		return nil, err
	}
	limit := int(request.GetTopK())
	if limit == 0 {
		limit = defaultPredictions
	}
	distribution := decoding.NewDistribution(build.Unigrams)
	distribution.Base(chains[0])
	response := &ngramv1.PredictResponse{BuildId: uint32(build.Build.ID)}
	for _, id := range tokens {
		response.Context = append(response.Context, build.token(id))
	}
	for _, candidate := range distribution.Top(limit) {
		response.Predictions = append(response.Predictions, &ngramv1.Prediction{
			Token:            build.token(candidate.Token),
			Probability:      candidate.Weight,
			Log10Probability: scoring.Score(build.Unigrams, chains[0], candidate.Token).Log10,
			MatchedOrder:     uint32(candidate.Matched),
			ContextHash:      contexthash.Sum(tokens[len(tokens)-(candidate.Matched-1):]),
		})
	}
	return response, build.Verify(ctx)
}
