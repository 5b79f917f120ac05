package server

import (
	"context"
	"time"

	"dbslm/pkg/pagetoken"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// models implements ModelService.
type models struct {
	ngramv1.UnimplementedModelServiceServer
	store *store.Store
}

// CreateModel implements ModelService.
func (s *models) CreateModel(ctx context.Context, req *ngramv1.CreateModelRequest) (*ngramv1.CreateModelResponse, error) {
	model, created, err := s.store.CreateModel(ctx, tenantOf(req.Tenant), req.Name, settingsOf(req.Settings))
	if err != nil {
		return nil, err
	}
	return &ngramv1.CreateModelResponse{Model: modelProto(model), Created: created}, nil
}

// GetModel implements ModelService.
func (s *models) GetModel(ctx context.Context, req *ngramv1.GetModelRequest) (*ngramv1.GetModelResponse, error) {
	model, err := s.store.Model(ctx, tenantOf(req.Tenant), req.Model)
	if err != nil {
		return nil, err
	}
	return &ngramv1.GetModelResponse{Model: modelProto(model)}, nil
}

// ListModels implements ModelService.
func (s *models) ListModels(ctx context.Context, req *ngramv1.ListModelsRequest) (*ngramv1.ListModelsResponse, error) {
	tenant := tenantOf(req.Tenant)
	query := []string{"ListModels", tenant}
	after, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.Models(ctx, tenant, after, size+1)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(m ngram.Model) string { return m.Name })
	resp := &ngramv1.ListModelsResponse{NextPageToken: next}
	for _, m := range page {
		resp.Models = append(resp.Models, modelProto(m))
	}
	return resp, nil
}

// ResetModel implements ModelService.
func (s *models) ResetModel(ctx context.Context, req *ngramv1.ResetModelRequest) (*ngramv1.ResetModelResponse, error) {
	model, err := s.store.ResetModel(ctx, tenantOf(req.Tenant), req.Model, settingsOf(req.Settings), req.RequestId)
	if err != nil {
		return nil, err
	}
	return &ngramv1.ResetModelResponse{Model: modelProto(model)}, nil
}

// DeleteModel implements ModelService. A model that is gone already was deleted by an earlier call.
func (s *models) DeleteModel(ctx context.Context, req *ngramv1.DeleteModelRequest) (*ngramv1.DeleteModelResponse, error) {
	if err := s.store.DeleteModel(ctx, tenantOf(req.Tenant), req.Model); err != nil {
		return nil, err
	}
	return &ngramv1.DeleteModelResponse{}, nil
}

// PurgeModels implements ModelService.
func (s *models) PurgeModels(req *ngramv1.PurgeModelsRequest, stream grpc.ServerStreamingServer[ngramv1.PurgeModelsResponse]) error {
	last := &ngramv1.PurgeModelsResponse{}
	err := s.store.PurgeNow(stream.Context(), tenantOf(req.Tenant), req.Model, func(_ string, done, total int64) {
		if last = (&ngramv1.PurgeModelsResponse{Done: uint64(done), Total: uint64(total)}); done < total {
			_ = stream.Send(last) // a client that has gone ends the context
		}
	})
	if err != nil {
		return err
	}
	return stream.Send(last)
}

