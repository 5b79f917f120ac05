package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dbslm/pkg/errors"
	memoryv1 "dbslm/proto/dbslm/memory/v1"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
)

// retentionSummary is a retention policy as it is printed; a time that is left out is for ever.
type retentionSummary struct {
	Conversations uint64       `json:"conversations_seconds,omitempty"`
	Messages      uint64       `json:"messages_seconds,omitempty"`
	TraceDetail   uint64       `json:"trace_detail_seconds,omitempty"`
	Every         uint64       `json:"every_seconds"`
	NextRun       *time.Time   `json:"next_run,omitempty"`
	Runs          []runSummary `json:"runs"`
}

// runSummary is one application of a policy as it is printed.
type runSummary struct {
	ID            string     `json:"id,omitempty"`
	Started       *time.Time `json:"started,omitempty"`
	Finished      *time.Time `json:"finished,omitempty"`
	Conversations uint64     `json:"conversations"`
	Messages      uint64     `json:"messages"`
	Traces        uint64     `json:"traces"`
	Bytes         uint64     `json:"bytes"`
	DryRun        bool       `json:"dry_run,omitempty"`
}

func summariseRun(r *memoryv1.RetentionRun) runSummary {
	s := runSummary{ID: r.GetRunId(), Conversations: r.GetConversations(), Messages: r.GetMessages(), Traces: r.GetTraces(), Bytes: r.GetBytes()}
	if r.GetStartTime() != nil {
		at := r.StartTime.AsTime()
		s.Started = &at
	}
	if r.GetFinishTime() != nil {
		at := r.FinishTime.AsTime()
		s.Finished = &at
	}
	return s
}

func (s runSummary) what() string {
	return fmt.Sprintf("%s, %s, %s", plural(s.Conversations, "conversation", "conversations"), plural(s.Messages, "message of others", "messages of others"),
		plural(s.Traces, "trace", "traces"))
}

func newRetention(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show, set and apply how long conversations, messages and traces are kept",
		Long: `Show how long conversations, messages and the details of traces are kept, and what the latest runs let go. Everything is
kept for ever unless "retention set" says otherwise. A running server applies the policy by itself, once over all
replicas; what it does can be stopped at any moment, and the next run goes on.`,
		Example: `  dbslm retention
  dbslm retention set --conversations 365d --messages 90d --trace-detail 30d
  dbslm retention run --dry-run`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.showRetention(cmd.Context(), conn, asJSON) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newRetentionSet(a), newRetentionRun(a))
	return cmd
}

func (a *app) showRetention(ctx context.Context, conn *connection, asJSON bool) error {
	resp, err := memoryv1.NewRetentionServiceClient(conn).GetRetention(ctx, &memoryv1.GetRetentionRequest{Tenant: a.tenant})
	if err != nil {
		return err
	}
	seconds := func(d *durationpb.Duration) uint64 { return uint64(d.AsDuration() / time.Second) }
	p := resp.Policy
	s := retentionSummary{seconds(p.GetConversations()), seconds(p.GetMessages()), seconds(p.GetTraceDetail()), seconds(p.GetEvery()), nil, []runSummary{}}
	if p.GetNextRunTime() != nil {
		at := p.NextRunTime.AsTime()
		s.NextRun = &at
	}
	for _, r := range resp.Runs {
		s.Runs = append(s.Runs, summariseRun(r))
	}
	if asJSON {
		return printJSON(a.out, s)
	}
	next := "never"
	if s.NextRun != nil {
		next = s.NextRun.Local().Format(time.DateTime) + ", then every " + keptFor(s.Every)
	}
	rows := [][]string{
		{"conversations are kept", keptFor(s.Conversations)}, {"messages", keptFor(s.Messages)}, {"details of traces", keptFor(s.TraceDetail)}, {"applied", next},
	}
	for _, r := range s.Runs {
		state := "stopped or at work"
		if r.Finished != nil {
			state = "finished"
		}
		rows = append(rows, []string{"run of " + r.Started.Local().Format(time.DateTime), state + ": " + r.what()})
	}
	return table(a.out, rows)
}

// keptFor writes seconds for people, in days where they are whole.
func keptFor(seconds uint64) string {
	switch day := uint64(24 * 60 * 60); {
	case seconds == 0:
		return "for ever"
	case seconds%day == 0:
		return plural(seconds/day, "day", "days")
	}
	return (time.Duration(seconds) * time.Second).String()
}

