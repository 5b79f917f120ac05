package dbslm_test

import (
	"context"
	"fmt"
	"io"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/gateway"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	conceptserver "dbslm/services/concept/server"
	conceptstore "dbslm/services/concept/store"
	memoryserver "dbslm/services/memory/server"
	memorystore "dbslm/services/memory/store"
	ngramserver "dbslm/services/ngram/server"
	ngramstore "dbslm/services/ngram/store"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// faults are the tests of what a gateway does when something goes wrong. They share one world on each engine, so each
// begins conversations of its own.
var faults = []struct {
	name string
	test func(*testing.T, *world)
}{
	{"RetryKeepsSeedAndBuild", testRetryKeepsSeedAndBuild},
	{"RetryKeepsConceptBuild", testRetryKeepsConceptBuild},
	{"TwoAttemptsAtOnce", testTwoAttemptsAtOnce},
	{"CancelledAttemptBeatsItsRetry", testCancelledAttemptBeatsItsRetry},
	{"LeaseEndsUnderATurn", testLeaseEndsUnderATurn},
	{"LibraryRetries", testLibraryRetries},
	{"CorrectIsRepairedByRepeating", testCorrectIsRepairedByRepeating},
	{"NoticedIsNotLost", testNoticedIsNotLost},
	{"Seeds", testSeeds},
	{"ShortDeadlines", testShortDeadlines},
	{"HangingPeers", testHangingPeers},
	{"CallerWhoDoesNotRead", testCallerWhoDoesNotRead},
	{"CancelStopsSQL", testCancelStopsSQL},
	{"DyingAtEveryStep", testDyingAtEveryStep},
	{"MisbehavingProviders", testMisbehavingProviders},
	{"SeveralProviders", testSeveralProviders},
	{"HonestProviders", testHonestProviders},
	{"TurnsAreObservedOnce", testTurnsAreObservedOnce},
	{"SignalRequestIDIsNotReused", testSignalRequestIDIsNotReused},
	{"MegabyteMessages", testMegabyteMessages},
	{"WidestWindow", testWidestWindow},
	{"ManyBiasesAndFacts", testManyBiasesAndFacts},
	{"LongSignals", testLongSignals},
	{"MistakesInStreams", testMistakesInStreams},
	{"CancelledTraining", testCancelledTraining},
	{"ParallelConversations", testParallelConversations},
	{"PublishingIsSeenAtOnce", testPublishingIsSeenAtOnce},
	{"DecayingBias", testDecayingBias},
	{"ErasedOverAllLevels", testErasedOverAllLevels},
	{"ErasedDocuments", testErasedDocuments},
	{"Overload", testOverload},
}

// Nothing that can happen to a gateway, its peers, its callers or its providers loses or doubles a message, holds a
// conversation beyond its lease, or keeps a reply from coming that can come.
func TestFaults(t *testing.T) {
	databasetest.EachTarget(t, func(t *testing.T, target database.Target) {
		w := newWorld(t, target)
		train(t, w, "harbour.txt", harbour)
		w.notices(t)
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) { f.test(t, w) })
		}
	})
}

// world is the three real levels over one real store, with a clock that can be put forward and gateways whose
// connections fail on command.
type world struct {
	front // a gateway with healthy connections

	ahead atomic.Int64 // of the real time, in nanoseconds
	conns map[dbslm.Service]*grpc.ClientConn
	dbs   map[dbslm.Service]*database.DB

	turns     memoryv1.TurnServiceClient
	signals   conceptv1.SignalServiceClient
	catalogue conceptv1.CatalogueServiceClient
}

