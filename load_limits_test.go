package dbslm_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm/gateway"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"google.golang.org/grpc"
)

// idle opens 1,000 streams on 20 connections, on which nothing is said, and reports what they hold, the clients' side included.
func (s *loaded) idle(b *testing.B) {
	const connections, streams = 20, 50
	for b.Loop() {
		before := held()
		ctx, stop := context.WithCancel(b.Context())
		var conns []*grpc.ClientConn
		for range connections {
			conn, err := rpc.Dial(s.conn.Target(), rpc.Options{})
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, conn)
			for range streams {
				stream, err := ngramv1.NewInferenceServiceClient(conn).ScoreStream(ctx)
				if err == nil {
					err = stream.Send(&ngramv1.ScoreStreamRequest{Part: &ngramv1.ScoreStreamRequest_Header{Header: &ngramv1.ScoreStreamHeader{Model: "default"}}})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		time.Sleep(2 * time.Second) // all have arrived
		b.ReportMetric(float64(held()-before)/(1<<20), "idle-MiB")
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		beside := s.replies(b, 1, 64, s.respond(saidFreely, nil))
		micros(b, map[string]time.Duration{"beside-idle-p50": quantile(beside.whole, 0.5)})
		stop()
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// held is the memory that is in use: heap and stacks.
func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// overload has 256 callers ask a gateway with 16 places, who try again after 250 ms (they are told 1 s), and reports the replies of those who got one beside those of 16 callers
// on the same gateway, and how one caller fares right after.
func (s *loaded) overload(b *testing.B) {
	const places, callers = 16, 256
	for b.Loop() {
		narrow := &loaded{levels: s.levels, lines: s.lines, tel: s.tel, database: s.database, asked: s.asked}
		narrow.conn = narrow.front(b, gateway.Options{MaxTurns: places})
		narrow.gateway = gatewayv1.NewGatewayServiceClient(narrow.conn)
		full := narrow.replies(b, places, loadReplies(b), narrow.respond(saidFreely, nil))

		var refused atomic.Int64
		var mu sync.Mutex
		var accepted []time.Duration
		ask := narrow.respond(saidFreely, nil)
		crowd := narrow.replies(b, callers, 4*callers, func(ctx context.Context, conversation, id string) (int, time.Time, error) {
			for {
				begun := time.Now()
				words, first, err := ask(ctx, conversation, id)
				if errors.KindOf(err) == errors.ResourceExhausted {
					refused.Add(1)
					time.Sleep(250 * time.Millisecond)
					continue
				}
				mu.Lock()
				accepted = append(accepted, time.Since(begun))
				mu.Unlock()
				return words, first, err
			}
		})
		slices.Sort(accepted)
		calm := narrow.replies(b, 1, 64, ask)
		micros(b, map[string]time.Duration{
			"full-p99": quantile(full.whole, 0.99), "accepted-p50": quantile(accepted, 0.5), "accepted-p99": quantile(accepted, 0.99),
			"afterwards-p50": quantile(calm.whole, 0.5), "afterwards-p99": quantile(calm.whole, 0.99),
		})
		b.ReportMetric(float64(quantile(accepted, 0.99))/float64(quantile(full.whole, 0.99)), "accepted/full-p99")
		b.ReportMetric(float64(refused.Load()), "refused")
		b.ReportMetric(float64(len(full.whole))/full.wall.Seconds(), "full-replies/s")
		b.ReportMetric(float64(len(crowd.whole))/crowd.wall.Seconds(), "crowd-replies/s")
		narrow.close()
	}
}