// parseKept reads a time such as 90d or 36h; "forever" is 0.
func parseKept(flag, text string) (*durationpb.Duration, error) {
	if text == "forever" {
		return nil, nil
	}
	if digits, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return durationpb.New(time.Duration(days) * 24 * time.Hour), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d%time.Second != 0 {
		return nil, usagef("--%s %q is no time; use for example 90d, 36h, or forever", flag, text)
	}
	return durationpb.New(d), nil
}

func newRetentionSet(a *app) *cobra.Command {
	var asJSON bool
	var kept [4]string
	names := [4]string{"conversations", "messages", "trace-detail", "every"}
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set how long conversations, messages and details of traces are kept",
		Long: `Change what the flags say of the retention policy, and show it. What is older goes within a minute where a server runs, or
with "retention run"; it does not come back. "retention run --dry-run" counts first what would go under a policy.

A conversation goes whole when nothing changed in it for so long. Messages go one by one from conversations that go
on; their statistics count them still. The detail of a trace is what a replay does not need: which concepts were
considered, thresholds, why level 3 kept silent.`,
		Example: `  dbslm retention set --conversations 365d --messages 90d --trace-detail 30d
  dbslm retention set --messages forever
  dbslm retention set --trace-detail 36h --every 10m --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			changes := map[string]*durationpb.Duration{}
			for i, name := range names {
				if !cmd.Flags().Changed(name) {
					continue
				}
				d, err := parseKept(name, kept[i])
				if err != nil {
					return err
				}
				changes[name] = d
			}
			if len(changes) == 0 {
				return usagef("nothing to set; see: dbslm retention set --help")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				client := memoryv1.NewRetentionServiceClient(conn)
				have, err := client.GetRetention(cmd.Context(), &memoryv1.GetRetentionRequest{Tenant: a.tenant})
				if err != nil {
					return err
				}
				p := have.Policy
				for name, to := range map[string]**durationpb.Duration{
					"conversations": &p.Conversations, "messages": &p.Messages, "trace-detail": &p.TraceDetail, "every": &p.Every,
				} {
					if d, ok := changes[name]; ok {
						*to = d
					}
				}
				if _, err := client.SetRetention(cmd.Context(), &memoryv1.SetRetentionRequest{Tenant: a.tenant, Policy: p}); err != nil {
					return err
				}
				return a.showRetention(cmd.Context(), conn, asJSON)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kept[0], "conversations", "forever", "remove a conversation so `long` after its last change, as 365d or 36h")
	flags.StringVar(&kept[1], "messages", "forever", "remove a message so `long` after it was said")
	flags.StringVar(&kept[2], "trace-detail", "forever", "thin a trace so `long` after the reply")
	flags.StringVar(&kept[3], "every", "1h", "apply the policy every so `long`")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newRetentionRun(a *app) *cobra.Command {
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Apply the retention policy now",
		Long: `Let go now what the retention policy does not keep. It can be interrupted: the next run, by hand or by a server, goes on.
With --dry-run it only counts, and counts messages of conversations that would go whole among the messages too.`,
		Example: "  dbslm retention run\n  dbslm retention run --dry-run --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				run, err := a.runRetention(cmd.Context(), conn, dryRun)
				if err != nil {
					return err
				}
				switch {
				case asJSON:
					return printJSON(a.out, run)
				case dryRun:
					fmt.Fprintf(a.out, "would go: %s\n", run.what())
				case run.ID == "":
					fmt.Fprintln(a.out, "everything is kept; set a policy with: dbslm retention set")
				default:
					fmt.Fprintf(a.out, "gone: %s (%s of their details)\n", run.what(), sizeOf(run.Bytes))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only count what would go")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// runRetention applies the policy and returns what its run let go.
func (a *app) runRetention(ctx context.Context, conn *connection, dryRun bool) (run runSummary, err error) {
	stream, err := memoryv1.NewRetentionServiceClient(conn).RunRetention(ctx, &memoryv1.RunRetentionRequest{Tenant: a.tenant, DryRun: dryRun})
	if err != nil {
		return run, err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return run, errors.New(errors.Unavailable, "STREAM_CUT", "the run ended without finishing; run it again to go on")
		}
		if err != nil {
			return run, err
		}
		if run = summariseRun(resp.Run); resp.Finished {
			run.DryRun = dryRun
			return run, nil
		}
	}
}
