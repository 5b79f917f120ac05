package server

import (
	"context"
	"strconv"

	"dbslm/pkg/pagetoken"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"
)

// conversations implements memoryv1.ConversationServiceServer.
type conversations struct {
	memoryv1.UnimplementedConversationServiceServer
	*Service
}

// CreateConversation implements memoryv1.ConversationServiceServer.
func (s conversations) CreateConversation(ctx context.Context, req *memoryv1.CreateConversationRequest) (*memoryv1.CreateConversationResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("request_id", req.GetRequestId(), "user_id", req.GetUserId(), "agent_id", req.GetAgentId()); err != nil {
		return nil, err
	}
	if err := memory.CheckMetadata(req.GetMetadata()); err != nil {
		return nil, err
	}
	c, err := s.store.CreateConversation(ctx, memory.Conversation{
		Tenant: tenant, RequestID: req.GetRequestId(), UserID: orDefault(req.GetUserId(), memory.DefaultUserID),
		AgentID: orDefault(req.GetAgentId(), memory.DefaultAgentID), Title: req.GetTitle(), Metadata: req.GetMetadata(), Created: s.now(),
	})
	if err != nil {
		return nil, err
	}
	return &memoryv1.CreateConversationResponse{Conversation: toConversation(c)}, nil
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// conversationRequest is a request that names a conversation.
type conversationRequest interface {
	tenantRequest
	GetConversationId() string
}

func checkConversation(req conversationRequest) (tenant string, err error) {
	if tenant, err = tenantOf(req); err != nil {
		return "", err
	}
	return tenant, checkIDs("conversation", req.GetConversationId())
}

// GetConversation implements memoryv1.ConversationServiceServer.
func (s conversations) GetConversation(ctx context.Context, req *memoryv1.GetConversationRequest) (*memoryv1.GetConversationResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	c, err := s.store.Conversation(ctx, tenant, req.GetConversationId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetConversationResponse{Conversation: toConversation(c)}, nil
}

// ListConversations implements memoryv1.ConversationServiceServer.
func (s conversations) ListConversations(ctx context.Context, req *memoryv1.ListConversationsRequest) (*memoryv1.ListConversationsResponse, error) {
	tenant, err := tenantOf(req)
	if err != nil {
		return nil, err
	}
	if err := checkNames("user_id", req.GetUserId()); err != nil {
		return nil, err
	}
	query := []string{"conversations", tenant, req.GetUserId(), strconv.FormatBool(req.GetIncludeArchived())}
	after, err := afterTime(req.GetPageToken(), query)
	if err != nil {
		return nil, err
	}
	page, next, err := s.store.Conversations(ctx, store.ConversationQuery{
		Tenant: tenant, UserID: req.GetUserId(), IncludeArchived: req.GetIncludeArchived(), After: after, Limit: pagetoken.Size(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	return &memoryv1.ListConversationsResponse{Conversations: convertAll(page, toConversation), NextPageToken: timeToken(query, next)}, nil
}

// ArchiveConversation implements memoryv1.ConversationServiceServer.
func (s conversations) ArchiveConversation(ctx context.Context, req *memoryv1.ArchiveConversationRequest) (*memoryv1.ArchiveConversationResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	c, err := s.store.ArchiveConversation(ctx, tenant, req.GetConversationId(), s.now())
	if err != nil {
		return nil, err
	}
	return &memoryv1.ArchiveConversationResponse{Conversation: toConversation(c)}, nil
}

// DeleteConversation implements memoryv1.ConversationServiceServer.
func (s conversations) DeleteConversation(ctx context.Context, req *memoryv1.DeleteConversationRequest) (*memoryv1.DeleteConversationResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	messages, err := s.store.DeleteConversation(ctx, tenant, req.GetConversationId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.DeleteConversationResponse{Messages: uint64(messages)}, nil
}

// GetStatistics implements memoryv1.ConversationServiceServer.
func (s conversations) GetStatistics(ctx context.Context, req *memoryv1.GetStatisticsRequest) (*memoryv1.GetStatisticsResponse, error) {
	tenant, err := checkConversation(req)
	if err != nil {
		return nil, err
	}
	c, err := s.store.Conversation(ctx, tenant, req.GetConversationId())
	if err != nil {
		return nil, err
	}
	return &memoryv1.GetStatisticsResponse{Statistics: toStatistics(c.Statistics)}, nil
}
