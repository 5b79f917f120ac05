package dbslm_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// TestMain also makes this binary the other process of TestReplay.
func TestMain(m *testing.M) {
	if db := os.Getenv(replayVariable); db != "" {
		os.Exit(replayHere(db))
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
	stream, err := g.Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*gatewayv1.TrainRequest{
		{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{Ingest: &ngramv1.IngestHeader{Model: model}}}},
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

var script = []string{
	"Hello there.", "Tell me about the lighthouse.", "When does the market open?", "Who counts the boats?",
	"What does Oda do in the fog?", "Remind me what we discussed.",
}

// talk holds the script and returns the replies.
func talk(t *testing.T, g gatewayv1.GatewayServiceClient) []string {
	conversation := start(t, g)
	var replies []string
	for i, text := range script {
		replies = append(replies, respond(t, g, conversation, fmt.Sprint("r", i), text, uint64(100+i)).Message.Content)
	}
	return replies
}

// The same conversation gives the same bytes on every engine, in one process and in four.
func TestSameBytesEverywhere(t *testing.T) {
	var want []string
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		one := open(t, dbslm.Config{DB: db})
		train(t, one.gateway, "harbour.txt", harbour)
		one.hours(t)
		got := talk(t, one.gateway)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("one process (-first +this):\n%s", diff)
		}
		four := split(t, db)
		if diff := cmp.Diff(want, talk(t, four.gateway)); diff != "" {
			t.Errorf("split (-first +this):\n%s", diff)
		}
		for i, reply := range got {
			if reply == "" || strings.Contains(strings.ToLower(reply), strings.ToLower(strings.Trim(script[i], ".?"))) {
				t.Errorf("%q was answered with %q", script[i], reply)
			}
		}
		if got[2] != "The market opens on Sunday." || !strings.HasPrefix(got[5], "Based on our recent exchange: ") {
			t.Errorf("concepts did not speak: %q", got)
		}
	})
}

// peer is one service behind a listener, which can be stopped and started again on the same address.
type peer struct {
	t       *testing.T
	db      string
	name    dbslm.Service
	address string
	stop    func()
}

func (p *peer) start() {
	p.t.Helper()
	sys, err := dbslm.Open(p.t.Context(), dbslm.Config{DB: p.db, Services: []dbslm.Service{p.name}})
	if err != nil {
		p.t.Fatal(err)
	}
	if p.address == "" {
		p.address = "127.0.0.1:0"
	}
	lis, err := rpc.Listen(p.t.Context(), p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.address = lis.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := sys.Serve(ctx, map[dbslm.Service]net.Listener{p.name: lis}); err != nil {
			p.t.Error(err)
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		serving.Wait()
		if err := sys.Close(); err != nil {
			p.t.Error(err)
		}
	})
}

// splitSystem is a gateway whose peers are reached over TCP.
type splitSystem struct {
	system
	peers map[dbslm.Service]*peer
}

func split(t *testing.T, db string) splitSystem {
	t.Helper()
	s := splitSystem{peers: map[dbslm.Service]*peer{}}
	addresses := map[dbslm.Service]string{}
	for _, name := range dbslm.Services()[:3] {
		p := &peer{t: t, db: db, name: name}
		p.start()
		t.Cleanup(func() { p.stop() })
		s.peers[name], addresses[name] = p, p.address
	}
	s.system = open(t, dbslm.Config{Services: []dbslm.Service{dbslm.Gateway}, Peers: addresses})
	return s
}

