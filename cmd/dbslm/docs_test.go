package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"dbslm/pkg/database/databasetest"
	"dbslm/pkg/errors"

	"github.com/google/go-cmp/cmp"
)

// repository is the root of the project, whatever directory a test works in.
var repository = func() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return filepath.Dir(filepath.Dir(dir))
}()

// checkSection compares the generated part of a document with what a test found out, or rewrites it under -update. The
// part stands between two comments with its name.
func checkSection(t *testing.T, document, name, got string) {
	t.Helper()
	if t.Failed() {
		return
	}
	path := filepath.Join(repository, document)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": go test ./cmd/dbslm -update -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(string(data), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part between %q and %q", document, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+got+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, got); diff != "" {
		t.Errorf("%s is out of date (-document +now); run: go test ./cmd/dbslm -update\n%s", document, diff)
	}
}

// TestDocument runs every command of documents in order and compares what it prints with what they show.
func TestDocument(t *testing.T) {
	for _, name := range []string{"cli.md", "formats.md", "audit.md", "conversations.md"} {
		t.Run(name, func(t *testing.T) { checkDocument(t, name) })
	}
}

func checkDocument(t *testing.T, name string) {
	path := filepath.Join(repository, "docs", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := newDocument(t)
	var got strings.Builder
	inBlock := false
	for line := range strings.Lines(string(data)) {
		switch {
		case line == "```console\n":
			inBlock = true
		case line == "```\n":
			inBlock = false
		case inBlock && strings.HasPrefix(line, "$ "):
			got.WriteString(line + d.run(strings.TrimSpace(line[2:])))
			continue
		case inBlock: // what the command printed when the document was written
			continue
		}
		got.WriteString(line)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(data), got.String()); diff != "" {
		t.Errorf("docs/%s is out of date (-document +now); run: go test ./cmd/dbslm -run TestDocument -update\n%s", name, diff)
	}
}

// The values that stand in the document for those of the machine.
const (
	documentAddress  = "127.0.0.1:7400"
	documentDatabase = "mysql://dbslm:secret@127.0.0.1:3306/"
	documentID       = "0193e4a1-0000-7000-8000-%012d"
)

// document is a shell session as a reader of the document would have it.
type document struct {
	t       *testing.T
	env     []string
	private *strings.Replacer // the document's values → this machine's
	public  *strings.Replacer
	ids     map[string]string // this machine's → the document's
}

func newDocument(t *testing.T) *document {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.CopyFS(filepath.Join("examples", "sail-loft", "corpus"), os.DirFS(corpus())); err != nil {
		t.Fatal(err)
	}
	wall := serveWall(t)
	for _, name := range []string{"bot.yaml", "conversations.yaml", "reserving.yaml", "freely.yaml"} {
		data, err := os.ReadFile(filepath.Join(corpus(), "..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join("examples", "sail-loft", name), strings.ReplaceAll(string(data), "127.0.0.1:7490", wall))
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "dbslm")); err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := lis.Addr().String()
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	target := databasetest.MySQLTarget(t)
	return &document{
		t:       t,
		env:     append(os.Environ(), asCommand+"=1", "PATH="+bin+":"+os.Getenv("PATH"), "TZ=UTC"),
		private: strings.NewReplacer(documentAddress, address, documentDatabase, "'"+dsn(t, target)+"'"),
		public: strings.NewReplacer(
			dsn(t, target), documentDatabase, target.String(), strings.Replace(documentDatabase, ":secret", "", 1), target.Prefix()+"dbslm_", "dbslm_",
			address, documentAddress, runtime.Version(), "go1.26", runtime.GOOS+"/"+runtime.GOARCH, "linux/amd64",
		),
		ids: map[string]string{},
	}
}

// run executes a line of shell and returns what it printed, with the document's values. A line that ends with & starts a
// server, which ends with the test.
func (d *document) run(line string) string {
	d.t.Helper()
	line = d.private.Replace(line)
	for id, shown := range d.ids {
		line = strings.ReplaceAll(line, shown, id)
	}
	if server, ok := strings.CutSuffix(line, " &"); ok {
		return d.shown(d.serve(server))
	}
	cmd := exec.CommandContext(d.t.Context(), "sh", "-c", line)
	cmd.Env = d.env
	out, err := cmd.CombinedOutput()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		d.t.Fatal(err)
	}
	return d.shown(string(out))
}

func (d *document) serve(line string) string {
	d.t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Env = d.env
	log := &listening{ready: make(chan struct{})}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			d.t.Errorf("%s: %v\n%s", line, err, log)
		}
	})
	select {
	case <-log.ready:
	case <-time.After(time.Minute):
		d.t.Fatalf("%s does not listen:\n%s", line, log)
	}
	return log.String()
}

var (
	uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	times = regexp.MustCompile(`20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?`)
)

func (d *document) shown(out string) string {
	out = uuids.ReplaceAllStringFunc(out, func(id string) string {
		if _, ok := d.ids[id]; !ok {
			d.ids[id] = fmt.Sprintf(documentID, len(d.ids)+1)
		}
		return d.ids[id]
	})
	return times.ReplaceAllString(d.public.Replace(out), "2026-01-02${1}15:04:05")
}
