package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dbslm/pkg/database"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"
	ngramstore "dbslm/services/ngram/store"

	"github.com/google/go-cmp/cmp"
)

// corpus is the folder of the demo's texts.
func corpus() string { return filepath.Join(repository, "examples", "sail-loft", "corpus") }

// endedBySignal is the exit code of a process that a signal ended before it could take notice.
const endedBySignal = -1

// finished is a process that has ended.
func finished(t *testing.T, cmd *exec.Cmd, out, err *bytes.Buffer) result {
	t.Helper()
	waitErr := cmd.Wait()
	var exited *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exited) {
		t.Fatal(waitErr)
	}
	r := result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
	if r.code != endedBySignal || r.err != "" {
		r.sane(t, cmd.Args)
	}
	return r
}

// started starts dbslm as a process and returns how to wait for it.
func started(t *testing.T, args ...string) (cmd *exec.Cmd, wait func() result) {
	t.Helper()
	var out, err bytes.Buffer
	cmd = process(t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if startErr := cmd.Start(); startErr != nil {
		t.Fatal(startErr)
	}
	return cmd, func() result { t.Helper(); return finished(t, cmd, &out, &err) }
}

// A training that is interrupted at any moment and run again gives the model that an uninterrupted one gives.
func TestInterruptedTraining(t *testing.T) {
	embedded := func() place { return place{[]string{"--db", fmt.Sprint("store", rand.Uint64())}} }
	t.Run("embedded", func(t *testing.T) {
		interruptTraining(t, 3, func() (at, store place) { p := embedded(); return p, p })
	})
	t.Run("mysql", func(t *testing.T) {
		interruptTraining(t, 2, func() (at, store place) { p := onMySQL(t); return p, p })
	})
	t.Run("server", func(t *testing.T) {
		interruptTraining(t, 2, func() (at, store place) { p := embedded(); return served(t, p), p })
	})
}

// interruptTraining trains in as many fresh stores as trials says, each time interrupted twice. Where a training runs may
// be another way to the store than the one it is read by.
func interruptTraining(t *testing.T, trials int, fresh func() (at, store place)) {
	t.Helper()
	inNewDir(t)
	train := func(p place) []string { return p.on("train", corpus(), "--storage", "exact") }
	at, store := fresh()
	begin := time.Now()
	_, wait := started(t, train(at)...)
	if r := wait(); r.code != exitOK {
		t.Fatal(r.err)
	}
	took := time.Since(begin)
	want := inWords(t, store)
	for range trials {
		at, store := fresh()
		moments := []time.Duration{rand.N(took), rand.N(took)}
		for _, moment := range moments {
			interrupt(t, moment, train(at)...)
		}
		completed(t, train(at)...)
		if diff := cmp.Diff(want, inWords(t, store)); diff != "" {
			t.Fatalf("interrupted after %v of %v, the model differs (-whole +interrupted):\n%.4000s", moments, took, diff)
		}
	}
}

// heldByTheLast is the complaint of a training that begins before a server has let go of the interrupted one.
const heldByTheLast = "is being trained by"

// completed repeats a training while a server still ends the interrupted one, for at most 20 seconds.
func completed(t *testing.T, args ...string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		r := invoke(t, args...)
		if r.code == exitOK {
			return
		}
		if !strings.Contains(r.err, heldByTheLast) || time.Since(begun) > 20*time.Second {
			t.Fatalf("dbslm %q: exit code %d\n%s", args, r.code, r.err)
		}
	}
}

// interrupt runs a command and interrupts it after a while, unless it ends before that.
func interrupt(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd, wait := started(t, args...)
	time.Sleep(after)
	asked := time.Now()
	err := cmd.Process.Signal([]os.Signal{os.Interrupt, syscall.SIGTERM}[rand.IntN(2)])
	r := wait()
	switch {
	case r.code == exitInterrupted && !strings.Contains(r.err, "dbslm: interrupted; run the same command again to complete what was begun\n"):
		t.Errorf("interrupted after %v: %q", after, r.err)
	case r.code == exitFailure && strings.Contains(r.err, heldByTheLast):
	case r.code != exitInterrupted && r.code != exitOK && r.code != endedBySignal:
		t.Errorf("interrupted after %v (%v): exit code %d\n%s", after, err, r.code, r.err)
	case time.Since(asked) > 10*time.Second:
		t.Errorf("interrupted after %v, it went on for %v", after, time.Since(asked))
	}
}

