package database_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
)

// Benchmarks report CPU per row, of this process and of the private server together: wall times on a shared machine mean
// little. Run with: go test ./pkg/database -run '^$' -bench . -benchtime 1x

const benchRows = 500_000

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func eachBench(b *testing.B, f func(b *testing.B, db *database.DB, cpu func() (own, server time.Duration))) {
	b.Run("sqlite", func(b *testing.B) {
		db := databasetest.Open(b, databasetest.SQLiteTarget(b), testSchema(), database.Options{})
		f(b, db, func() (time.Duration, time.Duration) { return ownCPU(), 0 })
	})
	b.Run("mysql", func(b *testing.B) {
		server := databasetest.Start(b)
		db := databasetest.Open(b, server.Target(b), testSchema(), database.Options{})
		f(b, db, func() (time.Duration, time.Duration) { return ownCPU(), server.CPU(b) })
	})
}

func report(b *testing.B, rows int, own, server time.Duration) {
	b.ReportMetric(float64(own.Nanoseconds())/float64(rows), "client-ns/row")
	b.ReportMetric(float64(server.Nanoseconds())/float64(rows), "server-ns/row")
	b.ReportMetric(float64((own+server).Nanoseconds())/float64(rows), "cpu-ns/row")
}

// benchRowsOf writes n rows in key order: ten followers per context.
func benchRowsOf(model, n int) func(w database.RowWriter) error {
	return func(w database.RowWriter) error {
		r := rand.New(rand.NewPCG(1, 2))
		step := int64((uint64(1) << 63) / uint64(n/20))
		hash := int64(-1) << 63
		for i := range n {
			if i%10 == 0 {
				hash += step
			}
			w.Int(int64(model))
			w.Int(3)
			w.Int(hash)
			w.Int(int64(i%10*3000 + r.IntN(3000)))
			w.Int(int64(r.IntN(20)))
			w.Int(int64(r.IntN(5)))
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return nil
	}
}

var benchColumns = []string{"model_id", "n", "hash", "token", "c", "a"}

func loadBench(b *testing.B, db *database.DB, model int) {
	ctx := context.Background()
	err := db.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.Load(ctx, "tbl_counts", benchColumns, benchRowsOf(model, benchRows))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkLoad(b *testing.B) {
	eachBench(b, func(b *testing.B, db *database.DB, cpu func() (time.Duration, time.Duration)) {
		own, server := cpu()
		for i := range b.N {
			loadBench(b, db, i+1)
		}
		own2, server2 := cpu()
		report(b, benchRows*b.N, own2-own, server2-server)
	})
}

func BenchmarkStream(b *testing.B) {
	eachBench(b, func(b *testing.B, db *database.DB, cpu func() (time.Duration, time.Duration)) {
		loadBench(b, db, 1)
		b.ReportAllocs()
		b.ResetTimer()
		own, server := cpu()
		for range b.N {
			sum, rows := int64(0), 0
			err := db.Stream(context.Background(), "SELECT n, hash, token, c, a FROM tbl_counts WHERE model_id = ? ORDER BY model_id, n, hash, token", []any{1}, func(r database.Row) error {
				sum += r.Int(0) + r.Int(1) + r.Int(2) + r.Int(3) + r.Int(4)
				rows++
				return nil
			})
			if err != nil || rows != benchRows {
				b.Fatal(rows, err)
			}
		}
		own2, server2 := cpu()
		report(b, benchRows*b.N, own2-own, server2-server)
	})
}

func BenchmarkUpsert(b *testing.B) {
	const batch = 3000
	eachBench(b, func(b *testing.B, db *database.DB, cpu func() (time.Duration, time.Duration)) {
		loadBench(b, db, 1)
		rows := make([][]any, 100_000)
		step := int64((uint64(1) << 63) / uint64(benchRows/20))
		for i := range rows {
			rows[i] = []any{1, 3, int64(-1)<<63 + step*int64(i/2), i % 2 * 40000, 1, 1}
		}
		b.ResetTimer()
		own, server := cpu()
		for range b.N {
			for i := 0; i < len(rows); i += batch {
				err := db.InTx(context.Background(), func(tx *database.Tx) error {
					return tx.Upsert(context.Background(), "tbl_counts", benchColumns, benchColumns[:4],
						[]database.Assign{{Column: "c", Add: true}, {Column: "a", Add: true}}, rows[i:min(i+batch, len(rows))])
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		own2, server2 := cpu()
		report(b, len(rows)*b.N, own2-own, server2-server)
	})
}

func BenchmarkPointQuery(b *testing.B) {
	eachBench(b, func(b *testing.B, db *database.DB, cpu func() (time.Duration, time.Duration)) {
		loadBench(b, db, 1)
		step := int64((uint64(1) << 63) / uint64(benchRows/20))
		b.ResetTimer()
		own, server := cpu()
		const queries = 20000
		for range b.N {
			for i := range queries {
				rows, err := db.Query(context.Background(), "SELECT token, c FROM tbl_counts WHERE model_id = ? AND n = ? AND hash = ?", 1, 3, int64(-1)<<63+step*int64(i%(benchRows/10)+1))
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for rows.Next() {
					var t, c int64
					if err := rows.Scan(&t, &c); err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 10 || rows.Close() != nil {
					b.Fatal(n, fmt.Sprint(i))
				}
			}
		}
		own2, server2 := cpu()
		report(b, queries*b.N, own2-own, server2-server)
	})
}
