package dbslm_test

import (
	"fmt"
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

// trainings are what BenchmarkTrain measures: corpus, order, storage. Each runs on every engine.
var trainings = []struct {
	corpus  string
	order   int
	storage string
}{{"warandpeace", 3, "8"}, {"warandpeace", 3, "exact"}, {"warandpeace", 5, "8"}, {"joined", 3, "8"}, {"joined", 5, "8"}}

// BenchmarkTrain runs "dbslm train" as its users do, with every row stored, and reports what it costs: CPU of the program and of
// the database together, peak memory of the program, and the size of the store. The texts are those of DBSLM_DATA_DIR,
// War and Peace alone and joined with Shakespeare, else the corpus of the demo for both. SQLite, InnoDB, and Aria for counts and builds.
func BenchmarkTrain(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "dbslm")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/dbslm").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, t := range trainings {
		train := []string{"train", "--json", "--order", strconv.Itoa(t.order), "--storage", t.storage}
		texts := []string{"examples/sail-loft/corpus"}
		if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
			train = append(train, "--tokenizer", "whitespace")
			texts = []string{filepath.Join(dir, "warandpeace.train.txt")}
			if t.corpus == "joined" {
				texts = append(texts, filepath.Join(dir, "shakespeare.train.txt"))
			}
		}
		train = append(train, texts...)
		var textBytes int64
		for _, text := range texts {
			textBytes += diskUsage(b, text)
		}
		name := fmt.Sprintf("%s-%d-%s", t.corpus, t.order, t.storage)
		b.Run(name+"/sqlite", func(b *testing.B) {
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "db")
				measureTraining(b, binary, dir, train, nil)
				b.ReportMetric(float64(diskUsage(b, dir))/float64(textBytes), "store/text")
			}
		})
		for _, engine := range []string{"mysql", "hybrid"} {
			b.Run(name+"/"+engine, func(b *testing.B) {
				server := databasetest.Start(b, "--innodb-buffer-pool-size=512M", "--aria-pagecache-buffer-size=512M")
				for b.Loop() {
					target := server.Target(b)
					if engine == "hybrid" {
						target = target.WithEngine(database.Hybrid)
					}
					if out, err := exec.Command(binary, "migrate", "--db", target.String()).CombinedOutput(); err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					measureTraining(b, binary, target.String(), train, server)
					schema := target.Prefix() + "dbslm_ngram"
					b.ReportMetric(float64(diskUsage(b, filepath.Join(server.DataDir(), schema)))/float64(textBytes), "files/text")
					b.ReportMetric(float64(tableSizes(b, target, schema))/float64(textBytes), "store/text")
				}
			})
		}
	}
}

func measureTraining(b *testing.B, binary, db string, train []string, server *databasetest.Server) {
	b.Helper()
	var serverBefore time.Duration
	if server != nil {
		serverBefore = server.CPU(b)
	}
	cmd := exec.Command(binary, append([]string{"--db", db}, train...)...)
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
