package dbslm_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

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
