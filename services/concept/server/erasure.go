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
// caller. Signals are all that it keeps of them.
type erasure struct {
	*Server
	conceptv1.UnimplementedErasureServiceServer
}

// EraseSubject implements ErasureService.
func (s *erasure) EraseSubject(ctx context.Context, req *conceptv1.EraseSubjectRequest) (*conceptv1.EraseSubjectResponse, error) {
	resp := &conceptv1.EraseSubjectResponse{}
	for _, conversation := range req.ConversationIds {
		removed, err := s.store.EraseSignals(ctx, tenantOf(req.Tenant), conversation)
		resp.Rows += uint64(removed)
		if err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// ExportSubject implements ErasureService.
func (s *erasure) ExportSubject(req *conceptv1.ExportSubjectRequest, stream grpc.ServerStreamingServer[conceptv1.ExportSubjectResponse]) error {
	for _, conversation := range req.ConversationIds {
		err := s.store.SignalsOf(stream.Context(), tenantOf(req.Tenant), conversation, func(sig concept.Signal) error {
			line, err := json.Marshal(map[string]any{
				"kind": "signal", "signal_id": sig.ID, "conversation_id": sig.Conversation, "bot": sig.Bot, "concept": sig.Concept, "score": sig.Score,
				"payload": sig.Payload, "state": sig.State, "created": sig.Created.Format(time.RFC3339Nano),
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
	return nil
}
