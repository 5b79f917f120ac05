package server

import (
	"context"
	"io"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// batchesAhead is how many batches of a stream of scores wait to be scored; the transport holds back a client that sends more.
const batchesAhead = 4

// ScoreStream implements ngramv1.InferenceServiceServer: batches are received while others are scored.
func (s *Inference) ScoreStream(stream ngramv1.InferenceService_ScoreStreamServer) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) || err == nil && first.GetHeader() == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "a stream of scores begins with its header; send it before the texts").
			Field("header", "must be the first message")
	}
	if err != nil {
		return err
	}
	header := first.GetHeader()
	build, err := s.open(stream.Context(), header)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel() // ends the receiver
	batches := make(chan received, batchesAhead)
	if !receiveBatch(ctx, stream, batches) { // a stream on which nothing was asked yet holds no second goroutine
		close(batches)
	} else {
		go receiveBatches(ctx, stream, batches)
	}
	for batch := range batches {
		if batch.err != nil {
			return batch.err
		}
		scores, explained, err := build.scoreExplained(ctx, batch.texts, "batch.texts", header.GetTokens(), header.GetExplain())
		if err != nil {
			return err
		}
		if !header.GetSentences() && !header.GetTokens() && header.GetExplain() == nil {
			for _, score := range scores {
				score.Sentences = nil
			}
		}
		if err := build.Verify(ctx); err != nil {
			return err
		}
		response := &ngramv1.ScoreStreamResponse{Scores: scores, BuildId: uint32(build.Build.ID), Explained: explained}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// received is a batch, or why there is none.
type received struct {
	texts []string
	err   error
}

// receiveBatches receives until the client has sent everything, something fails or ctx ends, and closes the channel.
func receiveBatches(ctx context.Context, stream ngramv1.InferenceService_ScoreStreamServer, batches chan<- received) {
	defer close(batches)
	for receiveBatch(ctx, stream, batches) {
	}
}

// receiveBatch receives the next batch and reports whether more may come.
func receiveBatch(ctx context.Context, stream ngramv1.InferenceService_ScoreStreamServer, batches chan<- received) bool {
	var next received
	message, err := stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		return false
	case err != nil:
		next.err = err
	case message.GetHeader() != nil:
		next.err = errors.New(errors.InvalidArgument, "HEADER_REPEATED", "the header of a stream of scores came twice; send only batches after the first message").
			Field("header", "must come once")
	default:
		next.texts = message.GetBatch().GetTexts()
	}
	select {
	case batches <- next:
	case <-ctx.Done():
		return false
	}
	return next.err == nil
}
