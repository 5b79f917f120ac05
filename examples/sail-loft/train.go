package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"dbslm"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
)

// order is the longest n-gram, in tokens: six are what it takes for a sentence to remember how it began, and to end as it did.
const order = 6

// train streams the corpus into the model. A document that was counted before is left as it is, so training
// twice is free.
func train(ctx context.Context, out io.Writer, system *dbslm.System) error {
	names, err := fs.Glob(files, "corpus/*.txt")
	if err != nil {
		return err
	}
	stream, err := system.Gateway().Train(ctx)
	if err != nil {
		return err
	}
	sending := make(chan error, 1)
	go func() { sending <- send(stream, names) }()

	counted := 0
	var build *ngramv1.Build
	for {
		event, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if ack := event.GetAcknowledged(); ack.GetOutcome() == ngramv1.DocumentAcknowledged_OUTCOME_COUNTED {
			counted++
		}
		if b := event.GetBuild(); b != nil {
			build = b
		}
	}
	if err := <-sending; err != nil {
		return err
	}
	fmt.Fprintf(out, "%d documents, %d of them new; build %d of order %d knows %d words and %d n-grams\n",
		len(names), counted, build.GetBuildId(), build.GetOrder(), build.GetVocabularySize(), sum(build.GetNgramCounts()))
	return nil
}

// send streams the documents. When the server ends first, it is the receiver who learns why.
func send(stream gatewayv1.GatewayService_TrainClient, names []string) error {
	parts := []*gatewayv1.TrainRequest{{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{
		Ingest: &ngramv1.IngestHeader{Model: model, Settings: &ngramv1.ModelSettings{Order: order}},
	}}}}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		parts = append(parts,
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: name, SizeBytes: uint64(len(text))}}},
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: text}},
			&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}})
	}
	for _, part := range parts {
		if err := stream.Send(part); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

func sum(counts []uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}
