package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dbslm"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"
)

const (
	corpus = "../../sail-loft/corpus/11-alphabet.txt"
	bundle = "../../../bin/proto-bundle" // `make clients` makes it
)

// The programs train, talk, correct and explain, and print the same in every language.
func TestTalk(t *testing.T) {
	address := serve(t)
	var out bytes.Buffer
	if err := talk(t.Context(), &out, address, corpus); err != nil {
		t.Fatal(err)
	}
	first, want, _ := strings.Cut(out.String(), "\n")
	lines := strings.Split(want, "\n")
	if !strings.HasSuffix(first, " of 2426 tokens") || len(lines) < 6 || lines[0] != "> Who bakes the apple cake?" || !strings.Contains(lines[1], "Marta") ||
		lines[2] != lines[0] || !strings.Contains(lines[3], "Nuala") || !strings.Contains(lines[4], "found at order") {
		t.Errorf("Go printed\n%s", out.String())
	}
	for name, program := range map[string]struct {
		command     []string
		environment func(*testing.T) string
	}{
		"Node":   {[]string{"node", "talk.js", bundle}, func(*testing.T) string { return "NODE_PATH=../../../bin/clients/node_modules" }},
		"Python": {[]string{"../../../bin/clients/python3", "talk.py"}, func(t *testing.T) string { t.Helper(); return "PYTHONPATH=" + compile(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			run := foreign(t, program.environment(t), program.command)
			got, err := run(address, corpus)
			if err != nil {
				t.Fatalf("%v (make clients installs what is needed)\n%s", err, got)
			}
			build, rest, _ := strings.Cut(got, "\n")
			if diff := cmp.Diff(want, rest); diff != "" || !strings.HasSuffix(build, " of 2426 tokens") {
				t.Errorf("%s (-Go +%s)\n%s", build, name, diff)
			}
			refused := talk(t.Context(), &bytes.Buffer{}, address, "/dev/null")
			got, err = run(address, "/dev/null")
			if err == nil || refused == nil || got != status.Convert(refused).Message()+"\n" {
				t.Errorf("an empty text: %v, %q; Go: %v", err, got, refused)
			}
		})
	}
}

// foreign returns a function that runs a program of another language and returns all that it prints.
func foreign(t *testing.T, environment string, program []string) func(args ...string) (string, error) {
	t.Helper()
	return func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program[0], append(program[1:len(program):len(program)], args...)...)
		cmd.Env = append(os.Environ(), environment)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

// compile has protoc make Python of the proto bundle, as the comment of talk.py says, and returns the folder.
func compile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	plugin, err := exec.LookPath("grpc_python_plugin")
	if err != nil {
		t.Fatalf("%v: make clients installs what is needed", err)
	}
	args := []string{"-I", bundle, "--python_out=" + dir, "--grpc_python_out=" + dir, "--plugin=protoc-gen-grpc_python=" + plugin}
	for _, pattern := range []string{"dbslm/*/v1/*.proto", "buf/validate/*.proto"} {
		files, err := filepath.Glob(filepath.Join(bundle, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no protos %s in %s: make clients makes them", pattern, bundle)
		}
		args = append(args, files...)
	}
	if out, err := exec.CommandContext(t.Context(), "protoc", args...).CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, out)
	}
	return dir
}

func serve(t *testing.T) (address string) {
	t.Helper()
	system, err := dbslm.Open(t.Context(), dbslm.Config{DB: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- system.Serve(ctx, map[dbslm.Service]net.Listener{dbslm.Gateway: listener}) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := system.Close(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}
