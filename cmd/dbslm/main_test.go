package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dbslm/pkg/database"
	"dbslm/pkg/database/databasetest"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite golden files and the generated parts of docs/")

// asCommand makes the test binary behave as dbslm itself, for tests that need a process of its own.
const asCommand = "DBSLM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Unsetenv(asCommand)
		main()
	}
	goleak.VerifyTestMain(m)
}

// process is dbslm with the given arguments as a process of its own.
func process(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// invoke runs a command line in this process.
func invoke(t *testing.T, args ...string) result {
	t.Helper()
	return invokeReading(t, "", args...)
}

// invokeReading runs a command line that reads the given text from standard input.
func invokeReading(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, streams{in: strings.NewReader(stdin), out: &out, err: &err})
	r := result{code, out.String(), err.String()}
	r.sane(t, args)
	return r
}

// sane checks what holds for every command line: an exit code that stands in the help, one line that says what is
// wrong, never an internal error and never a stack trace.
func (r result) sane(t *testing.T, args []string) {
	t.Helper()
	wrong := func(what string) {
		t.Helper()
		t.Errorf("dbslm %q %s; exit code %d, standard error:\n%s", args, what, r.code, r.err)
	}
	var complaints int
	for line := range strings.Lines(r.err) {
		if strings.HasPrefix(line, "dbslm: ") {
			complaints++
		}
	}
	all := strings.ToLower(r.out + r.err)
	switch {
	case r.code != exitOK && r.code != exitFailure && r.code != exitUsage && r.code != exitPaused && r.code != exitInterrupted:
		wrong("left with an exit code that the help does not know")
	case r.code == exitOK && complaints > 0:
		wrong("complained and succeeded")
	case r.code != exitOK && (complaints != 1 || !strings.HasSuffix(r.err, "\n")):
		wrong("did not say in one last line what is wrong")
	case strings.Contains(all, "goroutine ") || strings.Contains(all, "panic"):
		wrong("shows a stack trace")
	case strings.Contains(all, "internal error") || strings.Contains(r.err, `"level":"ERROR"`):
		wrong("had an internal error")
	}
}

// complaint is the line that says what is wrong, without the program's name.
func (r result) complaint() string {
	for line := range strings.Lines(r.err) {
		if text, ok := strings.CutPrefix(line, "dbslm: "); ok {
			return strings.TrimSuffix(text, "\n")
		}
	}
	return ""
}

// succeed runs a command that must succeed and returns its standard output.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	r := invoke(t, args...)
	if r.code != exitOK {
		t.Fatalf("dbslm %q: exit code %d\n%s", args, r.code, r.err)
	}
	return r.out
}

// refuse runs a command that must be refused and whose complaint must contain the given text.
func refuse(t *testing.T, complaint string, args ...string) {
	t.Helper()
	r := invoke(t, args...)
	if r.code != exitUsage || r.out != "" || !strings.Contains(r.complaint(), complaint) {
		t.Errorf("dbslm %q: exit code %d, complaint %q, output %q; want 2, %q and none", args, r.code, r.complaint(), r.out, complaint)
	}
}

// inNewDir makes an empty directory the current one for the test.
func inNewDir(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
}