var (
	tokenizers = map[ngramv1.TokenizerKind]ngram.Tokenizer{
		ngramv1.TokenizerKind_TOKENIZER_KIND_WORDS:      ngram.TokenizerWords,
		ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE: ngram.TokenizerWhitespace,
		ngramv1.TokenizerKind_TOKENIZER_KIND_BYTES:      ngram.TokenizerBytes,
	}
	normalizations = map[ngramv1.Normalization]ngram.Normalization{
		ngramv1.Normalization_NORMALIZATION_NFC:  ngram.NormalizationNFC,
		ngramv1.Normalization_NORMALIZATION_NFKC: ngram.NormalizationNFKC,
		ngramv1.Normalization_NORMALIZATION_NONE: ngram.NormalizationNone,
	}
	unkPolicies = map[ngramv1.UnkPolicy]ngram.UnkPolicy{
		ngramv1.UnkPolicy_UNK_POLICY_RESERVED: ngram.UnkReserved,
		ngramv1.UnkPolicy_UNK_POLICY_LITERAL:  ngram.UnkLiteral,
	}
	storages = map[ngramv1.Storage]ngram.Storage{
		ngramv1.Storage_STORAGE_8:     ngram.Storage8,
		ngramv1.Storage_STORAGE_16:    ngram.Storage16,
		ngramv1.Storage_STORAGE_EXACT: ngram.StorageExact,
	}
	smoothings = map[ngramv1.Smoothing]ngram.Smoothing{
		ngramv1.Smoothing_SMOOTHING_MODIFIED_KNESER_NEY: ngram.ModifiedKneserNey,
		ngramv1.Smoothing_SMOOTHING_JELINEK_MERCER:      ngram.JelinekMercer,
		ngramv1.Smoothing_SMOOTHING_WITTEN_BELL:         ngram.WittenBell,
	}
	buildStates = map[ngramv1.Build_State]ngram.BuildState{
		ngramv1.Build_STATE_BUILDING: ngram.BuildBuilding,
		ngramv1.Build_STATE_READY:    ngram.BuildReady,
		ngramv1.Build_STATE_FAILED:   ngram.BuildFailed,
		ngramv1.Build_STATE_DROPPED:  ngram.BuildDropped,
	}
)

// protoOf is the inverse of the tables above; the zero value where there is none.
func protoOf[P, V comparable](table map[P]V, value V) P {
	for p, v := range table {
		if v == value {
			return p
		}
	}
	var none P
	return none
}

func settingsOf(p *ngramv1.ModelSettings) ngram.Settings {
	return ngram.Settings{
		Order:               int(p.GetOrder()),
		Tokenizer:           tokenizers[p.GetTokenizer()],
		TokenizerParameters: p.GetTokenizerParameters(),
		Normalization:       normalizations[p.GetNormalization()],
		UnkPolicy:           unkPolicies[p.GetUnkPolicy()],
	}
}

func modelProto(m ngram.Model) *ngramv1.Model {
	p := &ngramv1.Model{
		Tenant: m.Tenant,
		Name:   m.Name,
		Settings: &ngramv1.ModelSettings{
			Order:               uint32(m.Settings.Order),
			Tokenizer:           protoOf(tokenizers, m.Settings.Tokenizer),
			TokenizerParameters: m.Settings.TokenizerParameters,
			Normalization:       protoOf(normalizations, m.Settings.Normalization),
			UnkPolicy:           protoOf(unkPolicies, m.Settings.UnkPolicy),
		},
		PublishedBuildId: uint32(m.Published),
		Documents:        uint64(m.Documents),
		Sentences:        uint64(m.Sentences),
		Tokens:           uint64(m.Tokens),
		VocabularySize:   uint64(m.VocabularySize),
		CountsVersion:    uint64(m.CountsVersion),
		Stale:            m.Stale,
		CreateTime:       timestamp(m.Created),
		TrainingBy:       m.TrainingBy,
	}
	for _, n := range m.NGrams {
		p.NgramCounts = append(p.NgramCounts, uint64(n))
	}
	return p
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// CopyModel implements ModelService. A copy that a retry finds complete is AlreadyExists, as any other model of that name.
func (s *models) CopyModel(ctx context.Context, req *ngramv1.CopyModelRequest) (*ngramv1.CopyModelResponse, error) {
	model, err := s.store.CopyTo(ctx, s.store, tenantOf(req.Tenant), req.Model, req.Target, nil)
	if err != nil {
		return nil, err
	}
	return &ngramv1.CopyModelResponse{Model: modelProto(model)}, nil
}
