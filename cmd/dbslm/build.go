package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"dbslm/pkg/errors"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// buildOptions are the flags of build.
type buildOptions struct {
	model string
	estimation
	ifChanged, noPublish, force, json, detach bool
	quirk                                     bool
	maxRuntime                                time.Duration
}

func newBuild(a *app) *cobra.Command {
	o := buildOptions{}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Derive a build from the counts of a model and publish it",
		Long: `Derive a build from all counts of a model and publish it. The counts stay as they are; a build writes what differs
from the one before. The gate of the model's policy may refuse to publish a build that is worse on the held-out text
(see: dbslm builds policy --help). A build that did not complete leaves nothing; the next one cleans up.

A build that runs in a server is a job: it goes on when the connection breaks, and Ctrl-C cancels it.
Exit codes: 0 built, 3 not complete within --max-runtime (run the command again with more time).`,
		Example: `  dbslm build
  dbslm build --if-changed
  dbslm build --storage exact --no-publish
  dbslm build --server 127.0.0.1:7400 --detach`,
		Annotations: map[string]string{afterInterrupt: "; the build is abandoned, what was published serves on"},
		Args:        noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.build(cmd.Context(), conn, o) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.model, "model", "default", "`name` of the model")
	o.register(flags)
	o.registerMemory(flags)
	flags.BoolVar(&o.ifChanged, "if-changed", false, "do nothing if neither counts nor options changed since the published build")
	flags.BoolVar(&o.noPublish, "no-publish", false, "let the old build serve")
	flags.BoolVar(&o.force, "force", false, "publish even if the gate refuses the build")
	flags.BoolVar(&o.detach, "detach", false, "with --server: print the job and leave it running")
	flags.DurationVar(&o.maxRuntime, "max-runtime", 0, "give up after so `long`, as 90s or 2h")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// seconds is a runtime as the API wants it: whole seconds, rounded up.
func seconds(d time.Duration) (uint32, error) {
	if d < 0 || d > 365*24*time.Hour {
		return 0, usagef("--max-runtime %s is impossible; give a time from 1s to a year", d)
	}
	return uint32((d + time.Second - 1) / time.Second), nil
}

func (a *app) build(ctx context.Context, conn *connection, o buildOptions) error {
	storage, smoothing, pruning, err := o.choose()
	if err != nil {
		return err
	}
	limit, err := seconds(o.maxRuntime)
	if err != nil {
		return err
	}
	if o.detach && a.server == "" {
		return usagef("--detach needs a --server to leave the build running in")
	}
	defer o.within(a)()
	b, job, err := a.createBuild(ctx, conn, &ngramv1.CreateBuildRequest{
		Tenant: a.tenant, Model: o.model, Storage: storage, Smoothing: smoothing, Pruning: pruning, Publish: !o.noPublish, IfChanged: o.ifChanged, Force: o.force,
		KenlmQuirk: o.quirk, Trainer: trainerName(), KeepRunning: a.server != "", MaxRuntimeSeconds: limit,
		MemoryBytes: uint64(o.memory),
	}, o.detach)
	switch {
	case err != nil:
		return err
	case o.detach && o.json:
		return printJSON(a.out, map[string]string{"job": job})
	case o.detach:
		fmt.Fprintf(a.out, "job %s builds model %q; watch it with: dbslm jobs attach %s\n", job, o.model, job)
		return nil
	}
	return a.printBuild(b, o.json)
}

// createBuild derives a build, or with detach only begins to. A server goes on when the connection breaks, so an interrupt
// is told to it.
func (a *app) createBuild(ctx context.Context, conn *connection, req *ngramv1.CreateBuildRequest, detach bool) (build *ngramv1.Build, job string, err error) {
	stream, err := ngramv1.NewBuildServiceClient(conn).CreateBuild(ctx, req)
	if err != nil {
		return nil, "", err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return build, job, nil
		}
		if err != nil {
			if ctx.Err() != nil {
				a.cancelJob(ctx, conn, job)
			}
			return nil, job, err
		}
		if id := resp.GetJobId(); id != "" {
			if job = id; detach {
				return nil, job, nil
			}
		}
		if p := resp.GetProgress(); p != nil {
			bars.set("build: "+p.Phase, p.Done, p.Total, false)
		}
		if b := resp.GetBuild(); b != nil {
			build = b
		}
	}
}

// cancelJob tells a server that the person who began a job does not want it any more.
func (a *app) cancelJob(ctx context.Context, conn *connection, job string) {
	if a.server == "" || job == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := ngramv1.NewJobServiceClient(conn).CancelJob(ctx, &ngramv1.CancelJobRequest{Tenant: a.tenant, JobId: job})
	if err != nil {
		fmt.Fprintf(a.err, "dbslm: job %s may still run, see: dbslm jobs (%s)\n", job, errors.Public(err))
	}
}
