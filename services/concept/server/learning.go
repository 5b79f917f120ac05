package server

import (
	"context"

	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"
)

// Observe implements DecisionService.
func (s *decisions) Observe(ctx context.Context, req *conceptv1.ObserveRequest) (*conceptv1.ObserveResponse, error) {
	examples, err := examplesOf([]*conceptv1.Example{{Concept: req.Concept, Utterance: req.Utterance}})
	if err != nil {
		return nil, err
	}
	err = s.store.Observe(ctx, concept.Observation{
		RequestID: req.RequestId, Bot: botOf(req.Tenant, req.Bot), Conversation: req.ConversationId, User: req.UserId,
		Concept: req.Concept, Utterance: examples[0].Utterance, Right: req.Right, Created: s.now().UTC(),
	}, concept.IsBuiltIn)
	if err != nil {
		return nil, err
	}
	return &conceptv1.ObserveResponse{}, nil
}

// Learn implements DecisionService.
func (s *decisions) Learn(ctx context.Context, req *conceptv1.LearnRequest) (*conceptv1.LearnResponse, error) {
	name := botOf(req.Tenant, req.Bot)
	if err := s.store.NeedBot(ctx, name); err != nil {
		return nil, err
	}
	lessons, err := s.store.Learn(ctx, name, req.ReviewedBy, req.DryRun, s.now())
	if err != nil {
		return nil, err
	}
	resp := &conceptv1.LearnResponse{}
	for _, l := range lessons {
		out := &conceptv1.Lesson{Concept: l.Concept, Utterance: l.Utterance, Right: uint32(l.Right), Wrong: uint32(l.Wrong)}
		switch {
		case l.Change > 0:
			out.Change = conceptv1.Lesson_CHANGE_ADDED
			resp.Added++
		case l.Change < 0:
			out.Change = conceptv1.Lesson_CHANGE_REMOVED
			resp.Removed++
		}
		resp.Lessons = append(resp.Lessons, out)
	}
	return resp, nil
}
