package server

import (
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	"dbslm/services/memory"
	"dbslm/services/memory/store"

	"google.golang.org/grpc"
)

// privacy implements memoryv1.PrivacyServiceServer.
type privacy struct {
	memoryv1.UnimplementedPrivacyServiceServer
	*Service
}

// subjectRequest is a request that names whose data is meant.
type subjectRequest interface {
	tenantRequest
	GetSubject() *memoryv1.PrivacySubject
}

func checkSubject(req subjectRequest) (tenant string, subject memory.Subject, err error) {
	if tenant, err = tenantOf(req); err != nil {
		return "", subject, err
	}
	subject = memory.Subject{UserID: req.GetSubject().GetUserId(), ConversationID: req.GetSubject().GetConversationId()}
	if err := checkNames("subject.user_id", subject.UserID); err != nil {
		return "", subject, err
	}
	return tenant, subject, checkIDs("conversation", subject.ConversationID)
}

// chunkBytes is about how much of an export one message carries.
const chunkBytes = 256 << 10

// Export implements memoryv1.PrivacyServiceServer.
func (s privacy) Export(req *memoryv1.ExportRequest, stream grpc.ServerStreamingServer[memoryv1.ExportResponse]) error {
	tenant, subject, err := checkSubject(req)
	if err != nil {
		return err
	}
	var chunk []byte
	flush := func() error {
		part := chunk[:min(len(chunk), 4*chunkBytes)]
		err := stream.Send(&memoryv1.ExportResponse{Chunk: part})
		chunk = append(chunk[:0:0], chunk[len(part):]...)
		return err
	}
	err = s.store.Export(stream.Context(), tenant, subject, func(line []byte) error {
		for chunk = append(chunk, line...); len(chunk) >= chunkBytes; {
			if err := flush(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(chunk) == 0 {
		return err
	}
	return flush()
}

// Erase implements memoryv1.PrivacyServiceServer.
func (s privacy) Erase(req *memoryv1.EraseRequest, stream grpc.ServerStreamingServer[memoryv1.EraseResponse]) error {
	tenant, subject, err := checkSubject(req)
	if err != nil {
		return err
	}
	if err := checkNames("request_id", req.GetRequestId()); err != nil {
		return err
	}
	progress := func(rows int64) error { return stream.Send(&memoryv1.EraseResponse{Rows: uint64(rows)}) }
	var e store.Erasure
	if released := req.GetReleasedConversationIds(); req.GetHoldConversations() {
		e, err = s.store.EraseHolding(stream.Context(), tenant, subject, req.GetRequestId(), released, s.now(), progress)
	} else if len(released) > 0 {
		return memory.Invalid("released_conversation_ids", "go with hold_conversations")
	} else {
		e, err = s.store.Erase(stream.Context(), tenant, subject, req.GetRequestId(), s.now(), progress)
	}
	if err != nil {
		return err
	}
	return stream.Send(&memoryv1.EraseResponse{Rows: uint64(e.Rows), Finished: e.Finished})
}
