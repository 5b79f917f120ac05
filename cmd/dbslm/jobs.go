package main

import (
	"context"
	"fmt"
	"io"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// jobSummary is a job as it is printed.
type jobSummary struct {
	ID       string     `json:"id"`
	Model    string     `json:"model"`
	Kind     string     `json:"kind"`
	State    string     `json:"state"`
	Owner    string     `json:"owner"`
	Phase    string     `json:"phase,omitempty"`
	Done     uint64     `json:"done"`
	Total    uint64     `json:"total,omitempty"`
	Build    uint32     `json:"build,omitempty"`
	Message  string     `json:"message,omitempty"`
	Created  time.Time  `json:"created"`
	Updated  time.Time  `json:"updated"`
	Finished *time.Time `json:"finished,omitempty"`
}

var (
	jobKinds  = map[string]ngramv1.Job_Kind{"ingest": ngramv1.Job_KIND_INGEST, "build": ngramv1.Job_KIND_BUILD, "rebuild": ngramv1.Job_KIND_REBUILD}
	jobStates = map[string]ngramv1.Job_State{
		"running": ngramv1.Job_STATE_RUNNING, "done": ngramv1.Job_STATE_DONE, "failed": ngramv1.Job_STATE_FAILED,
		"cancelled": ngramv1.Job_STATE_CANCELLED, "paused": ngramv1.Job_STATE_PAUSED, "interrupted": ngramv1.Job_STATE_INTERRUPTED,
	}
)

func summariseJob(j *ngramv1.Job) *jobSummary {
	s := &jobSummary{
		ID: j.JobId, Model: j.Model, Kind: nameOf(j.Kind, jobKinds), State: nameOf(j.State, jobStates), Owner: j.Owner, Phase: j.Phase,
		Done: j.Done, Total: j.Total, Build: j.BuildId, Message: j.Message, Created: j.CreateTime.AsTime(), Updated: j.UpdateTime.AsTime(),
	}
	if j.FinishTime != nil {
		finished := j.FinishTime.AsTime()
		s.Finished = &finished
	}
	return s
}

// jobsFlags are shared by the commands about jobs.
type jobsFlags struct {
	model   string
	running bool
	json    bool
}

func newJobs(a *app) *cobra.Command {
	var f jobsFlags
	list := func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), false, func(conn *connection) error { return a.listJobs(cmd.Context(), conn, f) })
	}
	listFlags := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVar(&f.model, "model", "", "only jobs of the model of this `name`")
		cmd.Flags().BoolVar(&f.running, "running", false, "only jobs that run")
		return cmd
	}
	cmd := listFlags(&cobra.Command{
		Use:   "jobs",
		Short: "List ingests and builds; attach to one, or cancel it",
		Long: `Every ingest and every build is a job, recorded while it runs and a month after. In a server a job goes on when its
client disconnects; any client may attach to it or cancel it. A job whose process died is listed as interrupted: the
command that began it completes what it left.`,
		Example: `  dbslm jobs
  dbslm jobs --running --json
  dbslm jobs attach 0193e4a1-0000-7000-8000-000000000001`,
		Args: noArgs,
		RunE: list,
	})
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.AddCommand(listFlags(&cobra.Command{
		Use: "list", Short: "List jobs, newest first", Example: "  dbslm jobs list --model harbour", Args: noArgs, RunE: list,
	}), newJobsAttach(a, &f), newJobsCancel(a, &f))
	return cmd
}

func (a *app) listJobs(ctx context.Context, conn *connection, f jobsFlags) error {
	client := ngramv1.NewJobServiceClient(conn)
	jobs := []*jobSummary{}
	for token := ""; ; {
		resp, err := client.ListJobs(ctx, &ngramv1.ListJobsRequest{Tenant: a.tenant, Model: f.model, Running: f.running, PageSize: 1000, PageToken: token})
		if err != nil {
			return err
		}
		for _, j := range resp.Jobs {
			jobs = append(jobs, summariseJob(j))
		}
		if token = resp.NextPageToken; token == "" {
			break
		}
	}
	if f.json {
		return printJSON(a.out, jobs)
	}
	if len(jobs) == 0 {
		fmt.Fprintln(a.out, "no job is recorded; train and build begin one")
		return nil
	}
	rows := [][]string{{"JOB", "KIND", "MODEL", "STATE", "BEGAN", "PROGRESS"}}
	for _, j := range jobs {
		rows = append(rows, []string{j.ID, j.Kind, j.Model, j.State, j.Created.Local().Format(time.DateTime), j.progress()})
	}
	return table(a.out, rows)
}

// progress is how far a job is, or how it ended, in a few words.
func (j *jobSummary) progress() string {
	switch {
	case j.Message != "":
		return oneLine(j.Message)
	case j.State == "done" && j.Build != 0:
		return fmt.Sprint("build ", j.Build)
	case j.State != "running":
		return ""
	case j.Total > 0:
		return fmt.Sprintf("%s: %s of %s", oneLine(j.Phase), count(j.Done), count(j.Total))
	case j.Phase != "":
		return fmt.Sprintf("%s: %s", oneLine(j.Phase), count(j.Done))
	}
	return ""
}

func newJobsAttach(a *app, f *jobsFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "attach JOB",
		Short: "Watch a job until it ends",
		Long: `Watch a job until it ends. Ctrl-C leaves; the job goes on. Exit codes: 0 the job is done, 1 it failed, was cancelled or
interrupted, 3 it paused.`,
		Example:     "  dbslm jobs attach 0193e4a1-0000-7000-8000-000000000001",
		Annotations: map[string]string{afterInterrupt: "; the job goes on"},
		Args:        oneArg("the job's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.attachJob(cmd.Context(), conn, args[0], f.json) })
		},
	}
}

func (a *app) attachJob(ctx context.Context, conn *connection, id string, asJSON bool) error {
	stream, err := ngramv1.NewJobServiceClient(conn).AttachJob(ctx, &ngramv1.AttachJobRequest{Tenant: a.tenant, JobId: id})
	if err != nil {
		return err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	var last *jobSummary
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		last = summariseJob(resp.Job)
		if last.Phase != "" {
			bars.set(oneLine(last.Phase), last.Done, last.Total, last.Kind == "ingest")
		}
	}
	bars.finish()
	if last == nil {
		return fmt.Errorf("the server said nothing about job %s", id)
	}
	if asJSON {
		if err := printJSON(a.out, last); err != nil {
			return err
		}
	} else {
		text := last.progress()
		if text != "" {
			text = ": " + text
		}
		fmt.Fprintf(a.out, "job %s: %s%s\n", last.ID, last.State, text)
	}
	switch last.State {
	case "done":
		return nil
	case "paused":
		return pausedError{fmt.Errorf("job %s is paused", last.ID)}
	}
	return fmt.Errorf("job %s: %s", last.ID, last.State)
}

func newJobsCancel(a *app, f *jobsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel JOB",
		Short:   "Ask a job to stop; what it counted stays counted",
		Example: "  dbslm jobs cancel 0193e4a1-0000-7000-8000-000000000001",
		Args:    oneArg("the job's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewJobServiceClient(conn).CancelJob(cmd.Context(), &ngramv1.CancelJobRequest{Tenant: a.tenant, JobId: args[0]})
				if err != nil {
					return err
				}
				job := summariseJob(resp.Job)
				if f.json {
					return printJSON(a.out, job)
				}
				if job.State != "running" {
					fmt.Fprintf(a.out, "job %s has ended: %s\n", job.ID, job.State)
					return nil
				}
				fmt.Fprintf(a.out, "job %s is asked to stop\n", job.ID)
				return nil
			})
		},
	}
}
