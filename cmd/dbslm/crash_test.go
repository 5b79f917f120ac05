package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/database/databasetest"

	"github.com/google/go-cmp/cmp"
)

// TestCrashRounds kills with SIGKILL, at random moments, the process of a command, the service that a command uses, or the
// database server, while texts are counted, replaced and forgotten, builds derived, pruned, published and dropped, models
// reset, copied, imported and deleted. Each round is one command on a model that grew in the rounds before, and on its twin in another
// store, where nobody kills anything. After the kill the build that serves is the one before or the one after, whole. After
// the same command was run again, the model is its twin, in words, and no row and no file is left that belongs to nothing.
//
// DBSLM_CRASH_ROUNDS is the number of rounds for each engine, DBSLM_CRASH_SEED repeats a run as far as chance allows: what is
// killed and drawn is the same, where a process is at that moment is not.
func TestCrashRounds(t *testing.T) {
	rounds, seed := crashNumber(t, "DBSLM_CRASH_ROUNDS", 4), crashNumber(t, "DBSLM_CRASH_SEED", rand.Uint64N(1<<32))
	t.Logf("DBSLM_CRASH_ROUNDS=%d DBSLM_CRASH_SEED=%d", rounds, seed)
	t.Run("sqlite", func(t *testing.T) { newCrash(t, nil, "", seed).rounds(int(rounds)) })
	t.Run("mysql", func(t *testing.T) { newCrash(t, databasetest.Start(t), "", seed).rounds(int(rounds)) })
	if os.Getenv("DBSLM_CRASH_ROUNDS") != "" { // the store's own tests kill hybrid stores every time
		t.Run("hybrid", func(t *testing.T) {
			newCrash(t, databasetest.Start(t), "&engine=mariadb-hybrid", seed).rounds(int(rounds))
		})
	}
}

