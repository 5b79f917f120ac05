package main

import (
	"context"
	"encoding/hex"
	"fmt"
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
	Smoothing  string            `json:"smoothing"`
	Vocabulary uint64            `json:"vocabulary"`
	NGrams     []uint64          `json:"ngrams"`
	Tokens     uint64            `json:"tokens"`
	RowsAdded  uint64            `json:"rows_added"`
	RowsClosed uint64            `json:"rows_closed"`
	Discounts  []discountSummary `json:"discounts,omitempty"`
	Weights    []weightSummary   `json:"weights,omitempty"`
	Pruning    *pruningSummary   `json:"pruning,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"`
	Failure    string            `json:"failure,omitempty"`
	Rows       uint64            `json:"rows"`
	Bytes      uint64            `json:"bytes"`
	HeldOut    *heldOutSummary   `json:"held_out,omitempty"`
	Created    time.Time         `json:"created"`
}

// heldOutSummary is how a build did on the held-out text.
type heldOutSummary struct {
	SHA256           string  `json:"sha256"`
	Tokens           uint64  `json:"tokens"`
	OOV              uint64  `json:"oov"`
	Perplexity       float64 `json:"perplexity"`
	ExactPerplexity  float64 `json:"exact_perplexity"`
	QuantisationLoss float64 `json:"quantisation_loss_bits"`
}

type discountSummary struct {
	Order    uint32  `json:"order"`
	D1       float64 `json:"d1"`
	D2       float64 `json:"d2"`
	D3Plus   float64 `json:"d3_plus"`
	Fallback bool    `json:"fallback,omitempty"`
}

type weightSummary struct {
	Order  uint32  `json:"order"`
	Class  uint32  `json:"class"`
	Lambda float64 `json:"lambda"`
	Events uint64  `json:"events"`
}

