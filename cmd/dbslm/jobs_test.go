package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Builds measured on a held-out text, a gate, a policy, publishing and going back, everywhere a store may be.
func TestBuildCommands(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		succeed(t, p.on("train", "harbour.txt", "--no-build")...)
		if got := succeed(t, p.on("jobs")...); !strings.Contains(got, "ingest") || !strings.Contains(got, "done") {
			t.Errorf("jobs printed\n%s", got)
		}
		write(t, "held.txt", "The keeper counts the boats at the quay. Oda sings.\n")
		if got := succeed(t, p.on("builds", "hold-out", "held.txt")...); !strings.Contains(got, "holds out 2 sentences, 12 tokens") {
			t.Errorf("hold-out printed %q", got)
		}
		refuse(t, "is document", p.on("builds", "hold-out", "harbour.txt")...)
		refuse(t, "no such file", p.on("builds", "hold-out", "missing.txt")...)
		refuse(t, "use --clear", p.on("builds", "hold-out")...)
		if got := succeed(t, p.on("build")...); got != "build 1 of model \"default\": published\n" {
			t.Errorf("build printed %q", got)
		}
		if got := succeed(t, p.on("build", "--if-changed")...); got != "build 1 of model \"default\": published\n" {
			t.Errorf("build --if-changed printed %q", got)
		}
		b := decode[buildSummary](t, succeed(t, p.on("builds", "show", "--json")...))
		if b.HeldOut == nil || b.HeldOut.Perplexity < 1 || b.HeldOut.ExactPerplexity < 1 || b.Bytes == 0 || b.Rows == 0 {
			t.Errorf("%+v", b)
		}
		if got := succeed(t, p.on("builds")...); !strings.Contains(got, "PERPLEXITY") || !strings.Contains(got, fmt.Sprintf("%.3f", b.HeldOut.Perplexity)) {
			t.Errorf("builds printed\n%s", got)
		}
		if got := succeed(t, p.on("builds", "show", "1")...); !strings.Contains(got, "quantisation loss") || !strings.Contains(got, "discounts") {
			t.Errorf("builds show printed\n%s", got)
		}
		policy := decode[policySummary](t, succeed(t, p.on("builds", "policy", "--gate", "0", "--keep", "3", "--budget", "1GiB", "--every", "24h", "--json")...))
		if policy.Gate == nil || *policy.Gate != 0 || policy.KeepBuilds != 3 || policy.DiskBudget != 1<<30 || policy.EverySeconds != 86400 || policy.HeldOut != b.HeldOut.SHA256 {
			t.Errorf("%+v", policy)
		}
		if got := succeed(t, p.on("builds", "policy")...); !strings.Contains(got, "every 24h0m0s") || !strings.Contains(got, "the newest 3, within 1.0 GiB") {
			t.Errorf("builds policy printed\n%s", got)
		}
		for flag, value := range map[string]string{"--gate": "much", "--budget": "3 elephants", "--every": "1h0.5s"} {
			refuse(t, flag, p.on("builds", "policy", flag, value)...)
		}
		refuse(t, "every_seconds", p.on("builds", "policy", "--every", "2s")...)
		refuse(t, "no model", p.on("builds", "policy", "--model", "quay")...)

		write(t, "noise.txt", strings.Repeat("Zyx wvu tsr qpo nml kji hgf edc. Aba cac dad eae faf gag hah iai.\n", 30))
		succeed(t, p.on("train", "noise.txt", "--no-build")...)
		refuse(t, "nothing was published", p.on("build")...)
		refuse(t, "nothing was published", p.on("publish", "2")...)
		if got := succeed(t, p.on("publish", "2", "--force")...); got != "build 2 of model \"default\": published\n" {
			t.Errorf("publish printed %q", got)
		}
		if got := succeed(t, p.on("rollback")...); got != "build 1 of model \"default\": published\n" {
			t.Errorf("rollback printed %q", got)
		}
		if got := succeed(t, p.on("builds", "drop", "2")...); !strings.HasPrefix(got, "build 2 of model \"default\": dropped, with ") {
			t.Errorf("builds drop printed %q", got)
		}
		refuse(t, "serves", p.on("builds", "drop", "1")...)
		refuse(t, "is not a build", p.on("publish", "first")...)
		succeed(t, p.on("builds", "hold-out", "--clear")...)

		jobs := decode[[]jobSummary](t, succeed(t, p.on("jobs", "list", "--json")...))
		failed := 0
		for _, j := range jobs {
			if j.Kind == "build" && j.State == "failed" && strings.Contains(j.Message, "nothing was published") {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d builds that the gate refused in %+v", failed, jobs)
		}
		if got := succeed(t, p.on("jobs", "cancel", jobs[0].ID)...); !strings.Contains(got, "has ended") {
			t.Errorf("jobs cancel printed %q", got)
		}
		refuse(t, "there is no job", p.on("jobs", "attach", "01890000-0000-7000-8000-000000000000")...)
		refuse(t, "UUID", strings.Fields("jobs attach seven "+strings.Join(p.flags, " "))...)
		done := jobs[len(jobs)-1]
		if got := succeed(t, p.on("jobs", "attach", done.ID)...); got != "job "+done.ID+": done\n" && !strings.HasPrefix(got, "job "+done.ID+": done") {
			t.Errorf("jobs attach printed %q", got)
		}
	})
}

// A training whose time is up exits with 3, and the same command goes on until nothing is left.
func TestMaxRuntime(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		if err := os.Mkdir("many", 0o777); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			write(t, filepath.Join("many", fmt.Sprintf("%d.txt", i)), strings.Repeat(fmt.Sprintf("The harbour %d counts the boats %d. ", i, i*i), 4000))
		}
		paused, code := 0, exitPaused
		for code == exitPaused && paused < 60 {
			r := invoke(t, p.on("train", "many", "--order", "2", "--max-runtime", "1s")...)
			if code = r.code; code == exitPaused {
				paused++
				if !strings.Contains(r.err, "the same") {
					t.Fatalf("stderr %q", r.err)
				}
			} else if code != exitOK {
				t.Fatalf("exit code %d: %s", code, r.err)
			}
			if paused == 3 { // it goes on; the rest in one go
				succeed(t, p.on("train", "many")...)
				code = exitOK
			}
		}
		if m := modelOf(t, p, "default"); m.Documents != 40 || m.PublishedBuild == 0 {
			t.Errorf("after %d pauses: %+v", paused, m)
		}
		refuse(t, "--max-runtime", p.on("train", "many", "--max-runtime", "-1s")...)
	})
}

// A build that is left to a server is done without its client.
func TestDetachedBuild(t *testing.T) {
	inHarbour(t)
	p := served(t, place{[]string{"--db", "store"}})
	succeed(t, p.on("train", "harbour.txt", "--no-build")...)
	job := decode[map[string]string](t, succeed(t, p.on("build", "--detach", "--json")...))["job"]
	if got := succeed(t, p.on("jobs", "attach", job)...); got != "job "+job+": done: build 1\n" {
		t.Errorf("jobs attach printed %q", got)
	}
	refuse(t, "--server", "build", "--db", "store", "--detach")
}
