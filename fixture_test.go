package dbslm_test

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"testing"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"go.uber.org/goleak"
)

// TestMain also makes this binary the other processes of TestReplay and TestFaults.
func TestMain(m *testing.M) {
	if db := os.Getenv(replayVariable); db != "" {
		os.Exit(replayHere(db))
	}
	if where := os.Getenv(gatewayVariable); where != "" {
		os.Exit(gatewayHere(where))
	}
	goleak.VerifyTestMain(m)
}

const harbour = `The harbour master counted the boats every morning. He wrote the number in a green book.
When the fog came in, the boats stayed at the quay and the crews drank coffee.

The lighthouse stands on the long rock. Its lamp turns all night. The keeper of the lighthouse is called Oda.
Oda knows every boat by the sound of its engine. She sings when the fog is thick.

On Sunday the market opens at the quay. The baker sells bread, and the fishers sell what the sea gave them.
The children run to the lighthouse and count the waves. The harbour master gives them a boat made of paper.
`

// system is an open system with the clients that tests use.
type system struct {
	*dbslm.System
	gateway   gatewayv1.GatewayServiceClient
	catalogue conceptv1.CatalogueServiceClient
}

func clientsOf(sys *dbslm.System) system {
	return system{sys, sys.Gateway(), conceptv1.NewCatalogueServiceClient(sys.Conn())}
}

// eachSystem runs f over a fresh store of every engine, all services in one process.
func eachSystem(t *testing.T, f func(t *testing.T, s system)) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		f(t, open(t, dbslm.Config{DB: db}))
	})
}

func open(t *testing.T, config dbslm.Config) system {
	t.Helper()
	sys, err := dbslm.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	return clientsOf(sys)
}

func train(t *testing.T, g gatewayv1.GatewayServiceClient, label, text string) *ngramv1.Build {
	t.Helper()
	return trainModel(t, g, "default", label, text)
}

func trainModel(t *testing.T, g gatewayv1.GatewayServiceClient, model, label, text string) *ngramv1.Build {
	t.Helper()
	return trainWith(t, g, &ngramv1.IngestHeader{Model: model}, label, text)
}

func trainWith(t testing.TB, g gatewayv1.GatewayServiceClient, header *ngramv1.IngestHeader, label, text string) *ngramv1.Build {
	t.Helper()
	stream, err := g.Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*gatewayv1.TrainRequest{
		{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{Ingest: header}}},
		{Part: &gatewayv1.TrainRequest_Start{Start: &ngramv1.DocumentStart{Label: label}}},
		{Part: &gatewayv1.TrainRequest_Chunk{Chunk: []byte(text)}},
		{Part: &gatewayv1.TrainRequest_End{End: &ngramv1.DocumentEnd{}}},
	} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var build *ngramv1.Build
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return build
		}
		if err != nil {
			t.Fatal(err)
		}
		if b := resp.GetBuild(); b != nil {
			build = b
		}
	}
}

func start(t *testing.T, g gatewayv1.GatewayServiceClient) string {
	t.Helper()
	resp, err := g.StartConversation(t.Context(), &gatewayv1.StartConversationRequest{UserId: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Conversation.ConversationId
}

func respond(t *testing.T, g gatewayv1.GatewayServiceClient, conversation, id, text string, seed uint64) *gatewayv1.RespondResponse {
	t.Helper()
	resp, err := g.Respond(t.Context(), &gatewayv1.RespondRequest{
		ConversationId: conversation, RequestId: id, Text: text, Parameters: &ngramv1.DecodeParameters{Seed: &seed},
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (s system) hours(t *testing.T) {
	t.Helper()
	_, err := s.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{
		Name: "Hours", MetadataSchema: `{"market_day": "string"}`, StaticPayload: `{"market_day": "Sunday"}`,
	}})
	if err == nil {
		_, err = s.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Hours", Text: "The market opens on {market_day}."}})
	}
	if err == nil {
		_, err = s.catalogue.AddExamples(t.Context(), &conceptv1.AddExamplesRequest{Examples: []*conceptv1.Example{
			{Concept: "Hours", Utterance: "when does the market open"}, {Concept: "Hours", Utterance: "on which day is the market"},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dsn is the target as --db takes it, the password of a server included.
func dsn(t testing.TB, target database.Target) string {
	t.Helper()
	if target.Embedded() {
		return target.String()
	}
	c := target.ServerConfig()
	address := c.Addr
	if c.Net == "unix" {
		address = "unix(" + c.Addr + ")"
	}
	return fmt.Sprintf("mysql://%s@%s/?schema_prefix=%s", url.UserPassword(c.User, c.Passwd), address, target.Prefix())
}
