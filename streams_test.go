package dbslm_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
)

// talkTo sends messages on a client stream until one is refused and returns how the stream ends.
func talkTo[Req, Resp any](t *testing.T, stream grpc.BidiStreamingClient[Req, Resp], err error, messages ...*Req) error {
	t.Helper()
	for _, m := range messages {
		if err == nil {
			err = stream.Send(m)
		}
	}
	if stream == nil {
		return err
	}
	_ = stream.CloseSend() // how the stream ends is told by receiving
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// What a caller streams wrongly reaches it as InvalidArgument with the field, through the gateway's own streams and the
// forwarded ones, and the model is free again at once.
func testMistakesInStreams(t *testing.T, w *world) {
	corpus, inference := ngramv1.NewCorpusServiceClient(w.conn), ngramv1.NewInferenceServiceClient(w.conn)
	tooLong := make([]byte, 1<<20+1)
	header := &ngramv1.IngestHeader{Model: "default"}
	document := &ngramv1.DocumentStart{Label: "x.txt"}
	trainHeader := &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{Ingest: header}}}
	trainStart := &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Start{Start: document}}
	ingestHeader := &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Header{Header: header}}
	ingestStart := &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: document}}
	evaluateHeader := &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Header{Header: &ngramv1.EvaluateHeader{Model: "default"}}}
	train := func(messages ...*gatewayv1.TrainRequest) error {
		stream, err := w.Train(t.Context())
		return talkTo(t, stream, err, messages...)
	}
	ingest := func(messages ...*ngramv1.IngestRequest) error {
		stream, err := corpus.Ingest(t.Context())
		return talkTo(t, stream, err, messages...)
	}
	for name, test := range map[string]struct {
		err   error
		field string
	}{
		"train: no header":           {train(trainStart), "header"},
		"train: empty header":        {train(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{}}}), "header.ingest"},
		"train: empty message":       {train(trainHeader, &gatewayv1.TrainRequest{}), "part"},
		"train: long chunk":          {train(trainHeader, trainStart, &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: tooLong}}), "chunk"},
		"train: two headers":         {train(trainHeader, trainHeader), "header"},
		"forwarded ingest: long":     {ingest(ingestHeader, ingestStart, &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Chunk{Chunk: tooLong}}), "chunk"},
		"forwarded ingest: empty":    {ingest(ingestHeader, &ngramv1.IngestRequest{}), "part"},
		"forwarded evaluate: empty":  {evaluate(t, inference, evaluateHeader, &ngramv1.EvaluateRequest{}), "part"},
		"forwarded evaluate: long":   {evaluate(t, inference, evaluateHeader, &ngramv1.EvaluateRequest{Part: &ngramv1.EvaluateRequest_Chunk{Chunk: tooLong}}), "chunk"},
		"gateway's evaluate: empty":  {evaluateOver(t, w, &gatewayv1.EvaluateRequest{}), "request"},
		"gateway's evaluate: nested": {evaluateOver(t, w, &gatewayv1.EvaluateRequest{Request: evaluateHeader}, &gatewayv1.EvaluateRequest{Request: &ngramv1.EvaluateRequest{}}), "request.part"},
	} {
		e, ok := errors.AsType[*errors.Error](test.err)
		if !ok || e.Kind() != errors.InvalidArgument || len(e.Fields()) == 0 || !strings.HasPrefix(e.Fields()[0].Path, test.field) {
			t.Errorf("%s: %v (%v), want InvalidArgument about %s", name, test.err, errors.KindOf(test.err), test.field)
		}
	}
	if err := train(trainHeader, trainStart, &gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Chunk{Chunk: []byte("The quay is old.\n")}},
		&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}}); err.Error() != "EOF" {
		t.Errorf("training after the mistakes: %v", err)
	}
}

