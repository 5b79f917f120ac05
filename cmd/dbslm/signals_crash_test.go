package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/rpc"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
)

// TestSignalsUnderKills has many consumers hear the signals of a few conversations, several consumers to a conversation, while the
// service and the database are killed with SIGKILL. In the end every signal, none of which expires, is in exactly one stored
// reply, and counts as spoken.
//
// DBSLM_SIGNALS, DBSLM_SIGNAL_CONSUMERS and DBSLM_SIGNAL_KILLS (of each victim) set its size.
func TestSignalsUnderKills(t *testing.T) {
	size := signalRun{
		signals:   int(crashNumber(t, "DBSLM_SIGNALS", 64)),
		consumers: int(crashNumber(t, "DBSLM_SIGNAL_CONSUMERS", 8)),
		kills:     int(crashNumber(t, "DBSLM_SIGNAL_KILLS", 1)),
	}
	t.Run("sqlite", func(t *testing.T) { size.run(t, newCrash(t, nil, "", 1)) })
	t.Run("mysql", func(t *testing.T) { size.run(t, newCrash(t, databasetest.Start(t), "", 1)) })
}

type signalRun struct{ signals, consumers, kills int }

var signalNumber = regexp.MustCompile(`Signal (\d+)\.`)

func (r signalRun) run(t *testing.T, c *crash) {
	c.startService()
	conn, err := rpc.Dial(c.socket, rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gate, signals := gatewayv1.NewGatewayServiceClient(conn), conceptv1.NewSignalServiceClient(conn)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	catalogue := conceptv1.NewCatalogueServiceClient(conn)
	_, err = catalogue.PutConcept(t.Context(), &conceptv1.PutConceptRequest{Concept: &conceptv1.Concept{Name: "Notice", MetadataSchema: `{"n": "string"}`}})
	must(err)
	_, err = catalogue.PutTemplate(t.Context(), &conceptv1.PutTemplateRequest{Template: &conceptv1.Template{Concept: "Notice", Text: "Signal {n}."}})
	must(err)
	conversations := make([]string, max(r.consumers/2, 1))
	for i := range conversations {
		resp, err := gate.StartConversation(t.Context(), &gatewayv1.StartConversationRequest{})
		must(err)
		conversations[i] = resp.Conversation.ConversationId
	}
	for i := range r.signals {
		_, err := gate.PushSignal(t.Context(), &gatewayv1.PushSignalRequest{
			RequestId: fmt.Sprint("signal ", i), ConversationId: conversations[i%len(conversations)], Concept: "Notice", TtlSeconds: 86400,
			Score: float64(i%7 + 1), PayloadJson: fmt.Sprintf(`{"n":"%d"}`, i),
		})
		must(err)
	}

	var heard, failed atomic.Int64 // signals in replies that consumers got; calls that failed
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var wg sync.WaitGroup
	for i := range r.consumers {
		wg.Go(func() { consume(ctx, i, gate, signals, conversations, &heard, &failed) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	victims := []string{victimService}
	if c.server != nil {
		victims = append(victims, victimDatabase)
	}
	killed := 0
	for k := range r.kills * len(victims) {
		due := int64((k + 1) * r.signals / (r.kills*len(victims) + 2))
		for heard.Load() < due {
			select {
			case <-done:
				t.Fatalf("the consumers ended after %d of %d signals", heard.Load(), r.signals)
			case <-time.After(time.Millisecond):
			}
		}
		if victims[k%len(victims)] == victimDatabase {
			c.server.Kill(t)
			c.server.Restart(t)
		} else {
			c.stopService()
			c.startService()
		}
		killed++
	}
	<-done
	must(ctx.Err())
	if want := r.kills * len(victims); killed != want || failed.Load() == 0 {
		t.Errorf("killed %d times, want %d; %d calls failed, want some", killed, want, failed.Load())
	}
	r.check(t, gate, signals, conversations)
	t.Logf("%d signals, %d consumers, %d kills; %d calls failed on the way", r.signals, r.consumers, killed, failed.Load())
}

// consume holds turns in the conversations until none of their signals waits. A turn whose answer is lost is sometimes
// repeated and sometimes given up, as by a consumer that died; then another one goes on once its lease is over.
func consume(ctx context.Context, number int, gate gatewayv1.GatewayServiceClient, signals conceptv1.SignalServiceClient, conversations []string, heard, failed *atomic.Int64) {
	random := rand.New(rand.NewPCG(1, uint64(number)))
	left := slices.Clone(conversations)
	for n := 0; len(left) > 0 && ctx.Err() == nil; n++ {
		at := random.IntN(len(left))
		req := &gatewayv1.RespondRequest{
			ConversationId: left[at], RequestId: fmt.Sprintf("%d-%d", number, n), Text: fmt.Sprintf("Consumer %d, turn %d.", number, n), MaxSegments: 8,
		}
		var resp *gatewayv1.RespondResponse
		var err error
		for try := 0; try == 0 || err != nil && random.IntN(8) > 0 && ctx.Err() == nil; try++ {
			if try > 0 {
				failed.Add(1)
				time.Sleep(time.Duration(10+random.IntN(50)) * time.Millisecond)
			}
			call, cancel := context.WithTimeout(ctx, 6*time.Second)
			resp, err = gate.Respond(call, req)
			cancel()
		}
		if err != nil {
			failed.Add(1)
			continue
		}
		spoken := signalNumber.FindAllString(resp.Message.GetContent(), -1)
		heard.Add(int64(len(spoken)))
		if len(spoken) > 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, 6*time.Second)
		live, err := signals.ListSignals(call, &conceptv1.ListSignalsRequest{ConversationId: left[at], PageSize: 1})
		cancel()
		if err == nil && len(live.Signals) == 0 {
			left = slices.Delete(left, at, at+1)
		}
	}
}

// check counts each signal in the stored replies, and its state.
func (r signalRun) check(t *testing.T, gate gatewayv1.GatewayServiceClient, signals conceptv1.SignalServiceClient, conversations []string) {
	t.Helper()
	in, states := map[string]int{}, map[conceptv1.Signal_State]int{}
	for _, conversation := range conversations {
		for token := ""; ; {
			page, err := gate.GetHistory(t.Context(), &gatewayv1.GetHistoryRequest{ConversationId: conversation, PageSize: 1000, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.Messages {
				if m.Sender == memoryv1.Sender_SENDER_ASSISTANT {
					for _, n := range signalNumber.FindAllStringSubmatch(m.Content, -1) {
						in[n[1]]++
					}
				}
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
		for token := ""; ; {
			page, err := signals.ListSignals(t.Context(), &conceptv1.ListSignalsRequest{ConversationId: conversation, IncludeEnded: true, PageSize: 1000, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Signals {
				states[s.State]++
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(in)) {
		if in[n] != 1 {
			t.Errorf("signal %s is in %d stored replies", n, in[n])
		}
	}
	if len(in) != r.signals || states[conceptv1.Signal_STATE_CONFIRMED] != r.signals {
		t.Errorf("%d of %d signals are in stored replies; states %v", len(in), r.signals, states)
	}
}
