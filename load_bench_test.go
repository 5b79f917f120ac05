package dbslm_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dbslm"
	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	memorystore "dbslm/services/memory/store"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// What people say under load: one that level 1 answers, one that level 3 does.
const (
	saidFreely  = "Tell me about the ladder in the harbour."
	saidToLevel = "Remind me what we discussed."
)

// loads are the layouts that BenchmarkLoad measures. Split has every service behind a TCP port of its own; otherwise they speak in memory.
// All run in the process of the benchmark, whose CPU time therefore holds that of the clients.
var loads = []struct {
	name, engine string
	split        bool
}{{"sqlite-one", "sqlite", false}, {"mysql-one", "mysql", false}, {"mysql-split", "mysql", true}}

// BenchmarkLoad measures replies end to end over TCP, with the demo's corpus at order 5: beside the sum of their parts in the same run
// (remote calls, two commits of one row, decoding), at 1, 16 and 64 conversations, what a reply costs the processors and the database, the first
// token of a stream, idle streams, and a gateway that gets more than it takes. LOAD is the number of replies of each measure, 300.
func BenchmarkLoad(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			target, server := databasetest.SQLiteTarget(b), (*databasetest.Server)(nil)
			if l.engine == "mysql" {
				target = databasetest.MySQLTarget(b)
				if s := databasetest.Shared(b); s.Private() {
					server = s
				}
			}
			db := dsn(b, target)
			if _, err := dbslm.Migrate(b.Context(), db, nil); err != nil {
				b.Fatal(err)
			}
			memory := durable(b, target, server)
			for _, resident := range []int64{0, -1} {
				s := openLoaded(b, db, l.split, resident)
				s.memory, s.database = memory, server
				if resident == 0 {
					b.Run("latency", func(b *testing.B) { s.latency(b) })
					b.Run("streams", func(b *testing.B) { s.streams(b) })
					b.Run("idle", func(b *testing.B) { s.idle(b) })
					b.Run("overload", func(b *testing.B) { s.overload(b) })
				}
				b.Run(map[int64]string{0: "cost-resident", -1: "cost-tables"}[resident], func(b *testing.B) { s.cost(b) })
				s.close()
			}
		})
	}
}