// A peer that is down degrades replies as documented, loses and doubles nothing, and is used again when it is back.
func TestPeersDown(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		db := dsn(t, target)
		if _, err := dbslm.Migrate(t.Context(), db, nil); err != nil {
			t.Fatal(err)
		}
		s := split(t, db)
		train(t, s.gateway, "harbour.txt", harbour)
		s.hours(t)
		conversation := start(t, s.gateway)
		ask := func(id, text string) *gatewayv1.RespondResponse {
			return respond(t, s.gateway, conversation, id, text, 7)
		}
		if r := ask("all", "When does the market open?"); r.Message.Content != "The market opens on Sunday." || len(r.Trace.Degradations) != 0 {
			t.Fatalf("with all peers: %v", r)
		}

		s.peers[dbslm.Concept].stop()
		r := ask("no concept", "When does the market open?")
		if r.Message.Content == "" || len(r.Trace.Degradations) != 1 || r.Trace.Degradations[0].Service != "concept" || r.Trace.Degradations[0].Code != "UNAVAILABLE" {
			t.Errorf("without concept: %v", r)
		}
		s.peers[dbslm.Ngram].stop()
		r = ask("nothing", "Hello.")
		if !strings.Contains(r.Message.Content, "cannot be reached") || len(r.Trace.Degradations) != 2 {
			t.Errorf("without concept and ngram: %v", r)
		}
		s.peers[dbslm.Concept].start()
		waitReachable(t, s, "concept")
		if r := ask("no ngram", "When does the market open?"); r.Message.Content != "The market opens on Sunday." {
			t.Errorf("concept alone: %v", r)
		}
		s.peers[dbslm.Memory].stop()
		_, err := s.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "no memory", Text: "Hello."})
		if errors.KindOf(err) != errors.Unavailable {
			t.Errorf("without memory: %v, want Unavailable", err)
		}
		s.peers[dbslm.Memory].start()
		s.peers[dbslm.Ngram].start()
		waitReachable(t, s, "memory")
		waitReachable(t, s, "ngram")
		if r := ask("no memory", "Hello."); len(r.Trace.Degradations) != 0 {
			t.Errorf("after all are back: %v", r)
		}
		again := ask("no concept", "When does the market open?")
		if again.Message.MessageId == "" || again.Trace.Degradations[0].Service != "concept" {
			t.Errorf("a repeated request must return the stored reply: %v", again)
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil {
			t.Fatal(err)
		}
		if len(history.Messages) != 10 {
			t.Errorf("%d messages of 5 turns: %v", len(history.Messages), history.Messages)
		}
		for i, m := range history.Messages {
			if m.Seq != uint64(i+1) {
				t.Errorf("message %d has seq %d", i, m.Seq)
			}
		}
	})
}

func waitReachable(t *testing.T, s splitSystem, name string) {
	t.Helper()
	for range 100 {
		resp, err := s.gateway.GetStatus(t.Context(), &gatewayv1.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range resp.Peers {
			if p.Service == name && p.Reachable {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s was not reached again within 5 s", name)
}

func TestCorrectionIsAcknowledgedAndApplies(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		s.hours(t)
		conversation := start(t, s.gateway)
		first := respond(t, s.gateway, conversation, "1", "When does the market open?", 1)
		req := &gatewayv1.CorrectRequest{Correction: &memoryv1.RecordCorrectionRequest{
			RequestId: "c1", ConversationId: conversation, ErrorMessageId: first.Message.MessageId,
			Fact: &memoryv1.CorrectedFact{Entity: "market", Attribute: "market day", Value: "Saturday"},
		}}
		for range 2 { // repeating repairs, and doubles nothing
			resp, err := s.gateway.Correct(t.Context(), req)
			if err != nil || resp.SignalId == "" {
				t.Fatal(resp, err)
			}
		}
		second := respond(t, s.gateway, conversation, "2", "When does the market open?", 2)
		if want := "Incorporating your latest correction: the market day of market is Saturday. The market opens on Saturday."; second.Message.Content != want {
			t.Errorf("got  %q\nwant %q", second.Message.Content, want)
		}
		third := respond(t, s.gateway, conversation, "3", "When does the market open?", 3)
		if want := "The market opens on Saturday."; third.Message.Content != want {
			t.Errorf("got %q, want %q: acknowledged once, in effect until revoked", third.Message.Content, want)
		}
		other := respond(t, s.gateway, start(t, s.gateway), "1", "When does the market open?", 3)
		if want := "The market opens on Sunday."; other.Message.Content != want {
			t.Errorf("another conversation: got %q, want %q", other.Message.Content, want)
		}
		trace, err := s.gateway.GetTrace(t.Context(), &gatewayv1.GetTraceRequest{MessageId: second.Message.MessageId})
		if err != nil || len(trace.Trace.Segments) != 2 || trace.Trace.Segments[0].Span.Signal == nil ||
			trace.Trace.Segments[1].Span.SlotSources["market_day"] != "correction" {
			t.Errorf("trace: %v, %v", trace, err)
		}
	})
}

func TestRespondIsIdempotentAndStreams(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		conversation := start(t, s.gateway)
		seed := uint64(5)
		req := &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "x", Text: "Tell me about the boats.", Parameters: &ngramv1.DecodeParameters{Seed: &seed}}
		stream, err := s.gateway.StreamRespond(t.Context(), &gatewayv1.StreamRespondRequest{Request: req})
		if err != nil {
			t.Fatal(err)
		}
		var text string
		var finished *gatewayv1.RespondResponse
		for finished == nil {
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			text += resp.GetDelta().GetText()
			finished = resp.GetFinished()
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("after the last message: %v", err)
		}
		if text == "" || text != finished.Message.Content {
			t.Errorf("streamed %q, stored %q", text, finished.Message.Content)
		}
		again, err := s.gateway.Respond(t.Context(), req)
		if err != nil || again.Message.MessageId != finished.Message.MessageId || again.Message.Content != text || again.Trace.Seed != seed {
			t.Errorf("repeated: %v, %v", again, err)
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 2 {
			t.Errorf("history: %v, %v", history, err)
		}
	})
}

