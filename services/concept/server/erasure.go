package server

import (
	"context"
	"encoding/json"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	"dbslm/services/concept"

	"google.golang.org/grpc"
)

// erasure implements ErasureService. Level 3 knows conversations, not people: a person's conversations are named by the
// caller. It keeps their signals, what was observed of concepts in use, and examples learnt from that.
type erasure struct {
	*Server
	conceptv1.UnimplementedErasureServiceServer
}

// EraseSubject implements ErasureService.
func (s *erasure) EraseSubject(ctx context.Context, req *conceptv1.EraseSubjectRequest) (*conceptv1.EraseSubjectResponse, error) {
	resp := &conceptv1.EraseSubjectResponse{}
	for _, of := range observed(req.UserId, req.ConversationIds) {
		removed, err := s.store.EraseObservations(ctx, tenantOf(req.Tenant), of.conversation, of.user)
		resp.Rows += uint64(removed)
		if err != nil {
			return nil, err
		}
	}
	for _, conversation := range req.ConversationIds {
		removed, err := s.store.EraseSignals(ctx, tenantOf(req.Tenant), conversation)
		resp.Rows += uint64(removed)
		if err != nil {
			return nil, err
		}
	}
	if len(req.ConversationIds) <= 1 { // the files are written anew once, and not for each part of a long list
		if err := s.store.Overwrite(ctx); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// formatTime is a time in an export; "" for none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// ExportSubject implements ErasureService.
func (s *erasure) ExportSubject(req *conceptv1.ExportSubjectRequest, stream grpc.ServerStreamingServer[conceptv1.ExportSubjectResponse]) error {
	for _, conversation := range req.ConversationIds {
		err := s.store.SignalsOf(stream.Context(), tenantOf(req.Tenant), conversation, func(sig concept.Signal) error {
			line, err := json.Marshal(map[string]any{
				"kind": "signal", "signal_id": sig.ID, "conversation_id": sig.Conversation, "bot": sig.Bot, "concept": sig.Concept, "score": sig.Score,
				"payload": sig.Payload, "state": sig.State, "created": sig.Created.Format(time.RFC3339Nano),
				"due": formatTime(sig.Due), "expires": formatTime(sig.Expires), "repeat_seconds": sig.Repeat.Seconds(),
			})
			if err != nil {
				return errors.Wrap(err, errors.Internal, "SIGNAL_UNWRITABLE", "a signal cannot be written as JSON")
			}
			return stream.Send(&conceptv1.ExportSubjectResponse{Chunk: append(line, '\n')})
		})
		if err != nil {
			return err
		}
	}
	for _, of := range observed(req.UserId, req.ConversationIds) {
		err := s.store.ObservationsOf(stream.Context(), tenantOf(req.Tenant), of.conversation, of.user, func(o concept.Observation) error {
			if of.user == "" && o.User != "" && o.User == req.UserId {
				return nil // written already
			}
			line, err := json.Marshal(map[string]any{
				"kind": "observation", "request_id": o.RequestID, "conversation_id": o.Conversation, "user_id": o.User, "bot": o.Bot.Name, "concept": o.Concept,
				"utterance": o.Utterance, "right": o.Right, "learnt_by": o.LearntBy, "created": o.Created.Format(time.RFC3339Nano),
			})
			if err != nil {
				return errors.Wrap(err, errors.Internal, "OBSERVATION_UNWRITABLE", "an observation cannot be written as JSON")
			}
			return stream.Send(&conceptv1.ExportSubjectResponse{Chunk: append(line, '\n')})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// whose names whose observations are meant.
type whose struct{ conversation, user string }

func observed(user string, conversations []string) (out []whose) {
	if user != "" {
		out = append(out, whose{user: user})
	}
	for _, c := range conversations {
		out = append(out, whose{conversation: c})
	}
	return out
}
