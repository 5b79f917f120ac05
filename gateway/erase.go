package gateway

import (
	"context"
	"io"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/grpc"
)

// eraseConversations bounds the conversations named to level 3 at once.
const eraseConversations = 100

// Erase implements GatewayService. Level 3 only knows conversations, so they are asked for first and its signals removed
// while memory still knows whose they are; then memory; then what level 3 was told meanwhile. Killed in between, the same
// request goes on. Level 1 knows documents, not people.
func (g *Gateway) Erase(req *gatewayv1.EraseRequest, stream grpc.ServerStreamingServer[gatewayv1.EraseResponse]) error {
	ctx := stream.Context()
	conversations, err := g.conversationsOf(ctx, req.Tenant, req.Subject)
	if err != nil {
		return err
	}
	rows, err := g.eraseSignals(ctx, req.Tenant, req.Subject, conversations)
	if err != nil {
		return err
	}
	if err := stream.Send(&gatewayv1.EraseResponse{Service: serviceConcept, Rows: rows}); err != nil {
		return err
	}
	erasing, err := g.privacy.Erase(ctx, &memoryv1.EraseRequest{Tenant: req.Tenant, Subject: req.Subject, RequestId: req.RequestId})
	if err != nil {
		return err
	}
	removed := uint64(0)
	for {
		resp, err := erasing.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		removed = resp.Rows
		if err := stream.Send(&gatewayv1.EraseResponse{Service: serviceMemory, Rows: removed}); err != nil {
			return err
		}
	}
	if _, err := g.eraseSignals(ctx, req.Tenant, req.Subject, conversations); err != nil {
		return err
	}
	return stream.Send(&gatewayv1.EraseResponse{Service: serviceMemory, Rows: removed, Finished: true})
}

func (g *Gateway) conversationsOf(ctx context.Context, tenant string, subject *memoryv1.PrivacySubject) (ids []string, err error) {
	if id := subject.GetConversationId(); id != "" {
		return []string{id}, nil
	}
	for token := ""; ; {
		resp, err := g.conversations.ListConversations(ctx, &memoryv1.ListConversationsRequest{
			Tenant: tenant, UserId: subject.GetUserId(), IncludeArchived: true, PageSize: 1000, PageToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, c := range resp.Conversations {
			ids = append(ids, c.ConversationId)
		}
		if token = resp.NextPageToken; token == "" {
			return ids, nil
		}
	}
}

func (g *Gateway) eraseSignals(ctx context.Context, tenant string, subject *memoryv1.PrivacySubject, conversations []string) (rows uint64, err error) {
	for begin := 0; begin == 0 || begin < len(conversations); begin += eraseConversations { // a person may have been observed outside of conversations
		resp, err := g.erasure.EraseSubject(ctx, &conceptv1.EraseSubjectRequest{
			Tenant: tenant, UserId: subject.GetUserId(), ConversationIds: conversations[begin:min(begin+eraseConversations, len(conversations))],
		})
		if err != nil {
			return rows, err
		}
		rows += resp.Rows
	}
	return rows, nil
}
