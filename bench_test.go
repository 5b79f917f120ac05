package dbslm_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	ngramstore "dbslm/services/ngram/store"
)

// BenchmarkTrain runs "dbslm train" as its users do, at order 3 with every row stored, and reports what it costs: CPU of
// the program and of the database together, peak memory of the program, and the size of the store. The text is
// warandpeace.train.txt of DBSLM_DATA_DIR, else the corpus of the demo.
func BenchmarkTrain(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "dbslm")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/dbslm").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	corpus, tokenizer := "examples/sail-loft/corpus", "words"
	if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
		corpus, tokenizer = filepath.Join(dir, "warandpeace.train.txt"), "whitespace"
	}
	for _, storage := range []string{"8", "exact"} {
		b.Run("sqlite/"+storage, func(b *testing.B) {
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "db")
				measureTraining(b, binary, dir, corpus, tokenizer, storage, nil, func() int64 { return diskUsage(b, dir) })
			}
		})
		b.Run("mysql/"+storage, func(b *testing.B) {
			server := databasetest.Start(b, "--innodb-buffer-pool-size=512M")
			for b.Loop() {
				target := server.Target(b)
				db := target.String()
				if out, err := exec.Command(binary, "migrate", "--db", db).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				measureTraining(b, binary, db, corpus, tokenizer, storage, server, func() int64 {
					schema := target.Prefix() + "dbslm_ngram"
					b.ReportMetric(float64(diskUsage(b, filepath.Join(server.DataDir(), schema)))/float64(diskUsage(b, corpus)), "files/text")
					return tableSizes(b, target, schema)
				})
			}
		})
	}
}

func measureTraining(b *testing.B, binary, db, corpus, tokenizer, storage string, server *databasetest.Server, size func() int64) {
	b.Helper()
	var serverBefore time.Duration
	if server != nil {
		serverBefore = server.CPU(b)
	}
	cmd := exec.Command(binary, "train", "--db", db, "--order", "3", "--tokenizer", tokenizer, "--storage", storage, "--json", corpus)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	client := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	cpu := client
	if server != nil {
		serverTime := server.CPU(b) - serverBefore
		cpu += serverTime
		b.ReportMetric(serverTime.Seconds(), "server-CPU-s")
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("no resource usage of the program")
	}
	b.ReportMetric(client.Seconds(), "client-CPU-s")
	b.ReportMetric(float64(summaryTokens(b, out))/cpu.Seconds(), "tokens/CPU-s")
	b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MiB")
	b.ReportMetric(float64(size())/float64(diskUsage(b, corpus)), "store/text")
}

func summaryTokens(b *testing.B, out []byte) int {
	b.Helper()
	_, rest, _ := strings.Cut(string(out), "\n  \"tokens\": ")
	digits, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(digits)
	if err != nil {
		b.Fatalf("no tokens in %s", out)
	}
	return n
}

func diskUsage(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

// tableSizes is what the tables and indexes of a schema use, in bytes, as the server reports it after an analysis.
func tableSizes(b *testing.B, target database.Target, schema string) (bytes int64) {
	b.Helper()
	db := databasetest.Open(b, target, ngramstore.Schema, database.Options{})
	var tables []string
	rows, err := db.Query(b.Context(), `SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE'`, schema)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			b.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	for _, name := range tables {
		if _, err := db.Exec(b.Context(), `ANALYZE TABLE `+name); err != nil {
			b.Fatal(err)
		}
	}
	err = db.QueryRow(b.Context(), `SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = ?`, schema).Scan(&bytes)
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
