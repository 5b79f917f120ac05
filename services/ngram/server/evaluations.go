package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"dbslm/pkg/errors"
	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// evaluations serves dbslm.ngram.v1.EvaluationService.
type evaluations struct {
	ngramv1.UnimplementedEvaluationServiceServer
	store *store.Store
}

// ListEvaluations implements ngramv1.EvaluationServiceServer.
func (s *evaluations) ListEvaluations(ctx context.Context, request *ngramv1.ListEvaluationsRequest) (*ngramv1.ListEvaluationsResponse, error) {
	if request.GetBuildId() != 0 && request.GetModel() == "" {
		return nil, errors.New(errors.InvalidArgument, "MODEL_MISSING", "a build is named without its model; name the model too").Field("model", "must name a model where build_id is set")
	}
	if size := len(request.GetTextSha256()); size != 0 && size != 32 {
		return nil, errors.New(errors.InvalidArgument, "TEXT_HASH_INVALID", "a SHA-256 has 32 bytes, not %d", size).Field("text_sha256", "must have 32 bytes")
	}
	tenant, size := tenantOf(request.GetTenant()), pagetoken.Size(request.GetPageSize())
	query := []string{"ListEvaluations", tenant, request.GetModel(), strconv.Itoa(int(request.GetBuildId())), hex.EncodeToString(request.GetTextSha256())}
	before, err := pagetoken.Place(request.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	filter := store.EvaluationFilter{Model: request.GetModel(), Build: ngram.BuildID(request.GetBuildId()), Text: request.GetTextSha256(), Before: before}
	found, err := s.store.Evaluations(ctx, tenant, filter, size+1)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(e ngram.Evaluation) string { return e.ID })
	response := &ngramv1.ListEvaluationsResponse{NextPageToken: next}
	for _, e := range page {
		response.Evaluations = append(response.Evaluations, describeEvaluation(e))
	}
	return response, nil
}

// GetEvaluation implements ngramv1.EvaluationServiceServer.
func (s *evaluations) GetEvaluation(ctx context.Context, request *ngramv1.GetEvaluationRequest) (*ngramv1.GetEvaluationResponse, error) {
	found, err := s.store.Evaluation(ctx, tenantOf(request.GetTenant()), request.GetEvaluationId())
	if err != nil {
		return nil, err
	}
	return &ngramv1.GetEvaluationResponse{Evaluation: describeEvaluation(found)}, nil
}

// CompareEvaluations implements ngramv1.EvaluationServiceServer.
func (s *evaluations) CompareEvaluations(ctx context.Context, request *ngramv1.CompareEvaluationsRequest) (*ngramv1.CompareEvaluationsResponse, error) {
	response := &ngramv1.CompareEvaluationsResponse{}
	var first *ngramv1.Evaluation
	for _, id := range request.GetEvaluationIds() {
		found, err := s.store.Evaluation(ctx, tenantOf(request.GetTenant()), id)
		if err != nil {
			return nil, err
		}
		e := describeEvaluation(found)
		if first == nil {
			first = e
		}
		response.Comparisons = append(response.Comparisons, &ngramv1.EvaluationComparison{
			Evaluation:                  e,
			SameText:                    bytes.Equal(e.GetTextSha256(), first.GetTextSha256()),
			SameTokens:                  e.GetTokens() == first.GetTokens() && e.GetSentences() == first.GetSentences(),
			PerplexityRatioIncludingOov: e.GetPerplexityIncludingOov() / first.GetPerplexityIncludingOov(),
			PerplexityRatioExcludingOov: e.GetPerplexityExcludingOov() / first.GetPerplexityExcludingOov(),
			BitsPerByteDifference:       e.GetBitsPerByte() - first.GetBitsPerByte(),
		})
	}
	return response, nil
}

// DeleteEvaluation implements ngramv1.EvaluationServiceServer.
func (s *evaluations) DeleteEvaluation(ctx context.Context, request *ngramv1.DeleteEvaluationRequest) (*ngramv1.DeleteEvaluationResponse, error) {
	return &ngramv1.DeleteEvaluationResponse{}, s.store.DeleteEvaluation(ctx, tenantOf(request.GetTenant()), request.GetEvaluationId())
}

// describeEvaluation turns an evaluation into its message.
func describeEvaluation(e ngram.Evaluation) *ngramv1.Evaluation {
	tokens, oov, log10, log10OOV := e.Totals()
	including, excluding := e.Perplexity()
	d := e.Details
	described := &ngramv1.Evaluation{
		Model: e.Name, BuildId: uint32(e.Build), Sentences: e.Sentences, Tokens: tokens, Oov: oov, Log10Probability: log10, Log10Oov: log10OOV,
		PerplexityIncludingOov: including, PerplexityExcludingOov: excluding, MatchedOrders: e.Matched(),
		MassContexts: d.MassContexts, MassErrorMax: d.MassErrorMax, RenormalisedPositions: d.RenormalisedPositions,
		SampledPerplexity: d.SampledPerplexity, RenormalisedPerplexity: d.RenormalisedPerplexity,
		TextBytes: e.TextBytes, TextSha256: e.TextSHA256[:], BitsPerByte: e.BitsPerByte(),
		Latency: &ngramv1.EvaluationLatency{
			Sentences: d.TimedSentences, P50Micros: d.P50, P90Micros: d.P90, P99Micros: d.P99, MaxMicros: d.Slowest,
		},
		EvaluationId: e.ID, Label: e.Label, CreateTime: timestamppb.New(e.Created),
	}
	if d.MassContexts > 0 || d.RenormalisedPositions > 0 {
		described.SampleSeed = e.Options.SampleSeed
	}
	for _, o := range e.Orders {
		last := len(described.Orders) - 1
		if last < 0 || described.Orders[last].GetOrder() != uint32(o.N) {
			described.Orders = append(described.Orders, &ngramv1.EvaluatedOrder{Order: uint32(o.N)})
			last++
		}
		if at := described.Orders[last]; o.OOV {
			at.Oov, at.Log10Oov = o.Tokens, o.Log10
		} else {
			at.Tokens, at.Log10Probability = o.Tokens, o.Log10
		}
	}
	return described
}