// inWords is a model spelled out, so that models which numbered their tokens in another order compare: every n-gram with
// its count, every surface form with its counts, the figures of the published build, and how the model predicts a text.
func inWords(t *testing.T, p place) map[string]string {
	t.Helper()
	model := modelOf(t, p, "default")
	build := decode[[]buildSummary](t, succeed(t, p.on("builds", "--json")...))[0]
	text := decode[evaluation](t, succeed(t, p.on("eval", filepath.Join(corpus(), "01-about.txt"), "--json")...))
	words := map[string]string{
		"model": fmt.Sprint(model.Documents, model.Sentences, model.Tokens, model.Vocabulary, model.NGrams, model.Stale),
		"build": fmt.Sprint(build.Published, build.Vocabulary, build.NGrams, build.Tokens, build.Discounts),
		"text":  fmt.Sprint(text.Log10, text.OOV, text.MatchedOrders),
	}
	maps.Copy(words, spelledOut(t, p.flags[1]))
	return words
}

type contextKey struct {
	n    int64
	hash int64
}

// spelledOut reads the tables of level 1 with SQL.
func spelledOut(t *testing.T, dsn string) map[string]string {
	t.Helper()
	target, err := database.ParseTarget(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), target, ngramstore.Schema, database.Options{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	each := func(query string, row func(database.Row) error) {
		t.Helper()
		if err := db.Stream(t.Context(), query, nil, row); err != nil {
			t.Fatal(err)
		}
	}
	tokens := map[int64]string{}
	each("SELECT token_id, token FROM tbl_l1_vocabulary", func(row database.Row) error {
		tokens[row.Int(0)] = string(row.Bytes(1))
		return nil
	})
	type parent struct {
		hash   int64
		oldest string
	}
	parents := map[contextKey]parent{}
	each("SELECT n, context_hash, parent_hash, oldest_token_id FROM tbl_l1_context_registry", func(row database.Row) error {
		if !row.IsNull(3) {
			parents[contextKey{row.Int(0), row.Int(1)}] = parent{row.Int(2), tokens[row.Int(3)]}
		}
		return nil
	})
	words := map[string]string{}
	each("SELECT n, context_hash, next_token_id, c FROM tbl_l1_ng_counts_n", func(row database.Row) error {
		var gram []string
		for key := (contextKey{row.Int(0), row.Int(1)}); ; {
			p, ok := parents[key]
			if !ok {
				break
			}
			gram = append(gram, p.oldest)
			key = contextKey{key.n - 1, p.hash}
		}
		gram = append(gram, tokens[row.Int(2)])
		words["n-gram "+strings.Join(gram, " ")] = fmt.Sprint(row.Int(3))
		if int64(len(gram)) != row.Int(0) {
			t.Errorf("an n-gram of order %d is spelled %q", row.Int(0), gram)
		}
		return nil
	})
	each("SELECT token_id, form, inner_count, start_count FROM tbl_l1_surface_forms", func(row database.Row) error {
		words["form "+tokens[row.Int(0)]+" "+string(row.Bytes(1))] = fmt.Sprint(row.Int(2), row.Int(3))
		return nil
	})
	return words
}

// Two processes on one embedded store: while one trains, the other answers.
func TestTrainHereChatThere(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	_, wait := started(t, "train", corpus(), "--db", "store", "--order", "3")
	trained := make(chan result, 1)
	go func() { trained <- wait() }()
	replies := 0
	for {
		_, wait := started(t, "chat", "--prompt", "Who counts the boats?", "--db", "store")
		if r := wait(); r.code != exitOK || !strings.Contains(r.out, "\nassistant> ") || r.err != "" {
			t.Errorf("reply %d while another process trains: %+v", replies, r)
		}
		replies++
		select {
		case r := <-trained:
			if r.code != exitOK || !strings.Contains(r.out, "build 2: published\n") {
				t.Errorf("training while another process talks: %+v", r)
			}
			if m := modelOf(t, place{[]string{"--db", "store"}}, "default"); m.Documents != 12 {
				t.Errorf("%+v", m)
			}
			return
		default:
		}
	}
}

// Two processes that begin on a store which does not exist yet both do their work.
func TestTwoProcessesOnFreshStore(t *testing.T) {
	inHarbour(t)
	for i := range 3 {
		db := fmt.Sprint("store", i)
		_, first := started(t, "train", corpus(), "--db", db)
		time.Sleep(time.Duration(i) * 100 * time.Millisecond)
		_, second := started(t, "train", "harbour.txt", "--model", "quay", "--db", db)
		for _, r := range []result{second(), first()} {
			if r.code != exitOK {
				t.Errorf("%d00 ms apart: %+v", i, r)
			}
		}
		if m := decode[[]modelSummary](t, succeed(t, "models", "--json", "--db", db)); len(m) != 2 || m[0].state() != "up to date" || m[1].state() != "up to date" {
			t.Errorf("%d00 ms apart: %+v", i, m)
		}
	}
}

// While a model is trained, a second training of it is refused and says who trains it; another model can be trained.
func TestTwoTrainings(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt")...)
		release := hold(t, p)
		r := invoke(t, p.on("train", "harbour.txt")...)
		if r.code != exitFailure || !strings.Contains(r.complaint(), "the other trainer") {
			t.Errorf("a second training: %+v; want exit code 1 and the name of who trains", r)
		}
		if got := succeed(t, p.on("models")...); !strings.Contains(got, "training by the other trainer") {
			t.Errorf("models:\n%s", got)
		}
		if r := invoke(t, p.on("chat", "--prompt", "Who counts the boats?")...); r.code != exitOK || r.err != "" {
			t.Errorf("a reply in the meantime: %+v", r)
		}
		succeed(t, p.on("train", "harbour.txt", "--model", "quay")...)
		release()
		succeed(t, p.on("train", "harbour.txt")...)
	})
}