// A turn whose caller goes away is stored with what was said, and does not block the next one.
func TestCancelledTurn(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		conversation := start(t, s.gateway)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := s.gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: &gatewayv1.RespondRequest{
			ConversationId: conversation, RequestId: "gone", Text: "Tell me about the boats.",
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil { // the turn has begun
			t.Fatal(err)
		}
		cancel()
		var reply *gatewayv1.RespondResponse
		for range 100 {
			reply, err = s.gateway.Respond(t.Context(), &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: "next", Text: "Hello."})
			if errors.KindOf(err) != errors.Aborted {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil || reply.Message.Content == "" {
			t.Fatalf("after a cancelled turn: %v, %v", reply, err)
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 4 {
			t.Fatalf("history: %v, %v", history, err)
		}
		if reason := history.Messages[1].FinishReason; reason != "cancelled" && reason != "stop" && reason != "length" {
			t.Errorf("the cancelled reply was stored with finish reason %q", reason)
		}
	})
}

func TestBadRequests(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		conversation := start(t, s.gateway)
		for name, test := range map[string]struct {
			req  *gatewayv1.RespondRequest
			kind errors.Kind
		}{
			"empty text":           {&gatewayv1.RespondRequest{ConversationId: conversation}, errors.InvalidArgument},
			"only spaces":          {&gatewayv1.RespondRequest{ConversationId: conversation, Text: " \n\t"}, errors.InvalidArgument},
			"NUL":                  {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "a\x00b"}, errors.InvalidArgument},
			"more than 1 MiB":      {&gatewayv1.RespondRequest{ConversationId: conversation, Text: strings.Repeat("a", 1<<20+1)}, errors.InvalidArgument},
			"unknown conversation": {&gatewayv1.RespondRequest{ConversationId: "0193e4a1-0000-7000-8000-000000000000", Text: "hi"}, errors.NotFound},
			"unknown model":        {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "hi", Model: "nobody"}, errors.NotFound},
			"bad payload":          {&gatewayv1.RespondRequest{ConversationId: conversation, Text: "hi", PayloadJson: "[1]"}, errors.InvalidArgument},
			"other tenant":         {&gatewayv1.RespondRequest{Tenant: "other", ConversationId: conversation, Text: "hi"}, errors.NotFound},
		} {
			if _, err := s.gateway.Respond(t.Context(), test.req); errors.KindOf(err) != test.kind {
				t.Errorf("%s: got %v (%v), want %v", name, err, errors.KindOf(err), test.kind)
			}
		}
		history, err := s.gateway.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
		if err != nil || len(history.Messages) != 0 {
			t.Errorf("bad requests left %v, %v", history, err)
		}
	})
}

// A prompt of 1 MB is answered, and its like in size never comes back.
func TestLargePrompt(t *testing.T) {
	eachSystem(t, func(t *testing.T, s system) {
		train(t, s.gateway, "harbour.txt", harbour)
		r := respond(t, s.gateway, start(t, s.gateway), "big", strings.Repeat("the boats and the fog ", 1<<20/22), 3)
		if n := len(r.Message.Content); n == 0 || n > 4096 {
			t.Errorf("the reply has %d bytes", n)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for name, config := range map[string]dbslm.Config{
		"no store":        {},
		"unknown service": {DB: ":memory:", Services: []dbslm.Service{"nobody"}},
		"missing peer":    {Services: []dbslm.Service{dbslm.Gateway}},
		"missing store":   {DB: t.TempDir() + "/nowhere"},
	} {
		sys, err := dbslm.Open(t.Context(), config)
		if err == nil {
			t.Errorf("%s was accepted", name)
			_ = sys.Close()
			continue
		}
		if kind := errors.KindOf(err); kind != errors.InvalidArgument && kind != errors.NotFound && kind != errors.FailedPrecondition {
			t.Errorf("%s: %v (%v)", name, err, kind)
		}
	}
}

// dsn is the target as --db takes it, the password of a server included.
func dsn(t *testing.T, target database.Target) string {
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
