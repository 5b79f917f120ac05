package rpc

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/pkg/errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// twoReplicas is a connection to a peer at two addresses, both of which were met.
func twoReplicas(t *testing.T, o Options, replicas [2]*echo) *grpc.ClientConn {
	t.Helper()
	addresses := manual.NewBuilderWithScheme("replicas")
	var state resolver.State
	const greeting = "are you there?"
	var met [2]atomic.Bool
	for i, e := range replicas {
		greeted := &echo{unary: func(ctx context.Context, s string) (string, error) {
			if s == greeting {
				met[i].Store(true)
				return s, nil
			}
			return e.unary(ctx, s)
		}}
		lis, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		state.Addresses = append(state.Addresses, resolver.Address{Addr: lis.Addr().String()})
		stop := start(NewServer(o, greeted), lis)
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	addresses.InitialState(state)
	conn, err := dial(addresses.Scheme()+":///peer", o.withDefaults(), insecure.NewCredentials(), grpc.WithResolvers(addresses))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	eventually(t, "both replicas are connected", func() bool {
		if _, err := call(t.Context(), conn, writeMethod, greeting); err != nil {
			t.Fatal(err)
		}
		return met[0].Load() && met[1].Load()
	})
	return conn
}

// A replica that hangs costs a read the time until it is asked of the other one; its own call is cancelled. What may have effects is never
// made twice.
func TestHedging(t *testing.T) {
	var hung, ended atomic.Int32
	hangs := &echo{unary: func(ctx context.Context, _ string) (string, error) {
		hung.Add(1)
		defer ended.Add(1)
		<-ctx.Done()
		return "", ctx.Err()
	}}
	answers := &echo{unary: func(_ context.Context, s string) (string, error) {
		if s == "bad" {
			return "", errors.New(errors.NotFound, "NO_SUCH_THING", "there is none")
		}
		return "answer to " + s, nil
	}}
	conn := twoReplicas(t, Options{HedgeAfter: 30 * time.Millisecond}, [2]*echo{hangs, answers})
	for i := range 5 {
		got, err := read(t.Context(), conn, fmt.Sprint(i))
		if want := fmt.Sprint("answer to ", i); err != nil || got != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	if hung.Load() == 0 {
		t.Fatal("no call met the replica that hangs")
	}
	eventually(t, "the calls that lost are cancelled", func() bool { return ended.Load() == hung.Load() })
	for range 2 {
		if _, err := read(t.Context(), conn, "bad"); errors.ReasonOf(err) != "NO_SUCH_THING" {
			t.Errorf("error %v", err)
		}
	}
	before := hung.Load()
	failed := 0
	for range 4 { // round robin: every second one hangs
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := call(ctx, conn, writeMethod, "x"); errors.KindOf(err) == errors.DeadlineExceeded {
			failed++
		}
		cancel()
	}
	if failed != 2 || hung.Load() != before+2 {
		t.Errorf("%d of 4 writes met the replica that hangs, which was asked %d times", failed, hung.Load()-before)
	}
}

// A peer that is slow everywhere is not asked twice as often, and one without a second answer keeps its deadline.
func TestHedgingIsBounded(t *testing.T) {
	var asked atomic.Int32
	slow := &echo{unary: func(_ context.Context, s string) (string, error) {
		asked.Add(1)
		time.Sleep(5 * time.Millisecond)
		return s, nil
	}}
	conn := twoReplicas(t, Options{HedgeAfter: time.Millisecond}, [2]*echo{slow, slow})
	const calls = 200
	for range calls {
		if _, err := read(t.Context(), conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if twice := asked.Load() - calls; twice < 5 || twice > 10+calls/hedgeCost {
		t.Errorf("%d of %d calls were made twice", twice, calls)
	}
	hangs := &echo{unary: func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }}
	dead := twoReplicas(t, Options{HedgeAfter: time.Millisecond}, [2]*echo{hangs, hangs})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := read(ctx, dead, "x"); errors.KindOf(err) != errors.DeadlineExceeded {
		t.Errorf("error %v", err)
	}
}

// A replica that has too much to do refuses; that must not end a call that another one is about to answer.
func TestHedgingOutlivesARefusal(t *testing.T) {
	var asked, refused atomic.Int32
	slow := &echo{unary: func(_ context.Context, s string) (string, error) {
		asked.Add(1)
		time.Sleep(100 * time.Millisecond)
		return s, nil
	}}
	full := &echo{unary: func(context.Context, string) (string, error) {
		refused.Add(1)
		return "", errors.New(errors.ResourceExhausted, "TOO_MUCH", "come back later")
	}}
	conn := twoReplicas(t, Options{HedgeAfter: 10 * time.Millisecond}, [2]*echo{slow, full})
	for range 4 {
		before := asked.Load()
		_, err := read(t.Context(), conn, "x")
		if met := asked.Load() > before; met != (err == nil) {
			t.Errorf("the slow replica was asked: %v; error %v", met, err)
		}
	}
	if asked.Load() < 2 || refused.Load() < 2 {
		t.Errorf("%d calls of the slow replica, %d refusals", asked.Load(), refused.Load())
	}
}

func BenchmarkHedging(b *testing.B) {
	for _, after := range []time.Duration{0, time.Second} {
		b.Run(fmt.Sprint(after), func(b *testing.B) {
			lis, err := Listen(b.Context(), "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer func(stop func() error) { _ = stop() }(start(NewServer(Options{}, &echo{}), lis))
			conn, err := Dial(lis.Addr().String(), Options{HedgeAfter: after})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			for b.Loop() {
				if _, err := read(b.Context(), conn, "x"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