// hold begins a training of the model "default" and leaves it open until release is called.
func hold(t *testing.T, p place) (release func()) {
	t.Helper()
	a := &app{streams: streams{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}}
	switch p.flags[0] {
	case "--db":
		a.db = p.flags[1]
	case "--server":
		a.server = p.flags[1]
	}
	conn, err := a.connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := conn.gateway.Train(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&gatewayv1.TrainRequest{Part: &gatewayv1.TrainRequest_Header{Header: &gatewayv1.TrainHeader{
		Ingest: &ngramv1.IngestHeader{Model: "default", Trainer: "the other trainer"},
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil { // opened
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		for { // until the server has let go
			if _, err := stream.Recv(); err != nil {
				break
			}
		}
		cancel()
		if err := conn.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

// Ctrl-C while a command waits for input ends it.
func TestInterruptedInput(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	for _, args := range [][]string{{"train", "--stdin"}, {"eval", "-"}, {"chat"}} {
		ctx, cancel := context.WithCancel(t.Context())
		reading := &endlessInput{asked: make(chan struct{}), end: make(chan struct{})}
		go func() {
			<-reading.asked
			cancel()
		}()
		var out, err bytes.Buffer
		code := run(ctx, append(slices.Clone(args), "--db", "store"), streams{in: reading, out: &out, err: &err})
		close(reading.end)
		r := result{code, out.String(), err.String()}
		r.sane(t, args)
		if args[0] == "chat" {
			if code != exitOK || !strings.HasSuffix(r.out, "Conversation ended after 0 turns.\n") {
				t.Errorf("%v: %+v", args, r)
			}
		} else if code != exitInterrupted {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// endlessInput blocks its reader, like a terminal where nobody types.
type endlessInput struct {
	once  sync.Once
	asked chan struct{}
	end   chan struct{}
}

func (e *endlessInput) Read([]byte) (int, error) {
	e.once.Do(func() { close(e.asked) })
	<-e.end
	return 0, os.ErrClosed
}
