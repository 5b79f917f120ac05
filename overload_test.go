package dbslm_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"dbslm/gateway"
	"dbslm/gateway/edge"
	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
)

// A gateway that has as many turns as it may refuses another at once, whichever door it comes through, says when to try again and stores
// nothing of it. It takes it as soon as there is a place.
func testOverload(t *testing.T, w *world) {
	g := w.gatewayWith(t, gateway.Options{MaxTurns: 2})
	full, release := sync.WaitGroup{}, make(chan struct{})
	full.Add(2)
	g.lines["memory"].on(func(ctx context.Context, method string, when moment) error {
		if method == "PrepareTurn" && when == before {
			full.Done()
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	})
	conversations := []string{start(t, g), start(t, g), start(t, g)}
	accepted := make(chan error, 2)
	for _, conversation := range conversations[:2] {
		go func() {
			_, err := g.Respond(t.Context(), ask(conversation, "one", "Who sings?"))
			accepted <- err
		}()
	}
	full.Wait()

	door := httptest.NewServer(edge.New(g.conn, edge.Options{}).Handler())
	defer door.Close()
	over := func(method, body string) error {
		resp, err := http.Post(door.URL+method, "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s is answered %s, Retry-After %q", method, resp.Status, resp.Header.Get("Retry-After"))
		}
		return nil
	}
	another := ask(conversations[2], "one", "Who sings?")
	for name, call := range map[string]func(context.Context) error{
		"Respond": func(ctx context.Context) error { _, err := g.Respond(ctx, another); return err },
		"stream":  func(ctx context.Context) error { return try(ctx, g, another).err },
		"Explain": func(ctx context.Context) error {
			_, err := g.Explain(ctx, &gatewayv1.ExplainRequest{MessageId: "any"})
			return err
		},
		"Replay": func(ctx context.Context) error {
			_, err := g.Replay(ctx, &gatewayv1.ReplayRequest{MessageId: "any"})
			return err
		},
	} {
		err := call(t.Context())
		if errors.KindOf(err) != errors.ResourceExhausted || errors.ReasonOf(err) != "TOO_MANY_TURNS" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := over("/dbslm.gateway.v1.GatewayService/Respond", `{"conversationId": "`+conversations[2]+`", "requestId": "one", "text": "Who sings?"}`); err != nil {
		t.Error(err)
	}
	if err := over("/v1/chat/completions", `{"model": "default", "messages": [{"role": "user", "content": "Who sings?"}]}`); err != nil {
		t.Error(err)
	}

	g.lines["memory"].on(nil)
	close(release)
	for range 2 {
		if err := <-accepted; err != nil {
			t.Error("an accepted turn:", err)
		}
	}
	if got := w.history(t, conversations[2]); len(got) != 0 {
		t.Errorf("a refused turn stored %v", got)
	}
	if _, err := g.Respond(t.Context(), another); err != nil {
		t.Error("once there is a place:", err)
	}
	if got := w.history(t, conversations[2]); len(got) != 2 {
		t.Errorf("after the repetition there are %v", got)
	}
}
