package server

import (
	"context"
	"io"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"

	"google.golang.org/grpc"
)

// ForgetDocument implements CorpusService.
func (s *corpus) ForgetDocument(req *ngramv1.ForgetDocumentRequest, stream grpc.ServerStreamingServer[ngramv1.ForgetDocumentResponse]) error {
	return s.forget(stream.Context(), req, nil, stream.Send)
}

// ForgetSentDocument implements CorpusService.
func (s *corpus) ForgetSentDocument(stream grpc.BidiStreamingServer[ngramv1.ForgetSentDocumentRequest, ngramv1.ForgetSentDocumentResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetRequest() == nil {
		return outOfOrder("forgetting begins with its request")
	}
	return s.forget(stream.Context(), first.GetRequest(), &sentText{stream: stream}, func(r *ngramv1.ForgetDocumentResponse) error {
		return stream.Send(&ngramv1.ForgetSentDocumentResponse{Response: r})
	})
}

// sentText reads the text of a document from the stream, up to the end of it.
type sentText struct {
	stream grpc.BidiStreamingServer[ngramv1.ForgetSentDocumentRequest, ngramv1.ForgetSentDocumentResponse]
	rest   []byte
}

// Read implements io.Reader.
func (t *sentText) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		req, err := t.stream.Recv()
		if err != nil {
			return 0, err
		}
		if req.GetRequest() != nil {
			return 0, outOfOrder("forgetting has one request, as its first message")
		}
		t.rest = req.GetChunk()
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (s *corpus) forget(ctx context.Context, req *ngramv1.ForgetDocumentRequest, text io.Reader, send func(*ngramv1.ForgetDocumentResponse) error) error {
	tenant := tenantOf(req.Tenant)
	gone, err := s.store.Forgettable(ctx, tenant, req.Model, req.Label)
	if err != nil {
		return err
	}
	files, err := s.reader.Files(gone.Builds...)
	if err == nil && !req.DryRun {
		err = s.store.Train(ctx, tenant, req.Model, trainerOf(ctx, ""), func(ctx context.Context, t *store.Trainer) error {
			var err error
			gone, err = t.Forget(ctx, store.Forgetting{Label: req.Label, Text: text}, func(phase string, done, total int64) {
				_ = send(&ngramv1.ForgetDocumentResponse{Phase: phase, Done: uint64(done), Total: uint64(total)}) // a client that has gone ends the context
			})
			return err
		})
	}
	if err != nil {
		return err
	}
	last := &ngramv1.ForgetDocumentResponse{
		Finished: true, Document: documentProto(gone.Document), Files: files,
		PublishedBuildId: uint32(gone.Published), SuccessorBuildId: uint32(gone.Successor),
	}
	for _, build := range gone.Builds {
		last.DroppedBuildIds = append(last.DroppedBuildIds, uint32(build))
	}
	return send(last)
}

// FindGoneTokens implements CorpusService.
func (s *corpus) FindGoneTokens(ctx context.Context, req *ngramv1.FindGoneTokensRequest) (*ngramv1.FindGoneTokensResponse, error) {
	gone, err := s.store.GoneTokens(ctx, tenantOf(req.Tenant), req.Model, req.TokenIds)
	if err != nil {
		return nil, err
	}
	return &ngramv1.FindGoneTokensResponse{TokenIds: gone}, nil
}