// write writes a file below the current directory.
func write(t *testing.T, name, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o777)
	if err == nil {
		err = os.WriteFile(name, []byte(content), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const harbour = `The harbour master counted the boats every morning. He wrote the number in a green book.
When the fog came in, the boats stayed at the quay and the crews drank coffee.

The lighthouse stands on the long rock. Its lamp turns all night. The keeper of the lighthouse is called Oda.
Oda knows every boat by the sound of its engine. She sings when the fog is thick.

On Sunday the market opens at the quay. The baker sells bread, and the fishers sell what the sea gave them.
The children run to the lighthouse and count the waves. The harbour master gives them a boat made of paper.
`

// inHarbour makes a new directory with harbour.txt the current one.
func inHarbour(t *testing.T) {
	t.Helper()
	inNewDir(t)
	write(t, "harbour.txt", harbour)
}

// eachStore runs f in a new directory with harbour.txt, over an empty store of each kind: an embedded one, one on a
// database server, and one behind a running gateway. Arguments with on(...) name the store.
func eachStore(t *testing.T, f func(t *testing.T, s place)) {
	t.Run("embedded", func(t *testing.T) {
		inHarbour(t)
		f(t, place{[]string{"--db", "store"}})
	})
	t.Run("mysql", func(t *testing.T) {
		inHarbour(t)
		f(t, onMySQL(t))
	})
	t.Run("server", func(t *testing.T) {
		inHarbour(t)
		f(t, served(t, place{[]string{"--db", "store"}}))
	})
}

// place is where a command finds its data.
type place struct{ flags []string }

// on appends the flags that name the place to a command line.
func (p place) on(args ...string) []string { return append(args, p.flags...) }

// onUnmigratedMySQL is room for a store on a database server.
func onUnmigratedMySQL(t *testing.T) place {
	t.Helper()
	return place{[]string{"--db", dsn(t, databasetest.MySQLTarget(t))}}
}

// onMySQL is a migrated, empty store on a database server.
func onMySQL(t *testing.T) place {
	t.Helper()
	p := onUnmigratedMySQL(t)
	succeed(t, p.on("migrate")...)
	return p
}

// dsn is the target as --db takes it, the password of a server included.
func dsn(t *testing.T, target database.Target) string {
	t.Helper()
	if target.Embedded() {
		return target.String()
	}
	c := target.ServerConfig()
	address := c.Addr
	if c.Net == "unix" {
		address = "unix(" + c.Addr + ")"
	}
	return fmt.Sprintf("mysql://%s@%s/?schema_prefix=%s", url.UserPassword(c.User, c.Passwd), address, target.Prefix())
}

// served runs dbslm serve over a store, which is made when it is missing, and returns the way to it. The server must
// end cleanly with the test.
func served(t *testing.T, store place, flags ...string) place {
	t.Helper()
	succeed(t, store.on("migrate")...)
	dir, err := os.MkdirTemp("", "dbslm") //nolint:usetesting // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	address := "unix://" + filepath.Join(dir, "socket")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	log := &listening{ready: make(chan struct{})}
	var code int
	var serving sync.WaitGroup
	serving.Go(func() {
		args := append([]string{"serve", "--listen", address, "--log-level", "error"}, flags...)
		code = run(ctx, store.on(args...), streams{in: strings.NewReader(""), out: io.Discard, err: log})
		log.once.Do(func() { close(log.ready) })
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
		if code != exitOK {
			t.Errorf("dbslm serve: exit code %d\n%s", code, log)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	<-log.ready
	return place{[]string{"--server", address}}
}

// listening is the standard error of a server; ready is closed when it listens, or has ended.
type listening struct {
	ready chan struct{}
	once  sync.Once
	mu    sync.Mutex
	text  strings.Builder
}

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(string(p), " listening on ") {
		l.once.Do(func() { close(l.ready) })
	}
	return l.text.Write(p)
}

func (l *listening) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// What cannot be written was not said: the command has failed, whatever it is.
func TestOutputThatCannotBeWritten(t *testing.T) {
	inHarbour(t)
	succeed(t, "train", "harbour.txt", "--db", "store")
	for _, args := range [][]string{
		{"version"}, {"--help"}, {"train", "harbour.txt"}, {"chat", "--prompt", "Hello."}, {"score", "harbour.txt"}, {"migrate"}, {"models"}, {"eval", "harbour.txt", "--json"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var complaint strings.Builder
		if args[0] != "version" && args[0] != "--help" {
			args = append(args, "--db", "store")
		}
		code := run(t.Context(), args, streams{in: strings.NewReader(""), out: full, err: &complaint})
		if code != exitFailure || !strings.Contains(complaint.String(), "no space left") {
			t.Errorf("%v: exit code %d, %q", args, code, complaint.String())
		}
		if err := full.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A server with a certificate is reached by those who trust its authority, and by no others.
func TestServingOverTLS(t *testing.T) {
	inHarbour(t)
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	private, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	write(t, "cert.pem", certificate)
	write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	var free [2]string
	var listeners []net.Listener // all at once, so that no two are the same
	for i := range free {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i] = lis.Addr().String()
		listeners = append(listeners, lis)
	}
	for _, lis := range listeners {
		_ = lis.Close()
	}
	address := free[0]
	served(t, place{[]string{"--db", "store"}}, "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--listen", address, "--http-listen", free[1])
	resp, err := web.Client().Get("https://" + free[1] + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if models, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(models), `"object":"list"`) {
		t.Errorf("over HTTP: %d %s %v", resp.StatusCode, models, err)
	}
	succeed(t, "models", "--server", address, "--tls-ca", "cert.pem")
	for _, args := range [][]string{{"models", "--server", address}, {"models", "--server", address, "--tls-ca", "system"}} {
		if r := invoke(t, args...); r.code != exitFailure || !strings.Contains(r.err, "does not answer") {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.err)
		}
	}
}
