package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/spf13/cobra"
)

// buildSummary is a build as it is printed.
type buildSummary struct {
	ID         uint32            `json:"id"`
	Model      string            `json:"model"`
	State      string            `json:"state"`
	Published  bool              `json:"published"`
	Order      uint32            `json:"order"`
	Storage    string            `json:"storage"`
	Vocabulary uint64            `json:"vocabulary"`
	NGrams     []uint64          `json:"ngrams"`
	Tokens     uint64            `json:"tokens"`
	RowsAdded  uint64            `json:"rows_added"`
	RowsClosed uint64            `json:"rows_closed"`
	Discounts  []discountSummary `json:"discounts"`
	Warnings   []string          `json:"warnings,omitempty"`
	Failure    string            `json:"failure,omitempty"`
	Created    time.Time         `json:"created"`
}

type discountSummary struct {
	Order    uint32  `json:"order"`
	D1       float64 `json:"d1"`
	D2       float64 `json:"d2"`
	D3Plus   float64 `json:"d3_plus"`
	Fallback bool    `json:"fallback,omitempty"`
}

var buildStates = map[ngramv1.Build_State]string{
	ngramv1.Build_STATE_BUILDING: "building",
	ngramv1.Build_STATE_READY:    "ready",
	ngramv1.Build_STATE_FAILED:   "failed",
	ngramv1.Build_STATE_DROPPED:  "dropped",
}

func summarise(b *ngramv1.Build) *buildSummary {
	s := &buildSummary{
		ID: b.BuildId, Model: b.Model, State: buildStates[b.State], Published: b.Published, Order: b.Order,
		Storage: nameOf(b.Storage, storages), Vocabulary: b.VocabularySize, NGrams: b.NgramCounts, Tokens: b.Tokens,
		RowsAdded: b.RowsAdded, RowsClosed: b.RowsClosed, Warnings: b.Warnings, Failure: b.Failure,
		Created: b.CreateTime.AsTime(),
	}
	for _, d := range b.Discounts {
		s.Discounts = append(s.Discounts, discountSummary{d.Order, d.D1, d.D2, d.D3Plus, d.Fallback})
	}
	return s
}

// buildsFlags are shared by the commands about builds.
type buildsFlags struct {
	model string
	json  bool
	all   bool
}

func newBuilds(a *app) *cobra.Command {
	var f buildsFlags
	cmd := &cobra.Command{
		Use:   "builds",
		Short: "List builds of a model; derive, publish or roll back one",
		Long: `A build is an immutable derivation of a model's counts. Publishing moves one pointer: readers see the old build
or the new one, never a mixture.`,
		Example: `  dbslm builds
  dbslm builds create --storage exact
  dbslm builds publish 7
  dbslm builds rollback`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.listBuilds(cmd.Context(), conn, f) })
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.model, "model", "default", "`name` of the model")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.all, "all", false, "also list failed and dropped builds")
	cmd.AddCommand(newBuildsCreate(a, &f), newBuildsPublish(a, &f), newBuildsRollback(a, &f))
	return cmd
}

func (a *app) listBuilds(ctx context.Context, conn *connection, f buildsFlags) error {
	client := ngramv1.NewBuildServiceClient(conn)
	builds := []*buildSummary{}
	for token := ""; ; {
		resp, err := client.ListBuilds(ctx, &ngramv1.ListBuildsRequest{
			Tenant: a.tenant, Model: f.model, PageSize: 1000, PageToken: token, IncludeEnded: f.all,
		})
		if err != nil {
			return err
		}
		for _, b := range resp.Builds {
			builds = append(builds, summarise(b))
		}
		if token = resp.NextPageToken; token == "" {
			break
		}
	}
	if f.json {
		return printJSON(a.out, builds)
	}
	if len(builds) == 0 {
		fmt.Fprintf(a.out, "model %q has no build; derive one with: dbslm builds create --model %s\n", f.model, f.model)
		return nil
	}
	rows := [][]string{{"BUILD", "STATE", "CREATED", "ORDER", "STORAGE", "VOCABULARY", "N-GRAMS", "ROWS +/-"}}
	for _, b := range builds {
		state := b.State
		if b.Published {
			state = "published"
		}
		var ngrams uint64
		for _, n := range b.NGrams {
			ngrams += n
		}
		rows = append(rows, []string{
			fmt.Sprint(b.ID), state, b.Created.Local().Format(time.DateTime), fmt.Sprint(b.Order), b.Storage,
			count(b.Vocabulary), count(ngrams), "+" + count(b.RowsAdded) + " -" + count(b.RowsClosed),
		})
	}
	return table(a.out, rows)
}