func evaluate(t *testing.T, inference ngramv1.InferenceServiceClient, messages ...*ngramv1.EvaluateRequest) error {
	stream, err := inference.Evaluate(t.Context())
	return talkTo(t, stream, err, messages...)
}

func evaluateOver(t *testing.T, w *world, messages ...*gatewayv1.EvaluateRequest) error {
	stream, err := w.Evaluate(t.Context())
	return talkTo(t, stream, err, messages...)
}

// A training whose caller goes away in the middle of a document lets go of the model.
func testCancelledTraining(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := w.Train(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*gatewayv1.TrainRequest{
		{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{Ingest: &ngramv1.IngestHeader{Model: "default"}}}},
		{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: "half.txt"}}},
		{Part: &gatewayv1.TrainRequest_Chunk{Chunk: []byte("Half a document is")}},
	} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.Recv(); err != nil { // the model is held
		t.Fatal(err)
	}
	cancel()
	waitFor(t, "the model to be free", func() bool {
		stream, err := ngramv1.NewCorpusServiceClient(w.conn).Ingest(t.Context())
		err = talkTo(t, stream, err, &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Header{Header: &ngramv1.IngestHeader{Model: "default"}}})
		return err.Error() == "EOF"
	})
}

// What was published through a gateway serves there in the next turn.
func testPublishingIsSeenAtOnce(t *testing.T, w *world) {
	builds := ngramv1.NewBuildServiceClient(w.conn)
	conversation := start(t, w)
	first := try(t.Context(), w, ask(conversation, "1", "Tell me about the boats."))
	second := train(t, w, "newer.txt", "The boats are painted blue in the spring.")
	for i, id := range []uint32{first.finished.GetTrace().GetNgramBuildId(), second.BuildId} {
		if _, err := builds.PublishBuild(t.Context(), &ngramv1.PublishBuildRequest{Model: "default", BuildId: id}); err != nil {
			t.Fatal(err)
		}
		a := try(t.Context(), w, ask(conversation, fmt.Sprint("p", i), fmt.Sprintf("And number %d?", i)))
		if a.err != nil || a.finished.Trace.NgramBuildId != id {
			t.Errorf("build %d was published: %v", id, a)
		}
	}
}

// Thirty-two conversations at once, over one gateway, do not touch each other.
func testParallelConversations(t *testing.T, w *world) {
	const conversations, turns = 32, 4
	var talking sync.WaitGroup
	ids, signals := make([]string, conversations), make([]string, conversations)
	for i := range conversations {
		ids[i] = start(t, w)
		signals[i] = w.push(t, ids[i], "s")
	}
	begun := time.Now()
	for i := range conversations {
		talking.Go(func() {
			for turn := range turns {
				a := try(t.Context(), w, ask(ids[i], fmt.Sprint(turn), fmt.Sprintf("What does crew %d do in hour %d?", i, turn)))
				if a.err != nil || a.text == "" || a.text != a.finished.Message.Content || len(a.finished.Trace.Degradations) != 0 {
					t.Errorf("conversation %d, turn %d: %v", i, turn, a)
				}
			}
		})
	}
	talking.Wait()
	t.Logf("%d turns in %v", conversations*turns, time.Since(begun))
	for i, id := range ids {
		messages := w.history(t, id)
		if len(messages) != 2*turns {
			t.Fatalf("conversation %d has %d messages", i, len(messages))
		}
		spoken := 0
		for j, m := range messages {
			if j%2 == 0 && m.Content != fmt.Sprintf("What does crew %d do in hour %d?", i, j/2) {
				t.Errorf("conversation %d, message %d: %q", i, j, m.Content)
			}
			spoken += strings.Count(m.Content, notice)
		}
		if s := w.signal(t, id, signals[i]); spoken != 1 || s.State != conceptv1.Signal_STATE_CONFIRMED {
			t.Errorf("conversation %d: spoken %d times, %v", i, spoken, s)
		}
		w.checkClosed(t, messages)
	}
}
