package server

import (
	"context"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	"dbslm/services/ngram/store"
)

type trainingClients struct {
	models ngramv1.ModelServiceClient
	corpus ngramv1.CorpusServiceClient
	builds ngramv1.BuildServiceClient
}

func dialTraining(t *testing.T, db *database.DB) trainingClients {
	t.Helper()
	service := New(db, Options{})
	server := rpc.NewServer(rpc.Options{}, service)
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), service.Close()); err != nil {
			t.Error(err)
		}
	})
	conn := server.Local()
	return trainingClients{ngramv1.NewModelServiceClient(conn), ngramv1.NewCorpusServiceClient(conn), ngramv1.NewBuildServiceClient(conn)}
}

// sending is one ingest from the client's side.
type sending struct {
	t      *testing.T
	stream ngramv1.CorpusService_IngestClient
}

func (c trainingClients) ingest(ctx context.Context, t *testing.T, header *ngramv1.IngestHeader) sending {
	t.Helper()
	stream, err := c.corpus.Ingest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := sending{t, stream}
	s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Header{Header: header}})
	return s
}

func (s sending) send(request *ngramv1.IngestRequest) {
	s.t.Helper()
	if err := s.stream.Send(request); err != nil && err != io.EOF {
		s.t.Fatal(err)
	}
}

func (s sending) document(label, text string, sum []byte) {
	s.t.Helper()
	s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: &ngramv1.DocumentStart{Label: label}}})
	for i := range len(text) { // a byte a chunk: characters are cut
		s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Chunk{Chunk: []byte(text[i : i+1])}})
	}
	s.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_End{End: &ngramv1.DocumentEnd{Sha256: sum}}})
}

// outcome is the next acknowledgement.
func (s sending) outcome() (string, error) {
	for {
		response, err := s.stream.Recv()
		if err != nil {
			return "", err
		}
		if ack := response.GetAcknowledged(); ack != nil {
			return ack.Label + " " + ack.Outcome.String(), nil
		}
	}
}

func TestTrainingOverRPC(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		c := dialTraining(t, db)
		header := &ngramv1.IngestHeader{Model: "m", Settings: &ngramv1.ModelSettings{Order: 2}, Trainer: "ada"}
		s := c.ingest(ctx, t, header)
		text := "Der Bär schläft. Er träumt.\n"
		sum := sha256.Sum256([]byte(text))
		// A client may wait for each acknowledgement before it goes on.
		for _, label := range []string{"a", "b"} {
			s.document(label, text, sum[:])
			if got, err := s.outcome(); err != nil || got != label+" OUTCOME_COUNTED" {
				t.Fatalf("%q, error %v", got, err)
			}
		}
		other := c.ingest(ctx, t, &ngramv1.IngestHeader{Model: "m", Trainer: "bob"})
		if _, err := other.outcome(); errors.KindOf(err) != errors.Aborted || errors.ReasonOf(err) != "MODEL_IN_TRAINING" {
			t.Errorf("a second trainer: error %v", err)
		}
		s.document("a", text, nil)
		s.document("empty", " \n", nil)
		if err := s.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		var rest []string
		for {
			got, err := s.outcome()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, got)
		}
		if diff := cmp.Diff([]string{"a OUTCOME_UNCHANGED", "empty OUTCOME_EMPTY"}, rest); diff != "" {
			t.Error(diff)
		}
		list, err := c.corpus.ListDocuments(ctx, &ngramv1.ListDocumentsRequest{Model: "m", PageSize: 1})
		if err != nil || len(list.Documents) != 1 || list.Documents[0].Label != "a" || list.NextPageToken == "" {
			t.Fatalf("%v, error %v", list, err)
		}
		list, err = c.corpus.ListDocuments(ctx, &ngramv1.ListDocumentsRequest{Model: "m", PageSize: 1, PageToken: list.NextPageToken})
		if err != nil || len(list.Documents) != 1 || list.Documents[0].Label != "b" || list.NextPageToken != "" {
			t.Errorf("%v, error %v", list, err)
		}

		build := c.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true, IfChanged: true})
		if !build.Published || build.State != ngramv1.Build_STATE_READY || len(build.NgramCounts) != 2 || len(build.Discounts) != 2 || len(build.Warnings) == 0 {
			t.Errorf("%v", build)
		}
		if again := c.build(ctx, t, &ngramv1.CreateBuildRequest{Model: "m", Publish: true, IfChanged: true}); again.BuildId != build.BuildId {
			t.Errorf("nothing changed, and build %d was made", again.BuildId)
		}
		got, err := c.models.GetModel(ctx, &ngramv1.GetModelRequest{Model: "m"})
		if err != nil || got.Model.PublishedBuildId != build.BuildId || got.Model.Stale || got.Model.Documents != 2 || got.Model.Sentences != 4 || got.Model.TrainingBy != "" {
			t.Errorf("%v, error %v", got, err)
		}
		reset, err := c.models.ResetModel(ctx, &ngramv1.ResetModelRequest{Model: "m", RequestId: "r"})
		if err != nil || reset.Model.PublishedBuildId != build.BuildId || reset.Model.Tokens != 0 {
			t.Errorf("%v, error %v", reset, err)
		}
		if _, err := c.create(ctx, &ngramv1.CreateBuildRequest{Model: "m"}); errors.ReasonOf(err) != "MODEL_EMPTY" {
			t.Errorf("error %v", err)
		}
		if _, err := c.models.DeleteModel(ctx, &ngramv1.DeleteModelRequest{Model: "m"}); err != nil {
			t.Error(err)
		}
		if _, err := c.models.GetModel(ctx, &ngramv1.GetModelRequest{Model: "m"}); errors.ReasonOf(err) != "MODEL_NOT_FOUND" {
			t.Errorf("error %v", err)
		}
	})
}