func crashNumber(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// crash is a store whose users are killed, and its twin.
type crash struct {
	*testing.T
	random *rand.Rand
	server *databasetest.Server // nil for SQLite
	store  string               // --db
	twin   string               // --db
	temp   string               // of all processes
	files  string               // local files of the service
	socket string
	serve  *exec.Cmd // the running service
	took   map[string]time.Duration
	killed map[string]int // by what was killed and what it did then
	again  int            // runs after kills

	documents []string          // labels of the model and its twin
	texts     int               // written so far
	served    []pair            // builds that served, in the store and the twin
	shown     map[uint32]string // what a build of the store shows, since it was first seen
	copies    []string          // of the model, and imports
	only      map[string]string // a word that only the document of a label has
	order     int
	settings  []string // flags of the first training
}

// pair is a build and its twin.
type pair struct{ own, twin uint32 }

// victims are what is killed.
const (
	victimBoth     = "database of the service"
	victimTrainer  = "command"
	victimService  = "service"
	victimDatabase = "database"
)

// remote says whether the command of a round is asked of a service.
func (c *crash) remote(victim string) bool { return victim == victimService || victim == victimBoth }

// newCrash makes a store on the server, nil for SQLite; with an engine in the parameters of its URL.
func newCrash(t *testing.T, server *databasetest.Server, parameters string, seed uint64) *crash {
	t.Helper()
	dir := t.TempDir()
	c := &crash{
		T: t, random: rand.New(rand.NewPCG(seed, 1)), server: server,
		store: filepath.Join(dir, "store"), twin: filepath.Join(dir, "twin"), temp: filepath.Join(dir, "temp"), files: filepath.Join(dir, "files"),
		took: map[string]time.Duration{}, killed: map[string]int{}, only: map[string]string{},
	}
	if server != nil {
		c.store = dsn(t, server.Target(t)) + parameters
	}
	short, err := os.MkdirTemp("", "dbslm") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	c.socket = "unix://" + filepath.Join(short, "socket")
	if err := os.Mkdir(c.temp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, db := range []string{c.store, c.twin} {
		succeed(t, "migrate", "--db", db)
	}
	t.Cleanup(c.stopService)
	c.forgetAll()
	return c
}

// forgetAll is what is known of a store without a model.
func (c *crash) forgetAll() {
	c.documents, c.served, c.shown, c.order = nil, nil, map[uint32]string{}, 2+c.random.IntN(3)
	c.settings = []string{"--order", fmt.Sprint(c.order), "--tokenizer", []string{"words", "whitespace"}[c.random.IntN(2)], "--storage", []string{"8", "exact"}[c.random.IntN(2)]}
}

func (c *crash) rounds(n int) {
	for i := range n {
		if c.Failed() {
			return
		}
		c.round(i)
	}
	c.halfFiles()
	c.Logf("%d rounds; what was killed, and how the command ended that it met: %v; %d runs of the same command afterwards", n, c.killed, c.again)
}

// round is one command that is killed and run again.
func (c *crash) round(i int) {
	op := c.draw(i)
	victim := c.victim()
	say := fmt.Sprintf("round %d, %s killed in %q", i, victim, op.own)
	before := c.published(c.store)
	c.runTwin(op)
	kills := 1 + c.random.IntN(4)/3
	for range kills {
		c.kill(op, victim)
		c.serves(say, before)
	}
	c.complete(op, victim, say)
	op.done()
	c.compare(say)
	c.nothingLeft(say)
}

func (c *crash) victim() string {
	victims := []string{victimTrainer, victimTrainer, victimService}
	if c.server != nil {
		victims = append(victims, victimDatabase, victimBoth)
	}
	return victims[c.random.IntN(len(victims))]
}

// kill starts the command and kills the victim after a while.
func (c *crash) kill(op operation, victim string) {
	c.Helper()
	cmd, out, errs := c.start(op, victim)
	took := c.took[op.kind+victim]
	if took == 0 {
		took = 400 * time.Millisecond
	}
	time.Sleep(time.Duration((0.1 + 0.9*c.random.Float64()) * float64(took)))
	switch {
	case victim == victimDatabase, victim == victimBoth:
		c.server.Kill(c.T)
		c.server.Restart(c.T)
	case victim == victimService:
		c.stopService()
	default:
		_ = cmd.Process.Kill() // it may have ended
	}
	patience := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	ended := cmd.Wait()
	if !patience.Stop() {
		c.Errorf("%q did not end after the %s was killed\n%s", cmd.Args, victim, errs.String())
	}
	var exited *exec.ExitError
	if ended != nil && !errors.As(ended, &exited) {
		c.Fatal(ended)
	}
	r := result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	if r.code != endedBySignal {
		r.sane(c.T, cmd.Args)
	}
	how := map[int]string{endedBySignal: "killed", exitOK: "ended well", exitFailure: "failed", exitUsage: "refused", exitInterrupted: "interrupted"}[r.code]
	if r.code == exitUsage && !op.ended(r) {
		c.Errorf("%q: exit code %d after the %s was killed\n%s", cmd.Args, r.code, victim, r.err)
	}
	c.killed[victim+", "+how]++
}

// complete runs the command again until it is done, for at most 20 seconds.
func (c *crash) complete(op operation, victim, say string) {
	c.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		c.again++
		at := time.Now()
		cmd, out, errs := c.start(op, victim)
		r := finished(c.T, cmd, out, errs)
		if r.code == exitOK {
			c.took[op.kind+victim] = time.Since(at)
		}
		if r.code == exitOK || op.ended(r) {
			return
		}
		if r.code != exitFailure || time.Since(begun) > 20*time.Second {
			c.Fatalf("%s: it cannot be completed: exit code %d\n%s", say, r.code, r.err)
		}
	}
}

func (c *crash) runTwin(op operation) {
	c.Helper()
	args := append(slices.Clone(op.twin), "--db", c.twin)
	if r := invokeReading(c.T, op.stdin, args...); r.code != exitOK {
		c.Fatalf("undisturbed, dbslm %q: exit code %d\n%s", args, r.code, r.err)
	}
}

// start starts the command, over the service if that is the victim.
func (c *crash) start(op operation, victim string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	c.Helper()
	where := []string{"--db", c.store}
	if c.remote(victim) {
		c.startService()
		where = []string{"--server", c.socket}
	}
	cmd, out, errs = c.command(append(slices.Clone(op.own), where...)...), &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr, cmd.Stdin = out, errs, strings.NewReader(op.stdin)
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	return cmd, out, errs
}

// command is dbslm as a process with a temporary directory of its own.
func (c *crash) command(args ...string) *exec.Cmd {
	cmd := process(c.Context(), args...)
	cmd.Env = append(cmd.Env, "TMPDIR="+c.temp)
	return cmd
}

// startService starts the service if it does not run.
func (c *crash) startService() {
	c.Helper()
	if c.serve != nil {
		return
	}
	log := &listening{ready: make(chan struct{})}
	c.serve = c.command("serve", "--db", c.store, "--listen", c.socket, "--resident-dir", c.files, "--log-level", "error")
	c.serve.Stderr = log
	if err := c.serve.Start(); err != nil {
		c.Fatal(err)
	}
	select {
	case <-log.ready:
	case <-time.After(30 * time.Second):
		c.Fatalf("the service does not listen:\n%s", log)
	}
}

// stopService kills the service.
func (c *crash) stopService() {
	if c.serve != nil {
		_ = c.serve.Process.Kill()
		_ = c.serve.Wait()
		c.serve = nil
	}
}

// serves checks what serves after a kill: what served before, or what serves in the twin by now.
func (c *crash) serves(say string, before uint32) {
	c.Helper()
	switch now := c.published(c.store); {
	case now == 0 && (before == 0 || c.published(c.twin) == 0):
	case now == before && now != 0:
		if got := c.shows(c.store, now); got != c.shown[now] {
			c.Fatalf("%s: build %d served before and serves, but shows other rows (-before +now):\n%.2000s", say, now, cmp.Diff(strings.Split(c.shown[now], "\n"), strings.Split(got, "\n")))
		}
	case now == 0:
		c.Fatalf("%s: nothing serves, where build %d did", say, before)
	case c.shown[now] != "": // one of before
		if got := c.shows(c.store, now); got != c.shown[now] {
			c.Fatalf("%s: build %d shows other rows than when it was published", say, now)
		}
	default:
		if diff := cmp.Diff(c.words(c.twin, c.published(c.twin)).build, c.words(c.store, now).build); diff != "" {
			c.Fatalf("%s: a new build serves before the command is completed, and is not whole (-twin +store):\n%.4000s", say, diff)
		}
	}
}

// compare checks that the store is its twin.
func (c *crash) compare(say string) {
	c.Helper()
	own, twin := c.published(c.store), c.published(c.twin)
	if (own == 0) != (twin == 0) {
		c.Fatalf("%s: build %d serves, in the twin build %d", say, own, twin)
	}
	fresh := own != 0 && c.shown[own] == ""
	for _, p := range c.served {
		if (p.own == own) != (p.twin == twin) {
			c.Fatalf("%s: build %d serves, in the twin build %d, where build %d is the twin of build %d", say, own, twin, p.twin, p.own)
		}
	}
	compared := [2]words{}
	for i, side := range []struct {
		db    string
		build uint32
	}{{c.store, own}, {c.twin, twin}} {
		if !fresh {
			side.build = 0 // an older one, whose contexts may not be counted any more; its rows are compared with themselves
		}
		compared[i] = c.words(side.db, side.build)
	}
	if diff := cmp.Diff(compared[1].all(), compared[0].all()); diff != "" {
		c.Fatalf("%s: the model differs (-twin +store):\n%.6000s", say, diff)
	}
	if own == 0 {
		return
	}
	if fresh {
		c.served = append(c.served, pair{own, twin})
	}
	for id := range c.ready(c.store) {
		got := c.shows(c.store, id)
		if was, known := c.shown[id]; known && was != got {
			c.Fatalf("%s: build %d is kept and has changed", say, id)
		}
		c.shown[id] = got
	}
}