func newBuildsCreate(a *app, f *buildsFlags) *cobra.Command {
	var storage string
	var publish, quirk bool
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Derive a build from the model's counts",
		Example: "  dbslm builds create --storage exact --publish",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := parseName("storage", storage, storages)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				b, err := a.createBuild(cmd.Context(), conn, &ngramv1.CreateBuildRequest{
					Tenant: a.tenant, Model: f.model, Storage: s, Publish: publish, KenlmQuirk: quirk, Trainer: trainerName(),
				})
				if err != nil {
					return err
				}
				return a.printBuild(b, f.json)
			})
		},
	}
	cmd.Flags().StringVar(&storage, "storage", "8", "`bits` of a stored probability: 8, 16 or exact")
	cmd.Flags().BoolVar(&publish, "publish", false, "publish the build")
	cmd.Flags().BoolVar(&quirk, "kenlm-quirk", false, "tally counts of counts as KenLM does for its last n-gram, to compare on tiny texts")
	return cmd
}

func (a *app) createBuild(ctx context.Context, conn *connection, req *ngramv1.CreateBuildRequest) (*ngramv1.Build, error) {
	stream, err := ngramv1.NewBuildServiceClient(conn).CreateBuild(ctx, req)
	if err != nil {
		return nil, err
	}
	bars := newProgress(a.streams)
	defer bars.close()
	var build *ngramv1.Build
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return build, nil
		}
		if err != nil {
			return nil, err
		}
		if p := resp.GetProgress(); p != nil {
			bars.set("build: "+p.Phase, p.Done, p.Total, false)
		}
		if b := resp.GetBuild(); b != nil {
			build = b
		}
	}
}

func newBuildsPublish(a *app, f *buildsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "publish BUILD",
		Short:   "Make a ready build the one that serves",
		Example: "  dbslm builds publish 7 --model harbour",
		Args:    oneArg("the build's number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil || id == 0 {
				return usagef("%q is not a build; list them with: dbslm builds", args[0])
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).PublishBuild(cmd.Context(), &ngramv1.PublishBuildRequest{
					Tenant: a.tenant, Model: f.model, BuildId: uint32(id),
				})
				if err != nil {
					return err
				}
				return a.printBuild(resp.Build, f.json)
			})
		},
	}
}

func newBuildsRollback(a *app, f *buildsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "rollback",
		Short:   "Publish the build that served before the present one",
		Example: "  dbslm builds rollback",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).RollbackBuild(cmd.Context(), &ngramv1.RollbackBuildRequest{
					Tenant: a.tenant, Model: f.model,
				})
				if err != nil {
					return err
				}
				return a.printBuild(resp.Build, f.json)
			})
		},
	}
}

func (a *app) printBuild(b *ngramv1.Build, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, summarise(b))
	}
	state := buildStates[b.State]
	if b.Published {
		state = "published"
	}
	fmt.Fprintf(a.out, "build %d of model %q: %s\n", b.BuildId, b.Model, state)
	a.warn(b.Warnings)
	return nil
}

// warningLimit is how many warnings of a build are printed: a high order on a small text has one for each order.
const warningLimit = 3

// warn prints the first warnings of a build.
func (a *app) warn(warnings []string) {
	for i, w := range warnings {
		if left := len(warnings) - i; i == warningLimit && left > 1 {
			fmt.Fprintf(a.err, "warning: and %s more like these; see them with: dbslm builds --json\n", count(left))
			return
		}
		fmt.Fprintf(a.err, "warning: %s\n", oneLine(w))
	}
}