func (c trainingClients) create(ctx context.Context, request *ngramv1.CreateBuildRequest) (*ngramv1.Build, error) {
	stream, err := c.builds.CreateBuild(ctx, request)
	for err == nil {
		var response *ngramv1.CreateBuildResponse
		if response, err = stream.Recv(); err == nil && response.GetBuild() != nil {
			return response.GetBuild(), nil
		}
	}
	return nil, err
}

func (c trainingClients) build(ctx context.Context, t *testing.T, request *ngramv1.CreateBuildRequest) *ngramv1.Build {
	t.Helper()
	build, err := c.create(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return build
}

func TestBadIngests(t *testing.T) {
	databasetest.Each(t, store.Schema, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		c := dialTraining(t, db)
		fails := func(name, reason string, s sending) {
			t.Helper()
			if err := s.stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if got, err := s.outcome(); errors.ReasonOf(err) != reason {
				t.Errorf("%s: %q, error %v (%s)", name, got, err, errors.ReasonOf(err))
			}
		}
		header := &ngramv1.IngestHeader{Model: "m", Settings: &ngramv1.ModelSettings{Tokenizer: ngramv1.TokenizerKind_TOKENIZER_KIND_WHITESPACE}}
		cut := c.ingest(ctx, t, header)
		cut.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Start{Start: &ngramv1.DocumentStart{Label: "a"}}})
		fails("a stream that ends inside a document", "INGEST_OUT_OF_ORDER", cut)
		chunk := c.ingest(ctx, t, header)
		chunk.send(&ngramv1.IngestRequest{Part: &ngramv1.IngestRequest_Chunk{Chunk: []byte("x")}})
		fails("a chunk without a start", "INGEST_OUT_OF_ORDER", chunk)
		changed := c.ingest(ctx, t, header)
		changed.document("a", "x y\n", make([]byte, 32))
		fails("a changed text", "CONTENT_HASH_DIFFERS", changed)
		bytes := c.ingest(ctx, t, header)
		bytes.document("a", "x \xff\n", nil)
		fails("no UTF-8", "INVALID_ENCODING", bytes)
		fails("another order", "MODEL_SETTINGS_DIFFER", c.ingest(ctx, t, &ngramv1.IngestHeader{Model: "m", Settings: &ngramv1.ModelSettings{Order: 5}}))
		got, err := c.models.GetModel(ctx, &ngramv1.GetModelRequest{Model: "m"})
		if err != nil || got.Model.Tokens != 0 || got.Model.Documents != 0 {
			t.Errorf("%v, error %v", got, err)
		}
	})
}
