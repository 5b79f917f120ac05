package dbslm_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dbslm"
	"dbslm/gateway"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/rpc"
	"dbslm/pkg/telemetry"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// loaded is a system under load: its levels, and a gateway behind TCP whose lines to them can be watched.
type loaded struct {
	gateway  gatewayv1.GatewayServiceClient
	conn     *grpc.ClientConn
	levels   map[dbslm.Service]grpc.ClientConnInterface
	lines    map[dbslm.Service]*line
	tel      *telemetry.Telemetry
	memory   *database.DB         // the schema of memory, for the measures
	database *databasetest.Server // nil when the database has no process of its own
	closers  []func()
	asked    *atomic.Int64 // for ids
}

func openLoaded(b *testing.B, db string, split bool, residentBytes int64) *loaded {
	b.Helper()
	s := &loaded{
		levels: map[dbslm.Service]grpc.ClientConnInterface{}, lines: map[dbslm.Service]*line{}, asked: new(atomic.Int64),
		tel: &telemetry.Telemetry{Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()},
	}
	b.Cleanup(s.close)
	levels := dbslm.Services()[:3]
	groups := [][]dbslm.Service{levels}
	if split {
		groups = [][]dbslm.Service{levels[:1], levels[1:2], levels[2:]}
	}
	for _, group := range groups {
		sys, err := dbslm.Open(b.Context(), dbslm.Config{DB: db, Services: group, Telemetry: s.tel, Warm: true, ResidentBytes: residentBytes})
		if err != nil {
			b.Fatal(err)
		}
		s.closers = append(s.closers, func() { _ = sys.Close() })
		for _, name := range group {
			s.levels[name] = sys.ConnTo(name)
			if split {
				s.levels[name] = s.behindTCP(b, func(ctx context.Context, lis net.Listener) error {
					return sys.Serve(ctx, map[dbslm.Service]net.Listener{name: lis})
				})
			}
			s.lines[name] = &line{ClientConnInterface: s.levels[name]}
		}
	}
	s.conn = s.front(b, gateway.Options{})
	s.gateway = gatewayv1.NewGatewayServiceClient(s.conn)
	s.train(b)
	s.replies(b, 1, 50, s.respond(saidFreely, nil)) // the model is held whole, and caches are full
	return s
}

// behindTCP serves on a port of this machine and dials it.
func (s *loaded) behindTCP(b *testing.B, serve func(context.Context, net.Listener) error) *grpc.ClientConn {
	b.Helper()
	lis, err := rpc.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	served := make(chan error, 1)
	go func() { served <- serve(ctx, lis) }()
	conn, err := rpc.Dial(lis.Addr().String(), rpc.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.closers = append(s.closers, func() {
		_ = conn.Close()
		stop()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return conn
}

// front starts a gateway over the levels.
func (s *loaded) front(b *testing.B, options gateway.Options) *grpc.ClientConn {
	b.Helper()
	gate := gateway.New(gateway.Peers{Ngram: s.lines[dbslm.Ngram], Memory: s.lines[dbslm.Memory], Concept: s.lines[dbslm.Concept]}, options)
	server := rpc.NewServer(rpc.Options{}, gate)
	s.closers = append(s.closers, func() { _ = gate.Close() }, func() { _ = server.Close() })
	return s.behindTCP(b, func(ctx context.Context, lis net.Listener) error { return server.Serve(ctx, lis) })
}

func (s *loaded) close() {
	for _, close := range slices.Backward(s.closers) {
		close()
	}
	s.closers = nil
}

func (s *loaded) train(b *testing.B) {
	b.Helper()
	files, err := filepath.Glob("examples/sail-loft/corpus/*.txt")
	if err != nil || len(files) == 0 {
		b.Fatal("no corpus", err)
	}
	var text []byte
	for _, file := range files {
		part, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		text = append(text, part...)
	}
	trainWith(b, s.gateway, &ngramv1.IngestHeader{Model: "default", Settings: &ngramv1.ModelSettings{Order: 5}}, "loft", string(text))
}

// exchange makes one reply and returns how many words it has, and when its first piece came.
type exchange func(ctx context.Context, conversation, id string) (words int, first time.Time, err error)

func request(conversation, id, said string, parameters *ngramv1.DecodeParameters) *gatewayv1.RespondRequest {
	return &gatewayv1.RespondRequest{ConversationId: conversation, RequestId: id, Text: said, Parameters: parameters}
}

func (s *loaded) respond(said string, parameters *ngramv1.DecodeParameters) exchange {
	return func(ctx context.Context, conversation, id string) (int, time.Time, error) {
		resp, err := s.gateway.Respond(ctx, request(conversation, id, said, parameters))
		return len(strings.Fields(resp.GetMessage().GetContent())), time.Time{}, err
	}
}

func (s *loaded) stream(said string, parameters *ngramv1.DecodeParameters) exchange {
	return func(ctx context.Context, conversation, id string) (words int, first time.Time, err error) {
		stream, err := s.gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: request(conversation, id, said, parameters)})
		if err != nil {
			return 0, first, err
		}
		for {
			event, err := stream.Recv()
			if err == io.EOF {
				return words, first, nil
			}
			if err != nil {
				return 0, first, err
			}
			if event.GetDelta() != nil && first.IsZero() {
				first = time.Now()
			}
			words += len(strings.Fields(event.GetFinished().GetMessage().GetContent()))
		}
	}
}

// took is what a number of replies took.
type took struct {
	whole, first []time.Duration // each reply, sorted; until its first piece, if it was streamed
	words        int
	cpu, wall    time.Duration
}

// replies makes n replies in so many conversations at once, ten in each before it begins another.
func (s *loaded) replies(b *testing.B, conversations, n int, reply exchange) (all took) {
	b.Helper()
	var mu sync.Mutex
	var talking sync.WaitGroup
	before, begun := s.spent(b), time.Now()
	for range conversations {
		talking.Go(func() {
			var mine took
			conversation := ""
			for i := range n / conversations {
				id := fmt.Sprint("load", time.Now().UnixNano(), "-", s.asked.Add(1))
				if i%10 == 0 {
					resp, err := s.gateway.StartConversation(b.Context(), &gatewayv1.StartConversationRequest{RequestId: id + "c", UserId: "ana"})
					if err != nil {
						b.Error(err)
						return
					}
					conversation = resp.Conversation.ConversationId
				}
				begun := time.Now()
				words, first, err := reply(b.Context(), conversation, id)
				if err != nil {
					b.Error(err)
					return
				}
				mine.whole = append(mine.whole, time.Since(begun))
				mine.words += words
				if !first.IsZero() {
					mine.first = append(mine.first, first.Sub(begun))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all.whole, all.first, all.words = append(all.whole, mine.whole...), append(all.first, mine.first...), all.words+mine.words
		})
	}
	talking.Wait()
	all.cpu, all.wall = s.spent(b)-before, time.Since(begun)
	slices.Sort(all.whole)
	slices.Sort(all.first)
	return all
}

// quantile of sorted times; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// median is the middle time of n calls.
func median(b *testing.B, n int, f func(i int) error) time.Duration {
	b.Helper()
	var times []time.Duration
	for i := range n {
		begun := time.Now()
		if err := f(i); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	return quantile(times, 0.5)
}

// spent is the CPU time so far, of this process and of the database.
func (s *loaded) spent(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	total := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if s.database != nil {
		total += s.database.CPU(b)
	}
	return total
}