func newWorld(t *testing.T, target database.Target) *world {
	t.Helper()
	w := &world{conns: map[dbslm.Service]*grpc.ClientConn{}, dbs: map[dbslm.Service]*database.DB{}}
	add := func(name dbslm.Service, schema database.Schema, open func(*database.DB) rpc.Service) {
		w.dbs[name] = databasetest.Open(t, target, schema, database.Options{})
		w.conns[name] = serveHere(t, open(w.dbs[name]))
	}
	add(dbslm.Ngram, ngramstore.Schema, func(db *database.DB) rpc.Service {
		s := ngramserver.New(db, ngramserver.Options{CacheBytes: 1}) // every step of a reply reads the store
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
	add(dbslm.Memory, memorystore.Schema, func(db *database.DB) rpc.Service {
		s := memoryserver.New(db, memoryserver.Options{Clock: w.now})
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
	add(dbslm.Concept, conceptstore.Schema, func(db *database.DB) rpc.Service {
		return conceptserver.New(db, conceptserver.Options{Clock: w.now})
	})
	w.front = w.gateway(t)
	w.turns = memoryv1.NewTurnServiceClient(w.conns[dbslm.Memory])
	w.signals = conceptv1.NewSignalServiceClient(w.conns[dbslm.Concept])
	w.catalogue = conceptv1.NewCatalogueServiceClient(w.conns[dbslm.Concept])
	return w
}

func serveHere(t *testing.T, service rpc.Service) *grpc.ClientConn {
	server := rpc.NewServer(rpc.Options{}, service)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Local()
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// front is a gateway and its connections to the levels.
type front struct {
	gatewayv1.GatewayServiceClient
	conn  *grpc.ClientConn
	lines map[dbslm.Service]*line
}

// gateway starts one more gateway, which knows nothing of the others.
func (w *world) gateway(t *testing.T) front {
	t.Helper()
	return w.gatewayWith(t, gateway.Options{})
}

func (w *world) gatewayWith(t *testing.T, options gateway.Options) front {
	t.Helper()
	f := front{lines: map[dbslm.Service]*line{}}
	for name, conn := range w.conns {
		f.lines[name] = &line{ClientConnInterface: conn}
	}
	gate := gateway.New(gateway.Peers{Ngram: f.lines[dbslm.Ngram], Memory: f.lines[dbslm.Memory], Concept: f.lines[dbslm.Concept]}, options)
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Error(err)
		}
	})
	f.conn = serveHere(t, gate)
	f.GatewayServiceClient = gatewayv1.NewGatewayServiceClient(f.conn)
	return f
}

// moment is when, in the life of a call, something happens to it.
type moment string

const (
	before moment = "before" // nothing was sent
	amid   moment = "amid"   // a stream has brought text
	after  moment = "after"  // the work is done, the answer lost
)

// line is a connection that fails on command. It stands above gRPC's own retries.
type line struct {
	grpc.ClientConnInterface
	mu   sync.Mutex
	cut  bool
	hook func(ctx context.Context, method string, when moment) error
}

var errCut = errors.New(errors.Unavailable, "PEER_UNAVAILABLE", "the service does not answer; check that it runs, then try again")

// on has a function meet every call.
func (l *line) on(hook func(ctx context.Context, method string, when moment) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = hook
}

// set cuts the line or mends it.
func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *line) meet(ctx context.Context, method string, when moment) error {
	l.mu.Lock()
	hook, cut := l.hook, l.cut
	l.mu.Unlock()
	if cut {
		return errCut
	}
	if hook == nil {
		return nil
	}
	return hook(ctx, path.Base(method), when)
}

func (l *line) Invoke(ctx context.Context, method string, in, out any, options ...grpc.CallOption) error {
	if err := l.meet(ctx, method, before); err != nil {
		return err
	}
	if err := l.ClientConnInterface.Invoke(ctx, method, in, out, options...); err != nil {
		return err
	}
	return l.meet(ctx, method, after)
}

func (l *line) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := l.meet(ctx, method, before); err != nil {
		return nil, err
	}
	s, err := l.ClientConnInterface.NewStream(ctx, desc, method, options...)
	return &lineStream{ClientStream: s, line: l, method: method}, err
}

type lineStream struct {
	grpc.ClientStream
	line   *line
	method string
	text   bool // has come
}