// durable opens the schema of memory so that a commit is on the disk when it returns, as it is in service; the tests' own stores and
// servers only survive a kill. Of a server only one that is the tests' own is told so.
func durable(b *testing.B, target database.Target, server *databasetest.Server) *database.DB {
	b.Helper()
	db, err := database.Open(b.Context(), target, memorystore.Schema, database.Options{})
	if err != nil {
		b.Fatal(err)
	}
	flush := func(when int) {
		if server == nil {
			return
		}
		if _, err := db.Exec(context.Background(), fmt.Sprint("SET GLOBAL innodb_flush_log_at_trx_commit = ", when)); err != nil {
			b.Error(err)
		}
	}
	flush(1)
	b.Cleanup(func() {
		flush(2)
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

// hop is the middle time of one remote call that does nothing.
func hop(b *testing.B, conn grpc.ClientConnInterface) time.Duration {
	b.Helper()
	client := healthpb.NewHealthClient(conn)
	return median(b, 300, func(int) error { _, err := client.Check(b.Context(), &healthpb.HealthCheckRequest{}); return err })
}

const insertOneRow = `INSERT INTO tbl_l2_scopes (tenant, scope_key, last_at) VALUES (?, ?, 0)`

// latency is Respond at 1, 16 and 64 conversations beside the sum of its parts, each measured here: the remote calls of a reply, two commits
// of one row, and what level 1 takes from the request to its last word.
func (s *loaded) latency(b *testing.B) {
	for b.Loop() {
		row := median(b, 200, func(i int) error {
			_, err := s.memory.Exec(b.Context(), insertOneRow, "load", fmt.Sprint(time.Now().UnixNano(), "-", i))
			return err
		})
		outer, inner := hop(b, s.conn), hop(b, s.levels[dbslm.Memory])

		var mu sync.Mutex
		var calls int
		var generating time.Time
		var generated []time.Duration
		for _, l := range s.lines {
			l.on(func(_ context.Context, method string, when moment) error {
				mu.Lock()
				defer mu.Unlock()
				if when == before {
					calls++
				}
				if method == "Generate" && when == before {
					generating = time.Now()
				}
				if method == "Generate" && when == after {
					generated = append(generated, time.Since(generating))
				}
				return nil
			})
		}
		one := s.replies(b, 1, loadReplies(b), s.respond(saidFreely, nil))
		for _, l := range s.lines {
			l.on(nil)
		}
		slices.Sort(generated)
		perReply := (calls + len(one.whole)/2) / len(one.whole)
		decode := quantile(generated, 0.5) - inner
		sum := outer + time.Duration(perReply)*inner + 2*row + decode
		micros(b, map[string]time.Duration{"hop": outer, "inner-hop": inner, "row": row, "decode": decode, "sum": sum})
		b.ReportMetric(float64(perReply), "inner-calls")
		b.ReportMetric(float64(quantile(one.whole, 0.5))/float64(sum), "p50/sum")
		s.report(b, 1, one)
		for _, conversations := range []int{16, 64} {
			s.report(b, conversations, s.replies(b, conversations, loadReplies(b), s.respond(saidFreely, nil)))
		}
	}
}

func (s *loaded) report(b *testing.B, conversations int, t took) {
	b.Helper()
	name := fmt.Sprint("at-", conversations, "-")
	micros(b, map[string]time.Duration{name + "p50": quantile(t.whole, 0.5), name + "p99": quantile(t.whole, 0.99)})
	b.ReportMetric(float64(len(t.whole))/t.cpu.Seconds(), name+"replies/CPU-s")
	b.ReportMetric(float64(len(t.whole))/t.wall.Seconds(), name+"replies/s")
}

func micros(b *testing.B, times map[string]time.Duration) {
	b.Helper()
	for name, d := range times {
		b.ReportMetric(float64(d.Nanoseconds())/1000, name+"-µs")
	}
}

func loadReplies(b *testing.B) int {
	b.Helper()
	n := 300
	if text := os.Getenv("LOAD"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil || n < 64 {
			b.Fatalf("LOAD=%s: it is the number of replies of each measure, at least 64", text)
		}
	}
	return n
}

// streams is StreamRespond at 1, 16 and 64 conversations, and how long after the decision of level 3 its first piece is there, drafting one
// sentence (bestOf 1: every word is sent as it is drawn) and the eight of the default profile.
func (s *loaded) streams(b *testing.B) {
	for b.Loop() {
		for name, bestOf := range map[string]uint32{"one-draft-": 1, "eight-drafts-": 8} {
			var decided atomic.Int64
			s.lines[dbslm.Concept].on(func(_ context.Context, method string, when moment) error {
				if method == "Next" && when == after {
					decided.Store(time.Now().UnixNano())
				}
				return nil
			})
			var waited []time.Duration
			streamed := s.stream(saidFreely, &ngramv1.DecodeParameters{BestOf: &bestOf})
			one := s.replies(b, 1, loadReplies(b), func(ctx context.Context, conversation, id string) (int, time.Time, error) {
				words, first, err := streamed(ctx, conversation, id)
				if !first.IsZero() {
					waited = append(waited, time.Duration(first.UnixNano()-decided.Load()))
				}
				return words, first, err
			})
			s.lines[dbslm.Concept].on(nil)
			slices.Sort(waited)
			micros(b, map[string]time.Duration{
				name + "first-after-decision": quantile(waited, 0.5), name + "first": quantile(one.first, 0.5), name + "whole": quantile(one.whole, 0.5),
			})
			b.ReportMetric(float64(quantile(waited, 0.5))/float64(hop(b, s.conn)+hop(b, s.levels[dbslm.Ngram])), name+"wait/hops")
		}
		for _, conversations := range []int{1, 16, 64} {
			s.report(b, conversations, s.replies(b, conversations, loadReplies(b), s.stream(saidFreely, nil)))
		}
	}
}

// cost is what a reply takes of the processors and of the database, in one conversation after the other: one that level 1 writes, and one that
// level 3 speaks. A tenth of a StartConversation is in it.
func (s *loaded) cost(b *testing.B) {
	for b.Loop() {
		var perWord [2]float64
		for i, said := range []string{saidFreely, saidToLevel} {
			name, n := []string{"level1-", "level3-"}[i], loadReplies(b)
			statements := s.statements(b)
			t := s.replies(b, 1, n, s.respond(said, nil))
			statements = s.statements(b) - statements
			perWord[i] = float64(t.cpu.Microseconds()) / float64(t.words)
			b.ReportMetric(float64(t.cpu.Microseconds())/float64(n), name+"CPU-µs/reply")
			b.ReportMetric(perWord[i], name+"CPU-µs/word")
			b.ReportMetric(float64(statements)/float64(n), name+"statements/reply")
			b.ReportMetric(float64(statements)/float64(t.words), name+"statements/word")
			b.ReportMetric(float64(t.words)/float64(n), name+"words/reply")
		}
		b.ReportMetric(perWord[0]/perWord[1], "level1/level3-CPU-per-word")
	}
}

// statements is the number of SQL statements so far.
func (s *loaded) statements(b *testing.B) (n uint64) {
	b.Helper()
	families, err := s.tel.Registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "_statement_seconds") {
			for _, m := range family.Metric {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}
