package rpc

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestHealthFollowsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newMonitor(slog.New(slog.NewTextHandler(&log, nil)), 2*time.Second)
		var mode atomic.Value // of the service "b"
		mode.Store("ok")
		hang := make(chan struct{})
		var checks atomic.Int32
		m.add([]string{"a"}, func(context.Context) error { return nil })
		m.add([]string{"b", "b2"}, func(ctx context.Context) error {
			checks.Add(1)
			switch mode.Load() {
			case "fails":
				return fmt.Errorf("no schema")
			case "slow":
				<-ctx.Done()
				return ctx.Err()
			case "hangs":
				<-hang
				return nil
			case "panics":
				panic("oh")
			}
			return nil
		})
		expect := func(when string, b healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{"a": healthpb.HealthCheckResponse_SERVING, "b": b, "b2": b, "": b} {
				got, err := m.health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
				if err != nil || got.GetStatus() != want {
					t.Errorf("%s: %q is %v, %v; want %v", when, name, got.GetStatus(), err, want)
				}
			}
			if ready := m.ready() == nil; ready != (b == healthpb.HealthCheckResponse_SERVING) {
				t.Errorf("%s: ready is %v", when, m.ready())
			}
		}
		const serving, notServing = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
		if got, _ := m.health.Check(t.Context(), &healthpb.HealthCheckRequest{}); got.GetStatus() != notServing || m.ready() == nil {
			t.Error("healthy before the first check")
		}

		ctx, cancel := context.WithCancel(t.Context())
		first, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); m.run(ctx, func() { close(first) }) }()
		<-first
		expect("at first", serving)
		for _, bad := range []string{"fails", "slow", "hangs", "panics"} {
			mode.Store(bad)
			time.Sleep(5 * time.Second) // two intervals and some
			synctest.Wait()
			expect("when it "+bad, notServing)
			if bad == "hangs" {
				before := checks.Load()
				time.Sleep(time.Minute)
				if checks.Load() != before {
					t.Error("checks pile up behind one that hangs")
				}
				close(hang)
			}
			mode.Store("ok")
			time.Sleep(5 * time.Second)
			synctest.Wait()
			expect("after it "+bad, serving)
		}
		cancel()
		<-ended
		synctest.Wait()
		expect("after the end", serving) // ending is not a failure; draining says NOT_SERVING itself
		if ready, not := strings.Count(log.String(), `"service is ready"`), strings.Count(log.String(), `"service is not ready"`); ready != 2+4 || not != 4 {
			t.Errorf("%d and %d transitions logged:\n%s", ready, not, log.String())
		}
	})
}

func TestHealthOverTheWire(t *testing.T) {
	var down atomic.Bool
	e := &echo{ready: func(context.Context) error {
		if down.Load() {
			return errors.New(errors.FailedPrecondition, "SCHEMA_TOO_OLD", "run `dbslm migrate`")
		}
		return nil
	}}
	r := serve(t, "tcp", Options{HealthInterval: 5 * time.Millisecond}, e)
	client := healthpb.NewHealthClient(r.conn)
	check := func(name string) healthpb.HealthCheckResponse_ServingStatus {
		got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetStatus()
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING, healthpb.HealthCheckResponse_SERVING,
	} {
		down.Store(want != healthpb.HealthCheckResponse_SERVING)
		eventually(t, "health is "+want.String(), func() bool { return check("") == want && check(echoName) == want })
		err := r.Ready(t.Context())
		if (err == nil) == down.Load() {
			t.Errorf("Ready: %v", err)
		}
		if err != nil && errors.Public(err) != "echo is not ready: run `dbslm migrate`" {
			t.Errorf("Ready says %q", errors.Public(err))
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); errors.KindOf(err) != errors.NotFound {
		t.Errorf("an unknown name gave %v", err)
	}
	for _, line := range r.log.lines(t, "call") {
		if line["code"] == "OK" && line["level"] != "DEBUG" {
			t.Fatalf("a probe was logged: %v", line)
		}
	}
}

func TestAServiceThatIsDownFromTheStartDoesNotBlockIt(t *testing.T) {
	begun := time.Now()
	server := NewServer(Options{HealthInterval: 20 * time.Millisecond}, &echo{ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
	defer server.Close()
	conn := server.Local()
	if got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v, %v", got, err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("starting took %v", took)
	}
}
