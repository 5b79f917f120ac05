package server

import (
	"context"
	"strings"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/evidence"
	"dbslm/services/ngram/lookup"
	"dbslm/services/ngram/scoring"
)

const defaultPredictions = 10

// Predict implements ngramv1.InferenceServiceServer.
func (s *Inference) Predict(ctx context.Context, request *ngramv1.PredictRequest) (*ngramv1.PredictResponse, error) {
	build, err := s.open(ctx, request)
	if err != nil {
		return nil, err
	}
	sentence, err := build.lastSentence(request.GetContext(), "context")
	if err != nil {
		return nil, err
	}
	tokens := scoring.ContextAt(sentence, len(sentence), build.Build.Order)
	steps := build.Steps()
	defer steps.Done()
	chains, err := steps.Read(ctx, [][]uint32{tokens})
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
	explainer, err := build.explainer(ctx, request.GetExplain())
	if err != nil {
		return nil, err
	}
	candidates := distribution.Top(limit)
	found := map[int][]uint32{} // candidates by the order of their n-grams
	for _, candidate := range candidates {
		found[candidate.Matched] = append(found[candidate.Matched], candidate.Token)
	}
	counts, err := build.Counts(ctx, tokens, found)
	if err != nil {
		return nil, err
	}
	for _, candidate := range candidates {
		prediction := &ngramv1.Prediction{
			Token:            build.token(candidate.Token),
			Probability:      candidate.Weight,
			Log10Probability: scoring.Score(build.Unigrams, chains[0], candidate.Token).Log10,
			MatchedOrder:     uint32(candidate.Matched),
			ContextHash:      contexthash.Sum(tokens[len(tokens)-(candidate.Matched-1):]),
			BackoffPath:      pathOf(chains[0], candidate.Matched),
		}
		if c, known := counts[candidate.Token]; known {
			prediction.Count = &ngramv1.CountRow{Raw: uint64(c.Raw), Adjusted: uint64(c.Adjusted)}
		}
		if prediction.Explanation, err = explainer.token(ctx, tokens, candidate.Token, prediction.GetLog10Probability()); err != nil {
			return nil, err
		}
		response.Predictions = append(response.Predictions, prediction)
	}
	if response.Explained, err = explainer.finish(ctx); err != nil {
		return nil, err
	}
	return response, build.Verify(ctx)
}

// pathOf says what the orders above the one that was found did, and that it matched.
func pathOf(chain []*lookup.Context, matched int) string {
	var steps []string
	for i, context := range chain {
		order := len(chain) - i + 1
		if order == matched {
			break
		}
		role := evidence.BackedOff
		if context == nil {
			role = evidence.Absent
		}
		steps = append(steps, evidence.Step(order, role))
	}
	return strings.Join(append(steps, evidence.Step(matched, evidence.Matched)), ", ")
}