func (s *lineStream) RecvMsg(m any) error {
	if s.text {
		if err := s.line.meet(s.Context(), s.method, amid); err != nil {
			return err
		}
	}
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	if resp, ok := m.(*ngramv1.GenerateResponse); ok {
		s.text = s.text || resp.GetChunk() != nil
		if resp.GetFinish() != nil {
			return s.line.meet(s.Context(), s.method, after)
		}
	}
	return nil
}

// attempt is what one try of a turn brought.
type attempt struct {
	started  *gatewayv1.RespondStarted
	text     string
	finished *gatewayv1.RespondResponse
	err      error
}

func (a attempt) String() string {
	return fmt.Sprintf("%.200q, seed %d, error %v, finished %.2000v", a.text, a.started.GetSeed(), a.err, a.finished)
}

func try(ctx context.Context, g gatewayv1.GatewayServiceClient, req *gatewayv1.RespondRequest) (a attempt) {
	stream, err := g.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: req})
	if err != nil {
		return attempt{err: err}
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return a
		}
		if err != nil {
			a.err = err
			return a
		}
		if s := resp.GetStarted(); s != nil {
			a.started = s
		}
		a.text += resp.GetDelta().GetText()
		if f := resp.GetFinished(); f != nil {
			a.finished = f
		}
	}
}

func ask(conversation, id, text string) *gatewayv1.RespondRequest {
	return &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: id, Text: text}
}

const notice = "The tide turns at six."

// notices gives the bot a concept that only signals ask for.
func (w *world) notices(t *testing.T) {
	t.Helper()
	_, err := w.catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "Notice", MetadataSchema: `{"hour": "string"}`}})
	if err == nil {
		_, err = w.catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Notice", Text: "The tide turns at {hour}."}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) push(t *testing.T, conversation, id string) string {
	t.Helper()
	resp, err := w.signals.PushSignal(t.Context(), &conceptv1.PushSignalRequest{
		RequestId: conversation + id, ConversationId: conversation, Concept: "Notice", PayloadJson: `{"hour":"six"}`, Ttl: durationpb.New(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Signal.SignalId
}

// signal returns a signal of a conversation as it is stored.
func (w *world) signal(t *testing.T, conversation, id string) *conceptv1.Signal {
	t.Helper()
	resp, err := w.signals.ListSignals(t.Context(), &conceptv1.ListSignalsRequest{ConversationId: conversation, IncludeEnded: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range resp.Signals {
		if s.SignalId == id {
			return s
		}
	}
	t.Fatalf("signal %s is gone", id)
	return nil
}

// history returns the messages of a conversation and checks what holds of every one: no gap, no turn with two
// messages of one side, and nothing that the person says twice, for in these tests a person never does.
func (w *world) history(t *testing.T, conversation string) []*memoryv1.Message {
	t.Helper()
	resp, err := w.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, m := range resp.Messages {
		if m.Seq != uint64(i+1) {
			t.Errorf("message %d has seq %d", i+1, m.Seq)
		}
		keys := []string{m.TurnId + m.Sender.String()}
		if m.Sender == memoryv1.Sender_SENDER_USER {
			keys = append(keys, m.Content)
		}
		for _, key := range keys {
			if seen[key] {
				t.Errorf("%q stands twice: %v", key, resp.Messages)
			}
			seen[key] = true
		}
	}
	return resp.Messages
}

// checkClosed fails when a turn of these messages is open.
func (w *world) checkClosed(t *testing.T, messages []*memoryv1.Message) {
	t.Helper()
	for _, m := range messages {
		if m.TurnId == "" { // appended without a turn
			continue
		}
		resp, err := w.turns.GetTurn(t.Context(), &memoryv1.GetTurnRequest{TurnId: m.TurnId})
		if err != nil {
			t.Error(err)
		} else if resp.Turn.State == memoryv1.Turn_STATE_OPEN {
			t.Errorf("turn %s is open: %v", m.TurnId, resp.Turn)
		}
	}
}
