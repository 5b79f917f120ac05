package server

import (
	"context"
	"io"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram"
)

type evaluateStream interface {
	Context() context.Context
	Send(*ngramv1.EvaluateResponse) error
	Recv() (*ngramv1.EvaluateRequest, error)
}

// Evaluate implements ngramv1.InferenceServiceServer. The text is scored as it arrives, in bounded memory.
func (s *Inference) Evaluate(stream ngramv1.InferenceService_EvaluateServer) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) || err == nil && first.GetHeader() == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "an evaluation begins with its header; send it before the text").
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
	explainer, err := build.explainer(stream.Context(), header.GetExplain())
	if err != nil {
		return err
	}
	reader := &chunkReader{stream: stream}
	options := measureOptions{
		EvaluationOptions: ngram.EvaluationOptions{
			CheckMass: header.GetCheckMass(), Renormalise: header.GetRenormalise(), SampleSeed: header.GetSampleSeed(),
		},
		progress: func(phase string, done, total uint64) error {
			progress := &ngramv1.EvaluateProgress{Phase: phase, Done: done, Total: total}
			return stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Progress{Progress: progress}})
		},
		now: s.now,
	}
	if header.GetTokens() || explainer != nil {
		options.records = func(records *records) error {
			if explainer != nil {
				if err := records.explain(stream.Context(), explainer); err != nil {
					return err
				}
			}
			for _, score := range records.scores {
				if err := stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Sentence{Sentence: score}}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	result, err := build.measure(stream.Context(), reader, options)
	if err != nil {
		return err
	}
	if err := build.Verify(stream.Context()); err != nil {
		return err
	}
	if explained, err := explainer.finish(stream.Context()); err != nil {
		return err
	} else if explained != nil {
		if err := stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Explained{Explained: explained}}); err != nil {
			return err
		}
	}
	result.Label, result.Created = header.GetLabel(), s.now()
	if header.GetStore() {
		if result, err = build.SaveEvaluation(stream.Context(), result); err != nil {
			return err
		}
	}
	return stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Evaluation{Evaluation: describeEvaluation(result)}})
}

// chunkReader reads the text of a client's stream.
type chunkReader struct {
	stream evaluateStream
	rest   []byte
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		message, err := r.stream.Recv()
		if err != nil {
			return 0, err // io.EOF when the client has sent everything
		}
		if message.GetHeader() != nil {
			return 0, errors.New(errors.InvalidArgument, "HEADER_REPEATED", "the header of an evaluation came twice; send only chunks after the first message").
				Field("header", "must come once")
		}
		r.rest = message.GetChunk()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
