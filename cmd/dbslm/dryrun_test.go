package main

import (
	"encoding/json"
	"os"
	"testing"
)

// A dry run stores nothing and says what the training then does: tokens, n-grams, rows and the size of the store.
func TestDryRun(t *testing.T) {
	inNewDir(t)
	write(t, "a.txt", "The harbour is closed. The ferry waits in the harbour.\n\nNobody waits for the ferry but the gulls.\n")
	write(t, "b.txt", "The gulls wait.\n")
	args := []string{"train", "a.txt", "b.txt", "--order", "4", "--json", "--db", "store"}
	var dry dryRun
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--dry-run", "--probe", "b.txt")...)), &dry); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("store"); !os.IsNotExist(err) {
		t.Errorf("the store is there: %v", err)
	}
	var trained trainSummary
	if err := json.Unmarshal([]byte(succeed(t, args...)), &trained); err != nil {
		t.Fatal(err)
	}
	var build buildSummary
	if err := json.Unmarshal([]byte(succeed(t, "builds", "show", "--json", "--db", "store")), &build); err != nil {
		t.Fatal(err)
	}
	if uint64(dry.Tokens) != trained.Tokens || dry.Documents != 2 || len(dry.Orders) != 4 || dry.HeldOut == nil || dry.HeldOut.OOV != 0 || dry.HeldOut.Perplexity <= 1 {
		t.Errorf("%+v is not what %+v is", dry, trained)
	}
	for n, o := range dry.Orders {
		if uint64(o.NGrams) != build.NGrams[n] || o.Discount != [3]float64{build.Discounts[n].D1, build.Discounts[n].D2, build.Discounts[n].D3Plus} {
			t.Errorf("order %d: %+v, the build has %d n-grams and %+v", n+1, o, build.NGrams[n], build.Discounts[n])
		}
	}
	refuse(t, "--every", "train", "a.txt", "--dry-run", "--probe", "b.txt", "--every", "2")
	for _, command := range [][]string{{"train", "a.txt"}, {"build"}, {"builds", "create"}, {"prune", "--cutoffs", "0,1"}} {
		refuse(t, "--memory", append(command, "--memory", "1MiB", "--db", "store")...)
	}
	refuse(t, "modified Kneser-Ney", "train", "a.txt", "--dry-run", "--smoothing", "witten-bell")
}
