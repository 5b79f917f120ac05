package main

import (
	"context"
	"fmt"
	"io"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingFlags are the flags that say how a model reads its texts.
func (o *trainOptions) settingFlags(flags *pflag.FlagSet, order, tokenizer, normalization, unk string) {
	flags.IntVar(&o.order, "order", 0, "longest n-gram: `N` tokens, 1 to 255 (default "+order+")")
	flags.StringVar(&o.tokenizer, "tokenizer", "", "`kind` of tokens: words, whitespace or bytes (default "+tokenizer+")")
	flags.StringVar(&o.normalization, "normalization", "", "Unicode `form` of the text: nfc, nfkc or none (default "+normalization+")")
	flags.StringVar(&o.unk, "unk", "", "`policy` for <unk>, <s> and </s> as tokens of the text: reserved (refused) or literal (words) (default "+unk+")")
}

func newModelsRebuild(a *app, asJSON *bool) *cobra.Command {
	o := trainOptions{weight: 1}
	cmd := &cobra.Command{
		Use:   "rebuild MODEL NEW",
		Short: "Train another model with the texts that a model keeps",
		Long: `Train a model, made when missing, with the texts that another one keeps: with another order, tokeniser or
normalisation, as training the files themselves would. Documents keep their labels, weights and hashes, so that the same
files change nothing afterwards. Then a build is derived and published. The old model stays as it is.

Interrupted at any moment, the same command goes on where it stopped. Models whose texts were not kept (train --drop-text,
imports) are refused. Exit codes: 0 rebuilt, 3 not complete within --max-runtime (run the command again).`,
		Example: `  dbslm models rebuild default default-5 --order 5
  dbslm models rebuild notes notes-bytes --tokenizer bytes --order 8 --storage exact
  dbslm models rebuild default default-5 --order 5 --max-runtime 10m --json`,
		Annotations: map[string]string{afterInterrupt: "; run the same command again to go on"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("two names are needed, of the model and of the new one; see: %s --help", cmd.CommandPath())
			}
			return atMostOneArg(cmd, args[1:])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.model, o.orderGiven, o.json = args[1], cmd.Flags().Changed("order"), *asJSON
			return a.rebuild(cmd.Context(), args[0], o)
		},
	}
	flags := cmd.Flags()
	o.settingFlags(flags, "its own", "its own", "its own", "its own")
	o.estimation.register(flags)
	flags.BoolVar(&o.noBuild, "no-build", false, "only count")
	flags.BoolVar(&o.noPublish, "no-publish", false, "derive a build but do not publish it")
	flags.DurationVar(&o.maxRuntime, "max-runtime", 0, "stop at a checkpoint after so `long`, as 90s or 2h; the same command goes on")
	return cmd
}

// rebuiltSummary is what a rebuilding did.
type rebuiltSummary struct {
	From   string        `json:"from"`
	Model  modelSummary  `json:"model"`
	Build  *buildSummary `json:"build,omitempty"`
	Paused bool          `json:"paused,omitempty"`
}

func (a *app) rebuild(ctx context.Context, from string, o trainOptions) error {
	header, err := o.header(a)
	if err != nil {
		return err
	}
	begun := time.Now()
	return a.with(ctx, false, func(conn *connection) error {
		model, err := a.findModel(ctx, conn, from)
		if err != nil {
			return err
		}
		order := max(o.order, 0)
		if order == 0 {
			order = int(model.GetSettings().GetOrder())
		}
		if cutoffs := len(header.Pruning.GetCutoffs()); model != nil && cutoffs > order {
			return usagef("--cutoffs: %d counts for a model of order %d; give one for each order at most", cutoffs, order)
		}
		rebuilt, err := a.rebuildTexts(ctx, conn, &ngramv1.RebuildModelRequest{
			Tenant: a.tenant, Model: from, Target: o.model, Settings: header.Ingest.Settings, Trainer: trainerName(),
			KeepRunning: a.server != "", MaxRuntimeSeconds: header.Ingest.MaxRuntimeSeconds,
		})
		if err != nil {
			return err
		}
		s := rebuiltSummary{From: from, Paused: rebuilt == nil}
		if rebuilt != nil && !o.noBuild {
			req := &ngramv1.CreateBuildRequest{
				Tenant: a.tenant, Model: o.model, Storage: header.Storage, Smoothing: header.Smoothing, Pruning: header.Pruning, Publish: !o.noPublish, IfChanged: true,
				Trainer: trainerName(), KeepRunning: a.server != "",
			}
			if limit := header.Ingest.MaxRuntimeSeconds; limit > 0 {
				req.MaxRuntimeSeconds = max(1, limit-min(limit, uint32(time.Since(begun)/time.Second)))
			}
			build, _, err := a.createBuild(ctx, conn, req, false)
			if err != nil {
				return err
			}
			s.Build = summarise(build)
		}
		if rebuilt, err = a.findModel(ctx, conn, o.model); err != nil {
			return err
		}
		s.Model = summariseModel(rebuilt)
		return a.printRebuilt(s, o)
	})
}

// rebuildTexts returns the model once all texts are counted, and nil if the time was up before.
func (a *app) rebuildTexts(ctx context.Context, conn *connection, req *ngramv1.RebuildModelRequest) (model *ngramv1.Model, err error) {
	stream, err := ngramv1.NewRebuildServiceClient(conn).RebuildModel(ctx, req)
	if err != nil {
		return nil, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	job := ""
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return model, nil
		}
		if err != nil {
			if ctx.Err() != nil {
				a.cancelJob(ctx, conn, job)
			}
			return nil, err
		}
		switch event := resp.Event.(type) {
		case *ngramv1.RebuildModelResponse_JobId:
			job = event.JobId
		case *ngramv1.RebuildModelResponse_Progress:
			bars.set("documents", event.Progress.DocumentsDone, event.Progress.DocumentsTotal, false)
		case *ngramv1.RebuildModelResponse_Model:
			model = event.Model
		}
	}
}

func (a *app) printRebuilt(s rebuiltSummary, o trainOptions) error {
	if o.json {
		if err := printJSON(a.out, s); err != nil {
			return err
		}
	}
	if s.Paused {
		return pausedError{fmt.Errorf("the time was up; run the same command again to go on")}
	}
	if o.json {
		return nil
	}
	fmt.Fprintf(a.out, "rebuilt model %q as %q: order %d, tokeniser %s; %s, %s\n", s.From, s.Model.Name, s.Model.Order, s.Model.Tokenizer,
		plural(s.Model.Documents, "document", "documents"), plural(s.Model.Tokens, "token", "tokens"))
	if s.Build != nil {
		state := "published"
		if !s.Build.Published {
			state = "ready; publish it with: dbslm builds publish " + fmt.Sprint(s.Build.ID)
		}
		fmt.Fprintf(a.out, "build %d: %s\n", s.Build.ID, state)
		a.warn(s.Build.Warnings)
	}
	return nil
}
