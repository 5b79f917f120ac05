package gateway

import (
	"context"
	"io"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
)

type trainStream = grpc.BidiStreamingServer[gatewayv1.TrainRequest, gatewayv1.TrainResponse]

// Train implements GatewayService: it empties the model if asked to, ingests what the caller streams, and
// when the caller has closed its side derives a build and publishes it.
func (g *Gateway) Train(stream trainStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return errors.New(errors.InvalidArgument, "HEADER_MISSING", "the first message of a training is its header").Field("header", "missing")
	}
	ctx := stream.Context()
	if err := g.checkPruning(ctx, header); err != nil {
		return err
	}
	if header.GetReset_() {
		if err := g.reset(ctx, header.Ingest); err != nil {
			return err
		}
	}
	begun := time.Now()
	counted, paused, err := g.ingest(ctx, header.Ingest, stream)
	if err != nil || paused || header.NoBuild {
		return err
	}
	if counted == 0 {
		return errors.New(errors.InvalidArgument, "NOTHING_TO_TRAIN", "the documents hold no text; nothing was trained")
	}
	left := header.Ingest.MaxRuntimeSeconds
	if left > 0 {
		left = max(1, left-min(left, uint32(time.Since(begun)/time.Second)))
	}
	return g.build(ctx, header, left, stream)
}

// checkPruning refuses a pruning that the build would refuse, before anything is emptied or counted for it.
func (g *Gateway) checkPruning(ctx context.Context, header *gatewayv1.TrainHeader) error {
	cutoffs := len(header.GetPruning().GetCutoffs())
	if cutoffs == 0 {
		return nil
	}
	order := header.Ingest.GetSettings().GetOrder()
	if order == 0 || !header.Reset_ {
		found, err := g.models.GetModel(ctx, &ngramv1.GetModelRequest{Tenant: header.Ingest.Tenant, Model: header.Ingest.Model})
		switch {
		case err == nil:
			order = found.Model.GetSettings().GetOrder()
		case errors.KindOf(err) != errors.NotFound:
			return err
		case order == 0:
			order = 3 // of a new model
		}
	}
	if uint32(cutoffs) > order {
		return errors.New(errors.InvalidArgument, "PRUNING_INVALID", "there are cut-offs for %d orders, but the model's order is %d", cutoffs, order).Field("pruning.cutoffs", "too many")
	}
	return nil
}

func (g *Gateway) reset(ctx context.Context, ingest *ngramv1.IngestHeader) error {
	id, err := newRequestID()
	if err != nil {
		return err
	}
	_, err = g.models.ResetModel(ctx, &ngramv1.ResetModelRequest{
		Tenant: ingest.Tenant, Model: ingest.Model, Settings: ingest.Settings, RequestId: id,
	})
	if errors.KindOf(err) == errors.NotFound {
		return nil // nothing to empty
	}
	return err
}

// ingest passes the caller's documents on and returns how many of them hold text, and whether the time was up before all were
// counted.
func (g *Gateway) ingest(ctx context.Context, header *ngramv1.IngestHeader, stream trainStream) (counted int, paused bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	peer, err := g.corpus.Ingest(ctx)
	if err != nil {
		return 0, false, err
	}
	go func() {
		if err := sendDocuments(header, stream, peer); err != nil {
			cancel(err)
		}
	}()
	for {
		resp, err := peer.Recv()
		if err == io.EOF {
			return counted, paused, nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return counted, paused, cause
			}
			return counted, paused, err
		}
		if ack := resp.GetAcknowledged(); ack != nil && ack.Outcome != ngramv1.DocumentAcknowledged_OUTCOME_EMPTY {
			counted++
		}
		paused = paused || resp.GetPaused() != nil
		if err := stream.Send(trainEvent(resp)); err != nil {
			return counted, paused, err
		}
	}
}

