package server

import (
	"context"
	"math"
	"strconv"

	"dbslm/pkg/pagetoken"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
	"dbslm/services/concept/store"
)

// CreateConceptBuild implements DecisionService.
func (s *decisions) CreateConceptBuild(ctx context.Context, req *conceptv1.CreateConceptBuildRequest) (*conceptv1.CreateConceptBuildResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	if err := s.needBot(ctx, name); err != nil {
		return nil, err
	}
	how := store.Unpublished
	if req.Publish {
		how = store.Published
	}
	id, err := s.bots.maker.onRequest(ctx, name, how)
	if err != nil {
		return nil, err
	}
	b, err := s.store.Build(ctx, name, id)
	if err != nil {
		return nil, err
	}
	b.Published = req.Publish
	return &conceptv1.CreateConceptBuildResponse{Build: buildProto(name, b)}, nil
}

// needBot refuses a bot that has nothing of its own.
func (s *Server) needBot(ctx context.Context, name concept.Bot) error {
	state, err := s.store.State(ctx, name)
	if err == nil && state.Version == 0 {
		err = s.store.NoBot(ctx, name)
	}
	return err
}

// ListConceptBuilds implements DecisionService.
func (s *decisions) ListConceptBuilds(ctx context.Context, req *conceptv1.ListConceptBuildsRequest) (*conceptv1.ListConceptBuildsResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	query := []string{"ListConceptBuilds", name.Tenant, name.Name}
	place, err := pagetoken.Place(req.PageToken, query)
	if err != nil {
		return nil, err
	}
	before := int64(math.MaxInt64)
	if place != "" {
		if before, err = strconv.ParseInt(place, 10, 64); err != nil {
			return nil, pagetoken.Damaged()
		}
	}
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	size := pagetoken.Size(req.PageSize)
	found, err := s.store.ListBuilds(ctx, name, before, size+1)
	if err != nil {
		return nil, err
	}
	page, next := pagetoken.Cut(query, found, size, func(b concept.Build) string { return strconv.FormatUint(uint64(b.ID), 10) })
	resp := &conceptv1.ListConceptBuildsResponse{NextPageToken: next}
	for _, b := range page {
		resp.Builds = append(resp.Builds, buildProto(name, b))
	}
	return resp, nil
}

// PublishConceptBuild implements DecisionService.
func (s *decisions) PublishConceptBuild(ctx context.Context, req *conceptv1.PublishConceptBuildRequest) (*conceptv1.PublishConceptBuildResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	if err := s.needBot(ctx, name); err != nil {
		return nil, err
	}
	b, err := s.store.Publish(ctx, name, req.BuildId)
	if err != nil {
		return nil, err
	}
	return &conceptv1.PublishConceptBuildResponse{Build: buildProto(name, b)}, nil
}

func buildProto(name concept.Bot, b concept.Build) *conceptv1.ConceptBuild {
	return &conceptv1.ConceptBuild{
		BuildId: b.ID, Bot: name.Name, Published: b.Published, Examples: uint64(b.Examples), Concepts: b.Concepts,
		Threshold: b.Threshold, CreateTime: timestamp(b.Created),
	}
}
