package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dbslm/services/memory"
)

const insertOneRow = `INSERT INTO tbl_l2_scopes (tenant, scope_key, last_at) VALUES (?, ?, 0)`

// BenchmarkCommitTurn measures CommitTurn with a trace of 4 KiB beside the least that can be durable, a commit of one row with a
// key of two columns, by turns in one run: the middle time of each, and how many times longer CommitTurn takes.
func BenchmarkCommitTurn(b *testing.B) {
	benchmark(b, func(b *testing.B, s *Store, c memory.Conversation, _ int) {
		var commits, rows []time.Duration
		for i := range 300 {
			p := prepare(b, s, request(b, c, fmt.Sprint("commit", b.N, len(commits), i, time.Now().UnixNano()), "Is the harbour of topic17 open on Sunday, and what does it cost?"), noon)
			reply := Reply{Content: "The harbour is open from nine to five.", FinishReason: "stop", Trace: &memory.Trace{Version: 1, Body: traceBody()}}
			begun := time.Now()
			if _, _, err := s.CommitTurn(b.Context(), c.Tenant, p.Turn.ID, reply, noon); err != nil {
				b.Fatal(err)
			}
			commits = append(commits, time.Since(begun))
			begun = time.Now()
			if _, err := s.db.Exec(b.Context(), insertOneRow, c.Tenant, p.Turn.ID); err != nil {
				b.Fatal(err)
			}
			rows = append(rows, time.Since(begun))
		}
		slices.Sort(commits)
		slices.Sort(rows)
		commit, row := commits[len(commits)/2], rows[len(rows)/2]
		b.ReportMetric(float64(commit.Microseconds()), "commit-p50-µs")
		b.ReportMetric(float64(row.Microseconds()), "row-p50-µs")
		b.ReportMetric(float64(commit)/float64(row), "commit/row")
	})
}
