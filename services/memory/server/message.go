package server

import (
	"context"
	"strconv"

	"dbslm/pkg/pagetoken"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
	"dbslm/services/memory/window"
)

// AppendMessage implements memoryv1.ConversationServiceServer.
func (s conversations) AppendMessage(ctx context.Context, req *memoryv1.AppendMessageRequest) (*memoryv1.AppendMessageResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId()); err != nil {
		return nil, err
	}
	sender, err := fromSender(req.GetSender())
	if err != nil {
		return nil, err
	}
	m, err := s.store.AppendMessage(ctx, tenant, memory.Message{
		ConversationID: req.GetConversationId(), RequestID: req.GetRequestId(), Sender: sender, Content: req.GetContent(), Created: s.now(),
	})
	if err != nil {
		return nil, err
	}
	return &memoryv1.AppendMessageResponse{Message: toMessage(m)}, nil
}

// GetMessage implements memoryv1.ConversationServiceServer.
func (s conversations) GetMessage(ctx context.Context, req *memoryv1.GetMessageRequest) (*memoryv1.GetMessageResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkIDs("message", req.GetMessageId()); err != nil {
		return nil, err
	}
	m, err := s.store.Message(ctx, tenant, req.GetMessageId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetMessageResponse{Message: toMessage(m)}, nil
}

// ListMessages implements memoryv1.ConversationServiceServer.
func (s conversations) ListMessages(ctx context.Context, req *memoryv1.ListMessagesRequest) (*memoryv1.ListMessagesResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	query := []string{"messages", tenant, req.GetConversationId(), strconv.FormatBool(req.GetNewestFirst())}
	after, err := afterMessage(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, next, err := s.store.Messages(ctx, store.MessageQuery{
		Tenant: tenant, ConversationID: req.GetConversationId(), NewestFirst: req.GetNewestFirst(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	return &memoryv1.ListMessagesResponse{Messages: convertAll(page, toMessage), NextPageToken: messageToken(query, next)}, nil
}

// SearchMessages implements memoryv1.ConversationServiceServer.
func (s conversations) SearchMessages(ctx context.Context, req *memoryv1.SearchMessagesRequest) (*memoryv1.SearchMessagesResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	query := []string{"search", tenant, req.GetConversationId(), req.GetQuery()}
	after, err := afterID(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, more, err := s.store.Search(ctx, store.SearchQuery{
		Tenant: tenant, Words: req.GetQuery(), ConversationID: req.GetConversationId(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	token := idToken(query, more, page, func(m memory.Message) string { return m.ID })
	return &memoryv1.SearchMessagesResponse{Messages: convertAll(page, toMessage), NextPageToken: token}, nil
}

// GetWindow implements memoryv1.ConversationServiceServer.
func (s conversations) GetWindow(ctx context.Context, req *memoryv1.GetWindowRequest) (*memoryv1.GetWindowResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	bounds, err := fromBounds(req.GetBounds())
	if err != nil {
		return nil, err
	}
	if err := checkIDs("message", req.GetBeforeMessageId()); err != nil {
		return nil, err
	}
	read := s.store.Window
	if before := req.GetBeforeMessageId(); before != "" {
		read = func(ctx context.Context, tenant, conversation string, bounds window.Bounds) (window.Window, error) {
			return s.store.WindowBefore(ctx, tenant, conversation, before, bounds)
		}
	}
	w, err := read(ctx, tenant, req.GetConversationId(), bounds)
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetWindowResponse{Window: toWindow(w)}, nil
}
