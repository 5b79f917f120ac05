package server

import (
	"context"
	"io"
	"slices"

	"dbslm/pkg/errors"
	"dbslm/pkg/text"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/contexthash"
	"dbslm/services/ngram/decoding"
	"dbslm/services/ngram/scoring"
)

const (
	defaultSampleSeed = 1
	// massBatch is how many sampled contexts are summed between two reports of progress.
	massBatch = 256
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
	e := newEvaluation(build, header, stream)
	if err := e.text(); err != nil {
		return err
	}
	if err := e.masses(); err != nil {
		return err
	}
	if err := build.Verify(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Evaluation{Evaluation: e.result()}})
}

// evaluation is one evaluation in progress.
type evaluation struct {
	build  opened
	header *ngramv1.EvaluateHeader
	stream evaluateStream
	reader *chunkReader

	batch        []sentenceTokens
	size         int
	tally        scoring.Tally
	mass         *scoring.Sampler[[]uint32]
	positions    *scoring.Sampler[sampledPosition]
	summed       scoring.Masses
	renormalised scoring.Renormalised
}

// sampledPosition is a place in the text that is scored again with the true mass of its context.
type sampledPosition struct {
	context []uint32
	log10   float64
}

func newEvaluation(build opened, header *ngramv1.EvaluateHeader, stream evaluateStream) *evaluation {
	seed := header.GetSampleSeed()
	if seed == 0 {
		seed = defaultSampleSeed
	}
	return &evaluation{
		build: build, header: header, stream: stream, reader: &chunkReader{stream: stream},
		mass:      scoring.NewSampler[[]uint32](seed, int(header.GetCheckMass())),
		positions: scoring.NewSampler[sampledPosition](seed, int(header.GetRenormalise())),
	}
}

// text scores the text.
func (e *evaluation) text() error {
	err := e.build.tokenizer.Sentences(e.reader, func(sentence text.Sentence) error {
		e.batch = append(e.batch, e.build.prepare(sentence, e.header.GetTokens()))
		if e.size += len(sentence.Tokens) + 1; e.size < batchTokens {
			return nil
		}
		return e.flush()
	})
	if err != nil {
		return err
	}
	if err := e.flush(); err != nil {
		return err
	}
	if e.tally.Tokens == 0 {
		return errors.New(errors.InvalidArgument, "TEXT_EMPTY", "the text holds no tokens; there is nothing to evaluate").
			Field("chunk", "must hold text")
	}
	return nil
}

func (e *evaluation) flush() error {
	records := e.build.newRecords(e.batch, e.header.GetTokens())
	err := e.build.score(e.stream.Context(), e.batch, func(sentence, place int, context []uint32, record scoring.Record) {
		e.positions.Offer(e.tally.Tokens, func() sampledPosition { return sampledPosition{slices.Clone(context), record.Log10} })
		e.mass.Offer(uint64(contexthash.Sum(context)), func() []uint32 { return slices.Clone(context) })
		e.tally.Add(record)
		records.add(sentence, place, record)
	})
	if err != nil {
		return err
	}
	e.tally.Sentences += uint64(len(e.batch))
	e.batch, e.size = e.batch[:0], 0
	if e.header.GetTokens() {
		for _, score := range records.scores {
			if err := e.stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Sentence{Sentence: score}}); err != nil {
				return err
			}
		}
	}
	return e.progress("score", e.reader.bytes, 0)
}

// masses sums the probabilities of all tokens after the sampled contexts.
func (e *evaluation) masses() error {
	contexts, positions := e.mass.Values(), e.positions.Values()
	total := len(contexts) + len(positions)
	if total == 0 {
		return nil
	}
	distribution := decoding.NewDistribution(e.build.Unigrams)
	for begin := 0; begin < total; begin += massBatch {
		var batch [][]uint32
		for i := begin; i < min(begin+massBatch, total); i++ {
			if i < len(contexts) {
				batch = append(batch, contexts[i])
			} else {
				batch = append(batch, positions[i-len(contexts)].context)
			}
		}
		chains, err := e.build.Read(e.stream.Context(), batch)
		if err != nil {
			return err
		}
		for i, chain := range chains {
			distribution.Base(chain)
			if at := begin + i; at < len(contexts) {
				e.summed.Add(distribution.Total())
			} else {
				e.renormalised.Add(positions[at-len(contexts)].log10, distribution.Total())
			}
		}
		if err := e.progress("mass", uint64(begin+len(batch)), uint64(total)); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) progress(phase string, done, total uint64) error {
	progress := &ngramv1.EvaluateProgress{Phase: phase, Done: done, Total: total}
	return e.stream.Send(&ngramv1.EvaluateResponse{Event: &ngramv1.EvaluateResponse_Progress{Progress: progress}})
}

func (e *evaluation) result() *ngramv1.Evaluation {
	result := &ngramv1.Evaluation{
		Model:                  e.header.GetModel(),
		BuildId:                uint32(e.build.Build.ID),
		Sentences:              e.tally.Sentences,
		Tokens:                 e.tally.Tokens,
		Oov:                    e.tally.OOV,
		Log10Probability:       e.tally.Log10,
		PerplexityIncludingOov: e.tally.PerplexityIncludingOOV(),
		PerplexityExcludingOov: e.tally.PerplexityExcludingOOV(),
		MatchedOrders:          e.tally.Matched,
		MassContexts:           e.summed.Contexts,
		MassErrorMax:           e.summed.ErrorMax,
		RenormalisedPositions:  e.renormalised.Positions,
	}
	if e.renormalised.Positions > 0 {
		result.SampledPerplexity = e.renormalised.Sampled()
		result.RenormalisedPerplexity = e.renormalised.Perplexity()
	}
	return result
}

// chunkReader reads the text of a client's stream.
type chunkReader struct {
	stream evaluateStream
	rest   []byte
	bytes  uint64
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
		r.bytes += uint64(len(r.rest))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
