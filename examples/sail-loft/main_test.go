package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"dbslm"

	"github.com/google/go-cmp/cmp"
)

// The concepts that the scripted visitor must meet; "" where level 1 writes.
var wantConcepts = []string{
	"Greeting", "WhereWeAre", "Access", "", "Membership", "CorrectionReplay", "Membership", "BorrowTool", "ReturnLate",
	"", "ReserveTool", "ReserveTool", "ReserveTool", "WhereItHangs", "RepairCafe", "ReserveTool", "ReserveTool", "", "", "ContextSummary", "Goodbye",
}

func TestConversation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	system, err := dbslm.Open(ctx, dbslm.Config{DB: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := system.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out bytes.Buffer
	if err := train(ctx, &out, system); err != nil {
		t.Fatal(err)
	}
	address, stop, err := serveWall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := register(ctx, &out, system, address); err != nil {
		t.Fatal(err)
	}
	replies, err := talk(ctx, &out, system, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, reply := range replies {
		if len(reply.Trace.Degradations) > 0 {
			t.Errorf("%q was degraded: %v", reply.Message.Content, reply.Trace.Degradations)
		}
		if text := reply.Message.Content; !strings.HasSuffix(strings.TrimRight(text, `”"`), ".") && !strings.HasSuffix(text, "?") {
			t.Errorf("%q does not end as a sentence", text)
		}
		got = append(got, reply.Trace.Segments[0].GetSpan().GetConcept())
	}
	if diff := cmp.Diff(wantConcepts, got); diff != "" {
		t.Errorf("concepts that spoke (-want +got):\n%s", diff)
	}
	if before, after := replies[4].Message.Content, replies[6].Message.Content; !strings.Contains(before, "€20") ||
		!strings.Contains(after, "€24") || strings.Contains(after, "€20") {
		t.Errorf("the correction did not hold:\nbefore: %s\nafter: %s", before, after)
	}
	if heard := replies[5].Message.Content; !strings.Contains(heard, "€24") {
		t.Errorf("the correction was not acknowledged: %s", heard)
	}
	if err := explain(ctx, &out, system, replies); err != nil {
		t.Error(err)
	}
}

// Running the program again on the same store trains nothing and says the same.
func TestRunAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	store := t.TempDir()
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(ctx, out, store, 7); err != nil {
			t.Fatal(err)
		}
	}
	const documents = 11
	want := strings.Replace(first.String(), fmt.Sprintf("%d of them new", documents), "0 of them new", 1)
	if diff := cmp.Diff(want, second.String()); diff != "" {
		t.Errorf("the second run differs (-first +second):\n%s", diff)
	}
}
