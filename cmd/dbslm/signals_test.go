package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A pushed signal speaks in the next reply and in no other; a cancelled one never; a repeated push pushes nothing twice.
func TestSignals(t *testing.T) {
	db := filepath.Join(t.TempDir(), "db")
	invokeReading(t, "The harbour master counted the boats. The boats stayed at the quay.\n", "train", "-", "--db", db)
	run := func(args ...string) string { t.Helper(); return succeed(t, append(args, "--db", db)...) }
	conversation := idPattern.FindString(run("chat", "--prompt", "The lamp is broken."))
	states := func() (out []string) {
		t.Helper()
		var list []signalSummary
		if err := json.Unmarshal([]byte(run("signals", "list", "--conversation", conversation, "--all", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			out = append(out, s.Concept+" "+s.State)
		}
		return out
	}
	push := []string{"signals", "push", "ContextSummary", "--conversation", conversation, "--expires", "2h", "--request-id", "one", "--json"}
	var first, again struct{ ID string }
	for _, to := range []*struct{ ID string }{&first, &again} {
		if err := json.Unmarshal([]byte(run(push...)), to); err != nil {
			t.Fatal(err)
		}
	}
	if first.ID == "" || first != again {
		t.Errorf("pushed %q, again %q", first.ID, again.ID)
	}
	refuse(t, `request id "one" was used for another signal`, append(push, "--payload", `{"a":1}`, "--db", db)...)
	refuse(t, `has no concept "Weather"`, "signals", "push", "Weather", "--conversation", conversation, "--db", db)
	refuse(t, "not a JSON object", "signals", "push", "ContextSummary", "--conversation", conversation, "--payload", "[1]", "--db", db)

	second := run("signals", "push", "ContextSummary", "--conversation", conversation)
	if got := run("signals", "cancel", idPattern.FindString(second)); !strings.Contains(got, "cancelled: ContextSummary") {
		t.Errorf("cancelled: %s", got)
	}
	const digest = "Based on our recent exchange"
	if got := run("chat", "--conversation", conversation, "--prompt", "A boat."); strings.Count(got, digest) != 1 {
		t.Errorf("the reply after the signal: %s", got)
	}
	if got := run("chat", "--conversation", conversation, "--prompt", "A sail."); strings.Contains(got, digest) {
		t.Errorf("the signal spoke again: %s", got)
	}
	if got := states(); strings.Join(got, ", ") != "ContextSummary cancelled, ContextSummary spoken" {
		t.Errorf("in the end: %v", got)
	}
	refuse(t, "can no longer be cancelled", "signals", "cancel", first.ID, "--db", db)
	if got := run("signals", "list", "--conversation", conversation); !strings.Contains(got, "no signals") {
		t.Errorf("live ones: %s", got)
	}
	run("signals", "push", "ContextSummary", "--conversation", conversation, "--in", "1d", "--every", "7d", "--json")
	if got := run("chat", "--conversation", conversation, "--prompt", "A mast."); strings.Contains(got, digest) {
		t.Errorf("a signal spoke before it was due: %s", got)
	}
	if got := run("signals", "list", "--conversation", conversation, "--json"); !strings.Contains(got, `"repeat": "168h0m0s"`) || !strings.Contains(got, `"due": "`) {
		t.Errorf("scheduled: %s", got)
	}
}
