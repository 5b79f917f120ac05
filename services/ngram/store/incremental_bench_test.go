package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

// BenchmarkIncremental counts one more line into a trained model and derives the next build, on both engines. It reports
// CPU time of this process and of the server together: of counting in milliseconds, of the build in microseconds per
// n-gram of the model; and the rows that the build wrote. The text is warandpeace.train.txt of DBSLM_DATA_DIR, else
// pseudo-random sentences.
func BenchmarkIncremental(b *testing.B) {
	training := text(ngram.TokenizerWhitespace, sentences(1, 20_000))
	if dir := os.Getenv("DBSLM_DATA_DIR"); dir != "" {
		found, err := os.ReadFile(filepath.Join(dir, "warandpeace.train.txt"))
		if err != nil {
			b.Fatal(err)
		}
		training = string(found)
	}
	for _, order := range []int{3, 5} {
		b.Run(fmt.Sprintf("order%d/sqlite", order), func(b *testing.B) {
			incremental(b, databasetest.SQLiteTarget(b), order, training, func() time.Duration { return 0 })
		})
		b.Run(fmt.Sprintf("order%d/mysql", order), func(b *testing.B) {
			server := databasetest.Start(b, "--innodb-buffer-pool-size=512M")
			incremental(b, server.Target(b), order, training, func() time.Duration { return server.CPU(b) })
		})
	}
}

// ignore keeps the tests' recorder of statements away.
type ignore struct{}

// Statement implements database.Observer.
func (ignore) Statement(context.Context, database.Statement) {}

func incremental(b *testing.B, target database.Target, order int, training string, server func() time.Duration) {
	b.Helper()
	db := databasetest.Open(b, target, store.Schema, database.Options{Observer: ignore{}})
	s := store.New(db, store.Options{})
	settings := ngram.Settings{Order: order, Tokenizer: ngram.TokenizerWhitespace}
	train(b, s, "m", settings, ngram.BuildOptions{}, training)
	cpu := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) + server()
	}
	var counting, building time.Duration
	var grams, rows int64
	added := 0
	for b.Loop() {
		added++
		err := s.Train(b.Context(), tenant, "m", "benchmark", func(ctx context.Context, trainer *store.Trainer) error {
			begin := cpu()
			line := fmt.Sprintf("the prince rode to harbour %d with a quick brown fox .\n", added)
			if _, _, err := trainer.Receive(ctx, store.Source{Label: fmt.Sprint("line ", added), Text: strings.NewReader(line)}); err != nil {
				return err
			}
			if _, err := trainer.Count(ctx, nil); err != nil {
				return err
			}
			counted := cpu()
			build, err := trainer.Build(ctx, ngram.BuildOptions{}, nil)
			counting, building = counting+counted-begin, building+cpu()-counted
			rows += build.RowsAdded + build.RowsClosed
			for _, n := range build.NGrams {
				grams += n
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(counting.Milliseconds())/float64(added), "ms-counting/line")
	b.ReportMetric(float64(building.Nanoseconds())/1e3/float64(grams), "µs-build/n-gram")
	b.ReportMetric(float64(rows)/float64(added), "rows-written/build")
	b.ReportMetric(0, "ns/op")
}
