package gateway

import (
	"context"
	"io"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"google.golang.org/grpc"
)

const (
	// eraseConversations bounds the conversations named to level 3 at once.
	eraseConversations = 100
	// eraseRounds bounds how often an erasure begins again because the person began other conversations meanwhile.
	eraseRounds = 3
	// eraseTimeout bounds one step of level 3, which may write its file anew.
	eraseTimeout = 10 * time.Minute
)

// Erase implements GatewayService. Level 3 only knows conversations. So memory first closes and empties all of them, but keeps their
// rows; then, a page at a time, level 3's signals go, and after them the rows. A conversation that has a row has not been looked
// through, so killed anywhere the same request goes on, and one begun meanwhile is found. Last, level 1 forgets the documents whose labels
// say that they are the person's.
func (g *Gateway) Erase(req *gatewayv1.EraseRequest, stream grpc.ServerStreamingServer[gatewayv1.EraseResponse]) error {
	e := &erasing{gateway: g, req: req, stream: stream}
	for range eraseRounds {
		finished, err := e.memory(nil)
		if err != nil {
			return err
		}
		if finished { // what was observed of the person outside of conversations, or of a conversation that memory does not know
			if err := e.signals(e.named()); err != nil {
				return err
			}
			if err := e.documents(); err != nil {
				return err
			}
			return stream.Send(&gatewayv1.EraseResponse{Service: serviceMemory, Rows: e.removed, Finished: true})
		}
		if err := e.release(); err != nil {
			return err
		}
	}
	return errors.New(errors.Aborted, "CHANGED_MEANWHILE", "somebody goes on writing what is being erased; stop that and repeat the erasure with the same request id")
}

// erasing is an erasure in progress.
type erasing struct {
	gateway *Gateway
	req     *gatewayv1.EraseRequest
	stream  grpc.ServerStreamingServer[gatewayv1.EraseResponse]
	// removed are rows of memory, in earlier attempts too; signalled those of level 3.
	removed, signalled uint64
}

// named is the conversation that the request names, if it does.
func (e *erasing) named() []string {
	if id := e.req.Subject.GetConversationId(); id != "" {
		return []string{id}
	}
	return nil
}

// memory has level 2 remove what it has, or the rows of the released conversations.
func (e *erasing) memory(released []string) (finished bool, err error) {
	stream, err := e.gateway.privacy.Erase(e.stream.Context(), &memoryv1.EraseRequest{
		Tenant: e.req.Tenant, Subject: e.req.Subject, RequestId: e.req.RequestId, HoldConversations: true, ReleasedConversationIds: released,
	})
	if err != nil {
		return false, err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return finished, nil
		}
		if err != nil {
			return false, err
		}
		e.removed, finished = resp.Rows, resp.Finished
		if err := e.stream.Send(&gatewayv1.EraseResponse{Service: serviceMemory, Rows: e.removed}); err != nil {
			return false, err
		}
	}
}

// release removes level 3's part of the conversations that memory keeps, then their rows.
func (e *erasing) release() error {
	for token := ""; ; {
		ids := e.named()
		if len(ids) == 0 {
			resp, err := e.gateway.conversations.ListConversations(e.stream.Context(), &memoryv1.ListConversationsRequest{
				Tenant: e.req.Tenant, UserId: e.req.Subject.GetUserId(), IncludeArchived: true, PageSize: 1000, PageToken: token,
			})
			if err != nil {
				return err
			}
			for _, c := range resp.Conversations {
				ids = append(ids, c.ConversationId)
			}
			token = resp.NextPageToken
		}
		if err := e.signals(ids); err != nil {
			return err
		}
		if len(ids) > 0 {
			if _, err := e.memory(ids); err != nil {
				return err
			}
		}
		if token == "" {
			return nil
		}
	}
}

// signals has level 3 remove what it has of conversations and of the person.
func (e *erasing) signals(conversations []string) error {
	defer e.gateway.deciding.forgetAll()
	for begin := 0; begin == 0 || begin < len(conversations); begin += eraseConversations { // a person may have been observed outside of conversations
		ctx, cancel := context.WithTimeout(e.stream.Context(), eraseTimeout)
		resp, err := e.gateway.erasure.EraseSubject(ctx, &conceptv1.EraseSubjectRequest{
			Tenant: e.req.Tenant, UserId: e.req.Subject.GetUserId(), ConversationIds: conversations[begin:min(begin+eraseConversations, len(conversations))],
		})
		cancel()
		if err != nil {
			return err
		}
		e.signalled += resp.Rows
	}
	return e.stream.Send(&gatewayv1.EraseResponse{Service: serviceConcept, Rows: e.signalled})
}
