// Command traincost trains a text into an empty model and prints what it cost: CPU time of this process and of a database
// server, peak memory, and rows. It calls the store alone, without RPC.
//
//	go run ./services/ngram/store/testdata/traincost --db DIR|mysql://… [--server-pid PID] [--order 3] [--storage 8] FILE
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"dbslm/pkg/database"
	"dbslm/services/ngram"
	"dbslm/services/ngram/store"
)

var (
	target  = flag.String("db", "", "directory or mysql:// URL")
	server  = flag.Int("server-pid", 0, "process id of the database server")
	order   = flag.Int("order", 3, "order")
	storage = flag.String("storage", "8", "8, 16 or exact")
	profile = flag.String("cpuprofile", "", "file")
	line    = flag.String("line", "", "count this line too, in a second training, and build again")
	kind    = flag.String("tokenizer", "whitespace", "tokeniser")
)

func main() {
	flag.Parse()
	if err := run(context.Background(), flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

type cost struct {
	client, server time.Duration
	at             time.Time
}

func now() cost {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	c := cost{client: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), at: time.Now()}
	if *server != 0 {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", *server))
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		var user, system int64
		fmt.Sscan(fields[11], &user)
		fmt.Sscan(fields[12], &system)
		c.server = time.Duration(user+system) * 10 * time.Millisecond
	}
	return c
}

func (c cost) report(what string) cost {
	n := now()
	client, server := n.client-c.client, n.server-c.server
	fmt.Printf("%-10s client %6.2f s  server %6.2f s  both %6.2f s  wall %6.2f s\n", what, client.Seconds(), server.Seconds(), (client + server).Seconds(), n.at.Sub(c.at).Seconds())
	return n
}

func run(ctx context.Context, path string) error {
	t, err := database.ParseTarget(*target)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, t, store.Schema, database.Options{Derived: os.Getenv("DERIVED") != ""})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	s := store.New(db, store.Options{})
	settings := ngram.Settings{Order: *order, Tokenizer: ngram.Tokenizer(*kind)}
	if _, _, err := s.CreateModel(ctx, ngram.DefaultTenant, "cost", settings); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	begin := now()
	if err := train(ctx, s, store.Source{Label: path, Text: f}); err != nil {
		return err
	}
	begin.report("all")
	if *line != "" {
		begin = now()
		if err := train(ctx, s, store.Source{Label: "line " + *line, Text: strings.NewReader(*line + "\n")}); err != nil {
			return err
		}
		begin.report("all")
	}
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	fmt.Printf("peak memory %d MiB\n", usage.Maxrss>>10)
	return nil
}

func train(ctx context.Context, s *store.Store, source store.Source) error {
	return s.Train(ctx, ngram.DefaultTenant, "cost", "traincost", func(ctx context.Context, t *store.Trainer) error {
		c := now()
		document, _, err := t.Receive(ctx, source)
		if err != nil {
			return err
		}
		c = c.report("receive")
		if _, err := t.Count(ctx, nil); err != nil {
			return err
		}
		c = c.report("count")
		build, err := t.Build(ctx, ngram.BuildOptions{Storage: ngram.Storage(*storage)}, nil)
		if err != nil {
			return err
		}
		if _, _, err := s.Publish(ctx, ngram.DefaultTenant, "cost", build.ID); err != nil {
			return err
		}
		c.report("build")
		fmt.Printf("tokens %d, n-grams %v, rows added %d, closed %d, warnings %v\n", document.Tokens, build.NGrams, build.RowsAdded, build.RowsClosed, build.Warnings)
		return nil
	})
}