// sendDocuments ends without an error when the peer ended first: its status is read by the receiving side.
func sendDocuments(header *ngramv1.IngestHeader, stream trainStream, peer ngramv1.CorpusService_IngestClient) error {
	out := &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Header{Header: header}}
	for {
		if err := peer.Send(out); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		in, err := stream.Recv()
		if err == io.EOF {
			return peer.CloseSend()
		}
		if err != nil {
			return err
		}
		switch part := in.Part.(type) {
		case *gatewayv1.TrainRequest_Start:
			out = &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: part.Start}}
		case *gatewayv1.TrainRequest_Chunk:
			out = &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Chunk{Chunk: part.Chunk}}
		case *gatewayv1.TrainRequest_End:
			out = &ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_End{End: part.End}}
		default:
			return errors.New(errors.InvalidArgument, "SECOND_HEADER", "a training has one header, as its first message").Field("header", "repeated")
		}
	}
}

func trainEvent(in *ngramv1.IngestResponse) *gatewayv1.TrainResponse {
	switch event := in.Event.(type) {
	case *ngramv1.IngestResponse_Opened:
		return &gatewayv1.TrainResponse{Event: &gatewayv1.TrainResponse_Opened{Opened: event.Opened}}
	case *ngramv1.IngestResponse_Progress:
		return &gatewayv1.TrainResponse{Event: &gatewayv1.TrainResponse_Progress{Progress: event.Progress}}
	case *ngramv1.IngestResponse_Acknowledged:
		return &gatewayv1.TrainResponse{Event: &gatewayv1.TrainResponse_Acknowledged{Acknowledged: event.Acknowledged}}
	case *ngramv1.IngestResponse_Probe:
		return &gatewayv1.TrainResponse{Event: &gatewayv1.TrainResponse_Probe{Probe: event.Probe}}
	case *ngramv1.IngestResponse_Paused:
		return &gatewayv1.TrainResponse{Event: &gatewayv1.TrainResponse_Paused{Paused: event.Paused}}
	default:
		return &gatewayv1.TrainResponse{}
	}
}

// build derives a build, for at most so many seconds (0: without a limit).
func (g *Gateway) build(ctx context.Context, header *gatewayv1.TrainHeader, seconds uint32, stream trainStream) error {
	peer, err := g.builds.CreateBuild(ctx, &ngramv1.CreateBuildRequest{
		Tenant:    header.Ingest.Tenant,
		Model:     header.Ingest.Model,
		Storage:   header.Storage,
		Smoothing: header.Smoothing,
		Pruning:   header.Pruning,
		Publish:   !header.NoPublish,
		IfChanged: true,
		Trainer:   header.Ingest.Trainer,

		KeepRunning:       header.Ingest.KeepRunning,
		MaxRuntimeSeconds: seconds,
		MemoryBytes:       header.Ingest.MemoryBytes,
	})
	if err != nil {
		return err
	}
	defer g.published.forget(header.Ingest.Tenant, header.Ingest.Model)
	for {
		resp, err := peer.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		out := &gatewayv1.TrainResponse{}
		switch event := resp.Event.(type) {
		case *ngramv1.CreateBuildResponse_Progress:
			out.Event = &gatewayv1.TrainResponse_BuildProgress{BuildProgress: event.Progress}
		case *ngramv1.CreateBuildResponse_JobId:
			out.Event = &gatewayv1.TrainResponse_BuildJobId{BuildJobId: event.JobId}
		case *ngramv1.CreateBuildResponse_Build:
			out.Event = &gatewayv1.TrainResponse_Build{Build: event.Build}
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

// Evaluate implements GatewayService by passing both directions through.
func (g *Gateway) Evaluate(stream grpc.BidiStreamingServer[gatewayv1.EvaluateRequest, gatewayv1.EvaluateResponse]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	peer, err := g.inference.Evaluate(ctx)
	if err != nil {
		return err
	}
	go func() {
		if err := sendText(stream, peer); err != nil {
			cancel(err)
		}
	}()
	for {
		resp, err := peer.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if err := stream.Send(&gatewayv1.EvaluateResponse{Response: resp}); err != nil {
			return err
		}
	}
}

func sendText(stream grpc.BidiStreamingServer[gatewayv1.EvaluateRequest, gatewayv1.EvaluateResponse], peer ngramv1.InferenceService_EvaluateClient) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return peer.CloseSend()
		}
		if err != nil {
			return err
		}
		if err := peer.Send(in.Request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
