package store

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/memory"
)

// BenchmarkTurn measures one whole turn, PrepareTurn and CommitTurn, in a conversation that has 100 messages and grows, with
// 20 active corrections, a trace of 4 KiB, and commits flushed as in production.
func BenchmarkTurn(b *testing.B) {
	benchmark(b, func(b *testing.B, s *Store, c memory.Conversation, n int) {
		p := prepare(b, s, request(b, c, fmt.Sprint("turn", n), "Is the harbour of topic17 open on Sunday, and what does it cost?"), noon)
		_, _, err := s.CommitTurn(b.Context(), c.Tenant, p.Turn.ID, Reply{
			Content: "The harbour is open from nine to five.", FinishReason: "stop", Trace: &memory.Trace{Version: 1, Body: traceBody()},
		}, noon)
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkPrepareTurn measures PrepareTurn alone, each time in the same open turn: a retry reads as much as a first call.
func BenchmarkPrepareTurn(b *testing.B) {
	benchmark(b, func(b *testing.B, s *Store, c memory.Conversation, _ int) {
		prepare(b, s, request(b, c, "same", "Is the harbour of topic17 open on Sunday, and what does it cost?"), noon)
	})
}

// BenchmarkMatchCorrections measures matching one question against 20 corrections.
func BenchmarkMatchCorrections(b *testing.B) {
	benchmark(b, func(b *testing.B, s *Store, c memory.Conversation, _ int) {
		if got := match(b, s, c, "", "Is the harbour of topic17 open on Sunday, and what does it cost?", 5); len(got) != 1 {
			b.Fatal(got)
		}
	})
}

func benchmark(b *testing.B, f func(b *testing.B, s *Store, c memory.Conversation, n int)) {
	for name, target := range map[string]func(testing.TB) database.Target{"sqlite": databasetest.SQLiteTarget, "mysql": databasetest.MySQLTarget} {
		b.Run(name, func(b *testing.B) {
			db, err := database.Open(b.Context(), target(b), Schema, database.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := db.Close(); err != nil {
					b.Error(err)
				}
			})
			if _, err := db.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			s := open(b, db)
			c := begin(b, s)
			for i := range 20 {
				record(b, s, correctionIn(b, c, fmt.Sprint(i), fmt.Sprintf("harbour of topic%d", i), "x"), noon)
			}
			for i := range 50 {
				exchange(b, s, c, fmt.Sprintf("What was said in turn %d about the harbour?", i), "That it is open, and that nobody pays on Sundays.", noon)
			}
			b.ReportAllocs()
			n, begun := 0, cpu(b, db)
			for b.Loop() {
				f(b, s, c, n)
				n++
			}
			b.ReportMetric(float64((cpu(b, db)-begun).Microseconds())/float64(n), "cpu-µs/op") // holds on a busy machine too
		})
	}
}

// cpu is the processor time used so far by this process and by the database server it started.
func cpu(b *testing.B, db *database.DB) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	total := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if db.Dialect() == database.MySQL {
		if server := databasetest.Shared(b); server.Private() {
			total += server.CPU(b)
		}
	}
	return total
}

func traceBody() []byte {
	body := make([]byte, 0, 4096)
	for i := 0; len(body) < 4000; i++ {
		body = fmt.Appendf(body, "token %d chosen because of row %d;", i*7919%5000, i*104729%99991)
	}
	return body
}