type pruningSummary struct {
	Cutoffs          []uint32 `json:"cutoffs,omitempty"`
	Threshold        float64  `json:"threshold,omitempty"`
	TargetNGrams     uint64   `json:"target_ngrams,omitempty"`
	TargetBytes      uint64   `json:"target_bytes,omitempty"`
	AppliedThreshold float64  `json:"applied_threshold,omitempty"`
	LeftOut          []uint64 `json:"left_out"`
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
		Storage: nameOf(b.Storage, storages), Smoothing: nameOf(b.Smoothing, smoothings), Vocabulary: b.VocabularySize, NGrams: b.NgramCounts, Tokens: b.Tokens,
		RowsAdded: b.RowsAdded, RowsClosed: b.RowsClosed, Warnings: b.Warnings, Failure: b.Failure,
		Rows: b.Rows, Bytes: b.SizeBytes, Created: b.CreateTime.AsTime(),
	}
	if h := b.HeldOut; h != nil {
		s.HeldOut = &heldOutSummary{hex.EncodeToString(h.Sha256), h.Tokens, h.Oov, h.Perplexity, h.ExactPerplexity, h.QuantisationLossBits}
	}
	for _, w := range b.Weights {
		s.Weights = append(s.Weights, weightSummary{w.Order, w.Class, w.Lambda, w.Events})
	}
	if p := b.Pruning; p != nil {
		s.Pruning = &pruningSummary{p.Cutoffs, p.Threshold, p.TargetNgrams, p.TargetBytes, b.AppliedThreshold, b.PrunedCounts}
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
  dbslm builds rollback
  dbslm builds policy --keep 5`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.listBuilds(cmd.Context(), conn, f) })
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.model, "model", "default", "`name` of the model")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.all, "all", false, "also list failed and dropped builds")
	cmd.AddCommand(newBuildsCreate(a, &f), newBuildsPublish(a, &f), newBuildsRollback(a, &f), newBuildsShow(a, &f),
		newBuildsDrop(a, &f), newBuildsPolicy(a, &f), newBuildsHoldOut(a, &f))
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
	rows := [][]string{{"BUILD", "STATE", "CREATED", "ORDER", "STORAGE", "VOCABULARY", "N-GRAMS", "ROWS +/-", "SIZE", "PERPLEXITY", "LOSS"}}
	for _, b := range builds {
		state := b.State
		if b.Published {
			state = "published"
		}
		var ngrams uint64
		for _, n := range b.NGrams {
			ngrams += n
		}
		row := []string{
			fmt.Sprint(b.ID), state, b.Created.Local().Format(time.DateTime), fmt.Sprint(b.Order), b.Storage,
			count(b.Vocabulary), count(ngrams), "+" + count(b.RowsAdded) + " -" + count(b.RowsClosed), sizeOf(b.Bytes),
		}
		if h := b.HeldOut; h != nil {
			row = append(row, fmt.Sprintf("%.3f", h.Perplexity), fmt.Sprintf("%+.5f", h.QuantisationLoss))
		} else {
			row = append(row, "-", "-")
		}
		rows = append(rows, row)
	}
	return table(a.out, rows)
}

func newBuildsCreate(a *app, f *buildsFlags) *cobra.Command {
	var o buildOptions
	var publish bool
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Derive a build from the model's counts; see also: dbslm build",
		Example: "  dbslm builds create --storage exact --publish",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.model, o.json, o.noPublish = f.model, f.json, !publish
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.build(cmd.Context(), conn, o) })
		},
	}
	o.register(cmd.Flags())
	o.registerMemory(cmd.Flags())
	cmd.Flags().BoolVar(&publish, "publish", false, "publish the build")
	cmd.Flags().BoolVar(&o.quirk, "kenlm-quirk", false, "tally counts of counts as KenLM does for its last n-gram, to compare on tiny texts")
	return cmd
}

// buildNumber reads the number of a build from the command line.
func buildNumber(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil || id == 0 {
		return 0, usagef("%q is not a build; list them with: dbslm builds", text)
	}
	return uint32(id), nil
}

func newBuildsShow(a *app, f *buildsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show [BUILD]",
		Short:   "Show a build, or the published one: sizes, discounts, figures on the held-out text",
		Example: "  dbslm builds show 7",
		Args:    atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			var id uint32
			if len(args) == 1 {
				var err error
				if id, err = buildNumber(args[0]); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).GetBuild(cmd.Context(), &ngramv1.GetBuildRequest{Tenant: a.tenant, Model: f.model, BuildId: id})
				if err != nil {
					return err
				}
				return a.showBuild(summarise(resp.Build), f.json)
			})
		},
	}
}

func (a *app) showBuild(b *buildSummary, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, b)
	}
	state := b.State
	if b.Published {
		state = "published"
	}
	rows := [][]string{
		{"build", fmt.Sprint(b.ID)},
		{"model", b.Model},
		{"state", state},
		{"created", b.Created.Local().Format(time.DateTime)},
		{"storage", b.Storage},
		{"tokens", count(b.Tokens)},
		{"vocabulary", count(b.Vocabulary)},
		{"size", sizeOf(b.Bytes) + " in " + plural(b.Rows, "row", "rows")},
		{"written", "+" + count(b.RowsAdded) + " -" + count(b.RowsClosed) + " rows"},
	}
	for i, d := range b.Discounts {
		what := fmt.Sprintf("%s n-grams, discounts %.6f %.6f %.6f", count(b.NGrams[i]), d.D1, d.D2, d.D3Plus)
		if d.Fallback {
			what += " (fallback)"
		}
		rows = append(rows, []string{fmt.Sprint("order ", d.Order), what})
	}
	if h := b.HeldOut; h != nil {
		rows = append(rows, []string{"held out", fmt.Sprintf("%s, %s unknown, SHA-256 %s", plural(h.Tokens, "event", "events"), count(h.OOV), h.SHA256)},
			[]string{"perplexity", fmt.Sprintf("%.4f, before rounding %.4f", h.Perplexity, h.ExactPerplexity)},
			[]string{"quantisation loss", fmt.Sprintf("%+.6f bits an event", h.QuantisationLoss)})
	}
	if b.Failure != "" {
		rows = append(rows, []string{"failure", oneLine(b.Failure)})
	}
	for _, w := range b.Warnings {
		rows = append(rows, []string{"warning", oneLine(w)})
	}
	return table(a.out, rows)
}

func newBuildsDrop(a *app, f *buildsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "drop BUILD",
		Short:   "Remove a build that does not serve, with the rows only it shows",
		Example: "  dbslm builds drop 7",
		Args:    oneArg("the build's number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := buildNumber(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).DropBuild(cmd.Context(), &ngramv1.DropBuildRequest{Tenant: a.tenant, Model: f.model, BuildId: id})
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(a.out, map[string]any{"model": f.model, "id": id, "rows": resp.Rows})
				}
				fmt.Fprintf(a.out, "build %d of model %q: dropped, with %s\n", id, f.model, plural(resp.Rows, "row", "rows"))
				return nil
			})
		},
	}
}

func newBuildsPublish(a *app, f *buildsFlags) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "publish BUILD",
		Short:   "Make a ready build the one that serves",
		Example: "  dbslm builds publish 7 --model harbour",
		Args:    oneArg("the build's number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := buildNumber(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).PublishBuild(cmd.Context(), &ngramv1.PublishBuildRequest{
					Tenant: a.tenant, Model: f.model, BuildId: id, Force: force,
				})
				if err != nil {
					return err
				}
				return a.printBuild(resp.Build, f.json)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "publish even if the gate of the policy refuses the build")
	return cmd
}

// atTop makes a command about builds one of its own, with the flags it else shares.
func atTop(command func(*app, *buildsFlags) *cobra.Command, a *app, example string) *cobra.Command {
	f := &buildsFlags{}
	cmd := command(a, f)
	cmd.Example = example
	cmd.Flags().StringVar(&f.model, "model", "default", "`name` of the model")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func newBuildsRollback(a *app, f *buildsFlags) *cobra.Command {
	var from uint32
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Publish the build that served before the present one",
		Long: `Publish the build that served before the present one. With --from, only if that build serves: then the command can be
repeated, by a script or after an interruption, without going back twice.`,
		Example: "  dbslm builds rollback\n  dbslm builds rollback --from 7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := ngramv1.NewBuildServiceClient(conn).RollbackBuild(cmd.Context(), &ngramv1.RollbackBuildRequest{
					Tenant: a.tenant, Model: f.model, FromBuildId: from,
				})
				if err != nil {
					return err
				}
				return a.printBuild(resp.Build, f.json)
			})
		},
	}
	cmd.Flags().Uint32Var(&from, "from", 0, "roll back only if this `build` serves")
	return cmd
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
