package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// golden compares with a file of testdata, or rewrites it under -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./cmd/dbslm -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-file +now); after a wanted change: go test ./cmd/dbslm -update\n%s", path, diff)
	}
}

// everyCommand calls f with each command, the root included.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		everyCommand(sub, f)
	}
}

// Every command explains itself, with an example that is about itself.
func TestHelp(t *testing.T) {
	everyCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		words := strings.Fields(cmd.CommandPath())
		t.Run(strings.Join(words, "-"), func(t *testing.T) {
			got := succeed(t, append(words[1:], "--help")...)
			golden(t, filepath.Join("testdata", "help", strings.Join(words, "-")+".txt"), got)
			if asked := succeed(t, append([]string{"help"}, words[1:]...)...); asked != got {
				t.Errorf("dbslm help %s differs from --help:\n%s", strings.Join(words[1:], " "), cmp.Diff(got, asked))
			}
			if !strings.Contains(cmd.Example, cmd.CommandPath()) {
				t.Errorf("%q has no example of its own", cmd.CommandPath())
			}
			for line := range strings.Lines(got) {
				if len([]rune(line)) > 140 {
					t.Errorf("a line of the help has %d characters: %s", len([]rune(line)), line)
				}
			}
		})
	})
}

var shellWords = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// The examples in the help are command lines that are understood.
func TestExamplesParse(t *testing.T) {
	everyCommand(newRoot(streams{}), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			_, words, ok := strings.Cut(strings.TrimSpace(line), "dbslm ")
			if !ok || strings.Contains(line, "completion") {
				continue
			}
			words, _, _ = strings.Cut(words, " > ") // what follows is the shell's
			words, _, _ = strings.Cut(words, " < ")
			words, _, _ = strings.Cut(words, " | ")
			var args []string
			for _, word := range shellWords.FindAllString(words, -1) {
				if quote := word[:1]; quote == `"` || quote == "'" {
					word = strings.Trim(word, quote)
				}
				args = append(args, word)
			}
			found, rest, err := newRoot(streams{}).Find(args)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}

func TestNoCommandShowsHelp(t *testing.T) {
	if got := succeed(t); !strings.Contains(got, "Usage:\n  dbslm\n  dbslm [command]\n") {
		t.Errorf("dbslm alone printed:\n%s", got)
	}
}

// A flag is set by its environment variable, which the command line overrides.
func TestEnvironment(t *testing.T) {
	inHarbour(t)
	t.Setenv("DBSLM_DB", "elsewhere")
	t.Setenv("DBSLM_ORDER", "4")
	t.Setenv("DBSLM_MODEL", "quay")
	t.Setenv("DBSLM_JSON", "true")
	t.Setenv("DBSLM_LOG_LEVEL", "error")
	out := succeed(t, "train", "harbour.txt", "--storage", "exact")
	for _, want := range []string{`"model": "quay"`, `"store": "elsewhere"`, `"order": 4`, `"storage": "exact"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	for _, flag := range []string{"--order", "--ngram-order"} {
		if out := succeed(t, "train", "harbour.txt", flag, "2", "--model", "pier"+flag); !strings.Contains(out, `"order": 2`) {
			t.Errorf("%s does not win: %s", flag, out)
		}
	}
	refuse(t, "nowhere does not exist", "models", "--db", "nowhere")
	t.Setenv("DBSLM_JSON", "perhaps")
	refuse(t, `environment variable DBSLM_JSON: --json "perhaps" is not true or false`, "models")
}

func TestVersion(t *testing.T) {
	if got := succeed(t, "version"); !strings.HasPrefix(got, "dbslm "+version+" (go") {
		t.Error(got)
	}
	if got := succeed(t, "version", "--json"); !strings.Contains(got, `"version": "`+version+`"`) {
		t.Error(got)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := succeed(t, "completion", shell); !strings.Contains(got, "dbslm") {
			t.Errorf("%s: %.200s", shell, got)
		}
	}
}
