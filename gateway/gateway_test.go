package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dbslm/pkg/errors"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// With too many providers the one idle longest goes; one in use stays, and so does the call on it.
func TestProviderConnections(t *testing.T) {
	dialled := map[string]int{}
	p := &providers{dial: func(address string) (*grpc.ClientConn, error) {
		dialled[address]++
		return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}}
	acquire := func(i int) (release func()) {
		t.Helper()
		_, release, err := p.acquire(fmt.Sprint("provider", i, ":1"))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	held := acquire(0)
	for i := 1; i < providerLimit+10; i++ {
		acquire(i)()
		time.Sleep(time.Microsecond) // so that times of use differ
	}
	acquire(0)()
	acquire(providerLimit + 9)()
	acquire(1)()
	if len(p.conns) != providerLimit || dialled["provider0:1"] != 1 || dialled[fmt.Sprint("provider", providerLimit+9, ":1")] != 1 || dialled["provider1:1"] != 2 {
		t.Errorf("%d connections; dialled %v", len(p.conns), dialled)
	}
	var releases []func()
	for i := range providerLimit - 1 {
		releases = append(releases, acquire(1000+i))
	}
	if _, _, err := p.acquire("one:2"); errors.KindOf(err) != errors.ResourceExhausted {
		t.Errorf("all are in use: %v", err)
	}
	held()
	acquire(2000)()
	for _, release := range releases {
		release()
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	if _, _, err := p.acquire("late:1"); errors.KindOf(err) != errors.Unavailable {
		t.Errorf("after closing: %v", err)
	}
}

// A turn ends before its caller's deadline, with room to store the reply, and its lease ends after both.
func TestBudget(t *testing.T) {
	g := New(Peers{}, Options{TurnTimeout: time.Minute})
	for deadline, want := range map[time.Duration]time.Duration{
		0:                      time.Minute, // none
		40 * time.Millisecond:  30 * time.Millisecond,
		time.Second:            750 * time.Millisecond,
		8 * time.Second:        6 * time.Second,
		30 * time.Second:       28 * time.Second,
		24 * time.Hour:         turnMax,
		turnMax + time.Second:  turnMax - time.Second,
		26 * time.Millisecond:  0, // refused
		-10 * time.Millisecond: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.Background(), func() {}
			if deadline != 0 {
				ctx, cancel = context.WithTimeout(ctx, deadline)
			}
			defer cancel()
			begun := time.Now()
			work, stop, err := g.begin(ctx)
			if want == 0 {
				if errors.KindOf(err) != errors.DeadlineExceeded || errors.ReasonOf(err) != "DEADLINE_TOO_SHORT" {
					t.Errorf("%v: %v", deadline, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			lease := leaseFor(work)
			<-work.Done()
			if took := time.Since(begun); took != want || lease > leaseMax || lease < took+closeGrace+2*patience {
				t.Errorf("deadline %v: worked %v, want %v; lease %v", deadline, took, want, lease)
			}
			if cause := context.Cause(work); !errors.Is(cause, errTimeUp) {
				t.Errorf("ended by %v", cause)
			}
		})
	}
}

func TestOutliving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		out, stop := outliving(ctx, 2*time.Second)
		cancel()
		begun := time.Now()
		<-out.Done()
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("lived on for %v", took)
		}
		stop()
		out, stop = outliving(context.Background(), time.Second)
		stop()
		if out.Err() == nil {
			t.Error("still alive after being let go of")
		}
	})
}

func TestUnbroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{time.Minute: 2 * time.Second, time.Second: time.Second / 2} {
			ctx, cancel := context.WithTimeout(context.Background(), left)
			out, stop := unbroken(ctx, 2*time.Second)
			cancel()
			begun := time.Now()
			<-out.Done()
			if took := time.Since(begun); took != want {
				t.Errorf("with %v left, it lived on for %v", left, took)
			}
			stop()
		}
	})
}

func TestOutletLosesPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := make(chan struct{})
		var sends atomic.Int32
		out := &outlet{send: func(*gatewayv1.StreamRespondResponse) error { sends.Add(1); <-blocked; return nil }}
		begun := time.Now()
		for range 3 {
			if err := out.put(&gatewayv1.StreamRespondResponse{}); errors.ReasonOf(err) != "CALLER_TOO_SLOW" {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(begun); took != patience || sends.Load() != 1 {
			t.Errorf("%d sends in %v", sends.Load(), took)
		}
		close(blocked)
	})
	var none *outlet
	if err := none.put(nil); err != nil {
		t.Error(err)
	}
}

func TestWithoutText(t *testing.T) {
	for want, cause := range map[string]error{
		"I have nothing to say":    nil,
		"dbslm train PATH":         errNoPublishedBuild,
		"no words of my own yet":   errors.New(errors.NotFound, "MODEL_NOT_FOUND", "x"),
		"dbslm builds create":      errors.New(errors.DataLoss, "BUILD_DAMAGED", "x"),
		"cannot be used now":       errors.New(errors.FailedPrecondition, "PROFILE_INVALID", "x"),
		"cannot be reached. Pleas": errors.New(errors.Unavailable, "PEER_UNAVAILABLE", "x"),
	} {
		turn := &turn{noModel: cause, prepared: &memoryv1.PrepareTurnResponse{Turn: &memoryv1.Turn{Pins: &memoryv1.TurnPins{Model: "m"}}}}
		if got := turn.withoutText(); !strings.Contains(got, want) {
			t.Errorf("%v: %q lacks %q", cause, got, want)
		}
		turn.finish = ngramv1.FinishReason_FINISH_REASON_ERROR
		if got := turn.withoutText(); !strings.Contains(got, "ran out of time") {
			t.Errorf("without time: %q", got)
		}
	}
}

func TestCodeName(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.Unavailable: "UNAVAILABLE", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Canceled: "CANCELLED", codes.NotFound: "NOT_FOUND",
	} {
		if got := codeName(code); got != want {
			t.Errorf("%v: %q", code, got)
		}
	}
}

// Every reason survives being stored, and the names are those that memory takes.
func TestFinishReasons(t *testing.T) {
	for number := range ngramv1.FinishReason_name {
		reason := ngramv1.FinishReason(number)
		reply := &memoryv1.Message{FinishReason: finishName(reason)}
		got := finishOf(reply, &gatewayv1.Trace{Segments: []*gatewayv1.TraceSegment{{FinishReason: reason}}})
		if got != reason && reason != ngramv1.FinishReason_FINISH_REASON_UNSPECIFIED {
			t.Errorf("%v came back as %v", reason, got)
		}
	}
}

func TestSegmentSeeds(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(100) {
		for segment := range 16 {
			s := segmentSeed(seed, segment)
			if seen[s] {
				t.Fatalf("seed %d, segment %d repeats %d", seed, segment, s)
			}
			seen[s] = true
		}
	}
	if got := segmentSeed(0, 0); got != 0xe220a8397b1dcdaf { // the first output of SplitMix64 with state 0
		t.Errorf("got %#x", got)
	}
}
